"""Streams over the wire: begun, grown, stopped, refused, and found again when nobody stopped them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from bot.claims import ClaimLost
from bot.errors import Fault
from bot.ports import Message, Sent
from bot.slack.blocks import line, rich, text
from connectors.sandbox.server import Sandbox
from connectors.sandbox.slack import Slack as StandIn
from connectors.sandbox.world import new_world
from connectors.slack import Slack, new_client
from connectors.slack_stream import SlackStreams
from tests.connectors.conftest import Wire

ASK, DM = "C0ASKACCESS", "D0ALICE"
KEY, READER = "C0ASKACCESS/1/answer", ("T0SANDBOX", "U0ALICE")
SENTENCE = rich(line(text("Two people decide.")))
WHOLE = Message("Two people decide.", [SENTENCE])


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    world = new_world()
    sandbox = Sandbox([StandIn(world, events=())], world)
    yield Wire(sandbox, await sandbox.start())
    await sandbox.stop()


@pytest.fixture
async def slack(wire: Wire) -> AsyncIterator[Slack]:
    slack = Slack(new_client(f"{wire.url}/slack/api/", "xoxb-sandbox-bot"), wire.world)
    await slack.connect()
    yield slack
    await slack.close()


@pytest.fixture
def streams(slack: Slack, wire: Wire) -> SlackStreams:
    return SlackStreams(slack._client, wire.world)


async def question(wire: Wire, channel: str = ASK) -> str:
    place = {} if channel == DM else {"channel": channel}
    return str((await wire.act("alice", "slack.say", text="who decides?", **place))["ts"])


async def begun(streams: SlackStreams, wire: Wire, channel: str = ASK) -> Sent | None:
    return await streams.start(channel, await question(wire, channel), "Looking", key=KEY, reader=READER)


async def open_stream(streams: SlackStreams, wire: Wire, channel: str = ASK) -> Sent:
    sent = await begun(streams, wire, channel)
    assert sent is not None
    return sent


def message(wire: Wire, sent: Sent) -> dict[str, Any]:
    state = wire.state("slack")
    places = [*state["channels"].values(), *state["dms"].values()]
    return next(one for place in places for one in place["messages"] if one["ts"] == sent.ts)


def shown(wire: Wire, sent: Sent) -> list[str]:
    """The kinds of blocks, and the words of tasks."""
    return [one.get("title", one["type"]) for one in message(wire, sent)["blocks"]]


@pytest.mark.parametrize("channel", [ASK, DM])
async def test_a_message_grows_and_then_is_like_any_other(
    slack: Slack, streams: SlackStreams, wire: Wire, channel: str
) -> None:
    sent = await open_stream(streams, wire, channel)
    assert shown(wire, sent) == ["Looking"]
    await streams.append(sent, "Reading", [SENTENCE], key=KEY)
    assert shown(wire, sent) == ["Reading", "rich_text"]
    await streams.stop(sent)
    await slack.update(sent, WHOLE, key=KEY)
    assert shown(wire, sent) == ["rich_text"]
    assert not message(wire, sent)["streaming"]


async def test_a_stream_that_slack_closed_for_its_age_is_stopped_already(
    slack: Slack, streams: SlackStreams, wire: Wire
) -> None:
    sent = await open_stream(streams, wire)
    await wire.later(minutes=6)
    with pytest.raises(Fault, match="message_not_in_streaming_state"):
        await streams.append(sent, "Reading", key=KEY)
    await streams.stop(sent)
    await slack.update(sent, WHOLE, key=KEY)
    assert message(wire, sent)["text"] == "Two people decide."


async def test_a_stream_that_a_crash_left_open_is_found_and_made_to_say_the_answer(
    slack: Slack, streams: SlackStreams, wire: Wire
) -> None:
    sent = await open_stream(streams, wire)
    thread = message(wire, sent)["thread_ts"]
    assert list(await slack.find_replies(ASK, thread, key=KEY)) == [sent]
    await slack.update(sent, WHOLE, key=KEY)
    assert shown(wire, sent) == ["rich_text"]
    assert list(await slack.find_replies(ASK, thread, key=KEY)) == [sent]


async def test_a_stream_that_a_crash_left_open_can_be_deleted(slack: Slack, streams: SlackStreams, wire: Wire) -> None:
    sent = await open_stream(streams, wire)
    await slack.delete(sent)
    assert sent.ts not in str(wire.state("slack")["channels"][ASK])


async def test_where_slack_refuses_it_is_not_asked_again_for_an_hour(streams: SlackStreams, wire: Wire) -> None:
    nowhere = "C0NOWHERE"
    for _ in range(2):
        assert await streams.start(nowhere, "1.1", "Looking", key=KEY, reader=READER) is None
    assert len(wire.calls("slack", "POST /api/chat.startStream")) == 1
    assert await begun(streams, wire) is not None
    await wire.later(minutes=61)
    await streams.start(nowhere, "1.1", "Looking", key=KEY, reader=READER)
    assert len(wire.calls("slack", "POST /api/chat.startStream")) == 3


async def test_a_pace_that_is_too_fast_pauses_streams_everywhere_as_long_as_slack_says(
    streams: SlackStreams, wire: Wire
) -> None:
    wire.play("slack", "rate_limit", "POST /api/chat.startStream", seconds=30)
    assert await begun(streams, wire) is None
    assert await begun(streams, wire, DM) is None
    await wire.later(seconds=31)
    assert await begun(streams, wire) is not None


async def test_a_start_without_an_answer_may_have_happened(streams: SlackStreams, wire: Wire) -> None:
    wire.play("slack", "lost_answer", "POST /api/chat.startStream")
    with pytest.raises(Fault) as lost:
        await begun(streams, wire)
    assert lost.value.unknown


async def test_without_a_thread_there_is_no_stream(streams: SlackStreams, wire: Wire) -> None:
    assert await streams.start(ASK, "", "Looking", key=KEY, reader=READER) is None
    assert wire.calls("slack", "POST /api/chat.startStream") == []


async def test_slack_closes_no_stream_early(streams: SlackStreams, wire: Wire) -> None:
    sent = await open_stream(streams, wire)
    wire.world.advance(timedelta(minutes=4))
    await streams.append(sent, "Reading", key=KEY)
    assert message(wire, sent)["streaming"]


async def test_nothing_is_streamed_for_a_job_that_somebody_else_has_now(
    slack: Slack, streams: SlackStreams, wire: Wire
) -> None:
    async def lost() -> None:
        raise ClaimLost

    sent = await open_stream(streams, wire)
    overtaken = SlackStreams(slack._client, wire.world, before_write=lost)
    before = len(wire.calls("slack", "POST /api/chat."))
    for write in (
        overtaken.start(ASK, await question(wire), "Looking", key=KEY, reader=READER),
        overtaken.append(sent, "Reading", key=KEY),
        overtaken.stop(sent),
    ):
        with pytest.raises(ClaimLost):
            await write
    assert len(wire.calls("slack", "POST /api/chat.")) == before

"""Slack's connection as it fails in the field: half open, deaf, refused, garbled, cut; and what is made good then."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing

import pytest

from bot.errors import Fault
from bot.slack.intake import Intake
from bot.slack.socket import Socket, new_app
from connectors.sandbox.slack import Slack
from connectors.slack import Slack as Connector
from connectors.slack import new_client
from tests.conftest import on_sqlite
from tests.story import CHANNEL, PATIENCE, Story

READONLY, ALICE = "prod-readonly", "alice@example.com"


def socket_of(story: Story) -> Socket:
    assert story.running is not None
    return story.running.socket


def connections(story: Story) -> int:
    return int(story.state["slack"]["connections"])


async def later(story: Story, seconds: float) -> None:
    """The watchdog's time passes, and it looks."""
    socket, ahead = socket_of(story), socket_of(story).now() - time.time() + seconds
    socket.now = lambda: time.time() + ahead
    await asyncio.sleep(0)


async def replaced(story: Story) -> None:
    """The watchdog finds the connection unwell, is patient with it, and replaces it."""
    before, deadline = socket_of(story).replaced, time.monotonic() + PATIENCE
    while socket_of(story).replaced == before:
        assert time.monotonic() < deadline, "it is not replaced"
        await later(story, 21)
        await asyncio.sleep(0.1)
    socket_of(story).now = time.time


async def assert_it_works(story: Story) -> None:
    assert (await story.presses("bob", "approve"))["acknowledged"]
    await story.until(lambda: story.members(READONLY) == [ALICE])


@pytest.mark.parametrize("how", ["freeze", "silence"])
async def test_a_connection_that_answers_no_ping_is_replaced(story: Story, how: str) -> None:
    await story.asks()
    await story.act("bob", f"slack.{how}")
    await replaced(story)
    await assert_it_works(story)


async def test_an_address_that_is_refused_is_not_tried_for_ever(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.slack.line.OPEN_SECONDS", 2.0)
    await story.asks()
    await story.act("bob", "slack.refuse", times=1)
    await story.act("bob", "slack.drop")
    await replaced(story)
    await assert_it_works(story)


@pytest.mark.parametrize("how", ["drop", "drop_in_a_frame"])
async def test_a_connection_that_is_cut_comes_back(story: Story, how: str) -> None:
    await story.asks()
    await story.act("bob", f"slack.{how}")
    await story.until(lambda: connections(story) == 0)
    await replaced(story)
    await assert_it_works(story)


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_a_connection_that_slack_recycles_is_followed_at_once(story: Story, reason: str) -> None:
    await story.asks()
    slack = story.sandbox.stand_ins["slack"]
    assert isinstance(slack, Slack)
    (before,) = slack.socket.connections
    await story.act("bob", "slack.disconnect", reason=reason)
    await story.until(lambda: connections(story) == 1 and before not in slack.socket.connections)
    await assert_it_works(story)
    assert socket_of(story).replaced == 0


async def test_frames_that_are_no_envelopes_change_nothing(story: Story) -> None:
    await story.asks()
    await story.act("bob", "slack.garble")
    await assert_it_works(story)
    assert connections(story) == 1
    assert socket_of(story).replaced == 0


async def test_when_no_address_leads_anywhere_the_program_ends_for_its_supervisor(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.line.OPEN_SECONDS", 0.1)
    assert story.running is not None
    ending = asyncio.ensure_future(story.running.wait())
    await story.act("bob", "slack.refuse", times=10_000)
    await story.act("bob", "slack.drop")
    while not ending.done():
        await later(story, 21)
        await asyncio.sleep(0.05)
    with pytest.raises(Fault, match="no connection came about"):
        ending.result()


async def test_while_slack_gives_no_address_the_rest_goes_on_and_it_is_tried_until_it_does(story: Story) -> None:
    """A restart would not help, and PagerDuty decides meanwhile."""
    await story.asks()
    await story.until(story.incidents)
    await story.fault("slack", "*", "cut", times=None)
    await story.act("bob", "slack.drop")
    for _ in range(5):
        await later(story, 21)
        await asyncio.sleep(0.1)
    await story.comments("bob", "approve")
    await story.until(lambda: story.members(READONLY) == [ALICE])
    await story.mend()
    await replaced(story)
    await story.until(lambda: connections(story) == 1)


async def test_readiness_follows_the_connection(story: Story) -> None:
    assert story.running is not None
    await story.fault("slack", "POST /api/apps.connections.open", "cut", times=None)
    await story.act("bob", "slack.drop")
    await story.until(lambda: not story.running.front.is_connected() if story.running else False)
    await story.mend()
    await replaced(story)
    await story.until(lambda: story.running.front.is_connected() if story.running else False)


# --- made good -------------------------------------------------------------------------------------------------------


async def test_a_card_that_somebody_deleted_meanwhile_is_posted_anew(story: Story) -> None:
    request = await story.asks()
    await story.settle()
    old = story.card()["ts"]
    await story.act("bob", "slack.delete", channel=CHANNEL, ts=old)
    assert story.messages() == []
    await story.act("bob", "slack.disconnect")
    await story.until(lambda: story.card(request=request)["ts"] != old)
    await story.settle()
    await assert_it_works(story)


async def test_a_press_on_a_card_whose_posting_is_not_on_record_yet_is_told_to_come_again(story: Story) -> None:
    request = await story.asks()
    await story.settle()
    old = story.card()["ts"]
    await story.act("bob", "slack.delete", channel=CHANNEL, ts=old)
    await story.fault("slack", "POST /api/chat.postMessage", "lost_answer")
    await story.act("bob", "slack.disconnect")
    await story.until(lambda: story.card(request=request)["ts"] != old)
    await story.presses("bob", "approve")
    await story.until(lambda: "too new to be on record. Press again" in story.told("bob"))
    assert story.members(READONLY) == []
    opened = await story.presses("carol", "deny", await_view=True)
    form, why = opened["view"]["id"], {"Reason": "Not this week"}
    answer = await story.act("carol", "slack.submit", view_id=form, values=why)
    assert "too new to be on record" in answer["errors"]["reason"]  # and what she wrote stays there
    await story.advance(61)
    await story.settle()
    assert len(story.messages()) == 1
    await assert_it_works(story)


async def test_a_message_to_the_requester_that_was_deleted_is_posted_anew(story: Story) -> None:
    await story.asks()
    message = await story.until(lambda: story.dms("alice")[0])
    await story.settle()
    await story.act("bob", "slack.delete", channel=f"D{'U0ALICE'[1:]}", ts=message["ts"])
    await story.act("bob", "slack.disconnect")
    await story.advance(5)
    await story.until(lambda: "withdraw" in story.buttons(story.dms("alice")[0]))


async def test_an_update_that_arrives_after_a_later_one_is_overwritten(story: Story) -> None:
    """Its answer was given up, a newer drawing went out, and then the old one lands."""
    request = await story.asks()
    await story.settle()
    slack = story.sandbox.stand_ins["slack"]
    assert isinstance(slack, Slack)
    message = slack.workspace.channels[CHANNEL].messages[story.card()["ts"]]
    old = {
        "text": "Waiting",
        "blocks": [],
        "metadata": {**(message.metadata or {}), "event_payload": {"key": f"{request}/card"}},
    }
    await assert_it_works(story)
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    await story.settle()
    slack.workspace.revise(message, old)
    assert story.card()["text"] == "Waiting"
    await story.act("bob", "slack.disconnect")
    await story.until(lambda: "Granted and read back" in story.card()["text"])


async def test_nothing_is_drawn_again_that_is_as_it_should_be(story: Story) -> None:
    await story.asks()
    await story.until(lambda: story.dms("alice"))
    await story.settle()
    before = story.calls("slack", "POST /api/chat.")
    await story.act("bob", "slack.disconnect")
    await story.until(lambda: story.calls("slack", "GET /api/conversations.history") >= 1)
    await story.advance(5)
    await story.settle()
    assert story.calls("slack", "POST /api/chat.") == before


async def test_after_a_silence_people_are_told_that_presses_may_be_lost(story: Story) -> None:
    await story.asks()
    await story.act("bob", "slack.freeze")
    await replaced(story)
    await story.until(lambda: any("press again" in one["text"] for one in story.messages()))
    await story.settle()
    assert sum("press again" in one["text"] for one in story.messages()) == 1


async def test_the_silence_counts_from_the_last_pong_when_slack_sdk_reconnects_by_itself(story: Story) -> None:
    """A half open connection is deaf for a while before anybody notices."""
    await story.asks()
    line = socket_of(story)._line
    assert line is not None
    await story.until(lambda: line.client.last_ping_pong_time)
    await later(story, 15)
    await story.act("bob", "slack.disconnect")
    await story.until(lambda: told_to_press_again(story))


async def absent_for_an_hour(story: Story) -> None:
    """No front runs, and nobody presses anything that would arrive."""
    await story.stop()
    with closing(sqlite3.connect(story.data_dir / "tinyapprover.db")) as disk, disk:
        disk.execute("UPDATE presence SET seen_at = datetime(seen_at, '-1 hour')")
    await story.start()


def told_to_press_again(story: Story) -> int:
    return sum("press again" in one["text"] for one in story.messages())


@on_sqlite
async def test_after_an_absence_people_are_told_that_presses_may_be_lost(story: Story) -> None:
    await story.asks()
    await story.settle()
    await absent_for_an_hour(story)
    await story.until(lambda: told_to_press_again(story))
    await story.settle()
    assert told_to_press_again(story) == 1


async def test_an_ordinary_restart_is_not_told(story: Story) -> None:
    await story.asks()
    await story.settle()
    await story.stop()
    await story.start()
    await story.settle()
    assert told_to_press_again(story) == 0


@on_sqlite
async def test_an_absence_in_which_nothing_waited_is_not_told(story: Story) -> None:
    await absent_for_an_hour(story)
    await story.settle()
    assert story.messages() == []


async def test_of_two_messages_with_one_key_the_younger_goes(story: Story) -> None:
    """A post that lands after it was looked for in vain and posted again: the far end takes its time."""
    await story.fault("slack", "POST /api/chat.postMessage", "late", seconds=4.0)
    await story.submits()
    await story.until(lambda: story.card(button="approve"))
    recorded = story.card()["ts"]
    await story.until(lambda: len(story.messages()) == 2)
    await story.advance(61)
    await story.until(lambda: [one["ts"] for one in story.messages()] == [recorded])


async def test_an_old_card_of_the_same_name_is_not_taken_for_a_twin(story: Story) -> None:
    """A database that began anew counts its requests from one again."""
    await story.asks()
    await story.advance(7200)
    await story.submits("bob", why="Something else")
    await story.until(lambda: story.card(request="TA-2", button="approve"))
    await story.settle()
    slack = story.sandbox.stand_ins["slack"]
    assert isinstance(slack, Slack)
    channel = slack.workspace.channels[CHANNEL]
    new = channel.messages[story.card(request="TA-2")["ts"]]
    old = type(new)(f"{float(new.ts) - 3700:.6f}", new.user, "long ago", blocks=[], metadata=new.metadata, bot=True)
    channel.messages[old.ts] = old
    before = story.calls("slack", "GET /api/conversations.history")
    await story.act("bob", "slack.disconnect")
    await story.until(lambda: story.calls("slack", "GET /api/conversations.history") > before)
    await story.advance(5)
    await story.settle()
    assert {old.ts, new.ts} < {one["ts"] for one in story.messages()}


async def test_bolt_is_given_nothing_that_it_warns_of(story: Story, caplog: pytest.LogCaptureFixture) -> None:
    """As at every start."""
    await story.stop()
    caplog.clear()
    await story.start()
    assert [record.getMessage() for record in caplog.records if record.name == "slack"] == []


async def test_connections_that_nobody_holds_are_counted_and_warned_of(
    story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    """They stay registered after a half open connection, and take their share of the presses."""
    assert story.running is not None
    client = new_client(str(story.running.settings.slack_api_url), story.sandbox.world.token("slack_bot"))
    assert client.session is not None
    ghosts = []
    try:
        for _ in range(5):
            address = await client.apps_connections_open(app_token=story.sandbox.world.token("slack_app"))
            ghosts.append(await client.session.ws_connect(str(address["url"])))
        await story.until(lambda: connections(story) == 6)
        await replaced(story)
        assert socket_of(story).connections >= 6
        assert "stop all its processes for a minute" in caplog.text
        assert f"tinyapprover_slack_connections {socket_of(story).connections}" in await story.metrics()
    finally:
        await client.session.close()


# --- two connections -------------------------------------------------------------------------------------------------


async def test_two_connections_share_the_presses_and_each_counts_once(story: Story) -> None:
    """As with two replicas: Slack gives each envelope to one of them, and a repeated one to the other."""
    assert story.running is not None
    journey, asides = story.running.journey, story.running.asides
    chat = journey.chat
    assert isinstance(chat, Connector)
    client = new_client(str(story.running.settings.slack_api_url), story.sandbox.world.token("slack_bot"))
    app = new_app(client, token="xoxb-sandbox-bot", team=chat.team, user=chat.user, bot_id=chat.bot_id)
    intake = Intake(journey, asides, domains=("example.com",))
    second = Socket(app, intake, story.sandbox.world.token("slack_app"))
    await second.start()
    try:
        assert connections(story) == 2
        assert second.connections == 2
        request = await story.asks(access="Production, root (break-glass)", Ticket="https://tickets.example.com/INC-3")
        for who in ("bob", "carol"):
            assert (await story.presses(who, "approve"))["acknowledged"]
            assert (await story.act(who, "slack.repeat"))["acknowledged"]
            await story.settle()
        await story.until(lambda: "Granted and read back" in story.card()["text"])
        assert (await story.trail(request)).count("decision.approve") == 2
        assert await story.refusals(request) == []
    finally:
        await second.stop()
        assert client.session is not None
        await client.session.close()


# --- stopping --------------------------------------------------------------------------------------------------------


@on_sqlite
async def test_what_was_taken_before_a_stop_is_acknowledged_and_done(story: Story) -> None:
    """The disk is slow: the press is not recorded yet when the stop comes."""
    await story.asks()
    await story.settle()
    assert story.running is not None
    busy = asyncio.ensure_future(story.running.ledger._run(lambda _: time.sleep(1.5)))
    pressing = asyncio.ensure_future(story.presses("bob", "approve"))
    slack = story.sandbox.stand_ins["slack"]
    assert isinstance(slack, Slack)
    await story.until(lambda: slack.socket.latest and slack.socket.latest.payload["type"] == "block_actions")
    await asyncio.sleep(0.05)
    assert not pressing.done()
    await story.stop()
    assert (await pressing)["acknowledged"]
    await busy
    await story.start()
    await story.until(lambda: story.members(READONLY) == [ALICE])

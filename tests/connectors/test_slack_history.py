"""Slack's history over the wire: page by page, patient, and whole or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import Fault
from connectors import slack_history
from connectors.sandbox.server import Sandbox
from connectors.sandbox.slack import Slack
from connectors.sandbox.world import new_world
from connectors.slack_history import SlackHistory
from tests.connectors.conftest import Wire

EVER, NEVER = "0.000000", "99999999999.000000"


class Patience(list[float]):
    """How long was waited, without waiting."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    world = new_world()
    sandbox = Sandbox([Slack(world, events=())], world)
    yield Wire(sandbox, await sandbox.start())
    await sandbox.stop()


@pytest.fixture
def waited() -> Patience:
    return Patience()


@pytest.fixture
async def history(wire: Wire, waited: Patience) -> SlackHistory:
    client = AsyncWebClient(token="xoxb-sandbox-bot", base_url=f"{wire.url}/slack/api/", retry_handlers=[])
    reader = SlackHistory(client, timeout=0.5, pause=waited)
    await reader.connect()
    return reader


async def say(wire: Wire, who: str, text: str, **more: str) -> str:
    return str((await wire.act(who, "slack.say", channel="general", text=text, **more))["ts"])


async def test_it_knows_the_workspace_and_what_it_may_do(history: SlackHistory) -> None:
    assert history.url == "https://example-corp.slack.com"
    assert {"channels:history", "groups:history"} <= history.scopes


async def test_a_channel_is_read_backwards_page_by_page(
    history: SlackHistory, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_history, "PAGE", 2)
    sent = [await say(wire, "alice", f"m{number}") for number in range(5)]
    latest, read, more = NEVER, list[str](), True
    while more:
        page = await history.page("C0GENERAL", oldest=EVER, latest=latest)
        read += [root.ts for root in page.roots]
        latest, more = page.earliest, page.more
    assert read == sent[::-1]


async def test_replies_stand_in_their_thread_and_not_on_the_page(history: SlackHistory, wire: Wire) -> None:
    root = await say(wire, "alice", "root")
    alone = (await history.page("C0GENERAL", oldest=EVER, latest=NEVER)).roots[0]
    for number in range(3):
        await say(wire, "bob", f"reply {number}", thread_ts=root)
    page = await history.page("C0GENERAL", oldest=EVER, latest=NEVER)
    assert [(one.ts, one.has_replies) for one in page.roots] == [(root, True)]
    assert page.roots[0].state != alone.state
    thread = await history.thread("C0GENERAL", root)
    assert [one["text"] for one in thread] == ["root", "reply 0", "reply 1", "reply 2"]


async def test_a_thread_that_is_gone_is_empty(history: SlackHistory) -> None:
    assert await history.thread("C0GENERAL", "1.000000") == []


@pytest.mark.parametrize(
    ("verb", "why"),
    [
        ("share", "it is shared with somebody outside this workspace"),
        ("archive", "it is archived"),
        ("remove_app", "the bot is not in it; invite it there"),
    ],
)
async def test_a_channel_says_why_it_is_not_to_be_read(history: SlackHistory, wire: Wire, verb: str, why: str) -> None:
    assert (await history.place("C0GENERAL")).closed == ""
    await wire.act("carol", f"slack.{verb}", channel="general")
    assert (await history.place("C0GENERAL")).closed == why


async def test_private_channels_are_known_as_private(history: SlackHistory) -> None:
    joined = {place.name: place.private for place in await history.joined()}
    assert (joined["access-requests"], joined["general"]) == (True, False)


async def test_names_are_asked_for_once(history: SlackHistory, wire: Wire) -> None:
    assert [await history.name("U0ALICE"), await history.name("U0ALICE")] == ["Alice Archer", "Alice Archer"]
    assert len(wire.calls("slack", "POST /api/users.info") + wire.calls("slack", "GET /api/users.info")) == 1
    assert await history.name("U0NOBODY") == "somebody"


async def test_it_waits_as_long_as_slack_asks(history: SlackHistory, wire: Wire, waited: Patience) -> None:
    await say(wire, "alice", "words")
    wire.play("slack", "rate_limit", "*conversations.history", times=3, seconds=30)
    page = await history.page("C0GENERAL", oldest=EVER, latest=NEVER)
    assert [root.message["text"] for root in page.roots] == ["words"]
    assert waited == [30, 30, 30]


async def test_a_wait_that_is_too_long_is_left_to_the_next_reading(history: SlackHistory, wire: Wire) -> None:
    wire.play("slack", "rate_limit", "*conversations.history", seconds=3600)
    with pytest.raises(Fault) as caught:
        await history.page("C0GENERAL", oldest=EVER, latest=NEVER)
    assert caught.value.retry_after == 3600


@pytest.mark.parametrize("kind", ["slow", "error", "cut", "html", "empty"])
async def test_a_lost_answer_is_asked_for_again_and_then_given_up(
    history: SlackHistory, wire: Wire, waited: Patience, kind: str
) -> None:
    await say(wire, "alice", "words")
    wire.play("slack", kind, "*conversations.history", times=2, seconds=1)
    assert (await history.page("C0GENERAL", oldest=EVER, latest=NEVER)).roots
    assert waited[:1] == [1]  # a cut connection is tried once more by aiohttp itself
    wire.play("slack", kind, "*conversations.history", times=None, seconds=1)
    with pytest.raises(Fault):
        await history.page("C0GENERAL", oldest=EVER, latest=NEVER)


async def test_somebody_who_waits_gets_one_quick_try(history: SlackHistory, wire: Wire, waited: Patience) -> None:
    wire.play("slack", "error", "*conversations.info", times=1)
    with pytest.raises(Fault):
        await history.place("C0GENERAL", patient=False)
    assert waited == []


async def test_a_missing_scope_is_named(history: SlackHistory, wire: Wire) -> None:
    slack = wire.sandbox.stand_ins["slack"]
    assert isinstance(slack, Slack)
    slack.workspace.scopes = ("channels:read", "channels:history")
    with pytest.raises(Fault, match="groups:read") as caught:
        await history.joined()
    assert caught.value.permanent

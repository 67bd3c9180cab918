"""Slack's threads in the index: read over the wire, gone on with after a cut, forgotten with the channel."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from connectors import slack_history
from connectors.sandbox.server import Sandbox
from connectors.sandbox.slack import Slack
from connectors.sandbox.slack_store import Channel, Message
from connectors.sandbox.world import Call, new_world
from connectors.sandbox.world import Fault as Trouble
from connectors.slack_history import SlackHistory
from knowledge import Knowledge, Summary
from knowledge.forgotten import read_forgotten
from knowledge.sources import Step
from knowledge.sources.slack import SlackThreads
from tests.knowledge.conftest import Open

GENERAL, PRIVATE = "C0GENERAL", "C0ACCESS"


async def at_once(_seconds: float) -> None:
    """Nobody waits in a test."""


class Office:
    """A workspace whose channels are indexed, and what people do there."""

    def __init__(self, sandbox: Sandbox, knowledge: Knowledge, threads: SlackThreads) -> None:
        self.sandbox, self.knowledge, self.threads = sandbox, knowledge, threads

    @property
    def slack(self) -> Slack:
        slack = self.sandbox.stand_ins["slack"]
        assert isinstance(slack, Slack)
        return slack

    @property
    def channel(self) -> Channel:
        return self.slack.workspace.channels[GENERAL]

    async def act(self, who: str, verb: str, /, *, channel: str = "general", **args: Any) -> Any:
        return await self.slack.acts()[verb](who, {"channel": channel, **args})

    async def say(self, who: str, text: str, **more: Any) -> str:
        return str((await self.act(who, "say", text=text, **more))["ts"])

    def said_before(self, ago: timedelta, text: str, thread: str | None = None) -> str:
        """Something that bob wrote long ago."""
        ts = f"{(self.sandbox.world.now() - ago).timestamp():.6f}"
        self.channel.messages[ts] = Message(ts=ts, user="U0BOB", text=text, thread_ts=thread)
        self.channel.messages = dict(sorted(self.channel.messages.items()))
        return ts

    async def index(self) -> Summary:
        return await self.knowledge.follow()

    async def found(self, words: str) -> list[str]:
        """The texts found for words by somebody in a public place."""
        return [result.text for result in await self.knowledge.search([words])]

    def play(self, kind: str, route: str, **more: Any) -> None:
        self.sandbox.world.faults.append(Trouble("slack", kind=kind, route=route, **more))

    def calls(self, method: str) -> int:
        return sum(call.route.endswith(method) for call in self.sandbox.world.calls)


Opened = Callable[..., Awaitable[Office]]


@pytest.fixture
async def office_of(opened: Open) -> AsyncIterator[Opened]:
    world = new_world()
    sandbox = Sandbox([Slack(world, events=())], world)
    url = await sandbox.start()
    open_ones: list[Any] = []

    async def open_one(*channels: str, **more: Any) -> Office:
        for one in open_ones:
            await one.__aexit__(None, None, None)
        client = AsyncWebClient(token="xoxb-sandbox-bot", base_url=f"{url}/slack/api/", retry_handlers=[])
        reader = SlackHistory(client, timeout=0.5, pause=at_once)
        threads = SlackThreads(reader, channels or ("general", PRIVATE), world.now, **more)
        open_ones[:] = [opened(None, kind="none", sources=[threads])]
        return Office(sandbox, await open_ones[0].__aenter__(), threads)

    yield open_one
    for one in open_ones:
        await one.__aexit__(None, None, None)
    await sandbox.stop()


@pytest.fixture
async def office(office_of: Opened) -> Office:
    return await office_of()


async def test_a_thread_is_one_document_with_its_authors_and_its_link(office: Office) -> None:
    root = await office.say("bob", "Who may read the payments database?")
    await office.say("carol", "Ask <@U0BOB>, he decides", thread_ts=root)
    await office.index()
    result = (await office.knowledge.search(["payments database"]))[0]
    assert "**Bob Baker**" in result.text
    assert "Ask @Bob Baker, he decides" in result.text
    assert result.url == f"https://example-corp.slack.com/archives/C0GENERAL/p{root.replace('.', '')}"


async def test_bots_are_not_indexed(office: Office) -> None:
    await office.say("bob", "a person")
    post = AsyncWebClient(token="xoxb-sandbox-bot", base_url=f"{office.sandbox.world.base_url}/slack/api/")
    await post.chat_postMessage(channel=GENERAL, text="granted by a robot")
    await office.index()
    assert await office.found("robot") == []
    assert await office.found("person")


async def test_an_unchanged_channel_is_read_by_pages_alone(office: Office) -> None:
    for number in range(5):
        root = await office.say("alice", f"thread {number}")
        await office.say("bob", "reply", thread_ts=root)
    await office.index()
    asked = office.calls("conversations.replies")
    summary = await office.index()
    assert office.calls("conversations.replies") == asked == 5
    assert (summary.change.new, summary.change.deleted) == (0, 0)


async def test_edits_replace_and_deletions_forget(office: Office) -> None:
    edited = await office.say("alice", "the old password rule")
    deleted = await office.say("bob", "something regretted")
    root = await office.say("carol", "a thread stays")
    reply = await office.say("bob", "with a regretted reply", thread_ts=root)
    await office.index()
    await office.act("alice", "edit", ts=edited, text="the new password rule")
    await office.act("bob", "unsay", ts=deleted)
    await office.act("bob", "unsay", ts=reply)
    await office.index()
    assert "new password" in (await office.found("password"))[0]
    assert await office.found("regretted") == []
    assert await office.found("stays")


async def test_late_replies_to_old_threads_are_found(office_of: Opened) -> None:
    office = await office_of()
    root = office.said_before(timedelta(days=100), "how do we rotate keys")
    office.said_before(timedelta(days=5), "still asking", thread=root)
    await office.index()
    await office.say("carol", "with the vault", thread_ts=root)
    await office.index()
    assert "vault" in (await office.found("rotate keys"))[0]


async def test_what_is_older_than_the_days_is_not_kept(office_of: Opened) -> None:
    office = await office_of(days=30)
    office.said_before(timedelta(days=31), "ancient words")
    young = office.said_before(timedelta(days=29), "younger words")
    await office.index()
    assert await office.found("ancient") == []
    assert await office.found("younger")
    office.sandbox.world.advance(timedelta(days=8))
    await office.index()
    assert await office.found("younger") == []
    assert young in office.channel.messages


async def test_a_cut_reading_keeps_what_it_had_and_goes_on_from_there(
    office_of: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_history, "PAGE", 2)
    office = await office_of("general")
    for number in range(7):
        await office.say("alice", f"message number{number}")
    office.play("latency", "*conversations.history", times=2, seconds=0)
    office.play("error", "*conversations.history", times=None)
    assert "http 503" in (await office.index()).trouble[0]
    kept = [number for number in range(7) if await office.found(f"number{number}")]
    assert kept == [3, 4, 5, 6]
    office.sandbox.world.faults.clear()
    asked = office.calls("conversations.history")
    again = await office_of("general")
    summary = await again.index()
    assert summary.documents == 7
    assert summary.change.new == 3
    assert office.calls("conversations.history") - asked == 2 + 4  # the rest, and then what is recent


async def test_words_written_while_a_reading_was_cut_are_found_afterwards(
    office_of: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_history, "PAGE", 2)
    office = await office_of("general")
    for number in range(4):
        await office.say("alice", f"message number{number}")
    office.play("latency", "*conversations.history", times=1, seconds=0)
    office.play("html", "*conversations.history", times=None)
    assert (await office.index()).trouble
    await office.say("bob", "meanwhile")
    office.sandbox.world.faults.clear()
    assert (await office.index()).documents == 5
    assert await office.found("meanwhile")


_READ = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from connectors import slack_history
from knowledge import Knowledge, Wanted
from knowledge.sources.slack import SlackThreads

async def main(data, url):
    slack_history.PAGE = 2
    reader = slack_history.new_reader(url, "xoxb-sandbox-bot")
    threads = SlackThreads(reader, ["general"], lambda: datetime.now(UTC))
    knowledge = await Knowledge.open(Path(data), None, embedder=Wanted("none"), sources=[threads])
    await knowledge.follow()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("edge", ["before", "after"])
async def test_a_process_killed_while_it_reads_loses_nothing_and_doubles_nothing(
    office_of: Opened, tmp_path: Path, edge: str
) -> None:
    office = await office_of("general")
    for number in range(6):
        root = await office.say("alice", f"message number{number}")
        await office.say("bob", "answered", thread_ts=root)
    await office.knowledge.close()
    url = f"{office.sandbox.world.base_url}/slack/api/"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", _READ, str(tmp_path / "data"), url)

    async def kill(call: Call, at: str) -> None:
        if at == edge and office.calls("conversations.replies") == 3 and call.route.endswith("conversations.replies"):
            child.kill()

    office.sandbox.world.watch = kill
    assert await child.wait() == -signal.SIGKILL
    again = await office_of("general")
    summary = await again.index()
    assert (summary.documents, summary.passages) == (6, 6)
    assert summary.change.new == 4  # the first page of two was kept
    assert [len(await again.found(f"number{number}")) for number in range(6)] == [1] * 6


@pytest.mark.parametrize("verb", ["archive", "share", "remove_app", "delete_channel"])
async def test_a_channel_that_is_closed_is_forgotten(office: Office, verb: str) -> None:
    await office.say("alice", "how we deploy")
    await office.index()
    assert await office.found("deploy")
    await office.act("carol", verb)
    summary = await office.index()
    assert summary.documents == 0
    assert [skipped.what for skipped in summary.skipped if "general" in skipped.what or GENERAL in skipped.what]


async def test_a_channel_that_the_bot_leaves_while_it_is_read_does_not_keep_others_waiting(office: Office) -> None:
    await office.say("alice", "words of general")
    await office.act("bob", "say", channel=PRIVATE, text="words of the responders")
    await office.act("bob", "say", channel=PRIVATE, text="more of them")

    async def leave_meanwhile(call: Call, edge: str) -> None:
        if edge == "after" and call.route.endswith("conversations.info"):
            office.slack.workspace.channels[PRIVATE].members.discard("U0TINYAPP")

    office.sandbox.world.watch = leave_meanwhile
    summary = await office.index()
    assert not summary.trouble
    assert await office.found("general")
    assert not await office.knowledge.search(["responders"], audience=frozenset({"public", PRIVATE}))


async def test_a_channel_that_is_not_chosen_any_more_is_forgotten(office_of: Opened) -> None:
    office = await office_of("general")
    await office.say("alice", "how we deploy")
    await office.index()
    again = await office_of(PRIVATE)
    assert (await again.index()).documents == 0


async def test_a_name_that_no_channel_has_is_told_and_nothing_is_forgotten(office_of: Opened) -> None:
    office = await office_of("general")
    await office.say("alice", "how we deploy")
    await office.index()
    summary = await (await office_of("#genral")).index()
    assert summary.documents == 1
    assert [(one.what, one.why) for one in summary.skipped] == [
        ("#genral", "the bot is in no channel of this name; invite it there")
    ]


@pytest.mark.parametrize("asked", ["conversations.history", "conversations.replies"])
async def test_a_thread_deleted_while_it_is_read_does_not_come_back(office: Office, asked: str) -> None:
    root = await office.say("alice", "regretted words")
    await office.say("bob", "a reply", thread_ts=root)

    async def delete_meanwhile(call: Call, edge: str) -> None:
        if edge == "after" and call.route.endswith(asked):
            gone = office.threads.changed(GENERAL, root)
            await office.knowledge.take(office.threads, Step(gone=(gone,)))

    office.sandbox.world.watch = delete_meanwhile
    assert (await office.index()).documents == 0


async def test_words_of_a_private_channel_are_found_by_its_members_alone(office: Office) -> None:
    await office.act("bob", "say", channel=PRIVATE, text="the incident was our fault")
    await office.index()
    assert await office.found("incident") == []
    audience = frozenset({"public", PRIVATE})
    assert await office.knowledge.search(["incident"], audience=audience)


async def test_a_channel_that_turned_private_unseen_is_not_shown_in_public(office: Office) -> None:
    await office.say("alice", "the merger is near")
    await office.index()
    assert await office.found("merger")
    await office.act("carol", "convert", silently=True)
    office.sandbox.world.advance(timedelta(seconds=61))
    assert await office.found("merger") == []
    audience = frozenset({"public", GENERAL})
    assert await office.knowledge.search(["merger"], audience=audience)


async def test_what_slack_does_not_confirm_is_not_shown(office: Office) -> None:
    await office.say("alice", "the merger is near")
    await office.index()
    assert await office.found("merger")
    office.sandbox.world.advance(timedelta(seconds=61))
    office.play("error", "*conversations.info", times=None)
    assert await office.found("merger") == []
    office.sandbox.world.faults.clear()
    assert await office.found("merger")


async def test_slack_is_asked_about_a_channel_once_a_minute(office: Office) -> None:
    await office.say("alice", "the merger is near")
    await office.index()
    asked = office.calls("conversations.info")
    for _ in range(5):
        await office.found("merger")
    assert office.calls("conversations.info") == asked
    office.sandbox.world.advance(timedelta(seconds=61))
    await office.found("merger")
    await office.found("merger")
    assert office.calls("conversations.info") == asked + 1


async def test_a_channel_that_turns_private_while_it_is_read_is_not_kept_as_public(office: Office) -> None:
    root = await office.say("alice", "the merger is near")
    await office.say("bob", "a reply", thread_ts=root)

    async def convert_meanwhile(call: Call, edge: str) -> None:
        if edge == "after" and call.route.endswith("conversations.replies"):
            await office.act("carol", "convert")
            office.threads.turned(GENERAL)

    office.sandbox.world.watch = convert_meanwhile
    await office.index()
    assert await office.found("merger") == []
    audience = frozenset({"public", GENERAL})
    assert await office.knowledge.search(["merger"], audience=audience)


# --- erasing ---------------------------------------------------------------------------------------------------------


async def test_a_thread_stays_without_the_words_and_the_name_of_somebody_forgotten(
    office_of: Opened, tmp_path: Path
) -> None:
    office = await office_of(forgotten=partial(read_forgotten, tmp_path / "data" / "knowledge"))
    root = await office.say("bob", "who waters the plants")
    await office.say("carol", "<@U0BOB> does, on Mondays", thread_ts=root)
    alone = await office.say("bob", "nobody answered about plants")
    await office.index()
    gone = await office.knowledge.forget_people(["U0BOB"])
    assert {name.rpartition("/")[2] for name in gone} == {root, alone}
    assert await office.found("plants Mondays") == []
    await office.knowledge.read_again(gone)
    (thread,) = await office.found("plants Mondays")
    assert "@somebody does, on Mondays" in thread
    assert "Bob" not in thread
    await office.index()
    assert await office.found("plants Mondays") == [thread]

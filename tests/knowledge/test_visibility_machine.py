"""Whatever happens to channels, in any order: nobody in a public place is shown what not everybody may see."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.request import Passage
from bot.slack.following import Following, Heard, heard
from connectors.sandbox.server import Sandbox
from connectors.sandbox.slack import Slack
from connectors.sandbox.slack_store import Channel, Json
from connectors.sandbox.world import new_world
from connectors.slack_history import SlackHistory
from knowledge import Knowledge, Wanted
from knowledge.sources import EVERYBODY
from knowledge.sources.slack import SlackThreads

CHANNELS = ("C0FIRST01", "C0SECOND2", "C0THIRD03")
TOKEN = re.compile(r"word\d+")
MOST, DAYS = 12, 6

channels = st.sampled_from(CHANNELS)
people = st.sampled_from(["alice", "bob", "carol"])
arrives = st.booleans()


@dataclass
class Written:
    """One message that is there: its words hold a token of their own."""

    channel: str
    ts: str
    who: str
    token: str
    thread: str | None


async def at_once(_seconds: float) -> None:
    """Nobody waits in a test."""


class Visibility(RuleBasedStateMachine):
    """A workspace over the wire, the real catalogue and search, and what everybody may see by the workspace's word."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.written: list[Written] = []
        self.stale: dict[str, str] = {}  # token to channel of what is gone, while nobody was told so
        self.days = 0
        self.tokens = iter(f"word{number}" for number in range(10_000))
        self.reading: Any = None
        self.quoted: tuple[Passage, ...] = ()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self) -> None:
        self.do(self._begin())

    async def _begin(self) -> None:
        self.world = new_world()
        self.slack = Slack(self.world, events=())
        self.events: list[Json] = []
        self.slack.workspace.emit = self.events.append
        for number, name in enumerate(CHANNELS):
            members = {"U0ALICE", "U0BOB", "U0CAROL", self.slack.workspace.bot_user}
            self.slack.workspace.channels[name] = Channel(name, name.lower(), private=number == 0, members=members)
        self.sandbox = Sandbox([self.slack], self.world)
        url = await self.sandbox.start()
        client = AsyncWebClient(token="xoxb-sandbox-bot", base_url=f"{url}/slack/api/", retry_handlers=[])
        self.threads = SlackThreads(SlackHistory(client, pause=at_once), CHANNELS, self.world.now)
        self.knowledge = await Knowledge.open(
            Path(self.folder.name), None, embedder=Wanted("none"), sources=[self.threads]
        )
        self.ears = Following(self.threads, self._keep, self._nothing)
        for name in CHANNELS:
            await self._write(name, "alice", None)
        self.events.clear()
        await self.knowledge.follow()

    async def _keep(self, step: Any) -> None:
        await self.knowledge.take(self.threads, step)

    async def _nothing(self) -> None:
        """There are no vectors to bring up to date."""

    def teardown(self) -> None:
        self.do(self._end())
        self.loop.close()
        self.folder.cleanup()

    async def _end(self) -> None:
        if self.reading is not None:
            await self.reading.aclose()
        await self.knowledge.close()
        await self.sandbox.stop()

    # --- what people do ----------------------------------------------------------------------------------------------

    async def act(self, who: str, verb: str, channel: str, **args: Any) -> Json:
        told: Json = await self.slack.acts()[verb](who, {"channel": channel, **args})
        return told

    @precondition(lambda self: len(self.written) < MOST)
    @rule(channel=channels, who=people, arrives=arrives, in_a_thread=st.booleans())
    def write(self, channel: str, who: str, arrives: bool, in_a_thread: bool) -> None:
        if channel not in self.here() or self.here()[channel].archived:
            return
        roots = [one.ts for one in self.written if one.channel == channel and one.thread is None]
        self.do(self._write(channel, who, roots[0] if roots and in_a_thread else None))
        self.told(arrives, {})

    async def _write(self, channel: str, who: str, thread: str | None) -> None:
        token = next(self.tokens)
        said = await self.act(who, "say", channel, text=f"payroll {token}", thread_ts=thread)
        self.written.append(Written(channel, said["ts"], who, token, thread))

    @precondition(lambda self: self.written)
    @rule(data=st.data(), arrives=arrives)
    def edit(self, data: st.DataObject, arrives: bool) -> None:
        one = data.draw(st.sampled_from(self.written))
        if one.channel in self.here():
            before, one.token = one.token, next(self.tokens)
            self.do(self.act(one.who, "edit", one.channel, ts=one.ts, text=f"payroll {one.token}"))
            self.told(arrives, {before: one.channel})

    @precondition(lambda self: self.written)
    @rule(data=st.data(), arrives=arrives)
    def take_back(self, data: st.DataObject, arrives: bool) -> None:
        one = data.draw(st.sampled_from(self.written))
        if one.channel in self.here():
            self.do(self.act(one.who, "unsay", one.channel, ts=one.ts))
            self.written.remove(one)
            self.told(arrives, {one.token: one.channel})

    @rule(channel=channels, private=st.booleans(), arrives=arrives)
    def convert(self, channel: str, private: bool, arrives: bool) -> None:
        self.change("convert", channel, arrives, private=private)

    @rule(channel=channels, verb=st.sampled_from(["archive", "share"]), on=st.booleans(), arrives=arrives)
    def close(self, channel: str, verb: str, on: bool, arrives: bool) -> None:
        self.change(verb, channel, arrives, on=on)

    @rule(channel=channels, verb=st.sampled_from(["remove_app", "invite_app"]), arrives=arrives)
    def move_the_bot(self, channel: str, verb: str, arrives: bool) -> None:
        self.change(verb, channel, arrives)

    @rule(arrives=arrives)
    def delete_a_channel(self, arrives: bool) -> None:
        self.change("delete_channel", CHANNELS[2], arrives)

    def change(self, verb: str, channel: str, arrives: bool, **args: Any) -> None:
        if channel in self.here():
            self.do(self.act("carol", verb, channel, **args))
            self.told(arrives)

    def told(self, arrives: bool, gone: dict[str, str] | None = None) -> None:
        """The event comes, or it is lost: then a minute passes until anybody may rely on it.

        What is said of a channel must count before anybody looks at it; what is said of a message is looked at.
        """
        events, self.events[:] = list(self.events), []
        if not arrives:
            self.world.advance(timedelta(seconds=61))
            self.stale |= gone or {}
            return
        for event in events:
            what = heard(event) if event["type"] == "message" else Heard(str(event["channel"]))
            if what is not None:
                self.ears.note(what)
        if gone is not None:
            self.do(self.ears.look())

    # --- what the index does -----------------------------------------------------------------------------------------

    @rule()
    def look_at_what_was_heard(self) -> None:
        self.do(self.ears.look())

    @rule()
    def read_a_step(self) -> None:
        """Readings are cut into steps by whatever else happens."""
        self.do(self._step())

    async def _step(self) -> None:
        if self.reading is None:
            self.reading = self.threads.changes(await self.knowledge.held(self.threads))
        step = await anext(self.reading, None)
        if step is None:
            self.reading = None
        else:
            await self._keep(step)

    @precondition(lambda self: self.reading is not None)
    @rule()
    def kill_the_reading(self) -> None:
        self.do(self.reading.aclose())
        self.reading = None

    @precondition(lambda self: self.days < DAYS)
    @rule()
    def read_all_the_next_day(self) -> None:
        """Then everything that everybody may see is found, and nothing that is gone."""
        self.days += 1
        self.world.advance(timedelta(days=1))
        if self.reading is not None:
            self.kill_the_reading()
        self.do(self.ears.look())
        summary = self.do(self.knowledge.follow())
        assert not summary.trouble
        self.stale.clear()
        assert self.seen(EVERYBODY) == {one.token for one in self.written if self.is_open(one.channel)}

    @rule(channel=channels)
    def quote(self, channel: str) -> None:
        """Something is looked up for a card, and stays on record while the world goes on."""
        audience = EVERYBODY | {channel}
        found = self.do(self.knowledge.quotes(["payroll"], limit=20, audience=audience, people=frozenset()))
        self.quoted = found.passages

    # --- what is seen ------------------------------------------------------------------------------------------------

    def here(self) -> dict[str, Channel]:
        return self.slack.workspace.channels

    def is_open(self, channel: str, *, private: bool = False) -> bool:
        """Whether everybody may see a channel; or, of a private one, its members."""
        place = self.here().get(channel)
        if place is None or place.archived or place.shared or self.slack.workspace.bot_user not in place.members:
            return False
        return place.private is private

    def all_words(self) -> dict[str, str]:
        """Token to channel of whatever may be in the index: a token beyond these was taken back and told of."""
        return {**self.stale, **{one.token: one.channel for one in self.written}}

    def seen(self, audience: frozenset[str]) -> set[str]:
        results = self.do(self.knowledge.search(["payroll"], 50, audience=audience))
        return set(self._tokens(result.text for result in results))

    def _tokens(self, texts: Iterator[str]) -> Iterator[str]:
        for text in texts:
            yield from TOKEN.findall(text)

    @invariant()
    def nothing_restricted_is_seen_in_public(self) -> None:
        assert all(self.is_open(self.all_words()[token]) for token in self.seen(EVERYBODY))

    @invariant()
    def nothing_restricted_is_quoted_in_public(self) -> None:
        still = self.do(self.knowledge.still(self.quoted, audience=EVERYBODY)).passages
        words = self._tokens(f"{one.title} {one.text}" for one in still)
        assert all(self.is_open(self.all_words()[token]) for token in words)

    @invariant()
    def members_see_their_own_channel_and_what_is_public(self) -> None:
        for channel in CHANNELS:
            for place in (self.all_words()[token] for token in self.seen(EVERYBODY | {channel})):
                assert self.is_open(place) or (place == channel and self.is_open(place, private=True))


Visibility.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestVisibility = Visibility.TestCase

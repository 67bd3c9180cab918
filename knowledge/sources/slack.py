"""Slack's history of chosen channels: a thread is a document, read in steps and followed from then on.

A first reading goes from the newest message to the oldest, a page a step, and is gone on with where it was cut. After
it each reading looks at what is recent and at threads that somebody wrote in lately; once a week everything is looked
at again. What Slack does not tell any more is gone, and so is all of a channel that nobody may be quoted from: direct
messages, channels shared with others, archived ones, and those that the bot is not in.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from bot.errors import Fault, SettingsError
from connectors.slack_history import Page, Place, new_reader
from knowledge.forgotten import Forgotten, read_forgotten
from knowledge.sources import Document, Held, Skipped, Step
from knowledge.sources.registry import Ports, Setting, Settings, SourceKind
from knowledge.sources.slack_doors import NOBODY, NOT_IN_IT, UNSEEN, Doors
from knowledge.sources.threads import Channel, Names, ThreadMessage, by_thread, message_of, thread_document

NAME = "slack-history"
LOOK_AGAIN, READ_AGAIN = timedelta(days=7), timedelta(days=1)
LATER = timedelta(minutes=5)  # clocks differ
BEGINNING = "0.000000"
_ID = re.compile(r"[CG][A-Z0-9]{6,20}")
_MENTION = re.compile(r"<@([A-Z0-9]{2,30})")


class Reader(Protocol):
    """What is asked of Slack."""

    url: str

    async def connect(self) -> None: ...
    async def joined(self) -> list[Place]: ...
    async def place(self, channel: str, *, patient: bool = True) -> Place: ...
    async def page(self, channel: str, *, oldest: str, latest: str) -> Page: ...
    async def thread(self, channel: str, ts: str) -> list[Mapping[str, Any]]: ...
    async def name(self, user: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a channel's time. `whole`: what is kept from before it is too old to be kept on."""

    oldest: str
    latest: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a channel was read: where the reading of all of it was cut, and when the last one came to its end."""

    name: str
    at: str = ""
    read: str = ""


class SlackThreads:
    """The threads of some channels of one workspace, as a `FollowedSource`."""

    name = NAME

    def __init__(
        self,
        reader: Reader,
        channels: Sequence[str],
        now: Callable[[], datetime],
        *,
        days: int = 365,
        active_days: int = 14,
        forgotten: Callable[[], Forgotten] = Forgotten,
    ) -> None:
        self._reader = reader
        self._chosen = channels
        self._now = now
        self._forgotten = forgotten
        self._days, self._active = timedelta(days=days), timedelta(days=active_days)
        self._ids: frozenset[str] = frozenset()
        self._public: dict[str, str] = {}
        self._doors = Doors(reader.place, lambda place: not place.closed, now)
        self._states: dict[str, str] = {}
        self._states_since = now()
        self._touched: set[str] = set()

    # --- a reading ---------------------------------------------------------------------------------------------------

    async def changes(self, held: Held) -> AsyncGenerator[Step, None]:
        """Every chosen channel, one after another. What is kept of channels that are not chosen any more is gone."""
        await self._reader.connect()
        self._trust_states_for_a_day()
        known = _progress(held.cursor)
        unknown = await self._find({one.name: channel for channel, one in known.items()})
        progress = {channel: known.get(channel, Progress(channel)) for channel in sorted(self._ids)}
        others = [name for name in held.documents if _channel(name) not in self._ids]
        yield Step(gone=() if unknown else tuple(others), skipped=tuple(unknown), cursor=_cursor(progress))
        for channel in progress:
            try:
                async for step in self._channel(channel, held, progress):
                    yield step
            except Fault as fault:
                if fault.what not in UNSEEN:
                    raise
                self.turned(channel)  # the bot was taken out of it while it was read: the next reading forgets it
                yield Step(skipped=(Skipped(progress[channel].name, NOT_IN_IT),))

    def _trust_states_for_a_day(self) -> None:
        """A thread's state tells of new replies and fewer, and not of one that was edited."""
        if self._now() - self._states_since >= READ_AGAIN:
            self._states, self._states_since = {}, self._now()

    async def _find(self, known: Mapping[str, str]) -> list[Skipped]:
        """Learn the chosen channels' ids, also of those that were read before; returns the names that are nowhere."""
        joined = await self._reader.joined()
        self._public = {place.id: place.name for place in joined if not place.private}
        ids = {**known, **{place.name: place.id for place in joined}}
        ids |= {name: name for name in self._chosen if _ID.fullmatch(name)}
        found = {name: ids.get(name.removeprefix("#"), "") for name in self._chosen}
        self._ids = frozenset(filter(None, found.values()))
        why = "the bot is in no channel of this name; invite it there"
        return [Skipped(name, why) for name in found if not found[name]]

    async def _channel(self, channel: str, held: Held, progress: dict[str, Progress]) -> AsyncGenerator[Step, None]:
        kept = {name: at for name, at in held.documents.items() if _channel(name) == channel}
        place = await self._doors.look(channel)
        if place.closed:
            progress[channel] = Progress(progress[channel].name)
            why = Skipped(f"#{place.name}", place.closed)
            yield Step(gone=tuple(kept), skipped=(why,), moved=self._moved(channel), cursor=_cursor(progress))
            return
        progress[channel] = replace(progress[channel], name=place.name)
        yield Step(moved=self._moved(channel))
        for span in self._spans(progress[channel]):
            async for step in self._span(channel, span, kept, progress):
                yield step
        for name in self._late(kept):
            yield await self.again(name)

    def _spans(self, progress: Progress) -> list[Span]:
        """What to read: all of it when that is due or was cut, and what is recent unless that is in it."""
        now = self._now()
        latest, horizon = _ts(now + LATER), _ts(now - self._days)
        recent = Span(_ts(now - self._active), latest, whole=False)
        if progress.at:
            return [Span(horizon, progress.at, whole=True), recent]
        is_due = not progress.read or now - datetime.fromisoformat(progress.read) >= LOOK_AGAIN
        return [Span(horizon, latest, whole=True)] if is_due else [recent]

    async def _span(
        self, channel: str, span: Span, kept: Mapping[str, datetime | None], progress: dict[str, Progress]
    ) -> AsyncGenerator[Step, None]:
        latest, more = span.latest, True
        if span.whole:
            self._states = {name: state for name, state in self._states.items() if _channel(name) != channel}
        while more:
            self._touched = set()
            page = await self._reader.page(channel, oldest=span.oldest, latest=latest)
            more = page.more
            earliest = page.earliest if more else BEGINNING if span.whole else span.oldest
            there = {name for name in kept if earliest <= _root(name) < latest}
            documents, gone = await self._read(channel, page, there)
            if span.whole:
                end = {"at": earliest} if more else {"read": self._now().isoformat()}
                progress[channel] = Progress(progress[channel].name, **end)
            yield Step(documents, gone, cursor=_cursor(progress))
            latest = earliest

    async def _read(self, channel: str, page: Page, there: set[str]) -> tuple[tuple[Document, ...], tuple[str, ...]]:
        """What a page and its threads hold, and what is gone. Threads that are as they were are not read again.

        What somebody touched since the page was asked for is left to whoever heard of it.
        """
        states = {_name(channel, root.ts): root.state for root in page.roots}
        same = {name for name in there if name in states and self._states.get(name) == states[name]}
        told: list[Mapping[str, Any]] = []
        for root in page.roots:
            if _name(channel, root.ts) not in same:
                told += await self._reader.thread(channel, root.ts) if root.has_replies else [root.message]
        documents = [one for one in await self._documents(channel, told) if one.id not in self._touched]
        self._states |= {name: state for name, state in states.items() if name not in self._touched}
        gone = there - same - self._touched - {one.id for one in documents}
        return tuple(documents), tuple(sorted(gone))

    def _late(self, kept: Mapping[str, datetime | None]) -> list[str]:
        """Threads older than what is recent in which somebody wrote lately: pages tell nothing of them."""
        since = self._now() - self._active
        return [name for name, at in kept.items() if at and at >= since and _root(name) < _ts(since)]

    async def again(self, name: str) -> Step:
        """One thread as it is now, or that it is gone; nothing when somebody touched it meanwhile."""
        self._touched = set()
        step = await self.thread(_channel(name), _root(name))
        return Step() if name in self._touched else step

    # --- as it happens -----------------------------------------------------------------------------------------------

    async def look_around(self) -> list[Skipped]:
        """Each chosen channel with why it cannot be read, or nothing where it can."""
        await self._reader.connect()
        lost = await self._find({})
        places = [await self._doors.look(channel) for channel in sorted(self._ids)]
        kinds = {True: "private", False: "public"}
        return [*lost, *(Skipped(f"#{one.name} ({kinds[one.private]})", one.closed) for one in places)]

    def follows(self, channel: str) -> bool:
        """Whether a channel is one of those that are read."""
        return channel in self._ids

    def changed(self, channel: str, root: str) -> str:
        """Something was written, edited or deleted in a thread, of which this is the document's id."""
        name = _name(channel, root)
        self._touched.add(name)
        self._states.pop(name, None)
        return name

    def turned(self, channel: str) -> None:
        """Something was done to a channel: from now on nothing of it is shown before Slack was asked again."""
        self._doors.turned(channel)

    async def thread(self, channel: str, root: str) -> Step:
        """One thread as it is now, or that it is gone."""
        documents = await self._documents(channel, await self._reader.thread(channel, root))
        return Step(documents, () if documents else (_name(channel, root),))

    async def whole(self, channel: str) -> Step:
        """Who may see a channel now, after something was done to it."""
        await self._doors.look(channel)
        return Step(moved=self._moved(channel))

    # --- who may see it ----------------------------------------------------------------------------------------------

    def place_of(self, document_id: str) -> str:
        """The channel's part of a document's id."""
        return _prefix(_channel(document_id)) if document_id.startswith(f"{NAME}/") else ""

    async def visibility_now(self, place: str) -> str:
        """As Slack said within the last minute; `Fault` when it does not say so quickly."""
        return await self._doors.visibility_now(_channel(place))

    def _moved(self, channel: str) -> tuple[tuple[str, str], ...]:
        verdict = self._doors.verdict(channel)
        return ((_prefix(channel), verdict.visibility if verdict else NOBODY),)

    # --- documents ---------------------------------------------------------------------------------------------------

    async def _documents(self, channel: str, told: Iterable[Mapping[str, Any]]) -> tuple[Document, ...]:
        """The threads that these messages make, for whoever may see the channel at the very end: then nothing waits."""
        forgotten = self._forgotten()
        said = (message for message in map(message_of, told) if message is not None)
        messages = [message for message in said if message.user not in forgotten]
        people = {user: await self._reader.name(user) for user in _people(messages) if user not in forgotten}
        while (verdict := self._doors.verdict(channel)) is None:
            await self._doors.look(channel)
        if verdict.visibility == NOBODY:
            return ()
        place = Channel(channel, verdict.name, verdict.visibility)
        names = Names(people, self._public)
        made = (
            thread_document(thread, place, names, source=NAME, workspace=self._reader.url)
            for thread in by_thread(messages).values()
        )
        return tuple(document for document in made if document is not None)


def _people(messages: Iterable[ThreadMessage]) -> list[str]:
    """Who wrote, and who is mentioned."""
    found = [user for message in messages for user in (message.user, *_MENTION.findall(message.text))]
    return list(dict.fromkeys(found))


def _prefix(channel: str) -> str:
    return f"{NAME}/{channel}/"


def _name(channel: str, root: str) -> str:
    return f"{_prefix(channel)}{root}"


def _channel(name: str) -> str:
    return name.split("/")[1]


def _root(name: str) -> str:
    return name.split("/")[2]


def _ts(at: datetime) -> str:
    return f"{max(at.timestamp(), 0.0):.6f}"


def _cursor(progress: Mapping[str, Progress]) -> str:
    return json.dumps({channel: asdict(one) for channel, one in progress.items()})


def _progress(cursor: str) -> dict[str, Progress]:
    return {channel: Progress(**one) for channel, one in json.loads(cursor or "{}").items()}


def _open(settings: Settings, ports: Ports) -> list[SlackThreads]:
    channels = [word.strip() for word in settings["TINYAPPROVER_SLACK_HISTORY_CHANNELS"].split(",") if word.strip()]
    if not settings.get("SLACK_BOT_TOKEN"):
        raise SettingsError("SLACK_BOT_TOKEN: is not set, and the source slack-history reads with it")
    reader = new_reader(settings.get("SLACK_API_URL") or "https://slack.com/api/", settings["SLACK_BOT_TOKEN"])
    days, active = (_days(settings, f"TINYAPPROVER_SLACK_HISTORY_{name}") for name in ("DAYS", "ACTIVE_DAYS"))
    forgotten = partial(read_forgotten, ports.home)
    return [SlackThreads(reader, channels, ports.now, days=days, active_days=active, forgotten=forgotten)]


async def _ping(settings: Settings, ports: Ports) -> str:
    """Every chosen channel, and who may see what is read in it; `SettingsError` names each that cannot be read."""
    (threads,) = _open(settings, ports)
    found = await threads.look_around()
    if troubles := [f"TINYAPPROVER_SLACK_HISTORY_CHANNELS: {one.what}: {one.why}" for one in found if one.why]:
        raise SettingsError("; ".join(troubles))
    return ", ".join(one.what for one in found)


def _days(settings: Settings, name: str) -> int:
    if not (settings[name].isdecimal() and 1 <= int(settings[name]) <= 3650):
        raise SettingsError(f"{name}: {settings[name]!r} is not a number of days from 1 to 3650")
    return int(settings[name])


SLACK_HISTORY = SourceKind(
    _open,
    settings=(
        Setting(
            "TINYAPPROVER_SLACK_HISTORY_CHANNELS",
            "Channels (ids or names, comma separated) whose threads are read; the bot must be in them.",
            needed=True,
        ),
        Setting("TINYAPPROVER_SLACK_HISTORY_DAYS", "How many days back.", "365"),
        Setting(
            "TINYAPPROVER_SLACK_HISTORY_ACTIVE_DAYS",
            "Threads in which somebody wrote within so many days are looked at again at every indexing.",
            "14",
        ),
    ),
    borrows=("SLACK_BOT_TOKEN", "SLACK_API_URL"),
    ping=_ping,
)

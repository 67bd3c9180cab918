"""What happens in the channels whose threads are indexed, handed to the index within seconds.

A handler only notes what to look at; the thread is then read as a whole, so that events that come twice or in any order
do no harm. What was deleted is forgotten before anything is asked. Whatever gets lost here the next indexing repairs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from bot.audience import Audiences
from bot.errors import Fault
from bot.ledger import Ledger
from bot.quoting import redraw
from bot.slack.beside import Beside
from knowledge.sources import Step

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp

log = logging.getLogger(__name__)

CHANNEL_EVENTS = (
    "channel_archive",
    "channel_deleted",
    "channel_left",
    "channel_shared",
    "channel_unarchive",
    "channel_unshared",
    "group_archive",
    "group_deleted",
    "group_left",
    "group_unarchive",
)
CHANGED, DELETED = "message_changed", "message_deleted"
CONVERTED = frozenset(["channel_convert_to_private", "channel_convert_to_public"])
CHANNEL_KINDS = frozenset(["channel", "group"])

Event = Mapping[str, Any]


class Threads(Protocol):
    """The source that reads the channels."""

    def follows(self, channel: str) -> bool: ...
    def changed(self, channel: str, root: str) -> str: ...
    def turned(self, channel: str) -> None: ...
    async def thread(self, channel: str, root: str) -> Step: ...
    async def whole(self, channel: str) -> Step: ...


@dataclass(frozen=True, slots=True)
class Heard:
    """What an event says: which thread to look at (none: the channel itself), and whether words were taken away."""

    channel: str
    root: str = ""
    deleted: bool = False


def heard(event: Event) -> Heard | None:
    """What a `message` event of a channel says; None for what changes nothing that is kept."""
    channel, kind = str(event.get("channel")), str(event.get("subtype") or "")
    if kind in CONVERTED:
        return Heard(channel)
    if kind == DELETED:
        return Heard(channel, _root(event.get("previous_message"), str(event.get("deleted_ts"))), deleted=True)
    told = event.get("message") if kind == CHANGED else event
    if not isinstance(told, Mapping) or told.get("bot_id") or not told.get("ts"):
        return None
    return Heard(channel, _root(told, str(told["ts"])), deleted=told.get("subtype") == "tombstone")


def _root(message: object, ts: str) -> str:
    return str(message.get("thread_ts") or ts) if isinstance(message, Mapping) else ts


async def is_in_a_channel(event: Event) -> bool:
    """Not a direct message, which is nobody's to index."""
    return event.get("channel_type") in CHANNEL_KINDS


class Ear(Protocol):
    """Is told of everything that happens in channels."""

    def note(self, what: Heard) -> None: ...


@dataclass(frozen=True, slots=True)
class Turns:
    """Hears that something was done to a channel, which may be one where cards stand."""

    audiences: Audiences
    ledger: Ledger
    beside: Beside

    def note(self, what: Heard) -> None:
        if not what.root:
            self.audiences.turned(what.channel)
            self.beside.run(redraw(self.ledger))


def register_following(app: AsyncApp, ears: Sequence[Ear]) -> None:
    """Every event that the manifest subscribes to for this, also without ears: Slack repeats what nobody takes."""

    async def on_message(event: Event) -> None:
        if (what := heard(event)) is not None:
            for one in ears:
                one.note(what)

    async def on_channel(event: Event) -> None:
        for one in ears:
            one.note(Heard(str(event.get("channel"))))

    app.event("message", matchers=[is_in_a_channel])(on_message)
    for name in CHANNEL_EVENTS:
        app.event(name)(on_channel)


class Following:
    """One source's ears. `keep` puts a step into the index, `catch_up` lets what was kept be found by meaning too."""

    def __init__(
        self,
        threads: Threads,
        keep: Callable[[Step], Awaitable[object]],
        catch_up: Callable[[], Awaitable[object]],
    ) -> None:
        self._threads = threads
        self._keep = keep
        self._catch_up = catch_up
        self._waiting: dict[tuple[str, str], Heard] = {}
        self._noted, self._kept = asyncio.Event(), asyncio.Event()

    def note(self, what: Heard) -> None:
        """At once: what is being read of it meanwhile does not count, and a channel is not trusted as it was."""
        if not self._threads.follows(what.channel):
            return
        if what.root:
            self._threads.changed(what.channel, what.root)
        else:
            self._threads.turned(what.channel)
        earlier = self._waiting.get((what.channel, what.root))
        self._waiting[what.channel, what.root] = earlier if earlier and earlier.deleted else what
        self._noted.set()

    async def run(self) -> None:
        """Look at what was noted, for ever."""
        await asyncio.gather(self._look_for_ever(), self._catch_up_for_ever())

    async def _look_for_ever(self) -> None:
        while True:
            await self._noted.wait()
            self._noted.clear()
            await self.look()

    async def look(self) -> None:
        """Look at what was noted so far."""
        while self._waiting:
            await self._look(self._waiting.pop(next(iter(self._waiting))))
            self._kept.set()

    async def _look(self, what: Heard) -> None:
        try:
            if what.deleted:
                await self._keep(Step(gone=(self._threads.changed(what.channel, what.root),)))
            read = self._threads.thread(what.channel, what.root) if what.root else self._threads.whole(what.channel)
            await self._keep(await read)
        except Fault as fault:
            log.warning("left to the next indexing: %s", fault, extra={"step": "follow", "vendor": fault.vendor})

    async def _catch_up_for_ever(self) -> None:
        while True:
            await self._kept.wait()
            self._kept.clear()
            try:
                await self._catch_up()
            except Fault as fault:
                log.warning("found by words alone: %s", fault, extra={"step": "follow", "vendor": fault.vendor})

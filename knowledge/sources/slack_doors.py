"""Who may see Slack's channels, as Slack itself said within the last minute."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bot.errors import Fault
from connectors.slack_history import Place
from knowledge.sources import PUBLIC

FRESH, QUICK_SECONDS = timedelta(seconds=60), 2.0
UNSEEN = frozenset(["channel_not_found", "not_in_channel"])
NOBODY, NOT_IN_IT = "", "the bot cannot see it; invite it there"


class Ask(Protocol):
    """A question to Slack: what is this channel now? Without patience it is one quick try."""

    async def __call__(self, channel: str, *, patient: bool = True) -> Place: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who may see a channel (nobody: empty), and when Slack said so."""

    visibility: str
    name: str
    at: datetime


class Doors:
    """`is_open` tells of a channel whether anything of it may be quoted: in public, or to its members if private."""

    def __init__(self, ask: Ask, is_open: Callable[[Place], bool], now: Callable[[], datetime]) -> None:
        self._ask = ask
        self._is_open = is_open
        self._now = now
        self._verdicts: dict[str, Verdict] = {}
        self._heard: Counter[str] = Counter()
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def turned(self, channel: str) -> None:
        """Something was done to a channel: what Slack said of it before is void."""
        self._heard[channel] += 1
        self._verdicts.pop(channel, None)

    def verdict(self, channel: str) -> Verdict | None:
        """What Slack said last, if nothing was done to the channel since."""
        return self._verdicts.get(channel)

    async def visibility_now(self, channel: str) -> str:
        """As Slack said within the last minute; `Fault` when it does not say so quickly."""
        try:
            async with asyncio.timeout(QUICK_SECONDS), self._asking[channel]:  # also for those who wait for their turn
                verdict = self._verdicts.get(channel)
                if verdict is None or not timedelta() <= self._now() - verdict.at < FRESH:
                    await self.look(channel, patient=False)
        except TimeoutError:
            raise Fault("slack", f"does not say who may see {channel}") from None
        return self._verdicts[channel].visibility if channel in self._verdicts else NOBODY

    async def look(self, channel: str, *, patient: bool = True) -> Place:
        """Ask what a channel is now, and again when something happened to it in between."""
        heard = -1
        while heard != self._heard[channel]:
            heard = self._heard[channel]
            place = await self._place(channel, patient=patient)
        visibility = (channel if place.private else PUBLIC) if self._is_open(place) else NOBODY
        self._verdicts[channel] = Verdict(visibility, place.name, self._now())
        return place

    async def _place(self, channel: str, *, patient: bool) -> Place:
        try:
            return await self._ask(channel, patient=patient)
        except Fault as fault:
            if fault.what not in UNSEEN:
                raise
            return Place(channel, channel, private=True, barred=NOT_IN_IT, joined=False)

"""Watched from outside: a role notes in the ledger that it is at work, and calls an address while all is well.

Somebody else's monitoring expects the call every minute and pages when it stays away: because the program is dead or
stuck, because jobs are late, because nobody can be paged or access cannot be taken back however often it is tried, or
because Slack does not reach us. A heartbeat that says "I am ill" could be lost with
whatever made us ill; one that stays away cannot.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp

from bot.errors import Fault
from bot.jobs import STUCK_TRIES
from bot.ledger import Ledger

log = logging.getLogger(__name__)

PRESENCE_SECONDS = 10.0
ALIVE_SECONDS = 45.0
LATE_SECONDS = 60.0
CALL_SECONDS = 5.0
CRUCIAL = ("page", "overdue_page", "revoke")  # what else fails is told in Slack, and waits


@dataclass(slots=True)
class Watch:
    """An address to call while the jobs of these roles are on time and `is_well` says so."""

    url: str
    roles: Sequence[str]
    is_well: Callable[[], bool] = lambda: True
    called_at: float = -math.inf


@dataclass(slots=True)
class Heartbeat:
    """Signs of life: of the roles in this process, and of who reaches it. `seen` is what is known of all."""

    ledger: Ledger
    roles: Sequence[str]
    watches: Sequence[Watch]
    every: float
    seen: Mapping[str, datetime] = field(default_factory=dict)
    reached_by: Callable[[], Sequence[str]] = tuple

    async def run(self) -> None:
        """Until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_SECONDS)) as http:
            while True:
                await self.beat(http)
                await asyncio.sleep(min(PRESENCE_SECONDS, self.every))

    async def beat(self, http: aiohttp.ClientSession) -> None:
        """A ledger that cannot be used is no sign of life: nothing is noted and nobody is called."""
        try:
            await self.ledger.at_work([*self.roles, *self.reached_by()])
            self.seen = await self.ledger.presence()
            await asyncio.gather(*(self._call(http, watch) for watch in self.watches))
        except Exception as problem:  # the outermost edge: the next beat may do better
            log.warning("no sign of life: %s", problem, exc_info=not isinstance(problem, Fault))

    async def _call(self, http: aiohttp.ClientSession, watch: Watch) -> None:
        if time.monotonic() - watch.called_at < self.every:
            return
        if (trouble := await self._trouble(watch)) is not None:
            log.warning("no heartbeat: %s", trouble)
            return
        watch.called_at = time.monotonic()
        try:
            async with http.get(watch.url, allow_redirects=False) as answer:
                if answer.status >= 400:
                    log.warning("the heartbeat was answered with %d", answer.status)
        except (aiohttp.ClientError, TimeoutError) as problem:
            log.warning("the heartbeat reached nobody (%s)", type(problem).__name__)

    async def _trouble(self, watch: Watch) -> str | None:
        """What keeps an address from being called."""
        if not watch.is_well():
            return "Slack is away"
        if (late := await self.ledger.lateness(watch.roles)) > LATE_SECONDS:
            return f"jobs are {late:.0f} s late"
        if in_vain := await self.ledger.in_vain(watch.roles, CRUCIAL, tries=STUCK_TRIES):
            return f"{', '.join(in_vain)}: nobody can be paged, or access cannot be taken back"
        return None

    def lives(self) -> dict[str, str]:
        """Each role and whether it lives, in words."""
        return {role: in_words(self.seen.get(role)) for role in ("front", "executor")}


def is_alive(seen_at: datetime | None) -> bool:
    """Whether a role that was last seen then is at work."""
    return seen_at is not None and (datetime.now(UTC) - seen_at).total_seconds() < ALIVE_SECONDS


def in_words(seen_at: datetime | None) -> str:
    """For `/readyz` and the command line."""
    if seen_at is None:
        return "never seen"
    return "alive" if is_alive(seen_at) else f"last seen {seen_at:%Y-%m-%d %H:%M:%S} UTC"

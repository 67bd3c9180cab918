"""Watches the clock beside one that cannot be set, so that a step back does not leave anything waiting for nothing.

A step that nobody saw, because it came with a restart, is told by events of the trail that are still to come.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from bot.errors import Fault
from bot.ledger import Ledger
from bot.ports import Clock

log = logging.getLogger(__name__)

TOLERANCE = timedelta(seconds=2)
APART = timedelta(minutes=1)  # the clocks of two replicas differ by less


async def keep_time(ledger: Ledger, clock: Clock, roles: Sequence[str], *, every: float = 1.0) -> None:
    """Until cancelled, for the jobs of these roles: the other process of this machine sees the same step."""
    seen, at = clock.now(), time.monotonic()
    with suppress(Fault):
        if (latest := await ledger.latest_moment()) and latest - seen > APART:
            await _set_back(ledger, roles, was=latest, now=seen)
    while True:
        await asyncio.sleep(every)
        due_to_be = seen + timedelta(seconds=time.monotonic() - at)
        seen, at = clock.now(), time.monotonic()
        if due_to_be - seen > TOLERANCE:
            with suppress(Fault):
                await _set_back(ledger, roles, was=due_to_be, now=seen)


async def _set_back(ledger: Ledger, roles: Sequence[str], *, was: datetime, now: datetime) -> None:
    log.warning("the clock stepped back by %s", was - now, extra={"step": "clock"})
    await ledger.stepped_back(roles, was=was, now=now)

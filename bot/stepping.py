"""Watches the clock beside one that cannot be set, so that a step back does not leave anything waiting for nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import timedelta

from bot.ledger import Ledger
from bot.ports import Clock

log = logging.getLogger(__name__)

TOLERANCE = timedelta(seconds=2)


async def keep_time(ledger: Ledger, clock: Clock, roles: Sequence[str], *, every: float = 1.0) -> None:
    """Until cancelled, for the jobs of these roles: the other process of this machine sees the same step."""
    seen, at = clock.now(), time.monotonic()
    while True:
        await asyncio.sleep(every)
        due_to_be = seen + timedelta(seconds=time.monotonic() - at)
        seen, at = clock.now(), time.monotonic()
        if due_to_be - seen > TOLERANCE:
            log.warning("the clock stepped back by %s", due_to_be - seen, extra={"step": "clock"})
            await ledger.stepped_back(roles, was=due_to_be, now=seen)

"""What runs beside an acknowledgement, so that Slack's three seconds never wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from bot.errors import Refused

log = logging.getLogger(__name__)

MOST = 500  # tasks at a time; as many again may be refused with a word
BUSY = "Too much is going on just now, so nothing was done. Please try again in a minute."
ACK_SECONDS = 2.2  # how long a handler may take when its answer is the acknowledgement


@dataclass(slots=True)
class Beside:
    """Tasks that nobody waits for until the end; so many at a time, and then people are asked to come again."""

    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin; what fails is logged. `Refused` when too much runs already."""
        if len(self._tasks) >= MOST:
            work.close()
            raise Refused(BUSY, rule="limits#busy")
        self._begin(work)

    def tell(self, work: Coroutine[Any, Any, None]) -> None:
        """Tell somebody that something was not done; in a flood beyond all measure nobody is told any more."""
        if len(self._tasks) >= 2 * MOST:
            log.error("too much runs beside: somebody was not told")
            work.close()
        else:
            self._begin(work)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.warning("beside: %s", problem)

    async def drain(self) -> None:
        """Let what runs beside finish."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

"""What runs beside an acknowledgement, so that Slack's three seconds never wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

ACK_SECONDS = 2.2  # how long a handler may take when its answer is the acknowledgement


@dataclass(slots=True)
class Beside:
    """Tasks that nobody waits for until the end."""

    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin; what fails is logged."""
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

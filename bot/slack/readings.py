"""Who somebody is and what they hold, read while they fill in their form."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bot.core.request import Person, Standing

READING_SECONDS = 60.0
READINGS_KEPT = 5_000


@dataclass(slots=True)
class Readings:
    """Who somebody is and what they hold, read when their form opened; shared by everything about that form."""

    read: Callable[[str], Awaitable[tuple[Person, Standing]]]
    _kept: OrderedDict[str, tuple[float, asyncio.Task[tuple[Person, Standing]]]] = field(default_factory=OrderedDict)

    def start(self, user: str) -> asyncio.Task[tuple[Person, Standing]]:
        """Begin a reading, unless one is under way or younger than a minute."""
        at, task = self._kept.get(user, (0.0, None))
        if task is None or time.monotonic() - at > READING_SECONDS or _failed(task):
            task = asyncio.ensure_future(self.read(user))
            task.add_done_callback(_seen)
            self._kept[user] = (time.monotonic(), task)
            while len(self._kept) > READINGS_KEPT:
                self._kept.popitem(last=False)
        return task

    async def get(self, user: str) -> tuple[Person, Standing]:
        """The reading made when the form opened, however long they took to fill it in; else a new one."""
        _, task = self._kept.get(user, (0.0, None))
        return await asyncio.shield(task if task is not None and not _failed(task) else self.start(user))


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _seen(task: asyncio.Task[Any]) -> None:
    """A reading that failed is read again by whoever needs it."""
    if not task.cancelled():
        task.exception()

"""Where time comes from: the machine, or a sandbox whose clock can be moved."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import aiohttp

log = logging.getLogger(__name__)


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class SandboxClock:
    """The machine's time plus what the sandbox's clock was moved by; only sandbox runs have one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._offset = timedelta()
        self.on_move: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    async def connect(self) -> None:
        """Read the offset once, so that the first reading is right."""
        async with aiohttp.ClientSession() as session:
            await self._read(session)

    async def follow(self) -> None:
        """Follow the sandbox's clock by long polls, until cancelled."""
        async with aiohttp.ClientSession() as session:
            version = -1
            while True:
                try:
                    version = await self._read(session, after=version)
                except (aiohttp.ClientError, TimeoutError, ValueError):
                    log.warning("the sandbox's clock does not answer")
                    await asyncio.sleep(1.0)

    async def _read(self, session: aiohttp.ClientSession, *, after: int | None = None) -> int:
        query = {} if after is None else {"after": str(after)}
        async with session.get(self._url, params=query, timeout=aiohttp.ClientTimeout(total=60)) as answer:
            reading = await answer.json()
        offset = timedelta(seconds=reading["offset"])
        if offset != self._offset:
            self._offset = offset
            self.on_move()
        return int(reading["version"])

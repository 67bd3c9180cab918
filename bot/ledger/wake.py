"""Bells between processes: whoever commits a job that is due now wakes the workers of its role, wherever they run.

A bell only hurries things up. A ring that gets lost costs a wait and never a job, because every worker also looks by
itself from time to time.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection, text

log = logging.getLogger(__name__)

Wake = Callable[[], None]
CHANNEL: Final = "tinyapprover_jobs"
RECONNECT_FIRST, RECONNECT_LAST = 0.5, 15.0
_NOTIFY = text("SELECT pg_notify(:channel, :roles)")


class Bell(Protocol):
    """How a commit in one process is heard in another."""

    def ring_in(self, c: Connection, roles: Iterable[str]) -> None:
        """In the transaction, just before its commit."""

    def ring(self, roles: Iterable[str]) -> None:
        """After the commit. Never blocks, never fails."""

    async def hear(self, roles: Sequence[str], wake: Wake) -> None:
        """Call `wake` at each ring for one of these roles, until cancelled; and when the hearing begins (again)."""


class NoBell:
    """Nobody else could be woken: a database in memory."""

    def ring_in(self, c: Connection, roles: Iterable[str]) -> None: ...

    def ring(self, roles: Iterable[str]) -> None: ...

    async def hear(self, roles: Sequence[str], wake: Wake) -> None: ...


class PipeBell:
    """Beside a SQLite file: one named pipe a role. A byte in it is a ring; what it is does not matter.

    Pipes have no limit on the length of their path, which sockets have.
    """

    def __init__(self, database: Path) -> None:
        self._database = database

    def ring_in(self, c: Connection, roles: Iterable[str]) -> None:
        """Too early here: whoever heard it would have to wait for the commit."""

    def ring(self, roles: Iterable[str]) -> None:
        for role in roles:
            with suppress(OSError):  # nobody listens, or so many rings wait that one more changes nothing
                end = os.open(self._pipe(role), os.O_WRONLY | os.O_NONBLOCK)
                try:
                    os.write(end, b"!")
                finally:
                    os.close(end)

    async def hear(self, roles: Sequence[str], wake: Wake) -> None:
        loop, ends = asyncio.get_running_loop(), [self._open(role) for role in roles]
        try:
            for end in ends:
                loop.add_reader(end, _drain, end, wake)
            wake()
            await asyncio.Event().wait()
        finally:
            for end in ends:
                loop.remove_reader(end)
                os.close(end)

    def _pipe(self, role: str) -> Path:
        return self._database.with_name(f"{self._database.name}.{role}.bell")

    def _open(self, role: str) -> int:
        """For reading; also for writing, so that it never ends when a writer leaves."""
        pipe = self._pipe(role)
        with suppress(FileExistsError):
            os.mkfifo(pipe, 0o600)
        return os.open(pipe, os.O_RDWR | os.O_NONBLOCK)


def _drain(end: int, wake: Wake) -> None:
    with suppress(BlockingIOError):
        os.read(end, 65_536)
    wake()


class NotifyBell:
    """On PostgreSQL: NOTIFY in the transaction, heard by LISTEN when it is committed."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def ring_in(self, c: Connection, roles: Iterable[str]) -> None:
        if named := sorted(roles):
            c.execute(_NOTIFY, {"channel": CHANNEL, "roles": ",".join(named)})

    def ring(self, roles: Iterable[str]) -> None:
        """It was rung in the transaction."""

    async def hear(self, roles: Sequence[str], wake: Wake) -> None:
        wait = RECONNECT_FIRST
        while True:
            async with aclosing(self._rings()) as rings:
                async for heard in rings:
                    wait = RECONNECT_FIRST
                    if heard is None or not heard.isdisjoint(roles):
                        wake()
            await asyncio.sleep(wait)
            wait = min(wait * 2, RECONNECT_LAST)

    async def _rings(self) -> AsyncGenerator[set[str] | None, None]:
        """The roles of each ring, and None at the beginning; ends when the connection does."""
        import psycopg

        try:
            async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                yield None
                async for notice in connection.notifies():
                    yield set(notice.payload.split(","))
        except (psycopg.Error, OSError) as problem:
            log.warning("the database does not tell of new work: %s", str(problem).partition("\n")[0])


@asynccontextmanager
async def heard(bell: Bell, roles: Sequence[str], wake: Wake) -> AsyncIterator[None]:
    """Hear a bell meanwhile."""
    hearing = asyncio.create_task(bell.hear(roles, wake))
    try:
        yield
    finally:
        hearing.cancel()
        with suppress(asyncio.CancelledError):
            await hearing

"""One database, one transaction at a time, on a thread of its own; jobs and audit events go along in it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_hex
from typing import Any, Self, TypeVar

from sqlalchemy import (
    JSON,
    Connection,
    Engine,
    bindparam,
    create_engine,
    delete,
    event,
    insert,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from bot.audit import Audit as Audit
from bot.errors import SettingsError
from bot.ledger import tables as t
from bot.ledger.chain import append

T = TypeVar("T")
TOGETHER = 64
EXECUTOR_KINDS = frozenset({"grant", "revoke"})


@dataclass(frozen=True, slots=True)
class Due:
    """A job that follows from a change: `kind` is unique for its subject; `at` is now when absent."""

    kind: str
    at: datetime | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    subject: str | None = None


# Statements are built once: building them per call costs more than running them.
_WANT = text(
    "INSERT INTO jobs (subject, kind, role, due, wanted, attempts, leased_until, payload, trouble) "
    "VALUES (:subject, :kind, :role, :due, 1, 0, 0.0, :payload, '') "
    "ON CONFLICT (subject, kind) "
    "DO UPDATE SET due = excluded.due, wanted = jobs.wanted + 1, payload = excluded.payload"
).bindparams(bindparam("payload", type_=JSON))


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://...`: lasting commits, and errors that tell no values."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=4, hide_parameters=True)
    engine = create_engine(url, poolclass=StaticPool, hide_parameters=True, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _lasting_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _lasting_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Work that waits for the ledger's thread, and where its result is told."""

    work: Callable[[Connection], Any]
    done: asyncio.Future[Any]


class Database:
    """Transactions, and what every one of them may carry: events and jobs.

    `on_commit` is called (on the loop) after every transaction that scheduled jobs; `after_decision` are jobs that
    follow every decision, whatever it comes to.
    """

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._waiting: deque[_Piece] = deque()
        self.on_commit: Callable[[], None] = lambda: None
        self.after_decision: Sequence[Due] = ()

    @classmethod
    async def open(cls, url: str, *, kind: str, now: Callable[[], datetime]) -> Self:
        """Create what is missing and stamp the database `sandbox` or `production`; the other kind is refused."""
        async with AsyncExitStack() as undo:
            try:
                ledger = cls(open_engine(url), now)
                undo.push_async_callback(ledger.close)
                await ledger._run(lambda connection: _set_up(connection, kind))
            except (SQLAlchemyError, ImportError, ValueError) as problem:
                why = str(getattr(problem, "orig", None) or problem).partition("\n")[0]
                raise SettingsError(f"TINYAPPROVER_DATABASE_URL: this database cannot be used ({why})") from None
            undo.pop_all()
            return ledger

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown, wait=True)
        self._engine.dispose()

    async def _run(self, work: Callable[[Connection], T]) -> T:
        """One piece of work, whole or not at all. What waits meanwhile is committed together with it, once."""
        piece = _Piece(work, asyncio.get_running_loop().create_future())
        self._waiting.append(piece)
        self._thread.submit(self._commit_waiting)
        result: T = await piece.done
        return result

    def _commit_waiting(self) -> None:
        """On the ledger's thread: everything that waits, in one transaction. Nobody is told before it is committed."""
        pieces = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER))]
        if not pieces:
            return
        try:
            with self._engine.begin() as connection:
                results = [_attempt(connection, piece.work, alone=len(pieces) == 1) for piece in pieces]
        except Exception as problem:  # noqa: BLE001 - told to whoever waits for it
            results = [problem] * len(pieces)
        loop = pieces[0].done.get_loop()
        loop.call_soon_threadsafe(_tell, pieces, results)

    async def _change(self, work: Callable[[Connection], T]) -> T:
        result = await self._run(work)
        self.on_commit()
        return result

    def _append(self, c: Connection, request: str, audit: Audit) -> None:
        append(c, request, audit, at=self._now())

    async def schedule(self, subject: str, jobs: Sequence[Due]) -> None:
        """Want jobs without changing anything else."""
        await self._change(lambda c: self._schedule(c, subject, jobs))

    async def cancel(self, subject: str, kinds: Sequence[str]) -> None:
        """Forget jobs that are no longer wanted."""
        theirs = (t.jobs.c.subject == subject) & t.jobs.c.kind.in_(list(kinds))
        await self._run(lambda c: c.execute(delete(t.jobs).where(theirs)))

    def _schedule(self, c: Connection, subject: str, jobs: Sequence[Due]) -> None:
        rows = [_job_row(subject, due, now=self._now()) for due in jobs]
        if rows:
            c.execute(_WANT, rows)


def _attempt(connection: Connection, work: Callable[[Connection], Any], *, alone: bool) -> Any:
    """The result of a piece of work, or its error, which undoes that piece and no other."""
    if alone:
        return work(connection)
    try:
        with connection.begin_nested():
            return work(connection)
    except Exception as problem:  # noqa: BLE001 - told to whoever waits for it
        return problem


def _tell(pieces: Sequence[_Piece], results: Sequence[Any]) -> None:
    for piece, result in zip(pieces, results, strict=True):
        if piece.done.done():
            continue
        if isinstance(result, BaseException):
            piece.done.set_exception(result)
        else:
            piece.done.set_result(result)


def _job_row(subject: str, due: Due, *, now: datetime) -> dict[str, Any]:
    return {
        "subject": due.subject or subject,
        "kind": due.kind,
        "role": "executor" if due.kind in EXECUTOR_KINDS else "front",
        "due": (due.at or now).timestamp(),
        "payload": dict(due.payload),
    }


def _set_up(c: Connection, kind: str) -> None:
    t.metadata.create_all(c)
    stamped = c.execute(select(t.stamp.c.value).where(t.stamp.c.name == "kind")).scalar()
    if stamped is None:
        c.execute(insert(t.stamp), [{"name": "kind", "value": kind}, {"name": "id", "value": token_hex(8)}])
    elif stamped != kind:
        raise SettingsError(
            f"this database belongs to a {stamped} run and this is a {kind} run: "
            "set TINYAPPROVER_DATA_DIR (or TINYAPPROVER_DATABASE_URL) to another place"
        )

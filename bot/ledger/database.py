"""Transactions on threads of their own: one on SQLite, a few on PostgreSQL. Jobs and audit events go along in them.

On PostgreSQL several transactions run at once, here and in other replicas. A piece of work that lost a race (somebody
stored the same thing meanwhile, or both waited for each other) is done again from its beginning, where it finds what
the winner left; so every piece may be done twice and tells nobody anything before its commit.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any, Self, TypeVar

from sqlalchemy import (
    JSON,
    Connection,
    Engine,
    bindparam,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from bot.audit import Audit as Audit
from bot.errors import Fault, SettingsError
from bot.ledger import tables as t
from bot.ledger.chain import append
from bot.ledger.checkpoints import Checkpoints
from bot.ledger.engine import AT_ONCE, file_of, is_shared, new_bell, open_engine
from bot.ledger.kinds import kind_of
from bot.ledger.locks import RoleLock
from bot.ledger.migrations import prepare
from bot.ledger.troubles import in_words
from bot.ledger.wake import Bell, heard

log = logging.getLogger(__name__)

T = TypeVar("T")
TOGETHER = 64
SET_UP_TRIES = 4
TRIES, FIRST_WAIT = 6, 0.05
WORTH_A_RING = 15.0  # seconds: who sleeps looks by itself before a job that is due later
FOLLOWING = "tinyapprover"
PASSING = frozenset({"40P01", "40001", "57P01", "57P02", "57P03", None})  # deadlocks; a server that goes or comes
LONGEST_QUEUE = 1000


@dataclass(frozen=True, slots=True)
class Due:
    """A job that follows from a change: `kind` is unique for its subject; `at` is now when absent."""

    kind: str
    at: datetime | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    subject: str | None = None


# Statements are built once: building them per call costs more than running them.
_HOLD_THE_HEAD = text("SELECT pg_advisory_xact_lock(8241953)")  # any number, the same in every replica
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('tinyapprover.' || :what))")
_TOUCH = update(t.stamp).values(value=t.stamp.c.value)
_WANT = text(
    "INSERT INTO jobs "
    "(subject, kind, role, lane, due, not_before, wanted, attempts, claim, leased_until, payload, trouble) "
    "VALUES (:subject, :kind, :role, :lane, :due, 0.0, 1, 0, 0, 0.0, :payload, '') "
    "ON CONFLICT (subject, kind) DO UPDATE SET wanted = jobs.wanted + 1, payload = excluded.payload, "
    "due = CASE WHEN excluded.due < jobs.not_before THEN jobs.not_before ELSE excluded.due END"
).bindparams(bindparam("payload", type_=JSON))


@dataclass(slots=True)
class _Piece:
    """Work that waits for the ledger, where its result is told, and how often it was done in vain.

    It may be undone and done again.
    """

    work: Callable[[Connection], Any]
    done: asyncio.Future[Any]
    lost: int = 0


@dataclass(slots=True)
class Following:
    """What follows at the end of a transaction.

    Jobs of subjects that nobody knows before its commit, with those whose first job is claimed at once; events for the
    trail; and the roles that have something to do.
    """

    jobs: list[dict[str, Any]] = field(default_factory=list)
    claims: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[str, Audit]] = field(default_factory=list)
    roles: set[str] = field(default_factory=set)


class Database:
    """Transactions, and what every one of them may carry: events and jobs.

    `on_commit` is called (on the loop) after every transaction that scheduled jobs; `trouble` says why nothing can be
    committed, and is empty while all is well; `after_decision` are jobs that follow every decision.
    """

    def __init__(self, engine: Engine, now: Callable[[], datetime], bell: Bell) -> None:
        self._engine = engine
        self._now = now
        self._bell = bell
        self._shared = is_shared(engine)
        self._threads = ThreadPoolExecutor(AT_ONCE if self._shared else 1, thread_name_prefix="ledger")
        self._waiting: deque[_Piece] = deque()
        self._committing = 0
        self._taking = threading.Lock()
        self._locks: list[RoleLock] = []
        self._checkpoints = Checkpoints(None if self._shared else file_of(str(engine.url)))
        self.on_commit: Callable[[], None] = lambda: None
        self.trouble = ""
        self.after_decision: Sequence[Due] = ()

    @classmethod
    async def open(cls, url: str, *, kind: str, now: Callable[[], datetime], roles: Sequence[str] = ()) -> Self:
        """Create what is missing and stamp the database `sandbox` or `production`; the other kind is refused.

        `roles` are those whose jobs this process will do. On SQLite no other process may have one of them.
        """
        async with AsyncExitStack() as undo:
            try:
                ledger = cls(open_engine(url), now, new_bell(url))
                undo.push_async_callback(ledger.close)
                ledger._take(roles, file_of(url))
                await ledger._prepare(kind)
            except (SQLAlchemyError, Fault, ImportError, ValueError) as problem:
                why = problem.what if isinstance(problem, Fault) else in_words(problem)
                raise SettingsError(f"TINYAPPROVER_DATABASE_URL: this database cannot be used ({why})") from None
            undo.pop_all()
            return ledger

    async def _prepare(self, kind: str) -> None:
        """The other role may be making the tables of a new file at this moment, which takes a busy machine a while."""
        for _ in range(SET_UP_TRIES):
            try:
                return await self._run(lambda c: _set_up(c, kind))
            except Fault as fault:
                if "locked" not in fault.what:
                    raise
        return await self._run(lambda c: _set_up(c, kind))

    def _take(self, roles: Sequence[str], file: Path | None) -> None:
        if file is not None:
            for role in roles:
                self._locks.append(RoleLock.take(file, role))

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown, wait=True)
        await asyncio.to_thread(self._checkpoints.close)
        self._engine.dispose()
        for lock in self._locks:
            lock.release()

    def heard(self, roles: Sequence[str], wake: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Meanwhile `wake` is called when another process has committed something to do for one of these roles."""
        return heard(self._bell, roles, wake)

    @property
    def crowded(self) -> bool:
        """Whether more waits to be written than should: whoever can come again is asked to."""
        return self.queued >= LONGEST_QUEUE

    @property
    def queued(self) -> int:
        """How many pieces of work are not committed yet."""
        return len(self._waiting) + self._committing

    async def _run(self, work: Callable[[Connection], T]) -> T:
        """One piece of work, whole or not at all. What waits meanwhile is committed together with it, once."""
        piece = _Piece(work, asyncio.get_running_loop().create_future())
        self._submit(piece)
        result: T = await piece.done
        return result

    def _submit(self, piece: _Piece) -> None:
        self._waiting.append(piece)
        self._threads.submit(self._commit_waiting)

    def _commit_waiting(self) -> None:
        """On a thread of the ledger: what waits, in one transaction. Nobody is told before it is committed."""
        with self._taking:
            count = min(len(self._waiting), TOGETHER)
            self._committing += count
            pieces = [self._waiting.popleft() for _ in range(count)]
        if not pieces:
            return
        results = self._commit(pieces)
        with self._taking:
            self._committing -= count
        loop = pieces[0].done.get_loop()
        loop.call_soon_threadsafe(self._tell, pieces, results)

    def _commit(self, pieces: Sequence[_Piece]) -> Sequence[Any]:
        """What came of each, result or error. If one fails, each is done again by itself, and undoes no other."""
        following, committing = Following(), False
        try:
            with self._engine.begin() as connection:
                connection.info[FOLLOWING] = following
                results = [piece.work(connection) for piece in pieces]
                self._write_new(connection, following)
                self._chain(connection, following.events)
                self._bell.ring_in(connection, following.roles)
                committing = True
        except Exception as problem:  # noqa: BLE001 - told to whoever waits for it
            if committing:
                return [Fault("database", in_words(problem), unknown=True)] * len(pieces)
            return [problem] if len(pieces) == 1 else [self._commit([piece])[0] for piece in pieces]
        self._bell.ring(following.roles)
        self._checkpoints.committed()
        return results

    def _tell(self, pieces: Sequence[_Piece], results: Sequence[Any]) -> None:
        loop = asyncio.get_running_loop()
        for piece, result in zip(pieces, results, strict=True):
            if piece.done.done():
                continue
            if piece.lost < TRIES and _is_worth_another_try(result):
                piece.lost += 1
                loop.call_later(FIRST_WAIT * (2**piece.lost - 2), self._submit, piece)
            elif isinstance(result, BaseException):
                piece.done.set_exception(self._told(result))
            else:
                piece.done.set_result(result)

    def _told(self, problem: BaseException) -> BaseException:
        """A database that cannot be reached, or has no room, is a fault like any vendor's: tried again later."""
        told = Fault("database", in_words(problem)) if isinstance(problem, OperationalError) else problem
        self.trouble = told.what if isinstance(told, Fault) else self.trouble
        return told

    async def is_well(self) -> bool:
        """Whether changes can be committed. After trouble that is asked by a change that changes nothing."""
        if self.trouble:
            with suppress(Fault):
                await self._run(lambda c: c.execute(_TOUCH))
                log.info("the database is well again after: %s", self.trouble)
                self.trouble = ""
        return not self.trouble

    async def _change(self, work: Callable[[Connection], T]) -> T:
        result = await self._run(work)
        self.on_commit()
        return result

    def _append(self, c: Connection, request: str, audit: Audit) -> None:
        """Tell the trail, at the end of this transaction."""
        following_in(c).events.append((request, audit))

    def _chain(self, c: Connection, told: Sequence[tuple[str, Audit]]) -> None:
        """Append to the trail, last of all: from here to the commit nobody else can, or there would be two heads."""
        if told:
            if self._shared:
                c.execute(_HOLD_THE_HEAD)
            append(c, told, at=self._now())

    async def schedule(self, subject: str, jobs: Sequence[Due]) -> None:
        """Want jobs without changing anything else."""
        await self._change(lambda c: self._schedule(c, subject, jobs))

    async def cancel(self, subject: str, kinds: Sequence[str]) -> None:
        """Forget jobs that are no longer wanted."""
        theirs = (t.jobs.c.subject == subject) & t.jobs.c.kind.in_(list(kinds))
        await self._run(lambda c: c.execute(delete(t.jobs).where(theirs)))

    def _schedule(self, c: Connection, subject: str, jobs: Sequence[Due]) -> None:
        """In one order everywhere, so that two transactions never wait for each other's jobs."""
        if rows := self._job_rows(c, subject, jobs):
            c.execute(_WANT, rows)

    def _schedule_new(self, c: Connection, subject: str, jobs: Sequence[Due]) -> None:
        """The same for a subject that nobody knows before the commit: its jobs are written with those of others."""
        following_in(c).jobs += self._job_rows(c, subject, jobs)

    def _write_new(self, c: Connection, following: Following) -> None:
        if following.jobs:
            c.execute(_WANT, following.jobs)

    def _job_rows(self, c: Connection, subject: str, jobs: Sequence[Due]) -> list[dict[str, Any]]:
        now = self._now()
        soon = now.timestamp() + WORTH_A_RING
        rows = sorted((_job_row(subject, due, now=now) for due in jobs), key=lambda row: (row["subject"], row["kind"]))
        following_in(c).roles.update(row["role"] for row in rows if row["due"] < soon)
        return rows


def ring_for(c: Connection, kinds: Iterable[str]) -> None:
    """Jobs of these kinds are due now: whoever does them is told after the commit."""
    following_in(c).roles.update(kind_of(kind).role for kind in kinds)


def one_at_a_time(c: Connection, what: str) -> None:
    """What is counted from here to the commit is not counted by another transaction meanwhile.

    SQLite has one writer; PostgreSQL is told.
    """
    if c.dialect.name == "postgresql":
        c.execute(_ONE_AT_A_TIME, {"what": what})


def following_in(c: Connection) -> Following:
    following: Following = c.info[FOLLOWING]
    return following


def _is_worth_another_try(result: Any) -> bool:
    """It lost a race, or the connection before it was committed: done again, it finds what is there now."""
    if isinstance(result, IntegrityError):
        return True
    return isinstance(result, DBAPIError) and (result.connection_invalidated or _sqlstate(result) in PASSING)


def _sqlstate(problem: DBAPIError) -> str | None:
    """PostgreSQL's code of an error, in which None is no answer at all; SQLite has no codes."""
    code: str | None = getattr(problem.orig, "sqlstate", "")
    return code


def _job_row(subject: str, due: Due, *, now: datetime) -> dict[str, Any]:
    kind = kind_of(due.kind)
    return {
        "subject": due.subject or subject,
        "kind": due.kind,
        "role": kind.role,
        "lane": kind.lane,
        "due": (due.at or now).timestamp(),
        "payload": dict(due.payload),
    }


def _set_up(c: Connection, kind: str) -> None:
    if c.dialect.name == "postgresql":
        c.execute(_HOLD_THE_HEAD)  # two replicas that start at once on an empty database
    prepare(c)
    stamped = c.execute(select(t.stamp.c.value).where(t.stamp.c.name == "kind")).scalar()
    if stamped is None:
        c.execute(insert(t.stamp), [{"name": "kind", "value": kind}, {"name": "id", "value": token_hex(8)}])
    elif stamped != kind:
        raise SettingsError(
            f"this database belongs to a {stamped} run and this is a {kind} run: "
            "set TINYAPPROVER_DATA_DIR (or TINYAPPROVER_DATABASE_URL) to another place"
        )

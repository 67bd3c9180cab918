"""Jobs, claimed by lease; and the inbox, which takes every delivery once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    text,
    true,
    update,
)

from bot.claims import running_clock
from bot.core.request import Request
from bot.ledger import tables as t
from bot.ledger.database import Audit, Database, Due, one_at_a_time, ring_for
from bot.ledger.engine import database_clock
from bot.ledger.kinds import LANE_ROOM, kind_of
from bot.ledger.places import Shown


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. `attempts` counts claims since it last succeeded; `claim` counts all, and fences its completion.

    A card comes with what it is drawn from, read as it was claimed: somebody is waiting for it. `leased_at` is when,
    by `running_clock`, its lease cannot have begun yet.
    """

    id: int
    subject: str
    kind: str
    attempts: int
    wanted: int
    claim: int
    lane: str
    payload: Mapping[str, Any]
    reading: tuple[Request, Shown | None] | None = None
    leased_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts for monitoring; `late` is how many seconds the most overdue job waits."""

    requests: Mapping[str, int]
    jobs: Mapping[str, int]
    late: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job as people are told of it; `runs` while somebody has claimed it."""

    subject: str
    kind: str
    does: str
    due: datetime
    attempts: int
    trouble: str
    runs: bool


def _of(roles: tuple[str, ...]) -> ColumnElement[bool]:
    """Not `IN`, which is spelled out anew at every execution."""
    return or_(*(t.jobs.c.role == role for role in roles))


def _besides(lanes: tuple[str, ...]) -> ColumnElement[bool]:
    return and_(true(), *(t.jobs.c.lane != lane for lane in lanes))


@cache
def _next_due(roles: tuple[str, ...], full: tuple[str, ...]) -> Select[Any]:
    return select(func.min(t.jobs.c.due)).where(_of(roles), _besides(full), t.jobs.c.leased_until == 0.0)


@cache
def _claimable(roles: tuple[str, ...], full: tuple[str, ...]) -> Select[Any]:
    """Due jobs of these roles: access whose time is up first, then cards, because somebody is looking at them."""
    return (
        select(t.jobs)
        .where(_of(roles), _besides(full))
        .where(t.jobs.c.due <= bindparam("now"), t.jobs.c.leased_until <= database_clock())
        .order_by(case((t.jobs.c.kind == "revoke", 0), (t.jobs.c.kind == "card", 1), else_=2), t.jobs.c.due)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )


_UNTIL = database_clock() + bindparam("lease")
_LEASE = (
    update(t.jobs)
    .where(t.jobs.c.id == bindparam("job"))
    .values(leased_until=_UNTIL, attempts=t.jobs.c.attempts + 1, claim=t.jobs.c.claim + 1)
)
_LEASE_AT_ONCE = (
    update(t.jobs)
    .where(t.jobs.c.subject.in_(bindparam("subjects", expanding=True)), t.jobs.c.kind == bindparam("k"))
    .values(leased_until=_UNTIL, attempts=t.jobs.c.attempts + 1, claim=t.jobs.c.claim + 1)
    .returning(t.jobs)
)
_OURS = (t.jobs.c.id == bindparam("job")) & (t.jobs.c.claim == bindparam("ours"))
_RENEW = update(t.jobs).where(_OURS).values(leased_until=_UNTIL)
_UNCHANGED = _OURS & (t.jobs.c.wanted == bindparam("claimed"))
_AGAIN = {
    "leased_until": 0.0,
    "attempts": t.jobs.c.attempts * bindparam("kept"),
    "trouble": bindparam("what"),
    "not_before": bindparam("earliest"),
}
_AT_EARLIEST = case((t.jobs.c.due < bindparam("earliest"), bindparam("earliest")), else_=t.jobs.c.due)
_PUT_BACK = (
    update(t.jobs)
    .where(_OURS)
    .values(
        leased_until=0.0,
        attempts=t.jobs.c.attempts - 1,
        due=case((t.jobs.c.wanted == bindparam("claimed"), bindparam("at")), else_=t.jobs.c.due),
    )
)
_DONE = delete(t.jobs).where(_UNCHANGED)
_LATER = update(t.jobs).where(_UNCHANGED).values(**_AGAIN, due=bindparam("at"))
_WANTED_MEANWHILE = update(t.jobs).where(_OURS).values(**_AGAIN, due=_AT_EARLIEST)
TAKE = text(
    "INSERT INTO inbox (source, delivery_id, at) VALUES (:source, :delivery_id, :at) ON CONFLICT DO NOTHING"
).bindparams(bindparam("at", type_=t.Instant()))
_TAKEN = select(t.inbox.c.delivery_id).where(
    t.inbox.c.source == bindparam("by"), t.inbox.c.delivery_id.in_(bindparam("ids", expanding=True))
)


class Queue(Database):
    """What is due, and what has come in."""

    async def claim(self, roles: Sequence[str], *, most: int, lease: float, running: Collection[Job] = ()) -> list[Job]:
        """Due jobs, leased for `lease` seconds; never one of those that the caller is `running`.

        What is due goes by the program's clock, leases by the database's: replicas whose clocks differ still agree
        on whose a job is. No lane gets more than its room.
        """

        def work(c: Connection) -> list[Job]:
            asked_at = running_clock()
            now = self._now().timestamp()  # in the transaction: whatever was committed before it is due
            found = c.execute(_claimable(tuple(roles), _full(running)), {"now": now, "most": most + len(running)})
            rows = _fitting(found, most, running)
            if rows:
                c.execute(_LEASE, [{"job": row.id, "lease": lease} for row in rows])
            return [self._with_reading(c, _job(row, asked_at, claims=1)) for row in rows]

        return await self._run(work)

    async def renew(self, jobs: Sequence[Job], *, lease: float) -> list[Job]:
        """Lease them from now on again; those that were claimed by somebody else meanwhile."""

        def work(c: Connection) -> list[Job]:
            return [job for job in jobs if c.execute(_RENEW, {**_claim(job), "lease": lease}).rowcount != 1]

        return await self._run(work)

    def _with_reading(self, c: Connection, job: Job) -> Job:
        return job

    def _claim_at_once(self, c: Connection, subjects: Collection[str], kind: str, *, lease: float) -> dict[str, Job]:
        """Jobs that were scheduled in this very transaction, by their subjects."""
        asked_at, these = running_clock(), {"subjects": list(subjects), "k": kind, "lease": lease}
        return {row.subject: _job(row, asked_at, claims=0) for row in c.execute(_LEASE_AT_ONCE, these)}

    async def finish(
        self,
        job: Job,
        *,
        again_at: datetime | None = None,
        trouble: str = "",
        retry: bool = False,
        not_before: datetime | None = None,
    ) -> None:
        """Done: gone, unless it was wanted again meanwhile; or due again at a time, with what went wrong.

        Whoever wants it meanwhile has it no sooner than `not_before`, which a vendor asked for.
        Only the claim that holds the lease may say so: a later claim of the same job has another lease.
        """
        claim = {**_claim(job), "claimed": job.wanted}
        earliest = not_before.timestamp() if not_before else 0.0
        again = {**claim, "kept": int(retry), "what": trouble[:300], "earliest": earliest}

        def work(c: Connection) -> bool:
            if again_at is None:
                settled = c.execute(_DONE, claim).rowcount == 1
            else:
                settled = c.execute(_LATER, {**again, "at": again_at.timestamp()}).rowcount == 1
            if not settled and c.execute(_WANTED_MEANWHILE, again).rowcount != 1:
                self._overtaken(c, job)
            return again_at is not None or not settled

        if await self._run(work):
            self.on_commit()  # it waits again, perhaps for less long than anything that was known before

    async def put_back(self, job: Job, *, at: datetime) -> None:
        """It did nothing: as before this claim, due at a time, or at once when it was wanted meanwhile."""
        again = {**_claim(job), "claimed": job.wanted, "at": at.timestamp()}
        await self._change(lambda c: c.execute(_PUT_BACK, again))

    def _overtaken(self, c: Connection, job: Job) -> None:
        """Somebody else has claimed it meanwhile: what this claim wrote outside may have come after theirs."""
        if kind_of(job.kind).role == "executor":
            self._schedule(c, job.subject, [Due("look")])

    async def next_due(self, roles: Sequence[str], *, running: Collection[Job] = ()) -> datetime | None:
        """When the next unleased job is due that there is room for."""
        query = _next_due(tuple(roles), _full(running))
        due = await self._run(lambda c: c.execute(query).scalar())
        return datetime.fromtimestamp(due, self._now().tzinfo) if due is not None else None

    async def waiting(self) -> list[Waiting]:
        """Every job, those in trouble first, then by time."""
        query = select(t.jobs, (t.jobs.c.leased_until > database_clock()).label("runs"))
        in_order = query.order_by(case((t.jobs.c.trouble != "", 0), else_=1), t.jobs.c.due)
        return await self._run(lambda c: [_waiting(row) for row in c.execute(in_order)])

    async def try_now(self, subject: str, kind: str | None, *, by: str) -> list[str]:
        """Make what failed due at once; its kinds. What waits for its time keeps waiting for it."""
        failed = (t.jobs.c.subject == subject) & (t.jobs.c.trouble != "") & (t.jobs.c.leased_until == 0.0)
        if kind is not None:
            failed &= t.jobs.c.kind == kind

        def work(c: Connection) -> list[str]:
            now = self._now().timestamp()
            at_once = update(t.jobs).where(failed).values(due=now, not_before=0.0)
            kinds = sorted(c.execute(at_once.returning(t.jobs.c.kind)).scalars())
            if kinds:
                self._append(c, subject, Audit(by, "job.retried", {"kinds": kinds}))
                ring_for(c, kinds)
            return kinds

        return await self._change(work)

    async def release_leases(self, roles: Sequence[str]) -> None:
        """At the start of the only process of these roles: what was in flight at a crash runs again.

        Where several share the work, leases run out by themselves.
        """
        if self._shared:
            return
        mine = t.jobs.c.role.in_(list(roles))
        await self._run(lambda c: c.execute(update(t.jobs).where(mine).values(leased_until=0.0)))

    async def figures(self) -> Figures:
        """What waits, and how late."""
        by_state = select(t.requests.c.state, func.count()).group_by(t.requests.c.state)
        kinds = select(t.jobs.c.kind, t.jobs.c.due)

        def work(c: Connection) -> Figures:
            waiting = [(kind.partition(":")[0], due) for kind, due in c.execute(kinds)]
            late = max((self._now().timestamp() - due for _, due in waiting), default=0.0)
            states = {str(state): int(count) for state, count in c.execute(by_state)}
            return Figures(states, Counter(kind for kind, _ in waiting), max(late, 0.0))

        return await self._run(work)

    async def accept(
        self,
        source: str,
        delivery_id: str,
        *,
        request: str = "",
        audit: Audit | None = None,
        jobs: Sequence[Due] = (),
    ) -> bool:
        """Take a delivery once, with the event and the jobs that it means; false when it was taken before."""
        return await self._change(lambda c: self._accept(c, source, delivery_id, request, audit, jobs))

    def _accept(
        self, c: Connection, source: str, delivery_id: str, request: str, audit: Audit | None, jobs: Sequence[Due]
    ) -> bool:
        if c.execute(TAKE, {"source": source, "delivery_id": delivery_id, "at": self._now()}).rowcount != 1:
            return False
        if audit is not None:
            self._append(c, request, audit)
        self._schedule(c, request, jobs)
        return True

    async def accepted_since(self, source: str, begins: str, since: datetime) -> int:
        """How many deliveries whose id begins so were taken since then."""
        i = t.inbox.c
        alike = (i.source == source) & i.delivery_id.startswith(begins, autoescape=True) & (i.at >= since)
        return await self._run(lambda c: int(c.execute(select(func.count()).where(alike)).scalar_one()))

    async def first_since(self, source: str, begins: str, receipt: str, since: datetime) -> bool:
        """Whether nothing whose id begins so was taken since then; this one is taken with that, in one transaction."""
        i = t.inbox.c
        alike = (i.source == source) & i.delivery_id.startswith(begins, autoescape=True) & (i.at >= since)

        def work(c: Connection) -> bool:
            one_at_a_time(c, f"{source}/{begins}")
            if c.execute(select(func.count()).where(alike)).scalar_one():
                return False
            return self._accept(c, source, f"{begins}{receipt}", "", None, ())

        return await self._run(work)

    async def accepted(self, source: str, delivery_ids: Sequence[str]) -> set[str]:
        """Which of these deliveries were taken before."""
        asked = {"by": source, "ids": list(delivery_ids)}
        return await self._run(lambda c: set(c.execute(_TAKEN, asked).scalars()))


def _job(row: Row[Any], asked_at: float, *, claims: int) -> Job:
    """A job as it stands after `claims` more claims than the row tells."""
    attempts, claim = row.attempts + claims, row.claim + claims
    return Job(row.id, row.subject, row.kind, attempts, row.wanted, claim, row.lane, row.payload, leased_at=asked_at)


def _waiting(row: Row[Any]) -> Waiting:
    due = datetime.fromtimestamp(row.due, UTC)
    return Waiting(row.subject, row.kind, kind_of(row.kind).does, due, row.attempts, row.trouble, bool(row.runs))


def _claim(job: Job) -> dict[str, int]:
    return {"job": job.id, "ours": job.claim}


def _full(running: Collection[Job]) -> tuple[str, ...]:
    """The lanes that have no room left."""
    busy = Counter(job.lane for job in running)
    return tuple(sorted(lane for lane, count in busy.items() if count >= LANE_ROOM))


def _fitting(found: Iterable[Row[Any]], most: int, running: Collection[Job]) -> list[Row[Any]]:
    """The first of those found that are not running, as far as their lanes have room."""
    ids, busy = {job.id for job in running}, Counter(job.lane for job in running)
    rows: list[Row[Any]] = []
    for row in found:
        if row.id not in ids and busy[row.lane] < LANE_ROOM and len(rows) < most:
            busy[row.lane] += 1
            rows.append(row)
    return rows

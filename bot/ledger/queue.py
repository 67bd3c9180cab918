"""Jobs, claimed by lease; and the inbox, which takes every delivery once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from bot.core.request import Request
from bot.ledger import tables as t
from bot.ledger.database import Audit, Database, Due
from bot.ledger.places import Shown


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. `attempts` counts claims since it last succeeded; its lease fences its completion.

    A card comes with what it is drawn from, read as it was claimed: somebody is waiting for it.
    """

    id: int
    subject: str
    kind: str
    attempts: int
    wanted: int
    leased_until: float
    payload: Mapping[str, Any]
    reading: tuple[Request, Shown | None] | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts for monitoring; `late` is how many seconds the most overdue job waits."""

    requests: Mapping[str, int]
    jobs: Mapping[str, int]
    late: float


def _of(roles: tuple[str, ...]) -> ColumnElement[bool]:
    """Not `IN`, which is spelled out anew at every execution."""
    return or_(*(t.jobs.c.role == role for role in roles))


@cache
def _next_due(roles: tuple[str, ...]) -> Select[Any]:
    return select(func.min(t.jobs.c.due)).where(_of(roles), t.jobs.c.leased_until == 0.0)


@cache
def _claimable(roles: tuple[str, ...]) -> Select[Any]:
    """Due jobs of these roles; cards first, because somebody is looking at them."""
    return (
        select(t.jobs)
        .where(_of(roles))
        .where(t.jobs.c.due <= bindparam("now"), t.jobs.c.leased_until <= bindparam("now"))
        .order_by(case((t.jobs.c.kind == "card", 0), else_=1), t.jobs.c.due)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )


_LEASE = (
    update(t.jobs)
    .where(t.jobs.c.id == bindparam("job"))
    .values(leased_until=bindparam("until"), attempts=t.jobs.c.attempts + 1)
)
_OURS = (t.jobs.c.id == bindparam("job")) & (t.jobs.c.leased_until == bindparam("lease"))
_UNCHANGED = _OURS & (t.jobs.c.wanted == bindparam("claimed"))
_AGAIN = {"leased_until": 0.0, "attempts": t.jobs.c.attempts * bindparam("kept"), "trouble": bindparam("what")}
_DONE = delete(t.jobs).where(_UNCHANGED)
_LATER = update(t.jobs).where(_UNCHANGED).values(**_AGAIN, due=bindparam("at"))
_WANTED_MEANWHILE = update(t.jobs).where(_OURS).values(**_AGAIN)
_TAKE = insert(t.inbox)
_TAKEN = select(t.inbox.c.delivery_id).where(
    t.inbox.c.source == bindparam("by"), t.inbox.c.delivery_id.in_(bindparam("ids", expanding=True))
)


class Queue(Database):
    """What is due, and what has come in."""

    async def claim(self, roles: Sequence[str], *, most: int, lease: float, running: Collection[int] = ()) -> list[Job]:
        """Due jobs, leased for `lease` seconds; never one of those that the caller is `running`."""

        def work(c: Connection) -> list[Job]:
            now = self._now().timestamp()  # in the transaction: whatever was committed before it is due
            found = c.execute(_claimable(tuple(roles)), {"now": now, "most": most + len(running)})
            rows = [row for row in found if row.id not in running][:most]
            if rows:
                c.execute(_LEASE, [{"job": row.id, "until": now + lease} for row in rows])
            return [self._with_reading(c, _job(row, leased_until=now + lease)) for row in rows]

        return await self._run(work)

    def _with_reading(self, c: Connection, job: Job) -> Job:
        return job

    async def finish(
        self, job: Job, *, again_at: datetime | None = None, trouble: str = "", retry: bool = False
    ) -> None:
        """Done: gone, unless it was wanted again meanwhile; or due again at a time, with what went wrong.

        Only the claim that holds the lease may say so: a later claim of the same job has another lease.
        """
        claim = {"job": job.id, "lease": job.leased_until, "claimed": job.wanted}
        again = {**claim, "kept": int(retry), "what": trouble[:300]}

        def work(c: Connection) -> bool:
            if again_at is None:
                settled = c.execute(_DONE, claim).rowcount == 1
            else:
                settled = c.execute(_LATER, {**again, "at": again_at.timestamp()}).rowcount == 1
            if not settled:
                c.execute(_WANTED_MEANWHILE, again)
            return again_at is not None or not settled

        if await self._run(work):
            self.on_commit()  # it waits again, perhaps for less long than anything that was known before

    async def next_due(self, roles: Sequence[str]) -> datetime | None:
        """When the next unleased job is due."""
        due = await self._run(lambda c: c.execute(_next_due(tuple(roles))).scalar())
        return datetime.fromtimestamp(due, self._now().tzinfo) if due is not None else None

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
        try:
            with c.begin_nested():
                c.execute(_TAKE, {"source": source, "delivery_id": delivery_id, "at": self._now()})
        except IntegrityError:
            return False
        if audit is not None:
            self._append(c, request, audit)
        self._schedule(c, request, jobs)
        return True

    async def accepted(self, source: str, delivery_ids: Sequence[str]) -> set[str]:
        """Which of these deliveries were taken before."""
        asked = {"by": source, "ids": list(delivery_ids)}
        return await self._run(lambda c: set(c.execute(_TAKEN, asked).scalars()))


def _job(row: Row[Any], *, leased_until: float) -> Job:
    return Job(row.id, row.subject, row.kind, row.attempts + 1, row.wanted, leased_until, row.payload)

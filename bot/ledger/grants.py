"""Grants: recorded before anything is written outside, and again when it was read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    exists,
    insert,
    or_,
    select,
    text,
    update,
)

from bot.core.lifecycle import COVERING, OPEN, Event, State
from bot.core.request import (
    Grant,
    Plan,
    Request,
)
from bot.ledger import tables as t
from bot.ledger.database import Audit, Due
from bot.ledger.requests import Requests, grant_of, number_of, numbered

_GRANT = select(t.grants).where(t.grants.c.request_id == bindparam("r"))
_EXTENDED_BY = select(t.requests.c.number).where(
    t.requests.c.extends_id == bindparam("r"), or_(*(t.requests.c.state == one.value for one in COVERING))
)
_THAWED = select(t.requests.c.number).where(
    t.requests.c.number == bindparam("n"), ~exists().where(t.freezes.c.thawed_at.is_(None))
)
_APPROVED = t.requests.c.state == State.APPROVED.value
_MAY_BEGIN = _THAWED.where(_APPROVED).with_for_update()  # a stop at the same moment comes wholly before it, or after
_MAY_BE_GIVEN = _THAWED.where(or_(_APPROVED, t.requests.c.state == State.ACTIVE.value))
_NO_FREEZE_BEGINS = text("LOCK TABLE freezes IN SHARE MODE")  # SQLite has one writer in any case
_COVERS = exists().where(
    t.requests.c.number == numbered(t.grants.c.request_id), or_(*(t.requests.c.state == one.value for one in COVERING))
)


# Requests that hold a target and have not taken it back, whoever ends last first; and those of them that are granted,
# or being granted, and are not due to be taken back.
_OTHERS = (
    select(t.grants.c.request_id)
    .where(t.grants.c.target == bindparam("at"), t.grants.c.request_id != bindparam("besides"))
    .where(t.grants.c.revoked_at.is_(None))
    .order_by(t.grants.c.ends_at.is_(None).desc(), t.grants.c.ends_at.desc())
    .limit(1)
)
_OURS = _OTHERS.where(t.grants.c.held_before.is_(False))
_LIVE = _OTHERS.where(t.grants.c.ends_at.is_(None) | (t.grants.c.ends_at > bindparam("now")), _COVERS)


def written(plan: Plan) -> dict[str, Any]:
    """What an event says of a write outside: the plan, and the ids that it concerns."""
    return {"digest": plan.digest, "action": plan.action, "changes": dict(plan.changes)}


class Grants(Requests):
    """Access as given, and as taken back."""

    async def start_grant(self, plan: Plan, minutes: int, *, actor: str, writes: bool = True) -> Grant | None:
        """Record that an action begins, before anything is written outside; a second start finds the first.

        None when it must not begin: it was stopped meanwhile, or everything is frozen. Asked before every write;
        `writes` is false when somebody else's grant covers it already.
        """

        def work(c: Connection) -> Grant | None:
            if self._shared:
                c.execute(_NO_FREEZE_BEGINS)
            if c.execute(_MAY_BEGIN, {"n": number_of(plan.request_id)}).one_or_none() is None:
                return None
            row = c.execute(_GRANT, {"r": plan.request_id}).one_or_none()
            if row is None:
                self._insert_grant(c, plan, minutes, actor)
                row = c.execute(_GRANT, {"r": plan.request_id}).one()
            if writes and not row.held_before:
                self._append(c, plan.request_id, Audit(actor, "grant.writing", written(plan)))
            return grant_of(row)

        return await self._run(work)

    async def may_be_given(self, request: str) -> bool:
        """Whether what has begun may still be written: neither stopped nor frozen meanwhile."""
        asked = {"n": number_of(request)}
        return await self._run(lambda c: c.execute(_MAY_BE_GIVEN, asked).one_or_none() is not None)

    def _insert_grant(self, c: Connection, plan: Plan, minutes: int, actor: str) -> None:
        values = {
            "request_id": plan.request_id,
            "target": plan.target,
            "held_before": plan.already,
            "minutes": minutes,
            "started_at": self._now(),
        }
        c.execute(insert(t.grants), values)
        audit = Audit(actor, "grant.started", {"digest": plan.digest, "held_before": plan.already})
        self._append(c, plan.request_id, audit)

    async def granted(self, request: Request, *, audit: Audit, jobs: Callable[[datetime], Sequence[Due]]) -> bool:
        """The access was read back: approved becomes active until its end."""
        now = self._now()

        def work(c: Connection) -> bool:
            grant = grant_of(c.execute(_GRANT, {"r": request.id}).one())
            begins = max(now, request.extends.ends_at) if request.extends else now
            ends_at = begins + timedelta(minutes=grant.minutes)
            row = t.grants.c.request_id == request.id
            told = replace(audit, detail={**audit.detail, "ends_at": ends_at.isoformat()})
            moved = self._move(c, request.id, Event.GRANTED, told, {}, jobs(ends_at))
            if moved:  # a second reading must not make it last longer
                c.execute(update(t.grants).where(row).values(verified_at=now, ends_at=ends_at))
            return moved

        return await self._change(work)

    async def taken_back(self, request: str, *, outcome: str, audit: Audit, jobs: Sequence[Due]) -> bool:
        """The access was read to be gone (or was never ours to remove): active becomes ended, others say so."""
        now = self._now()

        def work(c: Connection) -> bool:
            row = t.grants.c.request_id == request
            c.execute(update(t.grants).where(row).values(revoked_at=now, overdue=False))
            self._schedule(
                c, request, [Due("expire", subject=f"TA-{number}") for number in self._undecided_extensions(c, request)]
            )
            if self._move(c, request, Event.TAKEN_BACK, audit, {"outcome": outcome, "closed_at": now}, jobs):
                return True
            states = (State.FAILED.value, State.WITHDRAWN.value)
            undone = (t.requests.c.number == number_of(request)) & t.requests.c.state.in_(states)
            c.execute(update(t.requests).where(undone).values(outcome=outcome))
            self._append(c, request, audit)
            self._schedule(c, request, jobs)
            return False

        return await self._change(work)

    def _undecided_extensions(self, c: Connection, request: str) -> Sequence[int]:
        """Extensions that nobody decided in time."""
        states = or_(*(t.requests.c.state == state.value for state in OPEN))
        return c.execute(select(t.requests.c.number).where(t.requests.c.extends_id == request, states)).scalars().all()

    async def retry(self, request: str, *, audit: Audit, jobs: Sequence[Due]) -> bool:
        """A failed grant is tried again from nothing; false while what it wrote is still being taken away."""

        def work(c: Connection) -> bool:
            grant = c.execute(_GRANT, {"r": request}).one_or_none()
            if grant is not None and grant.revoked_at is None:
                return False
            if not self._move(c, request, Event.RETRIED, audit, {"outcome": ""}, jobs):
                return False
            c.execute(delete(t.grants).where(t.grants.c.request_id == request))
            return True

        return await self._change(work)

    async def mark_overdue(self, request: str, *, audit: Audit, jobs: Sequence[Due]) -> None:
        """The access should be gone and is not."""

        def work(c: Connection) -> None:
            row = (t.grants.c.request_id == request) & (t.grants.c.overdue.is_(False))
            if c.execute(update(t.grants).where(row).values(overdue=True)).rowcount == 1:
                self._append(c, request, audit)
                self._schedule(c, request, jobs)

        await self._change(work)

    async def other_grant(self, target: str, *, besides: str) -> str | None:
        """Another request that has to take the same access back and has not done so, though that may be due."""
        return await self._run(lambda c: c.execute(_OURS, {"at": target, "besides": besides}).scalar())

    async def covered_by(self, target: str, *, besides: str) -> str | None:
        """Another request by which the same access lasts: the one that ends last."""
        return await self._run(lambda c: self._covered_by(c, target, besides))

    def _covered_by(self, c: Connection, target: str, besides: str) -> str | None:
        return c.execute(_LIVE, {"at": target, "besides": besides, "now": self._now()}).scalar()

    async def hand_over(self, request: str, *, actor: str) -> str | None:
        """Whoever holds the same access for longest takes over; None when nobody does, and it has to be removed.

        If this request had to take the access back, the other has to from now on, whatever it found at its start.
        """

        def work(c: Connection) -> str | None:
            grant = c.execute(_GRANT, {"r": request}).one()
            heir = self._covered_by(c, grant.target, request)
            if heir is None or grant.held_before:
                return heir
            duty = (t.grants.c.request_id == heir) & t.grants.c.held_before.is_(True)
            if c.execute(update(t.grants).where(duty).values(held_before=False)).rowcount == 1:
                self._append(c, heir, Audit(actor, "grant.inherited", {"from": request}))
            return heir

        return await self._run(work)

    async def end_now(self, request: str, *, audit: Audit, jobs: Sequence[Due], never_granted: Sequence[Due]) -> None:
        """An active grant ends earlier than planned, with what extends it: they cover nothing from now on.

        An extension that was approved and is not granted yet never is, even if its write has begun.
        """
        now = self._now()
        closing = {"outcome": f"{request} was given back.", "closed_at": now}

        def work(c: Connection) -> None:
            ending: str | None = request
            while ending is not None:
                row = (t.grants.c.request_id == ending) & t.grants.c.revoked_at.is_(None)
                c.execute(update(t.grants).where(row).values(ends_at=now))
                if not self._move(c, ending, Event.STOPPED, audit, closing, never_granted):
                    self._append(c, ending, audit)
                self._schedule(c, ending, jobs)
                number = c.execute(_EXTENDED_BY, {"r": ending}).scalar()
                ending = f"TA-{number}" if number else None

        await self._change(work)

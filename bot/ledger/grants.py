"""Grants: recorded before anything is written outside, and again when it was read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)

from bot.core.lifecycle import COVERING, Event, State
from bot.core.request import (
    Grant,
    Plan,
    Request,
)
from bot.ledger import tables as t
from bot.ledger.database import Audit, Due
from bot.ledger.requests import ID, Requests, grant_of, number_of

_GRANT = select(t.grants).where(t.grants.c.request_id == bindparam("r"))
_COVERS = exists().where(t.grants.c.request_id == ID, or_(*(t.requests.c.state == one.value for one in COVERING)))


def _others(target: str, besides: str) -> Select[Any]:
    """Requests that hold a target and have not taken it back, whoever ends last first."""
    return (
        select(t.grants.c.request_id)
        .where(t.grants.c.target == target, t.grants.c.request_id != besides, t.grants.c.revoked_at.is_(None))
        .order_by(t.grants.c.ends_at.is_(None).desc(), t.grants.c.ends_at.desc())
        .limit(1)
    )


def _live(target: str, besides: str, now: datetime) -> Select[Any]:
    """Those of them that are granted, or being granted, and are not due to be taken back."""
    lasts = t.grants.c.ends_at.is_(None) | (t.grants.c.ends_at > now)
    return _others(target, besides).where(lasts, _COVERS)


def written(plan: Plan) -> dict[str, Any]:
    """What an event says of a write outside: the plan, and the ids that it concerns."""
    return {"digest": plan.digest, "action": plan.action, "changes": dict(plan.changes)}


class Grants(Requests):
    """Access as given, and as taken back."""

    async def start_grant(self, plan: Plan, minutes: int, *, actor: str, writes: bool = True) -> Grant:
        """Record that an action begins, before anything is written outside; a second start finds the first.

        `writes` is false when somebody else's grant covers it already.
        """

        def work(c: Connection) -> Grant:
            row = c.execute(_GRANT, {"r": plan.request_id}).one_or_none()
            if row is None:
                values = {
                    "request_id": plan.request_id,
                    "target": plan.target,
                    "held_before": plan.already,
                    "minutes": minutes,
                    "started_at": self._now(),
                }
                c.execute(insert(t.grants), values)
                self._append(
                    c,
                    plan.request_id,
                    Audit(actor, "grant.started", {"digest": plan.digest, "held_before": plan.already}),
                )
                row = c.execute(_GRANT, {"r": plan.request_id}).one()
            if writes and not row.held_before:
                self._append(c, plan.request_id, Audit(actor, "grant.writing", written(plan)))
            return grant_of(row)

        return await self._run(work)

    async def granted(self, request: Request, *, audit: Audit, jobs: Callable[[datetime], Sequence[Due]]) -> bool:
        """The access was read back: approved becomes active until its end."""
        now = self._now()

        def work(c: Connection) -> bool:
            grant = grant_of(c.execute(_GRANT, {"r": request.id}).one())
            ends_at = now + timedelta(minutes=grant.minutes)
            row = t.grants.c.request_id == request.id
            told = replace(audit, detail={**audit.detail, "ends_at": ends_at.isoformat()})
            moved = self._move(c, request.id, Event.GRANTED, told, {}, jobs(ends_at))
            if moved:  # a second reading must not make it last longer
                c.execute(update(t.grants).where(row).values(verified_at=now, ends_at=ends_at))
            return moved

        return await self._change(work)

    async def taken_back(self, request: str, *, outcome: str, audit: Audit, jobs: Sequence[Due]) -> bool:
        """The access was read to be gone (or was never ours to remove): active becomes ended, failed says so."""
        now = self._now()

        def work(c: Connection) -> bool:
            row = t.grants.c.request_id == request
            c.execute(update(t.grants).where(row).values(revoked_at=now, overdue=False))
            if self._move(c, request, Event.TAKEN_BACK, audit, {"outcome": outcome, "closed_at": now}, jobs):
                return True
            failed = (t.requests.c.number == number_of(request)) & (t.requests.c.state == State.FAILED.value)
            c.execute(update(t.requests).where(failed).values(outcome=outcome))
            self._append(c, request, audit)
            self._schedule(c, request, jobs)
            return False

        return await self._change(work)

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
        query = _others(target, besides).where(t.grants.c.held_before.is_(False))
        return await self._run(lambda c: c.execute(query).scalar())

    async def covered_by(self, target: str, *, besides: str) -> str | None:
        """Another request by which the same access lasts: the one that ends last."""
        return await self._run(lambda c: c.execute(_live(target, besides, self._now())).scalar())

    async def hand_over(self, request: str, *, actor: str) -> str | None:
        """Whoever holds the same access for longest takes over; None when nobody does, and it has to be removed.

        If this request had to take the access back, the other has to from now on, whatever it found at its start.
        """

        def work(c: Connection) -> str | None:
            grant = c.execute(_GRANT, {"r": request}).one()
            heir = c.execute(_live(grant.target, request, self._now())).scalar()
            duty = (t.grants.c.request_id == heir) & t.grants.c.held_before.is_(True)
            if heir is None or grant.held_before:
                return heir
            if c.execute(update(t.grants).where(duty).values(held_before=False)).rowcount == 1:
                self._append(c, heir, Audit(actor, "grant.inherited", {"from": request}))
            return str(heir)

        return await self._run(work)

    async def end_now(self, request: str, *, audit: Audit, jobs: Sequence[Due]) -> None:
        """An active grant ends earlier than planned: it covers nothing from now on."""
        row = (t.grants.c.request_id == request) & t.grants.c.revoked_at.is_(None)

        def work(c: Connection) -> None:
            c.execute(update(t.grants).where(row).values(ends_at=self._now()))
            self._append(c, request, audit)
            self._schedule(c, request, jobs)

        await self._change(work)

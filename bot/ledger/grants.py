"""Grants: recorded before anything is written outside, and again when it was read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    delete,
    insert,
    select,
    true,
    update,
)

from bot.core.lifecycle import Event, State
from bot.core.request import (
    Grant,
    Plan,
    Request,
)
from bot.ledger import tables as t
from bot.ledger.database import Audit, Due
from bot.ledger.requests import Requests, grant_of, number_of

_GRANT = select(t.grants).where(t.grants.c.request_id == bindparam("r"))


def written(plan: Plan) -> dict[str, Any]:
    """What an event says of a write outside: the plan, and the ids that it concerns."""
    return {"digest": plan.digest, "action": plan.action, "changes": dict(plan.changes)}


class Grants(Requests):
    """Access as given, and as taken back."""

    async def start_grant(self, plan: Plan, minutes: int, *, actor: str) -> Grant:
        """Record that an action begins, before anything is written outside; a second start finds the first."""

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
            if not row.held_before:
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
        """Another request that added the same access and has not taken it back, though that may be due."""
        return await self._other_grant(target, besides, true())

    async def other_live_grant(self, target: str, *, besides: str) -> str | None:
        """Another request that added the same access and is not due to take it back yet."""
        lasts = t.grants.c.ends_at.is_(None) | (t.grants.c.ends_at > self._now())
        return await self._other_grant(target, besides, lasts)

    async def _other_grant(self, target: str, besides: str, condition: ColumnElement[bool]) -> str | None:
        query = (
            select(t.grants.c.request_id)
            .where(t.grants.c.target == target, t.grants.c.request_id != besides)
            .where(t.grants.c.held_before.is_(False), t.grants.c.revoked_at.is_(None), condition)
        )
        return await self._run(lambda c: c.execute(query).scalar())

    async def end_now(self, request: str, *, audit: Audit, jobs: Sequence[Due]) -> None:
        """An active grant ends earlier than planned: it covers nothing from now on."""
        row = (t.grants.c.request_id == request) & t.grants.c.revoked_at.is_(None)

        def work(c: Connection) -> None:
            c.execute(update(t.grants).where(row).values(ends_at=self._now()))
            self._append(c, request, audit)
            self._schedule(c, request, jobs)

        await self._change(work)

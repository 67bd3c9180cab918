"""Stopping one request, and freezing all execution. Both are asked in the transaction that begins a write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from bot.core.lifecycle import STOPPABLE, Event, State
from bot.ledger import tables as t
from bot.ledger.database import Audit, Due, ring_for
from bot.ledger.requests import Requests, number_of, request_id

_LAST_FREEZE = select(t.freezes).order_by(t.freezes.c.number.desc()).limit(1)
_THAW = (
    update(t.freezes)
    .where(t.freezes.c.thawed_at.is_(None))
    .values(thawed_at=bindparam("now"), thawed_by=bindparam("thawer"))
)
_LIVE_GRANT = update(t.grants).where(t.grants.c.request_id == bindparam("r"), t.grants.c.revoked_at.is_(None))
_END_NOW = _LIVE_GRANT.values(ends_at=bindparam("at"))
_HALT = (
    update(t.requests)
    .where(t.requests.c.number == bindparam("n"), t.requests.c.state == State.ACTIVE.value, t.requests.c.outcome == "")
    .values(outcome=bindparam("why"))
)
_EXTENSIONS = select(t.requests.c.number).where(
    t.requests.c.extends_id == bindparam("r"), or_(*(t.requests.c.state == state.value for state in sorted(STOPPABLE)))
)
_APPROVED = select(t.requests.c.number).where(t.requests.c.state == State.APPROVED.value)
_RESTORE_NOW = update(t.jobs).where(t.jobs.c.kind == "restore").values(due=bindparam("at"), wanted=t.jobs.c.wanted + 1)
REVOKE = Due("revoke")


@dataclass(frozen=True, slots=True)
class Freeze:
    """Nothing is granted until it is thawed. `number` names it in messages that are posted once."""

    number: int
    why: str
    by: str
    at: datetime
    thawed_at: datetime | None
    thawed_by: str


class Halting(Requests):
    """What stands above every grant."""

    async def stop(
        self,
        request: str,
        *,
        outcome: str,
        audit: Audit,
        never_granted: Sequence[Due],
        was_granted: Sequence[Due],
        undecided: bool = False,
    ) -> bool:
        """What was not granted yet never is, and what was ends now; false when there is nothing to stop any more.

        With `undecided` nobody can decide it any more either.

        A write that has begun is taken back, whatever comes of it. What extends it is stopped with it: else the access
        would only have another name.
        """

        def work(c: Connection) -> bool:
            stopped = self._stop(c, request, outcome, audit, never_granted, was_granted)
            if undecided and not stopped:
                closing = {"outcome": outcome, "closed_at": self._now()}
                stopped = self._move(c, request, Event.WITHDRAWN, audit, closing, never_granted)
            waiting = [request] if stopped else []
            while waiting:
                for number in c.execute(_EXTENSIONS, {"r": waiting.pop()}).scalars().all():
                    self._stop(c, request_id(number), outcome, audit, never_granted, was_granted)
                    waiting.append(request_id(number))
            return stopped

        return await self._change(work)

    def _stop(
        self,
        c: Connection,
        request: str,
        outcome: str,
        audit: Audit,
        never_granted: Sequence[Due],
        was_granted: Sequence[Due],
    ) -> bool:
        now = self._now()
        closing = {"outcome": outcome, "closed_at": now}
        if self._move(c, request, Event.STOPPED, audit, closing, never_granted):
            began = c.execute(_END_NOW, {"r": request, "at": now}).rowcount == 1
            self._schedule(c, request, [REVOKE] if began else [])
            return True
        if c.execute(_HALT, {"n": number_of(request), "why": outcome}).rowcount == 0:
            return False
        c.execute(_END_NOW, {"r": request, "at": now})
        self._append(c, request, audit)
        self._schedule(c, request, [REVOKE, *was_granted])
        return True

    async def freeze(self, why: str, by: str, *, told: Due) -> bool:
        """From this commit on no write begins, in any process; false when it was frozen already."""

        def work(c: Connection) -> bool:
            if self._frozen(c) is not None:
                return False
            c.execute(insert(t.freezes), {"why": why, "by": by, "at": self._now()})
            self._append(c, "", Audit(by, "freeze.begun", texts={"why": why}))
            self._redraw(c, told)
            return True

        return await self._change(work)

    async def thaw(self, by: str, *, told: Due) -> bool:
        """What waits begins at once; false when nothing was frozen."""

        def work(c: Connection) -> bool:
            if c.execute(_THAW, {"now": self._now(), "thawer": by}).rowcount == 0:
                return False
            self._append(c, "", Audit(by, "freeze.ended"))
            self._redraw(c, told, Due("grant"))
            c.execute(_RESTORE_NOW, {"at": self._now().timestamp()})
            ring_for(c, ["restore"])
            return True

        return await self._change(work)

    async def frozen(self) -> Freeze | None:
        """The freeze that stands now."""
        return await self._run(self._frozen)

    def _frozen(self, c: Connection) -> Freeze | None:
        last = _last_freeze(c)
        return last if last is not None and last.thawed_at is None else None

    async def last_freeze(self) -> Freeze | None:
        """The latest, thawed or not."""
        return await self._run(_last_freeze)

    def _redraw(self, c: Connection, told: Due, *more: Due) -> None:
        """Everybody whose request waits for its grant sees what changed, and so does whoever decides."""
        for number in c.execute(_APPROVED).scalars().all():
            self._schedule(c, f"TA-{number}", [Due("card"), Due("dm"), *more])
        for user in c.execute(select(t.people.c.slack_user).where(t.people.c.decides)).scalars().all():
            self._schedule(c, str(user), [Due("home")] if user else [])
        self._schedule(c, "everything", [told])


def _last_freeze(c: Connection) -> Freeze | None:
    row = c.execute(_LAST_FREEZE).one_or_none()
    return Freeze(**row._mapping) if row else None

"""What somebody has asked for lately, read in the transaction that stores one more, so that no two slip through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, func, or_, select

from bot.core.lifecycle import OPEN, State
from bot.core.request import Answer, Draft
from bot.core.traffic import HOUR, Denied, Traffic
from bot.ledger import tables as t
from bot.ledger.database import Database

_MINE = t.requests.c.requester_id == bindparam("person")
_SAME = and_(
    _MINE, t.requests.c.beneficiary_id == bindparam("beneficiary"), t.requests.c.entitlement_id == bindparam("what")
)


def _is(states: Iterable[State]) -> ColumnElement[bool]:
    return or_(*(t.requests.c.state == state.value for state in sorted(states)))


_ONE_AT_A_TIME = select(t.people.c.id).where(t.people.c.id == bindparam("person")).with_for_update()
_WAITING = select(t.requests.c.number).where(_SAME, _is(OPEN | {State.APPROVED})).limit(1)
_OPEN = select(func.count()).select_from(t.requests).where(_MINE, _is(OPEN))
_LATELY = select(func.count(), func.min(t.requests.c.created_at)).where(
    _MINE, t.requests.c.created_at > bindparam("at")
)
_DENIED = (
    select(t.requests.c.number, t.requests.c.closed_at)
    .where(_SAME, t.requests.c.state == State.DENIED.value)
    .order_by(t.requests.c.closed_at.desc())
    .limit(1)
)
_DENIER = select(t.decisions.c.name).where(
    t.decisions.c.request_id == bindparam("r"), t.decisions.c.answer == Answer.DENY.value
)


class Asked(Database):
    """Counts of one person's requests."""

    def _traffic(self, c: Connection, draft: Draft) -> Traffic:
        """PostgreSQL runs several transactions at once: those of one person come one after another."""
        mine = {"person": draft.requester.id}
        same = {**mine, "beneficiary": draft.beneficiary.id, "what": draft.entitlement}
        c.execute(_ONE_AT_A_TIME, mine)
        waiting, denied = c.execute(_WAITING, same).scalar(), c.execute(_DENIED, same).one_or_none()
        lately, oldest = c.execute(_LATELY, {**mine, "at": self._now() - HOUR}).one()
        return Traffic(
            same=f"TA-{waiting}" if waiting else None,
            open=c.execute(_OPEN, mine).scalar_one(),
            last_hour=lately,
            oldest_of_hour=oldest,
            denied=self._denied(c, denied) if denied else None,
        )

    def _denied(self, c: Connection, row: Row[Any, Any]) -> Denied:
        request = f"TA-{row.number}"
        by = c.execute(_DENIER, {"r": request}).scalar() or "a responder"
        return Denied(request, by, row.closed_at)

"""What somebody has asked for lately, read in the transaction that stores one more, so that no two slip through."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, or_, select

from bot.core.lifecycle import COVERING, OPEN, State
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
_DENIED = select(t.requests.c.number).where(_SAME, t.requests.c.state == State.DENIED.value)
_LAST_DENIED = _DENIED.order_by(t.requests.c.closed_at.desc()).limit(1)
_TRAFFIC = select(  # one statement, since every request waits for it
    func.count().label("lately"),
    func.min(t.requests.c.created_at).label("oldest"),
    _OPEN.scalar_subquery().label("open"),
    _WAITING.scalar_subquery().label("waiting"),
    _LAST_DENIED.scalar_subquery().label("denied"),
).where(_MINE, t.requests.c.created_at > bindparam("at"))
_CLOSED = select(t.requests.c.closed_at).where(t.requests.c.number == bindparam("n"))
_EXTENDED = select(t.requests.c.number).where(t.requests.c.extends_id == bindparam("of"), _is(OPEN | COVERING)).limit(1)
_DENIER = select(t.decisions.c.name).where(
    t.decisions.c.request_id == bindparam("r"), t.decisions.c.answer == Answer.DENY.value
)


class Asked(Database):
    """Counts of one person's requests."""

    def _traffic(self, c: Connection, draft: Draft) -> Traffic:
        """PostgreSQL runs several transactions at once: those of one person come one after another."""
        who = {"person": draft.requester.id, "beneficiary": draft.beneficiary.id}
        if self._shared:
            c.execute(_ONE_AT_A_TIME, who)
        row = c.execute(_TRAFFIC, {**who, "what": draft.entitlement, "at": self._now() - HOUR}).one()
        return Traffic(
            same=f"TA-{row.waiting}" if row.waiting else None,
            open=row.open,
            last_hour=row.lately,
            oldest_of_hour=row.oldest,
            denied=self._denied(c, row.denied) if row.denied else None,
            extended_by=self._extended_by(c, draft),
        )

    def _extended_by(self, c: Connection, draft: Draft) -> str | None:
        number = c.execute(_EXTENDED, {"of": draft.extends.of}).scalar() if draft.extends else None
        return f"TA-{number}" if number else None

    def _denied(self, c: Connection, number: int) -> Denied:
        request = f"TA-{number}"
        by = c.execute(_DENIER, {"r": request}).scalar() or "a responder"
        return Denied(request, by, c.execute(_CLOSED, {"n": number}).scalar_one())

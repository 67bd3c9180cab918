"""What was decided before: sketches of it to choose from, and the few chosen ones whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from bot.core.lifecycle import DECIDED
from bot.core.likeness import Sketch
from bot.core.request import Request
from bot.ledger import tables as t
from bot.ledger.places import Places, Shown
from bot.ledger.requests import Requests, number_of, request_id

LATEST, LOOKED_THROUGH = 60, 2000
CARD = "card"
_R = t.requests.c
_SKETCH = select(_R.number, _R.entitlement, _R.department, _R.justification)
_IS_DECIDED = _R.state.in_([state.value for state in DECIDED])
_DECIDED = _SKETCH.where(_IS_DECIDED).order_by(_R.number.desc()).limit(LATEST)


@dataclass(frozen=True, slots=True)
class Decided:
    """A decided request and its card."""

    request: Request
    card: Shown | None


class Precedents(Requests, Places):
    """Read only."""

    async def sketches(self, request: str) -> tuple[Sketch, list[Sketch]]:
        """A request, and the latest decided before it: of the same entitlement, and of any; newest first."""
        return await self._run(lambda c: _sketches(c, number_of(request)))

    async def latest_decided(self, limit: int) -> list[str]:
        """The ids of the latest decided requests, newest first."""
        latest = select(_R.number).where(_IS_DECIDED).order_by(_R.number.desc()).limit(limit)
        return await self._run(lambda c: [request_id(number) for number in c.execute(latest).scalars()])

    async def decided(self, requests: Sequence[str]) -> list[Decided]:
        """These requests whole, each with its card."""
        return await self._run(
            lambda c: [Decided(self._load(c, request), self._shown(c, request, CARD)) for request in requests]
        )


def _sketches(c: Connection, number: int) -> tuple[Sketch, list[Sketch]]:
    asked = c.execute(_SKETCH.where(_R.number == number)).one()
    before = _DECIDED.where(_R.number < number)
    same = c.execute(before.where(_R.entitlement_id == asked.entitlement.id)).all()
    late = c.execute(before.where(_R.number >= number - LOOKED_THROUGH)).all()
    found = {row.number: row for row in (*same, *late)}
    return _sketch(asked), [_sketch(found[number]) for number in sorted(found, reverse=True)]


def _sketch(row: Any) -> Sketch:
    entitlement = row.entitlement
    return Sketch(
        request_id=request_id(row.number),
        entitlement=entitlement.id,
        title=entitlement.title,
        action=entitlement.action,
        channel=entitlement.channel,
        department=row.department,
        text=row.justification,
    )

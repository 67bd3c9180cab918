"""Precedents: the earlier requests that are most like one, how each was decided, and where that can be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.core.lifecycle import State
from bot.core.likeness import most_alike
from bot.core.request import Answer, Evidence, Precedent, Request
from bot.ledger import Ledger, Shown
from bot.ledger.precedents import Decided

MOST = 3
NAME = "precedents"


@dataclass(frozen=True, slots=True)
class Precedents:
    """Implements `bot.ports.Source` from the ledger; `link` tells where a card stands."""

    ledger: Ledger
    link: Callable[[Shown | None], str | None]
    name: str = NAME

    async def gather(self, request: Request) -> Evidence:
        """The three most alike that were decided before this one."""
        asked, earlier = await self.ledger.sketches(request.id)
        alike = [one.request_id for one in most_alike(asked, earlier, limit=MOST)]
        found = await self.ledger.decided(alike) if alike else []
        return Evidence(precedents=tuple(self._precedent(one, request) for one in found))

    def _precedent(self, one: Decided, asked: Request) -> Precedent:
        found = precedent_of(one, self.link)
        return replace(found, title="") if one.request.entitlement.id == asked.entitlement.id else found


def precedent_of(one: Decided, link: Callable[[Shown | None], str | None]) -> Precedent:
    """What is told of a decided request; `link` tells where its card stands."""
    earlier = one.request
    return Precedent(
        request_id=earlier.id,
        requester=earlier.requester.name,
        minutes=earlier.grant.minutes if earlier.grant else earlier.minutes,
        outcome=earlier.state.value,
        reason=_reason(earlier),
        at=earlier.created_at,
        title=earlier.entitlement.title,
        decided_by=_deciders(earlier),
        url=link(one.card) or "",
    )


def _reason(earlier: Request) -> str:
    """What those who decided wrote, else how it ended."""
    return " ".join(decision.reason for decision in earlier.decisions if decision.reason) or earlier.outcome


def _deciders(earlier: Request) -> str:
    wanted = Answer.DENY if earlier.state is State.DENIED else Answer.APPROVE
    return " and ".join(decision.name for decision in earlier.decisions if decision.answer is wanted)

"""What was decided, as the index of documents is told it: no more than a card shows of earlier requests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from bot.core.request import Request
from bot.ledger import Ledger, Shown
from bot.ledger.erasing import NAMELESS
from bot.ledger.precedents import Decided
from bot.precedents import precedent_of
from knowledge.sources import RESPONDERS, Author
from knowledge.sources.registry import DecidedRequest

LATEST, PORTION = 500, 20  # some at a time: everybody's work waits for the ledger meanwhile


@dataclass(frozen=True, slots=True)
class DecidedRequests:
    """`link` tells where a card stands, `channel` is where requests are decided that name no other."""

    ledger: Ledger
    link: Callable[[Shown | None], str | None]
    channel: str

    async def latest(self) -> AsyncGenerator[DecidedRequest, None]:
        """The latest of them, newest first."""
        ids = await self.ledger.latest_decided(LATEST)
        for start in range(0, len(ids), PORTION):
            for one in await self.ledger.decided(ids[start : start + PORTION]):
                yield self._told(one)

    def _told(self, one: Decided) -> DecidedRequest:
        told, entitlement = precedent_of(one, self.link), one.request.entitlement
        channel = entitlement.channel or self.channel
        return DecidedRequest(
            id=told.request_id,
            title=f"{entitlement.title} ({entitlement.id})",
            resource=" ".join([entitlement.action, *entitlement.params.values()]),
            minutes=told.minutes,
            requester=told.requester,
            verdict=told.verdict,
            reason=told.reason,
            at=told.at,
            url=told.url,
            visibility=RESPONDERS if channel == self.channel else channel,
            people=tuple(_people(one.request)),
        )


def _people(request: Request) -> list[Author]:
    """Whoever asked or decided, by the ids that an erasure names; who was erased has no name here any more."""
    asked = [(person.id, person.name) for person in (request.requester, request.beneficiary)]
    decided = [(decision.person_id, decision.name) for decision in request.decisions]
    named = {id_: Author(id_, name) for id_, name in (*asked, *decided) if name != NAMELESS}
    return list(named.values())

"""Sources of evidence that are our own: the company's documents, and how earlier requests ended."""

from __future__ import annotations

from dataclasses import dataclass

from bot.core.request import Evidence, Request
from bot.core.words import one_line
from bot.ledger import Ledger
from bot.ports import Memory


@dataclass(frozen=True, slots=True)
class Documents:
    """Passages of the company's documents that matter for a request."""

    memory: Memory
    name: str = "documents"

    async def gather(self, request: Request) -> Evidence:
        """Searched by what is asked for and by the requester's own words."""
        return Evidence(passages=tuple(await self.memory.passages(_queries(request), limit=3)))


@dataclass(frozen=True, slots=True)
class Precedents:
    """Earlier requests of the same kind."""

    ledger: Ledger
    name: str = "precedents"

    async def gather(self, request: Request) -> Evidence:
        """The latest three that came before this one."""
        return Evidence(precedents=tuple(await self.ledger.precedents(request.entitlement.id, before=request.id)))


def _queries(request: Request) -> list[str]:
    entitlement = request.entitlement
    return [
        f"who may have {entitlement.title} ({entitlement.id}) and who approves it",
        one_line(request.justification, 300),
    ]

"""Evidence: every source asked at once, and two of our own: the company's documents, and how earlier requests ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from bot.core.request import Evidence, Request
from bot.core.words import one_line
from bot.errors import Fault
from bot.ledger import Ledger
from bot.ports import Memory, Source

log = logging.getLogger(__name__)


async def gather(sources: Sequence[Source], request: Request, *, seconds: float) -> Evidence:
    """What all sources say, each within its own deadline; a silent one becomes a line that says so."""
    return _merged(await asyncio.gather(*(_ask(source, request, seconds) for source in sources)))


async def _ask(source: Source, request: Request, seconds: float) -> Evidence:
    try:
        async with asyncio.timeout(seconds):
            return await source.gather(request)
    except (Fault, TimeoutError) as problem:
        log.warning("silent: %s", problem, extra={"request": request.id, "step": "gather", "vendor": source.name})
    except Exception:  # a source that breaks is a silent source
        log.exception("broken source", extra={"request": request.id, "step": "gather", "vendor": source.name})
    return Evidence(silent=(source.name,))


def _merged(answers: Sequence[Evidence]) -> Evidence:
    return Evidence(
        facts=tuple(fact for answer in answers for fact in answer.facts),
        passages=tuple(passage for answer in answers for passage in answer.passages),
        precedents=tuple(precedent for answer in answers for precedent in answer.precedents),
        silent=tuple(name for answer in answers for name in answer.silent),
    )


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

"""What was gathered, as it may be quoted at this moment: asked once more right before it is shown.

A document or a channel may have been changed, closed or deleted since. Doubt shows nothing, and is looked at again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bot.audience import Audiences
from bot.core.lifecycle import OPEN
from bot.core.request import Evidence, Passage, Quotes, Request
from bot.errors import Fault
from bot.ledger import Due, Ledger
from knowledge.sources import EVERYBODY, Step

QUICK_SECONDS = 1.0
MOST_CARDS = 200
TAKEN_BACK = "What else was found has been changed, closed or taken back since, so it is not quoted any more."
UNSURE = "⚠ What else was found could not be checked just now, so it is not quoted."


class Library(Protocol):
    """The company's own words as they stand now."""

    async def still(self, passages: Sequence[Passage], *, audience: frozenset[str]) -> Quotes: ...


@dataclass(frozen=True, slots=True)
class Quoting:
    """Looks at the quotes of a request once more."""

    library: Library
    audiences: Audiences

    async def on_card(self, request: Request) -> tuple[Request, bool]:
        """The request with what may stand in its channel now, and whether that is to be looked at again soon."""
        evidence = request.evidence
        if evidence is None or request.state not in OPEN:
            return request, False
        audience, doubted = await self._audience(request, evidence)
        quotes = await self._still((*evidence.passages, *evidence.closed), audience)
        unsure = doubted or quotes.unsure
        return _quoting(request, evidence, quotes.passages, unsure=unsure), unsure

    async def for_everybody(self, request: Request) -> Request:
        """The request with what may be told to anybody now."""
        evidence = request.evidence
        if evidence is None or not evidence.passages:
            return request
        quotes = await self._still(evidence.passages, EVERYBODY)
        return _quoting(request, evidence, (*quotes.passages, *evidence.closed), unsure=quotes.unsure)

    async def _audience(self, request: Request, evidence: Evidence) -> tuple[frozenset[str], bool]:
        """Of its channel, and whether that is in doubt; not asked for what everybody may see anyway."""
        if not evidence.closed:
            return EVERYBODY, False
        try:
            async with asyncio.timeout(QUICK_SECONDS):
                return await self.audiences.of(self.audiences.channel_of(request)), False
        except (Fault, TimeoutError):
            return EVERYBODY, True

    async def _still(self, passages: Sequence[Passage], audience: frozenset[str]) -> Quotes:
        if not passages:
            return Quotes()
        try:
            async with asyncio.timeout(QUICK_SECONDS):
                return await self.library.still(passages, audience=audience)
        except (Fault, TimeoutError):
            return Quotes(unsure=True)


async def redraw(ledger: Ledger, changed: Collection[str] | None = None) -> None:
    """Draw the open cards anew that quote one of these documents or places (their ids begin so), or anything.

    For what changed only the newest cards are looked through, since messages come often; all are after every reading.
    """
    looked_at, last = 0, None
    while some := await ledger.evidence_of_open(before=last):  # a few at a time
        for last, evidence in some.items():
            if _quotes_any_of(evidence, changed):
                await ledger.schedule(last, [Due("card")])
        looked_at += len(some)
        if changed is not None and looked_at >= MOST_CARDS:
            break


def changed_by(step: Step) -> tuple[str, ...]:
    """The documents and places that a step says something new of."""
    return (*step.gone, *(document.id for document in step.documents), *(place for place, _ in step.moved))


def _quotes_any_of(evidence: Evidence, changed: Collection[str] | None) -> bool:
    rows = [one.row for one in (*evidence.passages, *evidence.closed)]
    return bool(rows) if changed is None else any(row.startswith(tuple(changed)) for row in rows)


def _quoting(request: Request, evidence: Evidence, still: Iterable[Passage], *, unsure: bool) -> Request:
    """The request with only these quotes, and a word on those that are missing."""
    stand = {one.row: one for one in still}
    passages, closed = (tuple(stand[one.row] for one in kind if one.row in stand) for kind in _kinds(evidence))
    if (passages, closed) == _kinds(evidence):
        return request
    missing = len(stand) < len(evidence.passages) + len(evidence.closed)
    left_out = (UNSURE if unsure else TAKEN_BACK) if missing else ""
    return replace(request, evidence=replace(evidence, passages=passages, closed=closed, left_out=left_out))


def _kinds(evidence: Evidence) -> tuple[tuple[Passage, ...], tuple[Passage, ...]]:
    return evidence.passages, evidence.closed

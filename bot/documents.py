"""What the company's documents and Slack discussions say about a request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bot.audience import Audiences
from bot.core.passages import LOOKED_THROUGH, documents_first
from bot.core.request import CLOSED_SHOWN, Evidence, Person, Quotes, Request, Standing
from bot.core.words import one_line
from bot.errors import Fault
from bot.ports import Directory, Memory
from knowledge.sources import EVERYBODY
from knowledge.sources.decisions import NAME as DECISIONS

DOCUMENTS, DISCUSSIONS = 6, 4
LOOKED_UP = timedelta(minutes=10)  # who reads along: the page should not wait for Slack
ROLE_AGE = 3600.0  # a role changes seldom, and here it only helps to find something
NAME, CHAT = "documents", "Slack's history"


@dataclass(frozen=True, slots=True)
class Documents:
    """Implements `bot.ports.Source` from the company's own words."""

    memory: Memory
    directory: Directory
    audiences: Audiences
    chat_is_read: bool = False
    name: str = NAME

    async def gather(self, request: Request) -> Evidence:
        """Several queries at once: what is asked for, where, by whom, under which rule, and why.

        What everybody may see is searched apart from what only the channel may see: it goes further than the card.
        """
        asked = queries(request, await self._standing(request.requester.id))
        people = _known_as(request.requester) | _known_as(request.beneficiary)
        public, closed = await asyncio.gather(
            self.memory.quotes(asked, limit=LOOKED_THROUGH, audience=EVERYBODY, people=people),
            self._closed(request, asked, people),
        )
        named = tuple(replace(one, id=f"c{number}") for number, one in enumerate(closed.passages, 1))
        silent = (CHAT,) if public.unsure or closed.unsure else ()
        passages = documents_first(public.passages, documents=DOCUMENTS, chat=DISCUSSIONS)
        unsaid = self.chat_is_read and not (silent or any(one.chat for one in passages))
        return Evidence(passages=passages, closed=named, silent=silent, unsaid=unsaid)

    async def _standing(self, person: str) -> Standing | None:
        try:
            return await self.directory.standing(person, max_age=ROLE_AGE)
        except Fault:
            return None

    async def _closed(self, request: Request, asked: Sequence[str], people: frozenset[str]) -> Quotes:
        """What the channel alone may see; in doubt everybody reads along there."""
        try:
            audience = await self.audiences.of(self.audiences.channel_of(request), max_age=LOOKED_UP)
        except Fault:
            return Quotes(unsure=True)
        if audience == EVERYBODY:
            return Quotes()
        closed = audience - EVERYBODY
        found = await self.memory.quotes(asked, limit=LOOKED_THROUGH, audience=closed, people=people)
        others = [one for one in found.passages if not one.row.startswith(f"{DECISIONS}/")]  # the card has precedents
        return replace(found, passages=tuple(others[:CLOSED_SHOWN]))


def queries(request: Request, standing: Standing | None) -> list[str]:
    """The request as questions that a document may answer; `standing` is the requester's, if it could be read."""
    return [words for words in _queries(request, standing) if words]


def _queries(request: Request, standing: Standing | None) -> Iterator[str]:
    entitlement = request.entitlement
    yield f"who may have {entitlement.title} and who approves it"
    yield f"{entitlement.id} {entitlement.title} {entitlement.description}"
    yield " ".join([entitlement.action, *entitlement.params.values()])
    yield f"policy rule limit exception for {entitlement.sensitivity.value} access: {entitlement.title}"
    if standing is not None and (standing.title or standing.department):
        yield f"access of {standing.title} in {standing.department} to {entitlement.title}"
    yield one_line(request.justification, 300)


def _known_as(person: Person) -> frozenset[str]:
    """What a source may know an author by."""
    return frozenset(one for one in (person.id, person.email, person.name, person.slack_user) if one)

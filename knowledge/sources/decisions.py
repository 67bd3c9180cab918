"""Decided requests as documents: what was asked for, how it was decided, by whom and why, for whoever decides.

They are somebody's words and no policy, so nothing rests on them alone. Only the running bot knows them, and it reads
them anew every hour; whoever was erased is in none of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from bot.errors import Fault
from knowledge.sources import DECIDED, Document, Held, Skipped, Step
from knowledge.sources.escaping import literal
from knowledge.sources.registry import DecidedRequest, Ports, Settings, SourceKind
from knowledge.text import one_line

NAME = "decisions"
PORTION = 20

Decided = Callable[[], AsyncGenerator[DecidedRequest, None]]


class Decisions:
    """The latest decided requests, as a `FollowedSource` in which nothing is ever closed to anybody."""

    name = NAME

    def __init__(self, decided: Decided | None) -> None:
        self._decided = decided

    async def changes(self, held: Held) -> AsyncGenerator[Step, None]:
        """All of them, some at a time; what is not among them any more is gone."""
        if self._decided is None:
            yield Step(skipped=(Skipped(NAME, "only the running bot knows them; what it read is kept"),))
            return
        gone, some = set(held.documents), list[Document]()
        async with aclosing(self._decided()) as decided:
            async for one in decided:
                some.append(document_of(one))
                gone.discard(some[-1].id)
                if len(some) == PORTION:
                    yield Step(tuple(some))
                    some.clear()
        yield Step(tuple(some), tuple(sorted(gone)))

    async def again(self, document_id: str) -> Step:
        """Left to the next reading, which tells it without whoever was erased."""
        return Step()

    def place_of(self, document_id: str) -> str:
        """None: who reads a channel of responders is settled by its own membership."""
        return ""

    async def visibility_now(self, place: str) -> str:
        raise Fault(NAME, f"{place!r} is no place of ours", permanent=True)


def document_of(one: DecidedRequest) -> Document:
    """A request as one document, each value on a line of its own whatever is in it."""
    lines = {
        "Asked for": one.title,
        "Resource": one.resource,
        "Asked by": one.requester,
        "Decision": one.verdict,
        "Duration": f"{one.minutes} minutes",
        "Reason": one.reason,
    }
    return Document(
        id=f"{NAME}/{one.id}",
        title=f"{one.id}: {one_line(one.title, limit=120)}",
        text="\n\n".join(f"{name}: {literal(one_line(value, limit=600))}" for name, value in lines.items() if value),
        url=one.url,
        file=f"{NAME}/{one.id}",
        updated_at=one.at,
        visibility=one.visibility,
        kind=DECIDED,
        authors=one.people,
    )


def _open(_settings: Settings, ports: Ports) -> list[Decisions]:
    return [Decisions(ports.decided)]


async def _ping(_settings: Settings, _ports: Ports) -> str:
    return "read by the running bot, every hour"


DECISIONS = SourceKind(_open, ping=_ping)

"""When to kill: at random moments, and right before and right after every kind of outside call, each often enough."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from connectors.sandbox.world import Call

EDGES = ("before", "after")
RANDOM = "random"
ENOUGH = 5
AIMED, AIMED_WANTED = 0.5, 0.85  # of the lives; while some edge was not hit often enough
SOON, PATIENCE = 2.0, 10.0  # seconds of a life that ends at random, on average; and of one whose call does not come
EARLY = 0.3  # of those that end at random: while they start, as likely as not
CHOICES = 4
_ID = re.compile(r"/(?!v\d/)[^/?]*\d[^/?]*")
_LASTING = "slack GET /socket"


def kind_of(call: Call) -> str:
    """`okta PUT /groups/*/users/*`."""
    return f"{call.vendor} {_ID.sub('/*', call.route)}"


@dataclass(frozen=True, slots=True)
class Aim:
    """How a life of the program is to end: at the first of these edges of outside calls, or after so many seconds.

    The seconds count from when it is connected; those of an `early` end, from when it was started.
    """

    edges: frozenset[str]
    seconds: float
    early: bool = False


class Aims:
    """Chooses how each life ends: mostly at what was hit least often so far, of all that has been seen.

    `pace` below 1 lets all lives be shorter.
    """

    def __init__(self, hits: Mapping[str, int] | None = None, *, pace: float = 1.0) -> None:
        self.hits = Counter(hits or {})
        self._pace = pace

    def see(self, call: Call) -> None:
        """A kind of call that is made is one to aim at."""
        kind = kind_of(call)
        if kind != _LASTING:
            for edge in EDGES:
                self.hits[f"{edge} {kind}"] += 0

    def next(self, chance: random.Random, *, asks: str = "") -> Aim:
        """`asks` is the vendor that this process asks, if it is one alone."""
        edges = sorted(edge for edge in set(self.hits) - {RANDOM} if asks in edge and self._is_wanted_more(edge))
        rarest = sorted(edges, key=lambda edge: (self.hits[edge], chance.random()))[:CHOICES]
        wanted = rarest and self.hits[rarest[0]] < ENOUGH
        if not rarest or chance.random() > (AIMED_WANTED if wanted else AIMED):
            return Aim(frozenset(), chance.expovariate(1 / SOON) * self._pace, early=chance.random() < EARLY)
        return Aim(frozenset(rarest), PATIENCE * self._pace)

    def _is_wanted_more(self, edge: str) -> bool:
        """Whether the other edge of the same kind of call was not hit less: before comes before after, every time."""
        when, kind = edge.split(" ", 1)
        return all(self.hits[f"{other} {kind}"] >= self.hits[edge] for other in EDGES if other != when)

    def hit(self, what: str) -> None:
        self.hits[what] += 1

    @property
    def fewest(self) -> int:
        """How often the least hit edge of any kind of call was hit."""
        return min((count for hit, count in self.hits.items() if hit != RANDOM), default=0)

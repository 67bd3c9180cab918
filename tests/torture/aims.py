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
AIMED = 0.65
SOON, PATIENCE = 1.2, 8.0  # seconds of a life that ends at random, on average; and of one whose call does not come
CHOICES = 4
_ID = re.compile(r"/(?!v\d/)[^/?]*\d[^/?]*")
_LASTING = "slack GET /socket"


def kind_of(call: Call) -> str:
    """`okta PUT /groups/*/users/*`."""
    return f"{call.vendor} {_ID.sub('/*', call.route)}"


@dataclass(frozen=True, slots=True)
class Aim:
    """How a life of the program is to end: at the first of these edges of outside calls, or after so many seconds."""

    edges: frozenset[str]
    seconds: float


class Aims:
    """Chooses how each life ends: mostly at what was not hit often enough yet, of all that has been seen."""

    def __init__(self, hits: Mapping[str, int] | None = None) -> None:
        self.hits = Counter(hits or {})

    def see(self, call: Call) -> None:
        """A kind of call that is made is one to aim at."""
        kind = kind_of(call)
        if kind != _LASTING:
            for edge in EDGES:
                self.hits[f"{edge} {kind}"] += 0

    def next(self, chance: random.Random) -> Aim:
        edges = sorted(set(self.hits) - {RANDOM})
        wanting = [edge for edge in edges if self.hits[edge] < ENOUGH] or edges
        if not wanting or chance.random() > AIMED:
            return Aim(frozenset(), chance.expovariate(1 / SOON))
        return Aim(frozenset(chance.sample(wanting, min(CHOICES, len(wanting)))), PATIENCE)

    def hit(self, what: str) -> None:
        self.hits[what] += 1

    @property
    def fewest(self) -> int:
        """How often the least hit edge of any kind of call was hit."""
        return min((count for hit, count in self.hits.items() if hit != RANDOM), default=0)

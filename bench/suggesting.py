"""Suggested access on labelled needs: how often the right thing, how often something where nothing fits."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure
from bench.needs import CHOOSING, HELD_BACK
from bot.core.request import Entitlement
from bot.suggesting import about, narrowest
from knowledge.embed import Embedder, Wanted, build
from policies.load import load

Need = tuple[str, str]
ASKERS = ({"everyone", "engineering", "finance", "contractors"}, {"everyone", "engineering"}, {"everyone", "finance"})
POLICIES = Path(__file__).parent.parent / "policies"


@dataclass(frozen=True, slots=True)
class Score:
    """Of needs that something fits: what was suggested rightly, wrongly; of the others: what was suggested at all."""

    right: int
    wrong: int
    fitting: int
    needless: int
    others: int

    def __str__(self) -> str:
        return (
            f"right {self.right} of {self.fitting}, wrong {self.wrong}; "
            f"where nothing fits, something was suggested {self.needless} times of {self.others}"
        )


def score(needs: Sequence[Need], catalogue: Mapping[str, Entitlement], embedder: Embedder | None) -> Score:
    """What is suggested to somebody in every group, in engineering and in finance; who may not ask fits nothing."""
    told = []
    for groups in ASKERS:
        askable = {id: one for id, one in catalogue.items() if not one.requestable_by.isdisjoint(groups)}
        told += [(wanted * (wanted in askable), suggested(text, askable, embedder)) for text, wanted in needs]
    fitting = [(wanted, found) for wanted, found in told if wanted]
    others = [found for wanted, found in told if not wanted]
    return Score(
        right=sum(wanted == found for wanted, found in fitting),
        wrong=sum(found not in ("", wanted) for wanted, found in fitting),
        fitting=len(fitting),
        needless=sum(bool(found) for found in others),
        others=len(others),
    )


def suggested(text: str, catalogue: Mapping[str, Entitlement], embedder: Embedder | None) -> str:
    """The entitlement's id; empty when nothing is suggested."""
    askable = list(catalogue.values())
    found = narrowest(text, askable, _alike(text, askable, embedder))
    return found.entitlement.id if found else ""


def _alike(text: str, askable: Sequence[Entitlement], embedder: Embedder | None) -> list[float]:
    if embedder is None:
        return [0.0] * len(askable)
    query, *known = embedder.embed([text, *map(about, askable)])
    return [float(query @ one) for one in known]


def suggesting() -> Figure:
    """The share of held-back needs that got the right answer, nothing being right where nothing fits."""
    catalogue = load(POLICIES).entitlements
    with tempfile.TemporaryDirectory() as cache:
        embedder = build(Wanted("local"), Path(cache))
        halves = [score(half, catalogue, embedder) for half in (CHOOSING, HELD_BACK)]
        by_words = score(HELD_BACK, catalogue, None)
    held = halves[1]
    share = (held.right + held.others - held.needless) / (held.fitting + held.others) * 100
    return Figure(
        "suggesting",
        100.0,
        f"the right suggestion for {len(HELD_BACK)} held-back needs of {len(ASKERS)} askers, none where nothing fits",
        [share],
        unit="%",
        notes=(f"chosen on: {halves[0]}", f"held back: {held}", f"held back, by words alone: {by_words}"),
    )

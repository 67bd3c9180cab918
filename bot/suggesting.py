"""A need in plain words, and the narrowest thing that fits it: of what this person may ask for, and nothing more."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

from bot.core.question import Suggestion
from bot.core.request import Entitlement, Sensitivity, Standing
from policies.rules import may_ask

Likeness = Callable[[str, Sequence[str]], Awaitable[Sequence[float]]]
"""How alike in meaning a text is to each of some others, from -1 to 1; empty when nobody can tell."""

NARROWEST = list(Sensitivity)  # lowest first
CLOSE = 0.75  # of the best score
ENOUGH_WORDS, ENOUGH_MEANING = 2, 0.5
_WORD = re.compile(r"[^\W_]{3,}")
_HEAD = re.compile(r"[,:;(\u2013\u2014]| - ")  # what follows tells one production access from another
_COMMON = re.compile(
    r"(?:access|allow|and|any|approv|are|ask|because|can|could|does|for|from|get|have|how|just|look|may|must|need|now|our"
    r"|ple|request|should|some|that|the|this|use|want|what|when|where|which|who|whom|why|will|with|would|you)\w{0,3}"
)


async def suggest(
    need: str, standing: Standing, entitlements: Mapping[str, Entitlement], likeness: Likeness
) -> Suggestion | None:
    """The narrowest entitlement that fits a need and that the person may ask for; None when that is not clear."""
    askable = [one for one in entitlements.values() if may_ask(one, standing)]
    if not askable:
        return None
    alike = await likeness(need, [about(one) for one in askable]) or [0.0] * len(askable)
    return narrowest(need, askable, alike)


def narrowest(need: str, askable: Sequence[Entitlement], alike: Sequence[float]) -> Suggestion | None:
    """By shared words, rare ones counting more, and by likeness where words tell nothing; of the close the least."""
    wanted = dict.fromkeys(_stems(need))
    known = [set(_stems(about(one))) for one in askable]
    shared = [[stem for stem in wanted if _is_in(stem, stems)] for stems in known]
    told = {n: _weight(found, known) for n, found in enumerate(shared) if _is_told(askable[n], found)}
    scores = told or {n: like for n, like in enumerate(alike) if like >= ENOUGH_MEANING}
    close = [n for n, score in scores.items() if score >= CLOSE * max(scores.values())]
    if not close:
        return None
    chosen = min(close, key=lambda n: (NARROWEST.index(askable[n].sensitivity), askable[n].max_minutes, -scores[n]))
    return Suggestion(askable[chosen], _why(need, shared[chosen], several=len(close) > 1))


def about(entitlement: Entitlement) -> str:
    return f"{entitlement.title}. {entitlement.description}"


def _is_told(entitlement: Entitlement, shared: Sequence[str]) -> bool:
    """Named by what its title begins with, or told by enough words."""
    name = set(_stems(_HEAD.split(entitlement.title, maxsplit=1)[0]))
    return len(shared) >= ENOUGH_WORDS or any(_is_in(stem, name) for stem in shared)


def _weight(shared: Sequence[str], known: Sequence[set[str]]) -> float:
    """A word that everything knows tells nothing; one that a single title knows tells much."""
    told = [sum(_is_in(stem, stems) for stems in known) for stem in shared]
    return sum(math.log(1 + len(known) / by) for by in told) / 4


def _stems(text: str) -> list[str]:
    words = [word for word in _WORD.findall(text.casefold()) if not _COMMON.fullmatch(word)]
    return [_stem(word) for word in words]


def _stem(word: str) -> str:
    for ending in ("ing", "ies", "es", "s", "ed", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _is_in(stem: str, stems: set[str]) -> bool:
    """The word itself, or a longer one that it shortens, such as prod."""
    return stem in stems or (len(stem) >= 4 and any(other.startswith(stem) for other in stems))


def _why(need: str, shared: Sequence[str], *, several: bool) -> str:
    words = [word for word in _WORD.findall(need.casefold()) if _stem(word) in shared]
    named = ", ".join(f"“{word}”" for word in dict.fromkeys(words[:4]))
    fits = f"it fits {named}" if named else "it is nearest to what you wrote"
    return f"{fits}; of several that do it gives the least" if several else fits

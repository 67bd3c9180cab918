"""Which earlier requests a request is like: the same entitlement first, then the same kind of action, place and words.

Words are compared by BM25 (Robertson and Zaragoza, 2009) over titles and justifications; both are short, so that
counting them here is cheaper than an index that would have to forget what is erased.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

K1, B = 1.2, 0.75
SAME_DEPARTMENT = 0.3  # of the score of whoever shares the most words
_WORD = re.compile(r"[^\W_]{2,}")
_STOP = re.compile("an|and|are|as|at|be|by|for|from|have|in|is|it|my|need|of|on|or|our|that|the|this|to|was|we|with")


@dataclass(frozen=True, slots=True)
class Sketch:
    """As much of a request as likeness needs. `text` is empty when its words were erased."""

    request_id: str
    entitlement: str
    title: str
    action: str
    channel: str | None
    department: str
    text: str


def most_alike(asked: Sketch, earlier: Sequence[Sketch], *, limit: int) -> list[Sketch]:
    """The best first; `earlier` comes newest first, which decides between equals.

    What is decided in another channel is not told here, and what shares neither entitlement nor kind of action and a
    word is not alike.
    """
    here = [one for one in earlier if one.channel == asked.channel]
    words = bm25(_words(asked), [_words(one) for one in here])
    most = max(words, default=0.0) or 1.0
    ranked = [
        (one.entitlement == asked.entitlement, score / most + SAME_DEPARTMENT * _same_department(one, asked), one)
        for one, score in zip(here, words, strict=True)
        if one.entitlement == asked.entitlement or (one.action == asked.action and score > 0)
    ]
    ranked.sort(key=lambda found: found[:2], reverse=True)
    return [one for _, _, one in ranked[:limit]]


def bm25(query: Sequence[str], documents: Sequence[Sequence[str]]) -> list[float]:
    """How well each document answers the query; zero when they share no word."""
    counts = [Counter(document) for document in documents]
    held = Counter(word for count in counts for word in count)
    usual = sum(map(len, documents)) / len(documents) if documents else 0.0
    rarity = {word: math.log(1 + (len(counts) - held[word] + 0.5) / (held[word] + 0.5)) for word in set(query)}
    return [sum(rarity[word] * _weight(count, word, usual) for word in rarity) for count in counts]


def _weight(count: Counter[str], word: str, usual: float) -> float:
    """How much a word counts in a document: more often is more, in a long one it is less."""
    times = count[word]
    return times * (K1 + 1) / (times + K1 * (1 - B + B * count.total() / usual)) if times else 0.0


def _words(one: Sketch) -> list[str]:
    text = f"{one.entitlement} {one.title} {one.text}".casefold()
    return [word for word in _WORD.findall(text) if not _STOP.fullmatch(word)]


def _same_department(one: Sketch, asked: Sketch) -> bool:
    return asked.department != "" and one.department == asked.department

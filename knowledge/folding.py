"""Near duplicates folded: of a page and its earlier self or its copy, the newest stays.

Two passages are taken for the same only under the same name (a year, "old" or "copy" in it aside) and heading, and
with mostly the same words in the same order: the runbooks of two services are alike, and not the same.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

from knowledge.catalogue import Row
from knowledge.sources import DOCUMENT

_ALIKE = 0.5  # of all runs of three words that either has, how many both have
_RUN = 3
_WORD = re.compile(r"\w+")
_VERSION = re.compile(r"\b(?:(?:19|20)\d\d|old|copy|draft|archived?|deprecated|superseded)\b|[\W_]+")
_NEVER = datetime.min.replace(tzinfo=UTC)


def fold(rows: Iterable[Row]) -> list[Row]:
    """The rows in order, of near duplicates only the newest, where the first of them stood. Chat is never folded."""
    kept: list[Row] = []
    places: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows:
        alike = places[_name(row)]
        twin = next((n for n in alike if _is_same(kept[n], row)), None)
        if twin is None:
            alike.append(len(kept))
            kept.append(row)
        elif _age(row) > _age(kept[twin]):
            kept[twin] = row
    return kept


def _name(row: Row) -> tuple[str, str]:
    """Title and heading, without what tells versions apart."""
    title, heading = (" ".join(_VERSION.sub(" ", name.casefold()).split()) for name in (row.title, row.heading))
    return title, heading


def _is_same(one: Row, other: Row) -> bool:
    """Whether two passages of one name are versions of one."""
    if one.doc_id == other.doc_id or {one.kind, other.kind} != {DOCUMENT}:
        return False
    ours, theirs = _runs(one.text), _runs(other.text)
    return len(ours & theirs) >= _ALIKE * len(ours | theirs)


def _runs(text: str) -> frozenset[tuple[str, ...]]:
    """Every three words that follow one another; a shorter text is one run."""
    words = _WORD.findall(text.casefold())
    return frozenset(tuple(words[n : n + _RUN]) for n in range(max(1, len(words) - _RUN + 1)))


def _age(row: Row) -> datetime:
    return row.updated_at or _NEVER

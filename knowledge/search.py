"""Hybrid search: words (BM25) and meaning (vectors) ranked apart and fused, over several queries at once.

Reciprocal rank fusion (Cormack et al., SIGIR 2009) with k 20 and vectors weighted three to one: with equal weights
the word list only dilutes paraphrased questions. The fused score ranks; it says nothing about relevance, cosine does.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from knowledge.catalogue import Catalogue, Row
from knowledge.sources import EVERYBODY, Author
from knowledge.text import one_line
from knowledge.vectors import VectorIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_DEPTH = 50  # how far down each list is read
_RRF_K = 20
_WORDS_WEIGHT, _MEANING_WEIGHT = 1.0, 3.0
_PER_DOCUMENT = 2
_MAX_QUERIES, _MAX_CHARACTERS, _MAX_WORDS = 8, 1000, 48
_WORD = re.compile(r"[^\W_]+(?:[-_.:/@][^\W_]+)*")
_STOP = re.compile(
    r"(?i:a|an|and|are|as|at|be|by|can|do|does|for|from|get|has|have|how|i|if|in|into|is|it|may|me|my|need|needs|not|of"
    r"|on|or|our|please|should|so|that|the|their|there|this|to|us|want|was|we|what|when|where|which|who|why|will|with"
    r"|would|you|your)"
)


@dataclass(frozen=True, slots=True)
class Result:
    """A passage that was found. `score` is the fused rank score, `cosine` its best likeness to a query, if known."""

    id: str
    text: str
    title: str
    heading: str
    url: str
    file: str
    updated_at: datetime | None
    visibility: str
    kind: str
    authors: tuple[Author, ...]
    score: float
    cosine: float | None


@dataclass(frozen=True, slots=True)
class Meaning:
    """The queries' vectors and where to look them up: the index to search and the space it is in."""

    index: VectorIndex
    fingerprint: str
    vectors: Vectors


def tidy(queries: Iterable[str]) -> list[str]:
    """The queries cleaned, cut to a sane length, without empty and repeated ones."""
    lines = (one_line(query, limit=_MAX_CHARACTERS) for query in queries)
    return list(dict.fromkeys(line for line in lines if line))[:_MAX_QUERIES]


def match_expression(query: str) -> str:
    """The query as an FTS5 expression: any of its content words, each quoted, so that nothing in it is syntax."""
    words = [word for word in _WORD.findall(query) if len(word) < 100]
    content = [word for word in words if not _STOP.fullmatch(word)] or words
    return " OR ".join(f'"{word}"' for word in dict.fromkeys(content[:_MAX_WORDS]))


def fuse(rankings: Iterable[tuple[float, Sequence[str]]]) -> dict[str, float]:
    """Weighted reciprocal ranks added up, best first; equal scores in order of id."""
    scores: defaultdict[str, float] = defaultdict(float)
    for weight, ids in rankings:
        for rank, name in enumerate(ids, 1):
            scores[name] += weight / (_RRF_K + rank)
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


def search(
    catalogue: Catalogue, queries: Sequence[str], k: int, meaning: Meaning | None, audience: frozenset[str] = EVERYBODY
) -> list[Result]:
    """The `k` best passages for any of the (tidy) queries, as an audience may see them; by words alone, or by both."""
    words = [expression for query in queries if (expression := match_expression(query))]
    rankings = [(_WORDS_WEIGHT, catalogue.bm25(expression, _DEPTH, audience)) for expression in words]
    if meaning:
        rankings += [(_MEANING_WEIGHT, ids) for ids in meaning.index.nearest(meaning.vectors, _DEPTH, audience)]
    scores = fuse(rankings)
    seen = catalogue.rows(list(scores), audience)  # the one place that says who may see what, whichever index found it
    rows = _spread([seen[name] for name in scores if name in seen])[:k]
    cosines = _cosines(catalogue, rows, meaning)
    return [_result(row, scores[row.id], cosines.get(row.text_hash)) for row in rows]


def _spread(rows: Iterable[Row]) -> list[Row]:
    """No more than two passages of one document."""
    taken: Counter[str] = Counter()
    kept = []
    for row in rows:
        taken[row.doc_id] += 1
        if taken[row.doc_id] <= _PER_DOCUMENT:
            kept.append(row)
    return kept


def _cosines(catalogue: Catalogue, rows: Sequence[Row], meaning: Meaning | None) -> dict[str, float]:
    if meaning is None:
        return {}
    cached = catalogue.vectors(meaning.fingerprint, [row.text_hash for row in rows])
    return {name: float((meaning.vectors @ vector).max()) for name, vector in cached.items()}


def _result(row: Row, score: float, cosine: float | None) -> Result:
    return Result(
        id=row.id,
        text=row.text,
        title=row.title,
        heading=row.heading,
        url=_address(row),
        file=row.file,
        updated_at=row.updated_at,
        visibility=row.visibility,
        kind=row.kind,
        authors=row.authors,
        score=score,
        cosine=cosine,
    )


def _address(row: Row) -> str:
    """The document's address, at the passage's heading where that can be said."""
    is_page = row.url.startswith(("http://", "https://")) and "#" not in row.url
    return f"{row.url}#{row.anchor}" if is_page and row.anchor else row.url

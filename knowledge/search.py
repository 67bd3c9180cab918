"""Hybrid search: words (BM25) and meaning (vectors), over several queries at once.

For one query a passage counts as close as it comes in meaning, plus a tenth for the best of the words' list and less
for those below it: words tell apart what is as close, and a rare name wins by itself, while they no longer drown a
question that is put in other words. Lists of several queries are fused by reciprocal rank (Cormack et al., SIGIR
2009) with k 20; the fused score ranks and says nothing about relevance. docs/knowledge.md says what was measured.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from knowledge.catalogue import Catalogue, Row
from knowledge.closeness import Likeness, likeness
from knowledge.folding import fold
from knowledge.sources import EVERYBODY, Author
from knowledge.text import one_line
from knowledge.vectors import VectorIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_DEPTH = 50  # how far down each list is read
_RRF_K = 20
_WORDS = 0.1  # what the best passage by words gains in closeness
_UNKNOWN = 0.2  # what a question loses in support when none of its words stands anywhere
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
    """A passage that was found. `score` is the fused rank score, `cosine` its best likeness to a query, if known.

    `support` is its closeness to a query less what is unknown of that query: how far it may be taken for an answer.
    """

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
    support: float | None


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
    return " OR ".join(_quoted(query))


def _quoted(query: str) -> list[str]:
    """Its content words, each as an FTS5 expression; the words there are when all of them are filler."""
    words = [word for word in _WORD.findall(query) if len(word) < 100]
    content = [word for word in words if not _STOP.fullmatch(word)] or words
    return [f'"{word}"' for word in dict.fromkeys(content[:_MAX_WORDS])]


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
    by_words = [catalogue.bm25(match_expression(query), _DEPTH, audience) for query in queries]
    seen = catalogue.rows(list(dict.fromkeys(name for found in by_words for name in found)), audience)
    seen |= _nearest(catalogue, meaning, audience) if meaning else {}
    like = _likeness(catalogue, seen.values(), meaning)
    scores = fuse((1.0, _ranked(seen.values(), found, like, query)) for query, found in enumerate(by_words))
    rows = _spread(fold(seen[name] for name in scores))[:k]
    known_by = audience | EVERYBODY  # who is asked apart from everybody reads what everybody reads
    unknown = [_unknown(catalogue, query, known_by) for query in queries] if rows and like else []
    return [_result(row, scores[row.id], like.get(row.text_hash), unknown) for row in rows]


def _nearest(catalogue: Catalogue, meaning: Meaning, audience: frozenset[str]) -> dict[str, Row]:
    """The passages nearest to each query; further down where most of them are of sources that are not chosen."""
    depth = _DEPTH
    while True:
        found = meaning.index.nearest(meaning.vectors, depth, audience)
        rows = catalogue.rows(list(dict.fromkeys(name for one in found for name in one)), audience)
        if all(len(one) < depth or 2 * len(rows.keys() & set(one)) >= _DEPTH for one in found):
            return rows
        depth *= 4


def _likeness(catalogue: Catalogue, rows: Iterable[Row], meaning: Meaning | None) -> dict[str, Likeness]:
    if meaning is None:
        return {}
    return likeness(meaning.vectors, catalogue.embeddings.looks(meaning.fingerprint, [row.text_hash for row in rows]))


def _ranked(rows: Iterable[Row], by_words: Mapping[str, float], like: Mapping[str, Likeness], query: int) -> list[str]:
    """The passages for one query, best first. One without a vector yet counts as close as the others on average."""
    close = {name: float(one.closeness[query]) for name, one in like.items()}
    usual = sum(close.values()) / len(close) if close else 0.0
    best = max(by_words.values(), default=1.0)
    scores = {row.id: close.get(row.text_hash, usual) + _WORDS * by_words.get(row.id, 0.0) / best for row in rows}
    return sorted(scores, key=lambda name: (-scores[name], name))


def _unknown(catalogue: Catalogue, query: str, audience: frozenset[str]) -> float:
    """The share of the query's words that stand nowhere in what this audience may see."""
    words = _quoted(query)
    return sum(not catalogue.knows(word, audience) for word in words) / len(words) if words else 0.0


def _spread(rows: Iterable[Row]) -> list[Row]:
    """No more than two passages of one document."""
    taken: Counter[str] = Counter()
    kept = []
    for row in rows:
        taken[row.doc_id] += 1
        if taken[row.doc_id] <= _PER_DOCUMENT:
            kept.append(row)
    return kept


def _result(row: Row, score: float, like: Likeness | None, unknown: Sequence[float]) -> Result:
    support = (
        [float(close) - _UNKNOWN * lack for close, lack in zip(like.closeness, unknown, strict=True)] if like else []
    )
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
        cosine=float(like.cosines.max()) if like else None,
        support=max(support, default=None),
    )


def _address(row: Row) -> str:
    """The document's address, at the passage's heading where that can be said."""
    is_page = row.url.startswith(("http://", "https://")) and "#" not in row.url
    return f"{row.url}#{row.anchor}" if is_page and row.anchor else row.url

"""The part of a long passage that says most about what is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from bot.core.request import Entitlement, Evidence, Request

_WORD = re.compile(r"\w[\w-]*")
_CELLS = " | "  # between the cells of a table's row
_NAMED, _MENTIONED = 3, 1
_SMALL = 3


def cut(request: Request, limit: int) -> Evidence | None:
    """The evidence of a request, each passage from where it speaks of what is asked for."""
    evidence, about = request.evidence, words_of(request.entitlement)
    if evidence is None:
        return None
    passages, closed = (
        tuple(replace(one, text=excerpt(one.text, about, limit)) for one in kind)
        for kind in (evidence.passages, evidence.closed)
    )
    return replace(evidence, passages=passages, closed=closed)


def words_of(entitlement: Entitlement) -> dict[str, int]:
    """What tells that a line is about an entitlement, and how surely: its own names more than its title's words."""
    names = {entitlement.id.casefold(), *(value.casefold() for value in entitlement.params.values())}
    return dict.fromkeys(_words(entitlement.title), _MENTIONED) | dict.fromkeys(names, _NAMED)


def words_asked(question: str) -> dict[str, int]:
    """What tells that a line is about a question: its words, but for the small ones that every line has."""
    return {word: _MENTIONED for word in _words(question) if len(word) > _SMALL}


def excerpt(text: str, about: Mapping[str, int], limit: int) -> str:
    """A text (a block a line) from the line on that holds most of these words; a table's row keeps its heads."""
    lines = text.splitlines()
    if len(text) <= limit or not lines:
        return text
    best = max(range(len(lines)), key=lambda n: (_weight(lines[n], about), -n))
    if best == 0 or not _weight(lines[best], about):
        return text
    return "\n".join([*_heads(lines, best), f"… {lines[best]}", *lines[best + 1 :]])


def in_a_row(text: str) -> str:
    """A text on one line that tells its blocks apart: headings, rows of a table, who said what."""
    return " · ".join(line for line in text.splitlines() if line.strip())


def _weight(line: str, about: Mapping[str, int]) -> int:
    return sum(about.get(word, 0) for word in _words(line))


def _heads(lines: list[str], row: int) -> list[str]:
    """The first row of the table in which a line stands."""
    first = row
    while first > 0 and _CELLS in lines[first] and _CELLS in lines[first - 1]:
        first -= 1
    return [lines[first]] if first < row else []


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))

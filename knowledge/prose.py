"""A passage as people read it: Markdown's marks taken out, its words kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.token import Token


@lru_cache(maxsize=512)  # the same few passages are shown again and again
def prose(markdown: str) -> str:
    """The words of a piece of Markdown, one block a line. Link targets are left out: a passage has its own address."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(markdown)
    return "\n".join(line for line in _lines(tokens) if line)


def _lines(tokens: Sequence[Token]) -> Iterator[str]:
    """A block a line; the cells of a table's row stay together, told apart by a bar."""
    row: list[str] | None = None
    for token in tokens:
        if token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row is not None:
            yield " | ".join(row)
            row = None
        elif row is not None and token.type == "inline":
            row.append(_words(token).strip())
        else:
            yield _words(token).strip()


def _words(token: Token) -> str:
    if token.type in ("fence", "code_block"):
        return token.content
    return "".join(_pieces(token)) if token.type == "inline" else ""


def _pieces(token: Token) -> Iterator[str]:
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            yield " "
        elif child.type in ("text", "code_inline", "image"):
            yield child.content

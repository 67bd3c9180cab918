"""A passage as people read it: Markdown's marks taken out, its words kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.token import Token


def prose(markdown: str) -> str:
    """The words of a piece of Markdown, one block a line. Link targets are left out: a passage has its own address."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(markdown)
    return "\n".join(line for token in tokens if (line := _words(token).strip()))


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

"""Outside text as Markdown that shows just that text."""

from __future__ import annotations

import re

_INLINE = re.compile(r"[*`\[\]]|\\(?=[!-/:-@\[-`{-~\n]|\Z)|(?<![^\W_])_|_(?![^\W_])|~(?=~)")
_BLOCK = re.compile(r"(?m)^(\s{0,3})(#{1,6}(?=\s|$)|[-+](?=\s|$)|=+\s*$|-{2,}|>|~{3,}|\||\d{1,9}(?=[.)](?:\s|$)))")
_NUMBER = re.compile(r"\d{1,9}")


def literal(text: str) -> str:
    """`text` with its marks made harmless within a line, whatever stands beside it.

    Nothing in it begins a tag, a comment or an entity.
    """
    entities = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _INLINE.sub(lambda mark: f"\\{mark[0]}", entities)


def literal_lines(text: str) -> str:
    """The same for whole lines: none begins a heading, a list, a table or a rule either."""
    return _BLOCK.sub(lambda mark: f"{mark[1]}{_held(mark[2])}", literal(text))


def literal_cell(text: str) -> str:
    """The same for a cell of a table."""
    return literal(text).replace("|", "\\|")


def _held(mark: str) -> str:
    return f"{mark}\\" if _NUMBER.fullmatch(mark) else f"\\{mark}"

"""Outside text made harmless to show and to index: no control, zero-width or direction-changing characters."""

from __future__ import annotations

import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def clean(text: str) -> str:
    """`text` in NFC with `\\n` line ends, tabs as spaces, and every character that cannot be seen taken out.

    Format characters (Cf) hold the zero-width and bidirectional ones that can hide words from a reader.
    """
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    if lines.isascii() and lines.replace("\n", "").isprintable():
        return lines
    return "".join(c for c in lines if c == "\n" or unicodedata.category(c) not in _UNSEEN)


def one_line(text: str, *, limit: int) -> str:
    """`text` cleaned, on one line, no longer than `limit` characters; an ellipsis says that it went on."""
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"

"""Confluence's storage format as Markdown: headings, lists, tables, code and panels; what a macro computes is left out.

The format is XHTML with elements of Confluence's own (`ac:`, `ri:`). It is read as text that may be broken or hostile:
the words that people see stay words, and nothing of them becomes a mark, a link or a tag.
"""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import quote

from knowledge.sources.escaping import literal_cell, literal_lines
from knowledge.sources.seen import Colours, hides, style_of
from knowledge.text import clean

MOST_OF_AN_ANCHOR = 300
_CDATA = re.compile(r"<!\[CDATA\[(.*?)(?:\]\]>|\Z)", re.DOTALL)
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_UNSEEN = frozenset(
    ["ac:parameter", "ac:placeholder", "ac:task-id", "ac:task-uuid", "ac:task-status", "script", "style"]
)
_MACROS = frozenset(["ac:structured-macro", "ac:rich-text-body", "ac:task", "ac:layout-cell"])
_BLOCKS = frozenset(["p", "div", "blockquote", "table", "br", "hr"]) | _MACROS
_EMPTY = frozenset(["br", "hr", "img", "col", "input", "wbr", "meta", "link"])


def markdown_of_storage(source: str) -> str:
    """The words of a page, as Markdown."""
    reader = _Reader()
    reader.feed(_CDATA.sub(lambda found: _code_as_text(found[1]), source))
    reader.close()
    reader.end_block()
    return clean("\n\n".join(block for block in reader.blocks if block.strip()))


def _code_as_text(code: str) -> str:
    return code.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _Element(NamedTuple):
    """One that is open: whether it hides what is in it, and the colours in it."""

    tag: str
    hidden: bool
    colours: Colours


class _Reader(HTMLParser):
    """Blocks of Markdown, collected while the elements pass by. Depth costs nothing: only counters nest."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = []
        self._words: list[str] = []
        self._mark = ""
        self._lists: list[str] = []
        self._row: list[str] | None = None
        self._rows: list[list[str]] = []
        self._open = [_Element("", hidden=False, colours=Colours())]
        self._tags: Counter[str] = Counter()
        self._headings: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = self._element(tag, dict(attrs))
        if tag not in _EMPTY:
            self._open.append(element)
            self._tags[tag] += 1
        if element.hidden:
            return
        if self._row is not None and tag in ("td", "th"):
            self._words.clear()
        elif tag in ("ac:plain-text-body", "pre", "td", "th"):
            self.end_block()
        elif tag == "tr":
            self._row = []
        elif tag in _BLOCKS:
            self._pause()
        else:
            self._begin_marked(tag)

    def _begin_marked(self, tag: str) -> None:
        """Headings and the items of lists."""
        if tag in ("ul", "ol"):
            self.end_block()
            self._lists.append("- " if tag == "ul" else "1. ")
        elif tag in _HEADINGS:
            self.end_block()
            self._mark = f"{_HEADINGS[tag]} "
        elif tag == "li":
            self.end_block()
            self._mark = f"{'  ' * min(len(self._lists) - 1, 5)}{self._lists[-1] if self._lists else '- '}"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element without content hides nothing behind it."""
        if tag in _BLOCKS and not self._open[-1].hidden:
            self._pause()

    def handle_endtag(self, tag: str) -> None:
        hidden = self._open[-1].hidden
        self._close(tag)
        if hidden:
            return
        if tag in ("ac:plain-text-body", "pre"):
            self._end_code()
        elif self._row is not None and tag in ("td", "th", "tr"):
            self._end_of_row(self._row, tag)
        elif tag == "table":
            self._end_table()
        elif tag in _HEADINGS or tag in _BLOCKS or tag in ("li", "ul", "ol"):
            self._pause()
            del self._lists[len(self._lists) - (tag in ("ul", "ol")) :]

    def _element(self, tag: str, attrs: dict[str, str | None]) -> _Element:
        around, style = self._open[-1], style_of(attrs.get("style") or "")
        colours = around.colours.within(attrs, style)
        hidden = around.hidden or tag in _UNSEEN or "hidden" in attrs or hides(style) or colours.are_equal
        return _Element(tag, hidden, colours)

    def _close(self, tag: str) -> None:
        """The end of an element closes what was left open in it; one that never began closes nothing."""
        while self._tags[tag]:
            closed = self._open.pop().tag
            self._tags[closed] -= 1
            if closed == tag:
                return

    def _end_of_row(self, row: list[str], tag: str) -> None:
        if tag == "tr":
            self._rows.append(row)
            self._row = None
        else:
            row.append(literal_cell(self._taken()))

    def handle_data(self, data: str) -> None:
        if not self._open[-1].hidden:
            self._words.append(data)

    def end_block(self) -> None:
        """What was collected becomes a block of its own; inside a table's cell it stays the cell's."""
        if self._row is not None:
            self._words.append(" ")
            return
        words, mark, self._mark = self._taken(), self._mark, ""
        if words:
            anchor = self._anchor(words) if mark.startswith("#") else ""
            self.blocks.append(f"{mark}{literal_lines(words)}{anchor}")

    def _anchor(self, heading: str) -> str:
        """The fragment that Confluence Cloud gives a heading: blanks as hyphens, the second of its kind with `.1`."""
        base = re.sub(r"\s", "-", heading)
        times, self._headings[base] = self._headings[base], self._headings[base] + 1
        fragment = quote(f"{base}.{times}" if times else base, safe="")
        return f" {{#{fragment}}}" if len(fragment) <= MOST_OF_AN_ANCHOR else ""

    def _pause(self) -> None:
        """A block's edge. The first paragraph of a list's item still belongs to its mark."""
        if "".join(self._words).strip():
            self.end_block()

    def _taken(self) -> str:
        words = " ".join(clean("".join(self._words)).split())
        self._words.clear()
        return words

    def _end_code(self) -> None:
        code = clean("".join(self._words)).strip("\n")
        self._words.clear()
        if code.strip():
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", code)), default=0))
            self.blocks.append(f"{fence}\n{code}\n{fence}")

    def _end_table(self) -> None:
        rows, self._rows, self._row = self._rows, [], None
        if not rows:
            return
        width = min(max(map(len, rows)), 50)
        lines = [" | ".join([*row, *[""] * width][:width]) for row in rows]
        self.blocks.append("\n".join(f"| {line} |" for line in [lines[0], " | ".join(["---"] * width), *lines[1:]]))

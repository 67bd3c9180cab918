"""HTML as Markdown: headings with their anchors, lists, tables, code. What nobody can see on the page is left out.

Runs on hostile input: the tree is walked without recursion, so its depth does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from knowledge.sources.escaping import literal, literal_cell, literal_lines
from knowledge.sources.seen import Colours, hides, style_of
from knowledge.text import clean, one_line

if TYPE_CHECKING:
    from justhtml import JustHTML

MAX_ROWS, MAX_CELLS, MAX_RULES = 5000, 50, 300
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_NAMES_UNSEEN = (
    "script style template head noscript iframe object svg math canvas audio video select textarea input button nav "
    "img map datalist dialog"
)
_NAMES_INLINE = (
    "a abbr b bdi bdo big cite code data del dfn em font i ins kbd label mark q s samp small span strike strong sub "
    "sup time tt u var wbr"
)
_UNSEEN, _INLINE = frozenset(_NAMES_UNSEEN.split()), frozenset(_NAMES_INLINE.split())
_ANCHOR = re.compile(r"[\w.:\-]{1,100}")
_RULE = re.compile(r"([^{}@;]{1,500})\{([^{}]{0,2000})\}")


@dataclass(frozen=True, slots=True)
class Page:
    """A converted document. `title` is what it says of itself, which may be nothing."""

    title: str
    text: str


def page_of_html(source: str | bytes) -> Page:
    """The page's title and what can be seen of it. Broken HTML is read as browsers read it."""
    from justhtml import JustHTML

    document = JustHTML(source, sanitize=False)
    title = document.query_one("head > title")
    writer = _Writer()
    for node, entering in _walk(document.root, _hidden_by_rules(document)):
        writer.enter(node) if entering else writer.leave(node)
    writer.end_block()
    words = one_line(title.to_text(), limit=150) if title is not None else ""
    return Page(words or writer.first_heading, "\n\n".join(writer.blocks))


def markdown_of_html(source: str | bytes) -> str:
    """What can be seen of some HTML, as Markdown."""
    return page_of_html(source).text


# --- what can be seen ------------------------------------------------------------------------------------------------


def _walk(root: Any, hidden: frozenset[int]) -> Iterator[tuple[Any, bool]]:
    """Every visible node on the way in, and every visible element on the way out."""
    stack = [(root, True, Colours())]
    while stack:
        node, entering, colours = stack.pop()
        if not entering:
            yield node, False
            continue
        if node.name == "#text":
            yield node, True
        elif node.name not in _UNSEEN and not node.name.startswith(("!", "#comment")) and id(node) not in hidden:
            attrs = node.attrs or {}
            style = style_of(attrs.get("style") or "")
            inside = colours.within(attrs, style)
            if "hidden" in attrs or hides(style) or inside.are_equal:
                continue
            yield node, True
            stack.append((node, False, inside))
            stack += [(child, True, inside) for child in reversed(node.children or ())]


def _hidden_by_rules(document: JustHTML) -> frozenset[int]:
    """The elements that the page's own style rules hide; rules for other media do not count."""
    from justhtml import SelectorError

    css = "\n".join(style.to_text() for style in document.query("style"))
    plain = re.sub(r"/\*.*?\*/", "", css[:200_000], flags=re.DOTALL)
    plain = re.sub(r"@[^{};]{0,300}\{(?:[^{}]{0,2000}\{[^{}]{0,2000}\}){0,200}[^{}]{0,2000}\}", "", plain)
    selectors = [rule[1].strip() for rule in _RULE.finditer(plain) if hides(style_of(rule[2]))]
    hidden: set[int] = set()
    for selector in selectors[:MAX_RULES]:
        try:
            hidden |= {id(node) for node in document.query(selector)}
        except SelectorError:  # a selector that only browsers know
            continue
    return frozenset(hidden)


# --- what is written -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Writer:
    """Blocks of Markdown, from nodes entered and left in the order of the page."""

    blocks: list[str] = field(default_factory=list)
    first_heading: str = ""
    _words: list[str] = field(default_factory=list)
    _lists: list[str] = field(default_factory=list)
    _marker: str = ""
    _pre: int = 0
    _tables: list[list[list[str]]] = field(default_factory=list)

    def enter(self, node: Any) -> None:
        name = node.name
        if name == "#text":
            self._words.append(node.data if self._pre else re.sub(r"\s+", " ", node.data))
        elif name == "br":
            self._words.append("\n")
        elif self._tables and name not in _INLINE:
            self._enter_in_table(name)
        elif name not in _INLINE:
            self._enter_block(name)

    def _enter_in_table(self, name: str) -> None:
        if name == "tr":
            self._tables[-1].append([])
        elif name == "table":
            self._words.append(" ")
            self._tables.append([])
        else:
            self._words = self._words if name not in ("td", "th") or len(self._tables) > 1 else []
            self._words.append(" ")

    def _enter_block(self, name: str) -> None:
        self.end_block()
        if name == "table":
            self._tables.append([])
        elif name in ("ul", "ol"):
            self._lists.append("- " if name == "ul" else "1. ")
        elif name == "li":
            self._marker = "    " * max(len(self._lists) - 1, 0) + (self._lists[-1] if self._lists else "- ")
        self._pre += name == "pre"

    def leave(self, node: Any) -> None:
        name = node.name
        if self._tables and name not in _INLINE:
            self._leave_in_table(name)
        elif name in _HEADINGS:
            self._end_heading(_HEADINGS[name], (node.attrs or {}).get("id") or "")
        elif name == "pre" and self._pre:
            self._end_pre()
        elif name not in _INLINE and name != "br":
            self.end_block()
            self._leave_list(name)

    def _leave_list(self, name: str) -> None:
        self._marker = "" if name == "li" else self._marker
        if name in ("ul", "ol") and self._lists:
            self._lists.pop()

    def _leave_in_table(self, name: str) -> None:
        if name == "table":
            rows = self._tables.pop()
            if not self._tables:
                self._words = []
                self._end_table(rows)
        elif name in ("td", "th") and len(self._tables) == 1 and self._tables[0]:
            self._tables[0][-1].append(" ".join(clean("".join(self._words)).split()))
            self._words = []
        else:
            self._words.append(" ")

    def end_block(self) -> None:
        """What was gathered becomes a paragraph, or an item of a list."""
        lines = [" ".join(line.split()) for line in clean("".join(self._words)).split("\n")]
        text = literal_lines("\n".join(line for line in lines if line))
        if text:
            indent = " " * len(self._marker)
            self.blocks.append(self._marker + text.replace("\n", f"\n{indent}"))
            self._marker = ""
        self._words = []

    def _end_heading(self, level: int, anchor: str) -> None:
        words = one_line("".join(self._words), limit=300)
        self._words = []
        if words:
            self.first_heading = self.first_heading or one_line(words, limit=150)
            link = f" {{#{anchor}}}" if _ANCHOR.fullmatch(anchor) else ""
            self.blocks.append(f"{'#' * level} {literal(words)}{link}")

    def _end_pre(self) -> None:
        self._pre -= 1
        code = clean("".join(self._words)).strip("\n")
        self._words = []
        if code.strip():
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
            self.blocks.append(f"{fence}\n{code}\n{fence}")

    def _end_table(self, rows: list[list[str]]) -> None:
        """A table with one column, or one row, only places things: its cells are paragraphs."""
        rows = [row[:MAX_CELLS] for row in rows if any(row)][:MAX_ROWS]
        width = max(map(len, rows), default=0)
        if width < 2 or len(rows) < 2:
            self.blocks += [literal_lines(cell) for row in rows for cell in row if cell]
            return
        lines = [f"| {' | '.join(literal_cell(cell) for cell in row + [''] * (width - len(row)))} |" for row in rows]
        self.blocks.append("\n".join([lines[0], f"|{' --- |' * width}", *lines[1:]]))

"""PDF as Markdown: lines set larger than the rest are headings, and every heading links to its page (`#page=3`).

Runs on hostile input, inside the limits of `knowledge.sources.converting`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from knowledge.sources.escaping import literal, literal_lines
from knowledge.sources.html import Page
from knowledge.text import clean, one_line

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

MAX_PAGES = 3000
LARGER, HEADING_CHARACTERS, LEVELS = 1.15, 120, 3
_SHOWS = frozenset({b"Tj", b"TJ", b"'", b'"'})
_PAINTS = frozenset({b"f", b"F", b"f*", b"B", b"B*", b"sh"})
_WHITE: dict[bytes, tuple[float, ...]] = {b"g": (1.0,), b"rg": (1.0, 1.0, 1.0), b"k": (0.0, 0.0, 0.0, 0.0)}
_INVISIBLE = 3


class Unreadable(Exception):
    """A document that cannot be converted: a sentence that says what to do."""


@dataclass(slots=True)
class _Line:
    """A line of a page and the size it is set in."""

    page: int
    text: str
    size: float


def page_of_pdf(data: bytes) -> Page:
    """The text of a PDF. `Unreadable` for one that is protected, or holds pictures of text only."""
    from pypdf import PdfReader
    from pypdf.errors import PdfReadError

    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("is protected with a password; save it without one")
        lines = [line for number, page in enumerate(_pages(reader), 1) for line in _lines(number, page)]
    except PdfReadError as error:
        raise Unreadable(f"is broken ({one_line(str(error), limit=80)}); save it as PDF again") from error
    if not lines:
        raise Unreadable("holds no text (a scan?); save it with text recognition (OCR)")
    title = one_line(str((reader.metadata and reader.metadata.title) or ""), limit=150)
    return Page(title, "\n\n".join(_blocks(lines)))


def _pages(reader: PdfReader) -> Iterator[PageObject]:
    if len(reader.pages) > MAX_PAGES:
        raise Unreadable(f"has more than {MAX_PAGES} pages; split it")
    yield from reader.pages


def _lines(number: int, page: PageObject) -> Iterator[_Line]:
    """The lines of a page that can be seen, in the order they are written in."""
    _take_out_what_cannot_be_seen(page)
    lines = [_Line(number, "", 0.0)]

    def hear(text: str, cm: Sequence[float], tm: Sequence[float], _font: Any, size: float) -> None:
        scale = math.hypot(tm[2], tm[3]) * math.hypot(cm[2], cm[3])
        for at, part in enumerate(text.split("\n")):
            if at:
                lines.append(_Line(number, "", 0.0))
            lines[-1].text += part
            lines[-1].size = max(lines[-1].size, size * scale if part.strip() else 0.0)

    page.extract_text(visitor_text=hear)
    yield from (line for line in lines if line.size > 1 and clean(line.text).strip())


# --- headings --------------------------------------------------------------------------------------------------------


def _blocks(lines: Sequence[_Line]) -> Iterator[str]:
    """Headings and, between them, the text of each page; a new page says again under which heading it goes on."""
    sizes = _heading_sizes(lines)
    heading, page, text = "", 0, list[str]()
    for line in lines:
        level = _level(line, sizes)
        if line.page != page or level:
            yield from _paragraphs(text)
            text = []
        if level:
            heading = f"{'#' * (level + 1)} {literal(one_line(line.text, limit=HEADING_CHARACTERS))}"
            yield f"{heading} {{#page={line.page}}}"
        elif line.page != page:
            yield f"{heading or f'## Page {line.page}'} {{#page={line.page}}}"
        page = line.page
        text += [] if level else [one_line(line.text, limit=5000)]
    yield from _paragraphs(text)


def _paragraphs(lines: Sequence[str]) -> Iterator[str]:
    """Lines as one paragraph; words that were parted at the end of a line are joined again."""
    joined = re.sub(r"(?<=[a-z])-\n(?=[a-z])", "", "\n".join(lines))
    if joined:
        yield literal_lines(joined)


def _heading_sizes(lines: Sequence[_Line]) -> list[float]:
    """The sizes that are clearly larger than the one most text is set in, largest first."""
    written: Counter[float] = Counter()
    for line in lines:
        written[round(line.size, 1)] += len(line.text)
    ((usual, _),) = written.most_common(1)
    return sorted((size for size in written if size >= usual * LARGER), reverse=True)[:LEVELS]


def _level(line: _Line, sizes: Sequence[float]) -> int:
    """1 to 3 for a heading, 0 for anything else."""
    size, words = round(line.size, 1), line.text.strip()
    if size not in sizes or len(words) > HEADING_CHARACTERS or not re.search(r"[^\W\d_]", words):
        return 0
    return sizes.index(size) + 1


# --- what cannot be seen ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Painting:
    """How text is painted at one place of a page's instructions."""

    on_picture: bool
    painted: bool
    mode: int = 0
    white: bool = False
    saved: list[tuple[int, bool]] = field(default_factory=list)

    def follow(self, operands: Sequence[Any], operator: bytes) -> None:
        if operator == b"q":
            self.saved.append((self.mode, self.white))
        elif operator == b"Q" and self.saved:
            self.mode, self.white = self.saved.pop()
        elif operator == b"Tr" and operands:
            self.mode = int(operands[0])
        elif operator in _WHITE:
            self.white = tuple(map(float, operands)) == _WHITE[operator]
        elif operator in _PAINTS:
            self.painted = self.painted or not self.white

    @property
    def is_unseen(self) -> bool:
        """In the invisible mode, unless under a picture (a scan's recognised text); or white upon nothing."""
        return (self.mode == _INVISIBLE and not self.on_picture) or (self.white and not self.painted)


def _take_out_what_cannot_be_seen(page: PageObject) -> None:
    """Leave out the instructions that show text which nobody sees."""
    from pypdf.generic import ContentStream, NameObject

    content = page.get_contents()
    if content is None:
        return
    kept, has_pictures = [], bool(_pictures(page))
    painting = _Painting(on_picture=has_pictures, painted=has_pictures)
    for operands, operator in content.operations:
        painting.follow(operands, operator)
        if not (operator in _SHOWS and painting.is_unseen):
            kept.append((operands, operator))
    visible = ContentStream(None, page.pdf)
    visible.operations = kept
    page[NameObject("/Contents")] = visible


def _pictures(page: PageObject) -> list[str]:
    resources = page.get("/Resources")
    objects = resources.get_object().get("/XObject") if resources is not None else None
    return [name for name, one in (objects.get_object() if objects else {}).items() if _is_picture(one)]


def _is_picture(reference: Any) -> bool:
    return bool(reference.get_object().get("/Subtype") == "/Image")

"""Documents cut into passages that follow their headings and fit the embedder.

Tokens are counted, not guessed: beyond the model's limit text would be lost silently. Each passage is indexed with
"title > heading path" in front. Small neighbours are merged, code is never cut unless it is too long by itself, and
a table's rows keep their header.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import unescape
from itertools import takewhile
from typing import TYPE_CHECKING

from knowledge.sources import Document
from knowledge.sources.escaping import literal_lines

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MAX_TOKENS = 230
MERGE_CHARACTERS = 1100
_PREFIX_CHARACTERS = 200
_HEADING_CHARACTERS = 120
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,500}>")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_STATED = re.compile(r"\s*\{#([\w.:=%\-]{1,300})\}\s*$")
_LONG_ADDRESS = re.compile(r"https?://[^\s()<>]{100,}")

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage. `heading` is its heading path below the title; `prefix` + `text` is what is indexed."""

    id: str
    heading: str
    anchor: str
    prefix: str
    text: str
    text_hash: str

    @property
    def indexed(self) -> str:
        return f"{self.prefix}\n{self.text}"


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of one section that fits a chunk by itself."""

    path: tuple[str, ...]
    text: str
    anchor: str


def chunks(document: Document, count: Count) -> list[Chunk]:
    """The document's passages in order, each of at most `MAX_TOKENS` as `count` counts them, each only once."""
    pieces = _pieces(document, count)
    found = (_chunk(document, group) for group in _merged(document.title, pieces, count))
    return list({chunk.id: chunk for chunk in found}.values())


def _chunk(document: Document, group: Sequence[_Piece]) -> Chunk:
    path, text = group[0].path, _render(group)
    prefix = _prefix(document.title, path)
    name = hashlib.sha256("\0".join((*path, prefix, text)).encode()).hexdigest()[:20]
    return Chunk(
        id=f"{document.id}#{name}",
        heading=" > ".join(path),
        anchor=group[0].anchor,
        prefix=prefix,
        text=text,
        text_hash=hashlib.sha256(f"{prefix}\n{text}".encode()).hexdigest(),
    )


def _prefix(title: str, path: tuple[str, ...]) -> str:
    return " > ".join((title, *path))[:_PREFIX_CHARACTERS]


def _heading(written: str) -> tuple[str, str]:
    """A heading's words and its fragment: one that it states (`{#page=3}`), else the one that most sites give it."""
    stated = _STATED.search(written)
    words = unescape(_ESCAPED.sub(r"\1", written[: stated.start()] if stated else written))
    return words[:_HEADING_CHARACTERS], stated[1] if stated else _slug(words[:_HEADING_CHARACTERS])


def _slug(heading: str) -> str:
    """The fragment that GitHub and most handbook sites give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# --- merging ---------------------------------------------------------------------------------------------------------


def _merged(title: str, pieces: Sequence[_Piece], count: Count) -> Iterator[list[_Piece]]:
    """Neighbours together while they are small; a new heading inside a group is written out as a line."""
    group: list[_Piece] = []
    for piece in pieces:
        if group and not _fits(title, [*group, piece], count):
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def _fits(title: str, group: Sequence[_Piece], count: Count) -> bool:
    text = _render(group)
    return len(text) <= MERGE_CHARACTERS and count(f"{_prefix(title, group[0].path)}\n{text}") <= MAX_TOKENS


def _render(group: Sequence[_Piece]) -> str:
    path, parts = group[0].path, []
    for piece in group:
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(path, piece.path, strict=False)))
        if new := piece.path[shared:]:
            parts.append(" > ".join(new))
        path = piece.path
        parts.append(piece.text)
    return "\n\n".join(parts)


# --- sections and blocks ---------------------------------------------------------------------------------------------


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"maxNesting": 20}).enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])  # only blocks matter, and inline text is the costly part
    return parser


def _pieces(document: Document, count: Count) -> list[_Piece]:
    """Every block of the document under its heading path, cut where it is too long for one chunk."""
    text = _COMMENT.sub("", _LONG_ADDRESS.sub("(long link)", document.text))
    lines = text.split("\n")
    found: list[_Piece] = []
    path: list[tuple[int, str]] = []
    anchor, bare = "", False
    for token, inline in _blocks(_markdown().parse(text)):
        if token.type == "heading_open":
            level = int(token.tag[1])
            if bare and level <= path[-1][0]:
                found += _bare(document.title, path, anchor)
            name, anchor = _heading(inline)
            path, bare = [*((n, name) for n, name in path if n < level), (level, name)], True
        elif token.map:
            bare = False
            names = _names(document.title, path)
            prefix = _prefix(document.title, names)
            room = lambda part, p=prefix: count(f"{p}\n{part}") <= MAX_TOKENS  # noqa: E731
            body = "\n".join(lines[slice(*token.map)]).strip("\n")
            found += [_Piece(names, part, anchor) for part in _cut(token.type, body, room) if part.strip()]
    return [*found, *(_bare(document.title, path, anchor) if bare else ())]


def _bare(title: str, path: Sequence[tuple[int, str]], anchor: str) -> Iterator[_Piece]:
    """A heading under which nothing stands says something by itself."""
    if path[-1][1]:
        yield _Piece(_names(title, path[:-1]), literal_lines(path[-1][1]), anchor)


def _names(title: str, path: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    """The heading path without a first heading that only repeats the title."""
    names = tuple(name for _, name in path if name)
    return names[1:] if names and names[0].casefold() == title.casefold() else names


def _blocks(tokens: Sequence[Token]) -> Iterator[tuple[Token, str]]:
    """The top-level blocks, each with the text of its heading, if it is one."""
    for at, token in enumerate(tokens):
        if token.level == 0 and token.nesting >= 0 and token.type != "hr":
            inline = tokens[at + 1].content if token.type == "heading_open" else ""
            yield token, " ".join(_TAG.sub("", inline).split())


# --- cutting what is too long ----------------------------------------------------------------------------------------

Room = Callable[[str], bool]


def _cut(kind: str, body: str, room: Room) -> list[str]:
    """`body` as it is, or in parts that each have room."""
    if kind == "html_block":
        body = _TAG.sub(" ", body).strip()
    if room(body):
        return [body]
    if kind == "fence":
        return _cut_fence(body, room)
    if kind == "table_open":
        return _cut_table(body, room)
    if kind in {"bullet_list_open", "ordered_list_open"}:
        return _packed(re.split(r"\n(?=[-*+] |\d{1,9}[.)] )", body), "\n", room)
    return _packed(re.split(r"(?<=[.!?:;])\s+|\n", body), " ", room)


def _cut_fence(body: str, room: Room) -> list[str]:
    """A code block by lines, each part fenced like the whole."""
    first, *rest = body.split("\n")
    mark = re.match(r"\s*(`{3,}|~{3,})", first)
    close = mark[1] if mark else "```"
    inner = rest[:-1] if rest and rest[-1].strip() == close else rest
    first = first if len(first) < 60 else close
    parts = _packed(inner, "\n", lambda part: room(f"{first}\n{part}\n{close}"))
    return [f"{first}\n{part}\n{close}" for part in parts]


def _cut_table(body: str, room: Room) -> list[str]:
    """A table by rows, the header above each part. A header that leaves no room is given up."""
    rows = body.split("\n")
    header = "\n".join(rows[:2])
    if len(rows) < 3 or not room(f"{header}\n{'word ' * 40}"):
        return _packed(rows, "\n", room)
    return [f"{header}\n{part}" for part in _packed(rows[2:], "\n", lambda part: room(f"{header}\n{part}"))]


def _packed(parts: Sequence[str], glue: str, room: Room) -> list[str]:
    """`parts` joined as long as there is room; one that is too long alone is cut by words, then anywhere."""
    packed: list[str] = []
    for part in parts:
        if packed and room(together := f"{packed[-1]}{glue}{part}"):
            packed[-1] = together
        elif room(part):
            packed.append(part)
        else:
            packed += _halved(part, room)
    return packed


def _halved(text: str, room: Room) -> list[str]:
    """`text` cut in the middle, at a space if there is one, until every part has room."""
    if len(text) < 2 or room(text):
        return [text]
    middle = len(text) // 2
    space = text.rfind(" ", 1, middle)
    at = space if space > middle // 2 else middle
    return [*_halved(text[:at].strip(), room), *_halved(text[at:].strip(), room)]

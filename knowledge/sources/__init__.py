"""Where documents come from. A source is read anew at every indexing; what it no longer yields is forgotten."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

PUBLIC, RESPONDERS = "public", "responders"  # else the id of the one Slack channel whose members may see it
EVERYBODY = frozenset({PUBLIC})
"""An audience is the set of visibilities that everybody in a place may see; this one is of any public place."""
DOCUMENT, CHAT, DECIDED = "document", "chat", "decided"
LATELY = timedelta(days=90)
"""Whoever changed a document within so long before its last change is one of its authors."""


@dataclass(frozen=True, slots=True)
class Author:
    """Somebody whose words are in a document: an id of theirs (Slack user, login) and how people call them."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Document:
    """One document (a page, a Slack thread) as Markdown, already cleaned of what cannot be seen.

    `id` is stable and unique over all sources. Only `visibility` PUBLIC ever answers in a public channel; RESPONDERS
    is for the responders' own. A `kind` of CHAT or DECIDED (an earlier request) is somebody's words, whatever they say.
    """

    id: str
    title: str
    text: str
    url: str
    file: str
    updated_at: datetime | None
    visibility: str = PUBLIC
    kind: str = DOCUMENT
    authors: tuple[Author, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something a source would not read, and why."""

    what: str
    why: str


class DocumentSource(Protocol):
    """One place documents are read from; `name` marks its rows in the catalogue."""

    name: str

    def read(self) -> Iterator[Document | Skipped]:
        """Everything there now. Raises `Fault` when it cannot be read at all: then nothing is forgotten."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a long reading, kept as a whole or not at all: what is there, what is gone, and where to go on."""

    documents: tuple[Document, ...] = ()
    gone: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    moved: tuple[tuple[str, str], ...] = ()
    """Places and who may see all that is kept of them from now on."""
    cursor: str | None = None
    """What the next reading is given as `Held.cursor`; None leaves it as it is."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is kept of a source: its documents with the time of their last change, and the last step's cursor."""

    documents: Mapping[str, datetime | None] = field(default_factory=dict)
    cursor: str = ""


@runtime_checkable
class FollowedSource(Protocol):
    """A place that is too large to be read as a whole each time, and whose documents may be closed to some meanwhile.

    Its documents belong to places, such as channels, of which each is open to somebody or nobody at a time.
    """

    name: str

    def changes(self, held: Held) -> AsyncGenerator[Step, None]:
        """What changed, step by step. A `Fault` ends the reading; the steps before it are kept."""
        ...

    async def again(self, document_id: str) -> Step:
        """One of its documents as it is now, or that it is gone."""
        ...

    def place_of(self, document_id: str) -> str:
        """The place that a document of this source belongs to, which begins its id; empty for others' documents."""
        ...

    async def visibility_now(self, place: str) -> str:
        """Who may see a place now, asked at the moment of showing; empty for nobody, `Fault` when in doubt."""
        ...

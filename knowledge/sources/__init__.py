"""Where documents come from. A source is read anew at every indexing; what it no longer yields is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

PUBLIC, RESPONDERS = "public", "responders"  # else the id of the one Slack channel whose members may see it
DOCUMENT, CHAT = "document", "chat"


@dataclass(frozen=True, slots=True)
class Author:
    """Somebody whose words are in a document: an id of theirs (Slack user, login) and how people call them."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Document:
    """One document (a page, a Slack thread) as Markdown, already cleaned of what cannot be seen.

    `id` is stable and unique over all sources. Only `visibility` PUBLIC ever answers in a public channel; RESPONDERS
    is for the responders' own. A `kind` of CHAT is somebody's words, whatever they say.
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

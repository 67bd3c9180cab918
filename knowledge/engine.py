"""What the worker thread works with: catalogue, embedder and vector index, moved forward in short steps.

Every step leaves the directory in order, so that a kill between or inside steps loses nothing that was done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bot.errors import Fault
from knowledge.asked import Asked
from knowledge.catalogue import PARTS, Catalogue, Change, damaged
from knowledge.chroma_server import Server, ServerShelf
from knowledge.chunks import chunks
from knowledge.closeness import parts
from knowledge.embed import Embedder, Wanted, build, count_tokens, fingerprint
from knowledge.forgotten import forget, read_forgotten
from knowledge.reports import Tally
from knowledge.search import Meaning, Result, search
from knowledge.sources import DOCUMENT, Document, Step
from knowledge.vectors import Build, Place, Shelf, VectorIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_T = TypeVar("_T")
_ADD = 200  # vectors a step


class Engine:
    """Lives on one thread. `home` is ours alone; everything in it can be made again from the sources."""

    def __init__(self, home: Path, wanted: Wanted, server: Server | None = None) -> None:
        self._home = home
        self._wanted = wanted
        self._count: Callable[[str], int] | None = None
        self._count_by = ""
        self._index: VectorIndex | None = None
        self._next: tuple[Build, VectorIndex] | None = None
        self._known: dict[str, Any] = {}
        self._asked = Asked()
        self.embedder: Embedder | None = None
        self.trouble = ""
        self.catalogue = _open_catalogue(home / "catalogue.db")
        self.forgotten = read_forgotten(home)
        self.shelf = ServerShelf(home / "vectors", server) if server else Shelf(home / "vectors")
        self.shelf.begin()

    def close(self) -> None:
        self._drop_unfinished()
        self._give_up_index()
        self.catalogue.close()

    # --- warm-up -----------------------------------------------------------------------------------------------------

    def load_embedder(self) -> None:
        """Build the embedder, once. A server that does not answer leaves BM25 alone until the next try."""
        if self.embedder is None:
            self.trouble = ""
            try:
                self.embedder = build(self._wanted, self._home / "models")
            except Fault as fault:
                self.trouble = str(fault)

    def usable_build(self) -> Build | None:
        """The stored vectors, if they are in the embedder's space and not open yet."""
        current = self.shelf.current()
        fits = current and self.embedder and current.fingerprint == self.embedder.fingerprint
        return current if fits and self._index is None else None

    def open_index(self, stored: Build) -> None:
        """Open vectors that were found healthy."""
        self._index = self.shelf.open(stored)

    @property
    def searches_meaning(self) -> bool:
        return self._index is not None and self.embedder is not None

    @property
    def lost_server(self) -> bool:
        """Whether the vectors stand on a server that cannot be searched now."""
        return self.shelf.is_far and self.embedder is not None and self._index is None

    # --- indexing ----------------------------------------------------------------------------------------------------

    def take_step(self, source: str, step: Step) -> Change:
        """Keep a part of a reading and the place to go on from, all or nothing."""
        with self.catalogue.as_one():
            for place, visibility in step.moved:
                self.catalogue.move(source, place, visibility)
            change = sum((self._take_in(source, document) for document in step.documents), Change())
            if step.cursor is not None:
                self.catalogue.keep_cursor(source, step.cursor)
            return change + self.catalogue.forget(step.gone)

    def _take_in(self, source: str, document: Document) -> Change:
        """Keep it, without those who are forgotten; chat of theirs that a source still tells is not kept at all."""
        others = tuple(author for author in document.authors if author.id not in self.forgotten)
        if document.kind != DOCUMENT and others != document.authors:
            return self.catalogue.forget([document.id])
        return self._keep(source, replace(document, authors=others))

    def _keep(self, source: str, document: Document) -> Change:
        if self._count is None:
            self._count_by, self._count = count_tokens()
        cut_by = fingerprint(tokens=self._count_by)
        if self.catalogue.holds(document, cut_by):
            return Change(unchanged=self.catalogue.count(document.id), documents=Tally(unchanged=1))
        return self.catalogue.store(source, document, chunks(document, self._count), cut_by)

    def missing(self) -> list[tuple[str, str]]:
        return self.catalogue.embeddings.missing(self.embedder.fingerprint) if self.embedder else []

    def embed(self, some: Sequence[tuple[str, str]]) -> None:
        """Compute and cache the vectors of some (text hash, text)."""
        assert self.embedder
        vectors = self.embedder.embed([text for _, text in some])
        closer = self._embed_parts([text.partition("\n")[2] for _, text in some]) if self.embedder.looks_closer else ()
        self.trouble = ""
        self.catalogue.embeddings.keep(self.embedder.fingerprint, [name for name, _ in some], vectors, closer)

    def _embed_parts(self, texts: Sequence[str]) -> list[Vectors]:
        """For each text the vectors of its parts."""
        import numpy as np

        assert self.embedder
        cut = [parts(text) for text in texts]
        vectors = self.embedder.embed([part for some in cut for part in some])
        return np.split(vectors, np.cumsum([len(some) for some in cut])[:-1])

    def start_aligning(self, *, rebuild: bool) -> list[tuple[Place, str]]:
        """Make the index forget what is gone, and list the (place, text hash) it lacks. A new one starts empty."""
        self._drop_unfinished()
        if self.embedder is None:
            return []
        wanted = dict(self.catalogue.embeddings.indexed(self.embedder.fingerprint))
        if self._index is None or rebuild:
            self._start_build(self.embedder.fingerprint)
            return list(wanted.items())
        held = self._index.places()
        self._index.remove(held - wanted.keys())
        return [(place, text_hash) for place, text_hash in wanted.items() if place not in held]

    def _start_build(self, space: str) -> None:
        fresh = self.shelf.fresh(space)
        self._next = (fresh, self.shelf.open(fresh))

    def _drop_unfinished(self) -> None:
        """A build that an earlier run was stopped in is not gone on with."""
        if self._next:
            build, index = self._next
            self._next = None
            index.close()
            self.shelf.remove(build)

    def add(self, some: Sequence[tuple[Place, str]]) -> None:
        """Put cached vectors into the index that is being built, else into the one in use."""
        import numpy as np

        index = self._next[1] if self._next else self._index
        assert index
        assert self.embedder
        cached = self.catalogue.embeddings.vectors(self.embedder.fingerprint, [text_hash for _, text_hash in some])
        ready = [(place, cached[text_hash]) for place, text_hash in some if text_hash in cached]
        if ready:
            index.add([place for place, _ in ready], np.stack([vector for _, vector in ready]))

    def finish_aligning(self) -> None:
        """Switch to the index that was built, if one was, and forget vectors that no text needs."""
        if self._next:
            fresh, index = self._next
            self.shelf.switch(fresh)
            old, self._index, self._next = self._index, index, None
            if old:
                old.close()
            self.shelf.sweep()
        self.catalogue.embeddings.drop_unused()

    # --- erasing -----------------------------------------------------------------------------------------------------

    def forget_people(self, ids: Collection[str], up_to: int) -> list[str]:
        """Never read them again, and take out what they wrote; returns the ids of the documents that went."""
        self.forgotten = forget(self._home, ids, up_to=up_to)
        return self.catalogue.take_out_people(ids)

    def drop_vectors(self) -> None:
        """Without an embedder there is no making them anew: they are made when there is one again."""
        self._give_up_index()
        self._drop_unfinished()
        self.shelf.clear()

    # --- search ------------------------------------------------------------------------------------------------------

    def search(self, queries: Sequence[str], k: int, audience: frozenset[str]) -> list[Result]:
        """By words and meaning; by words alone when the embedder or the vectors do not answer."""
        if not queries:
            return []
        try:
            return search(self.catalogue, queries, k, self._meaning(queries), audience)
        except Fault as fault:
            self.trouble = str(fault)
            if fault.vendor == "chroma":
                self._give_up_index()
            return search(self.catalogue, queries, k, None, audience)

    def likeness(self, query: str, texts: tuple[str, ...]) -> list[float]:
        """Cosines of a query to texts that stay the same, whose vectors are kept."""
        if self.embedder is None:
            return []
        missing = [text for text in texts if text not in self._known]
        if missing:
            self._known.update(zip(missing, self.embedder.embed(missing), strict=True))
        vector = self.embedder.embed([query])[0]
        return [float(self._known[text] @ vector) for text in texts]

    def _meaning(self, queries: Sequence[str]) -> Meaning | None:
        if self._index is None or self.embedder is None:
            return None
        vectors = self._asked.vectors(self.embedder, queries)
        self.trouble = ""
        return Meaning(self._index, self.embedder.fingerprint, vectors)

    def lose_server(self, fault: Fault) -> None:
        """Go on by words alone, and say why."""
        self.trouble = str(fault)
        self._give_up_index()

    def _give_up_index(self) -> None:
        """Go on by words alone; the next indexing builds the vectors anew."""
        if self._index:
            self._index.close()
        self._index = None


def portions(items: Sequence[_T], size: int = _ADD) -> Iterator[Sequence[_T]]:
    """`items` in steps of `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _open_catalogue(path: Path) -> Catalogue:
    """The catalogue; a damaged file is put aside, since the sources hold everything in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return Catalogue(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # a full disk or a missing permission is no damage
            raise Fault("index", f"{path} cannot be opened: {error}") from error
        for tail, aside in zip(PARTS, damaged(path), strict=True):
            part = path.with_name(path.name + tail)
            if part.exists():
                part.replace(aside)
        catalogue = Catalogue(path)
        catalogue.note_leftovers()
        return catalogue

"""Documents, their passages and the BM25 index, in SQLite with the vectors of `embeddings`: the copy that counts.

The vector index is made from this and may be thrown away. Used from one thread only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from knowledge.chunks import Chunk
from knowledge.embeddings import Embeddings
from knowledge.reports import Reports, Tally
from knowledge.sources import DOCUMENT, Author, Document, Held
from knowledge.statements import marks, portions

PARTS = ("", "-wal", "-shm")  # the files of a database
_MARKDOWN = re.compile(r"([\\*_\[\]`])")  # what Markdown would take for its own
_WEIGHED, _AHEAD = 15_000, 4  # passages that are ranked by words; times the wanted ones that are looked at
_SCHEMA = 5  # raise it when the tables change: an older file is made anew from the sources


@dataclass(frozen=True, slots=True)
class Row:
    """A passage with what its document says of itself."""

    id: str
    doc_id: str
    title: str
    heading: str
    anchor: str
    text: str
    text_hash: str
    url: str
    file: str
    visibility: str
    kind: str
    authors: tuple[Author, ...]
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Change:
    """How many passages a document gained, kept and lost, and which documents that were."""

    new: int = 0
    unchanged: int = 0
    deleted: int = 0
    documents: Tally = field(default_factory=Tally)

    def __add__(self, other: Change) -> Change:
        return Change(
            new=self.new + other.new,
            unchanged=self.unchanged + other.unchanged,
            deleted=self.deleted + other.deleted,
            documents=self.documents + other.documents,
        )


class Catalogue:
    """The database at `path`. Every change of a document is one transaction."""

    def __init__(self, path: Path) -> None:
        from sqlite_utils import Database

        self._path = path
        self._db = Database(path)
        self._db.enable_wal()
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA secure_delete=ON")
        self._drop_older_tables()
        self._create()
        self.embeddings = Embeddings(self._db)
        self.reports = Reports(self._db)
        self.sources: tuple[str, ...] = ()  # of others nothing is shown: nobody says any more who may see it

    def _drop_older_tables(self) -> None:
        if self._number("PRAGMA user_version") != _SCHEMA:
            for table in ("chunks_fts", "chunks", "documents", "cursors", "embeddings"):
                self._db.execute(f"DROP TABLE IF EXISTS {table}")
            self._db.execute(f"PRAGMA user_version = {_SCHEMA}")

    def _create(self) -> None:
        self._db.table("documents").create(
            {
                "doc_id": str,
                "source": str,
                "title": str,
                "url": str,
                "file": str,
                "visibility": str,
                "kind": str,
                "authors": str,
                "updated_at": str,
                "fetched_at": str,
                "content_hash": str,
            },
            pk="doc_id",
            if_not_exists=True,
        )
        chunks = self._db.table("chunks").create(
            {
                "n": int,
                "chunk_id": str,
                "doc_id": str,
                "ord": int,
                "heading": str,
                "anchor": str,
                "prefix": str,
                "text": str,
                "text_hash": str,
            },
            pk="n",
            if_not_exists=True,
        )
        chunks.create_index(["chunk_id"], unique=True, if_not_exists=True)
        chunks.create_index(["doc_id"], if_not_exists=True)
        chunks.create_index(["text_hash"], if_not_exists=True)
        if chunks.detect_fts() is None:
            chunks.enable_fts(["prefix", "text"], create_triggers=True, tokenize="porter unicode61 remove_diacritics 2")
        self._db.table("reports").create({"source": str, "report": str}, pk="source", if_not_exists=True)
        self._db.table("cursors").create({"source": str, "cursor": str}, pk="source", if_not_exists=True)
        self._db.table("leftovers").create({"id": int, "since": str}, pk="id", if_not_exists=True)

    def close(self) -> None:
        self._db.close()

    # --- documents ---------------------------------------------------------------------------------------------------

    def holds(self, document: Document, cut_by: str) -> bool:
        """Whether this very document, cut in this way, is in the catalogue; it is noted as seen today."""
        with self._db.atomic():
            seen = self._db.execute(
                "UPDATE documents SET fetched_at = ? WHERE doc_id = ? AND content_hash = ?",
                [datetime.now(UTC).isoformat(), document.id, _content_hash(document, cut_by)],
            ).rowcount
        return bool(seen)

    def _knows(self, document_id: str) -> bool:
        return bool(self._number("SELECT count(*) FROM documents WHERE doc_id = ?", document_id))

    def count(self, document_id: str) -> int:
        return self._number("SELECT count(*) FROM chunks WHERE doc_id = ?", document_id)

    def store(self, source: str, document: Document, chunks: Sequence[Chunk], cut_by: str) -> Change:
        """Replace what is known of a document; passages that did not change keep their rows."""
        with self._db.atomic():
            rows = self._db.execute("SELECT chunk_id FROM chunks WHERE doc_id = ?", [document.id])
            known = {row[0] for row in rows}
            new = [chunk for chunk in chunks if chunk.id not in known]
            tally = Tally(changed=1) if self._knows(document.id) else Tally(new=1)
            gone = known - {chunk.id for chunk in chunks}
            self._delete("chunks", "chunk_id", gone)
            self._add(document.id, chunks, known)
            self._db.table("documents").upsert(
                {
                    "doc_id": document.id,
                    "source": source,
                    "title": document.title,
                    "url": document.url,
                    "file": document.file,
                    "visibility": document.visibility,
                    "kind": document.kind,
                    "authors": _as_json(document.authors),
                    "updated_at": document.updated_at.isoformat() if document.updated_at else None,
                    "fetched_at": datetime.now(UTC).isoformat(),
                    "content_hash": _content_hash(document, cut_by),
                },
                pk="doc_id",
            )
        return Change(new=len(new), unchanged=len(chunks) - len(new), deleted=len(gone), documents=tally)

    def _add(self, doc_id: str, chunks: Sequence[Chunk], known: set[str]) -> None:
        for order, chunk in enumerate(chunks):
            if chunk.id in known:
                self._db.execute("UPDATE chunks SET ord = ? WHERE chunk_id = ?", [order, chunk.id])
            else:
                columns = ("heading", "anchor", "prefix", "text", "text_hash")
                row = {name: getattr(chunk, name) for name in columns}
                self._db.table("chunks").insert({"chunk_id": chunk.id, "doc_id": doc_id, "ord": order, **row})

    def as_one(self) -> AbstractContextManager[object]:
        """Whatever is changed inside is one transaction."""
        return self._db.atomic()

    def held(self, source: str) -> Held:
        """What is kept of a source, and the cursor of its last step."""
        rows = self._db.execute("SELECT doc_id, updated_at FROM documents WHERE source = ?", [source])
        documents = {name: datetime.fromisoformat(at) if at else None for name, at in rows}
        cursor = self._db.execute("SELECT cursor FROM cursors WHERE source = ?", [source]).fetchone()
        return Held(documents, cursor[0] if cursor else "")

    def keep_cursor(self, source: str, cursor: str) -> None:
        self._db.table("cursors").upsert({"source": source, "cursor": cursor}, pk="source")

    def move(self, source: str, place: str, visibility: str) -> None:
        """All that is kept of a place is for others from now on; when it is read again it is stored anew."""
        sql = """
            UPDATE documents SET visibility = ?, content_hash = ''
            WHERE source = ? AND substr(doc_id, 1, ?) = ? AND visibility != ?"""
        with self._db.atomic():
            self._db.execute(sql, [visibility, source, len(place), place, visibility])

    def document_ids(self, source: str) -> set[str]:
        return {row[0] for row in self._db.execute("SELECT doc_id FROM documents WHERE source = ?", [source])}

    def forget(self, doc_ids: Iterable[str]) -> Change:
        """Take documents out, with their passages."""
        gone = list(doc_ids)
        with self._db.atomic():
            lost = self._delete("chunks", "doc_id", gone)
            removed = self._delete("documents", "doc_id", gone)
        return Change(deleted=lost, documents=Tally(removed=removed))

    def forget_sources_but(self, names: Collection[str]) -> None:
        """Take out all documents of other sources than these, and how far those were read."""
        sources = {row[0] for row in self._db.execute("SELECT DISTINCT source FROM documents")} - set(names)
        with self._db.atomic():
            for source in sources:
                self.forget(self.document_ids(source))
            self._delete("cursors", "source", sources)
            self._delete("reports", "source", {one.source for one in self.reports.standings()} - set(names))

    def _delete(self, table: str, column: str, values: Iterable[str]) -> int:
        lost = sum(
            self._db.execute(f"DELETE FROM {table} WHERE {column} = ?", [value]).rowcount  # noqa: S608 - our own names
            for value in values
        )
        if lost:
            self.note_leftovers()
        return lost

    # --- erasing -----------------------------------------------------------------------------------------------------

    def take_out_people(self, ids: Collection[str]) -> list[str]:
        """Take out the chat in which somebody of these wrote or is mentioned; elsewhere they are no author any more.

        Returns the ids of the documents that went; a source that leaves these people out may give them back.
        """
        theirs = {
            doc_id: people for doc_id, people in self._authors() if not {one.id for one in people}.isdisjoint(ids)
        }
        names = {one.name for people in theirs.values() for one in people if one.id in ids}
        with self._db.atomic():
            gone = [doc_id for doc_id in sorted({*theirs, *self._mentioning(names)}) if self._is_chat(doc_id)]
            self.forget(gone)
            for doc_id in theirs.keys() - set(gone):
                others = [author for author in theirs[doc_id] if author.id not in ids]
                self._db.table("documents").update(doc_id, {"authors": _as_json(others)})
        return gone

    def _authors(self) -> Iterator[tuple[str, list[Author]]]:
        for doc_id, authors in self._db.execute("SELECT doc_id, authors FROM documents WHERE authors != '[]'"):
            yield doc_id, [Author(*author) for author in json.loads(authors)]

    def _mentioning(self, names: Iterable[str]) -> set[str]:
        """The documents in whose passages one of these is mentioned, as text or as Markdown."""
        sql = "SELECT DISTINCT doc_id FROM chunks WHERE instr(prefix || char(10) || text, ?)"
        spellings = {spelling for name in names for spelling in (name, _MARKDOWN.sub(r"\\\1", name)) if name}
        return {row[0] for spelling in sorted(spellings) for row in self._db.execute(sql, [f"@{spelling}"])}

    def _is_chat(self, doc_id: str) -> bool:
        return bool(self._number("SELECT count(*) FROM documents WHERE doc_id = ? AND kind != ?", doc_id, DOCUMENT))

    def note_leftovers(self) -> None:
        """What was deleted may still be read in files, until `forget_leftovers`."""
        self._db.execute("INSERT OR IGNORE INTO leftovers VALUES (1, ?)", [datetime.now(UTC).isoformat()])

    def leftovers_since(self) -> datetime | None:
        """When the first of what was deleted since then was deleted; None when nothing was."""
        row = self._db.execute("SELECT since FROM leftovers").fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    def forget_leftovers(self) -> None:
        """Have the files hold nothing that was deleted: not in the word index, free pages, the log, or put aside."""
        self.embeddings.drop_unused()
        self._db.execute("INSERT INTO chunks_fts(chunks_fts) VALUES ('optimize')")
        for path in damaged(self._path):
            path.unlink(missing_ok=True)
        for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)", "DELETE FROM leftovers"):
            self._db.execute(statement).fetchall()

    def totals(self) -> tuple[int, int, datetime | None]:
        """Documents, passages, and when the last of them was read."""
        documents, last = self._db.execute("SELECT count(*), max(fetched_at) FROM documents").fetchone()
        return documents, self._number("SELECT count(*) FROM chunks"), datetime.fromisoformat(last) if last else None

    def _number(self, sql: str, *values: str) -> int:
        return int(self._db.execute(sql, list(values)).fetchone()[0])

    # --- search ------------------------------------------------------------------------------------------------------

    def bm25(self, match: str, limit: int, audience: frozenset[str]) -> dict[str, float]:
        """The best passages for words as FTS5 expressions with OR that this audience may see: their scores by id.

        Who may see them is looked up for the first of them, and only when that gives too few for all of them.
        """
        if not match:
            return {}
        rare, matches = self._rarest(match)
        found = self._best(rare, limit * _AHEAD, limit, audience)
        return found if len(found) == limit or matches <= limit * _AHEAD else self._best(rare, -1, limit, audience)

    def _best(self, match: str, ahead: int, limit: int, audience: frozenset[str]) -> dict[str, float]:
        sql = f"""
            SELECT c.chunk_id, -best.score FROM (
                SELECT rowid AS n, rank AS score FROM chunks_fts WHERE chunks_fts MATCH ? ORDER BY rank LIMIT ?
            ) AS best JOIN chunks c ON c.n = best.n JOIN documents d ON d.doc_id = c.doc_id
            WHERE d.visibility IN ({marks(audience)}) AND d.source IN ({marks(self.sources)})
            ORDER BY best.score, c.chunk_id LIMIT ?"""  # noqa: S608 - question marks only
        return dict(self._db.execute(sql, [match, ahead, *audience, *self.sources, limit]))

    def _rarest(self, match: str) -> tuple[str, int]:
        """The words that tell most, rarest first, as long as they are in no more passages than can be weighed in time.

        Of few passages that is all words. Also in how many passages they are, counted once for each word.
        """
        counting = "SELECT count(*) FROM chunks_fts WHERE chunks_fts MATCH ?"
        counted = sorted((self._number(counting, word), word) for word in match.split(" OR "))
        first, *others = [(count, word) for count, word in counted if count] or counted[:1]
        kept, matches = [first[1]], first[0]
        for count, word in others:
            if matches + count > _WEIGHED:
                break
            kept.append(word)
            matches += count
        return " OR ".join(kept), matches

    def knows(self, match: str, audience: frozenset[str]) -> bool:
        """Whether anything that this audience may see matches an FTS5 expression."""
        sql = f"""
            SELECT 1 FROM chunks_fts JOIN chunks c ON c.n = chunks_fts.rowid JOIN documents d ON d.doc_id = c.doc_id
            WHERE chunks_fts MATCH ? AND d.visibility IN ({marks(audience)}) AND d.source IN ({marks(self.sources)})
            LIMIT 1"""  # noqa: S608 - question marks only
        return self._db.execute(sql, [match, *audience, *self.sources]).fetchone() is not None

    def rows(self, chunk_ids: Sequence[str], audience: frozenset[str]) -> dict[str, Row]:
        """The passages with these ids that this audience may see now, whichever index named them."""
        return {row.id: row for row in self._rows("chunk_id", chunk_ids, audience)}

    def rows_of(self, doc_ids: Sequence[str], audience: frozenset[str]) -> list[Row]:
        """All passages of some documents that this audience may see now."""
        return list(self._rows("doc_id", doc_ids, audience))

    def _rows(self, column: str, values: Sequence[str], audience: frozenset[str]) -> Iterator[Row]:
        for some in portions(values):
            sql = f"""
                SELECT c.chunk_id, c.doc_id, d.title, c.heading, c.anchor, c.text, c.text_hash, d.url, d.file,
                d.visibility, d.kind, d.authors, d.updated_at FROM chunks c JOIN documents d ON d.doc_id = c.doc_id
                WHERE d.visibility IN ({marks(audience)}) AND d.source IN ({marks(self.sources)})
                AND c.{column} IN ({marks(some)})"""  # noqa: S608 - our own names
            for *told, authors, updated in self._db.execute(sql, [*audience, *self.sources, *some]):
                people = tuple(Author(*author) for author in json.loads(authors))
                told += [people, datetime.fromisoformat(updated) if updated else None]
                yield Row(*told)


def _content_hash(document: Document, cut_by: str) -> str:
    updated = document.updated_at.isoformat() if document.updated_at else ""
    parts = [document.title, document.text, document.url, document.file, updated, cut_by]
    parts += [document.visibility, document.kind, _as_json(document.authors)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _as_json(authors: Iterable[Author]) -> str:
    return json.dumps([[author.id, author.name] for author in authors])


def damaged(path: Path) -> list[Path]:
    """Where the parts of a catalogue are put that could not be read."""
    return [path.with_name(f"{path.name}.damaged{tail}") for tail in PARTS]

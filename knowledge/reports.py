"""What came of the last reading of each source, kept in the catalogue: for whoever asks how things stand.

A reading that would forget a large part of a source stops, and stays stopped until somebody has said that it may.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.errors import Fault
from knowledge.sources import Skipped

if TYPE_CHECKING:
    from sqlite_utils import Database

FEW, PART = 20, 0.3  # with more documents than this, a reading that would forget a larger part stops
EXAMPLES, KEPT = 5, 20


@dataclass(frozen=True, slots=True)
class Tally:
    """How many documents were new, changed, as before, and taken out."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            new=self.new + other.new,
            changed=self.changed + other.changed,
            unchanged=self.unchanged + other.unchanged,
            removed=self.removed + other.removed,
        )


@dataclass(frozen=True, slots=True)
class Loss:
    """Documents that a source holds no more, so many of those known that somebody has to say that it is right."""

    source: str
    gone: int
    known: int
    examples: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What is the matter, and how to go on."""
        return (
            f"{self.gone} of {self.known} documents of {self.source} are gone there; they are kept until you decide: "
            f"`tinyapprover index {self.source}` asks, and with --yes it forgets them"
        )


@dataclass(frozen=True, slots=True)
class Consent:
    """What somebody agreed to lose: whatever it is, or of a source no more than so many documents."""

    yes: bool = False
    gone: Mapping[str, int] = field(default_factory=dict)

    def covers(self, loss: Loss) -> bool:
        return self.yes or loss.gone <= self.gone.get(loss.source, 0)


NOBODY_AGREED = Consent()


def is_too_much(gone: int, known: int) -> bool:
    """Whether so large a part of a source is gone that it looks wrong."""
    return known > FEW and gone > PART * known


@dataclass(frozen=True, slots=True)
class Report:
    """One reading of one source. `skipped` are the first of `left_out`; `trouble` is why it could not be read."""

    source: str
    read_at: datetime
    seconds: float = 0.0
    documents: Tally = field(default_factory=Tally)
    embedded: int = 0
    embedder: str = "none"
    skipped: tuple[Skipped, ...] = ()
    left_out: int = 0
    trouble: str = ""
    loss: Loss | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A source as it stands: what is kept of it, and the report of its last reading, if it was read."""

    source: str
    documents: int
    passages: int
    report: Report | None


def left_out(skipped: Sequence[Skipped]) -> dict[str, Any]:
    """The fields of a report that tell of what was skipped."""
    return {"skipped": tuple(skipped[:KEPT]), "left_out": len(skipped)}


def as_json(report: Report) -> dict[str, Any]:
    return {**asdict(report), "read_at": report.read_at.isoformat()}


def from_json(told: Mapping[str, Any]) -> Report:
    loss = told["loss"]
    return Report(
        **{
            **told,
            "read_at": datetime.fromisoformat(told["read_at"]),
            "documents": Tally(**told["documents"]),
            "skipped": tuple(Skipped(**one) for one in told["skipped"]),
            "loss": Loss(**{**loss, "examples": tuple(loss["examples"])}) if loss else None,
        }
    )


class Reports:
    """The last report of each source, in the catalogue's database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def keep(self, report: Report) -> Report:
        """In place of the one before. What could not be read tells nothing of what is gone: a stop stands."""
        before = self.last(report.source)
        if report.trouble and before and before.loss and report.loss is None:
            report = replace(report, loss=before.loss)
        row = {"source": report.source, "report": json.dumps(as_json(report))}
        self._db.table("reports").upsert(row, pk="source")
        return report

    def last(self, source: str) -> Report | None:
        row = self._db.execute("SELECT report FROM reports WHERE source = ?", [source]).fetchone()
        return from_json(json.loads(row[0])) if row else None

    def loss(self, source: str, gone: Collection[str], known: Collection[str]) -> Loss | None:
        """That so much is gone that somebody must agree; after a stop, anything that is."""
        last = self.last(source)
        stopped = last is not None and last.loss is not None
        if not gone or not (stopped or is_too_much(len(gone), len(known))):
            return None
        return Loss(source, len(gone), len(known), self._titles(sorted(gone)[:EXAMPLES]))

    def _titles(self, ids: Sequence[str]) -> tuple[str, ...]:
        marks = ", ".join("?" * len(ids))
        sql = f"SELECT title FROM documents WHERE doc_id IN ({marks}) ORDER BY doc_id"  # noqa: S608 - question marks
        return tuple(row[0] for row in self._db.execute(sql, list(ids)))

    def standings(self) -> list[Standing]:
        """Every source of which something is kept or that was read."""
        sql = """
            SELECT s.source, count(DISTINCT d.doc_id), count(c.n)
            FROM (SELECT source FROM reports UNION SELECT source FROM documents) s
            LEFT JOIN documents d ON d.source = s.source LEFT JOIN chunks c ON c.doc_id = d.doc_id
            GROUP BY s.source ORDER BY s.source"""
        rows = self._db.execute(sql)
        return [Standing(name, documents, passages, self.last(name)) for name, documents, passages in rows]


def standings_in(catalogue: Path) -> list[Standing]:
    """The same from a catalogue's file, whoever holds the index; nothing where there is none."""
    from sqlite_utils import Database

    try:
        if not catalogue.is_file():
            return []
        with closing(sqlite3.connect(f"{catalogue.resolve().as_uri()}?mode=ro", uri=True)) as disk:
            return Reports(Database(disk)).standings()
    except (OSError, sqlite3.Error) as problem:
        raise Fault("index", f"{catalogue} cannot be read: {problem}") from None

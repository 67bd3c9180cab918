"""What goes over the socket between a command and the process that holds the index: JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.library import Answer, Outcome
from knowledge import reports
from knowledge.reports import Consent
from knowledge.search import Result
from knowledge.sources import Author

SOCKET = "knowledge.sock"
INDEX, SEARCH = "/index", "/search"
LONGEST_REQUEST, LONGEST_LINE, LONGEST_QUESTION = 256 * 1024, 1024 * 1024, 16_000
MOST = 100  # passages an answer

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """A question; `documents` is the folder that is meant, if one was named."""

    question: str
    k: int
    responders: bool = False
    documents: str | None = None

    def __post_init__(self) -> None:
        _check(self.question, str)
        _check(self.k, int)
        _check(self.responders, bool)
        _check(self.documents, str | None)
        if not 1 <= self.k <= MOST:
            raise ValueError(f"k must be from 1 to {MOST}")


@dataclass(frozen=True, slots=True)
class Read:
    """Sources to read, all if none is named, and what somebody agreed to lose."""

    sources: tuple[str, ...] = ()
    rebuild: bool = False
    yes: bool = False
    gone: Mapping[str, int] | None = None
    documents: str | None = None

    def __post_init__(self) -> None:
        for source in self.sources:
            _check(source, str)
        _check(self.rebuild, bool)
        _check(self.yes, bool)
        _check(self.gone, dict | None)
        _check(self.documents, str | None)

    @property
    def consent(self) -> Consent:
        return Consent(yes=self.yes, gone=self.gone or {})


def _check(value: object, kind: Any) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind}")


def folder(documents: str | None) -> Path | None:
    return Path(documents) if documents else None


def outcome_as_json(outcome: Outcome) -> Json:
    return {**asdict(outcome), "reports": [reports.as_json(report) for report in outcome.reports]}


def outcome_of(told: Json) -> Outcome:
    read = tuple(reports.from_json(one) for one in told["reports"])
    return Outcome(**{**told, "reports": read, "trouble": tuple(told["trouble"])})


def answer_as_json(answer: Answer) -> Json:
    return {**asdict(answer), "results": [_result_as_json(result) for result in answer.results]}


def _result_as_json(result: Result) -> Json:
    return {**asdict(result), "updated_at": result.updated_at.isoformat() if result.updated_at else None}


def answer_of(told: Json) -> Answer:
    return Answer(**{**told, "results": tuple(_result_of(one) for one in told["results"])})


def _result_of(told: Json) -> Result:
    updated = told["updated_at"]
    authors = tuple(Author(**one) for one in told["authors"])
    return Result(**{**told, "authors": authors, "updated_at": datetime.fromisoformat(updated) if updated else None})

"""What a run over some sources is told, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bot.errors import Fault
from knowledge.catalogue import Change
from knowledge.reports import NOBODY_AGREED, Consent, Loss, Report, left_out
from knowledge.sources import Skipped, Step

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """What an indexing run found and did. `trouble` are sentences for the operator; the run went on past them."""

    documents: int
    passages: int
    change: Change
    embedded: int
    embedder: str
    skipped: tuple[Skipped, ...] = ()
    trouble: tuple[str, ...] = ()
    reports: tuple[Report, ...] = ()

    def __str__(self) -> str:
        read = ", ".join(one.source for one in self.reports)
        held = f"{self.documents} documents, {self.passages} passages"
        return f"read {read or 'nothing'}: {held}, embedded {self.embedded}"


def say_nothing(_step: str, _done: int, _total: int) -> None:
    """For callers who want no progress."""


@dataclass(slots=True)
class Run:
    """A run over some sources: whom to tell, what was agreed to, and what came of it so far."""

    say: Progress = say_nothing
    consent: Consent = NOBODY_AGREED
    reports: list[Report] = field(default_factory=list)
    change: Change = field(default_factory=Change)
    skipped: list[Skipped] = field(default_factory=list)
    embedded: int = 0
    fault: Fault | None = None

    def told_of(self, source: str) -> Progress:
        """The same, as steps of one source."""
        return lambda step, done, total: self.say(f"{source}: {step}", done, total)


@dataclass(slots=True)
class Reading:
    """One source being read in a run: what came of it so far."""

    source: str
    run: Run
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock: float = field(default_factory=time.monotonic)
    change: Change = field(default_factory=Change)
    skipped: list[Skipped] = field(default_factory=list)
    read: int = 0
    loss: Loss | None = None
    trouble: str = ""

    def count(self, step: Step, change: Change) -> None:
        """A step was taken."""
        self.change += change
        self.run.change += change
        self.skipped += step.skipped
        self.run.skipped += step.skipped
        self.read += len(step.documents)
        if step.documents or step.skipped:
            self.run.told_of(self.source)("read", self.read, 0)

    def report(self, embedded: int = 0, embedder: str = "none") -> Report:
        """What came of it."""
        return Report(
            source=self.source,
            read_at=self.began,
            seconds=time.monotonic() - self.clock,
            documents=self.change.documents,
            embedded=embedded,
            embedder=embedder,
            trouble=self.trouble,
            loss=self.loss,
            **left_out(self.skipped),
        )

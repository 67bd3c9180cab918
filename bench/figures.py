"""One line of the report: a limit, what was measured beside it, and the aim of their ratio."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console


@dataclass(frozen=True, slots=True)
class Figure:
    """Samples and their limit in `unit`. An aim of None is informative: printed, and never failed."""

    name: str
    limit: float
    made_of: str
    samples: Sequence[float]
    aim: float | None = None
    aim_p99: float | None = None
    unit: str = "ms"
    notes: Sequence[str] = ()
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    @property
    def p50(self) -> float:
        return statistics.median(self.samples) if self.samples else float("inf")

    @property
    def p99(self) -> float:
        """The sample that 99 of 100 do not exceed."""
        ordered = sorted(self.samples)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else float("inf")

    @property
    def met(self) -> bool:
        """Whether every aim is reached."""
        within = self.aim is None or self.p50 <= self.aim * self.limit
        return within and (self.aim_p99 is None or self.p99 <= self.aim_p99 * self.limit)

    def as_json(self) -> dict[str, Any]:
        ratios = {"ratio": self.p50 / self.limit, "ratio_p99": self.p99 / self.limit}
        return {**asdict(self), "p50": self.p50, "p99": self.p99, **ratios, "met": self.met}


def show(figure: Figure, out: Console) -> None:
    """Two or more lines: the figures, and what the limit is made of."""
    verdict = "[dim]info[/dim]" if figure.aim is figure.aim_p99 is None else ""
    verdict = verdict or ("[green]met[/green]" if figure.met else "[bold red]MISSED[/bold red]")
    unit, limit = figure.unit, figure.limit
    out.print(
        f"[bold]{figure.name:<12}[/bold] limit {limit:8.2f} {unit}  p50 {figure.p50:8.2f}  p99 {figure.p99:8.2f}  "
        f"ratio {figure.p50 / limit:5.2f} / {figure.p99 / limit:5.2f}  {_aims(figure)}  n={len(figure.samples)}  "
        f"load {figure.load:.2f}  {verdict}"
    )
    for words in (f"limit: {figure.made_of}", *figure.notes):
        out.print(f"{'':<13}{words}", markup=False, style="dim")


def _aims(figure: Figure) -> str:
    aims = [("", figure.aim), ("p99 ", figure.aim_p99)]
    return "aim " + (", ".join(f"{which}<= {aim:.2f}" for which, aim in aims if aim is not None) or "none")

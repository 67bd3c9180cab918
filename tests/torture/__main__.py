"""`python -m tests.torture`: so many kills, in batches that can be gone on with, and the table of what came of them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.postgres import a_server
from tests.torture.aims import Aims
from tests.torture.batch import APART, REPLICAS, Order, Outcome, run
from tests.torture.judge import Findings
from tests.torture.report import table
from tests.torture.stage import Fleet, Tally

IN_A_BATCH = 50


def main(
    kills: Annotated[int, typer.Option(help="How many kills in all.")] = 500,
    database: Annotated[str, typer.Option(help="sqlite: front and executor; postgres: two replicas.")] = "sqlite",
    seed: Annotated[int, typer.Option(help="Chooses stories, faults and aims.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    place: Annotated[Path, typer.Option(help="Where batches and results are kept.")] = Path(".torture"),
) -> None:
    """Kill the program again and again, and look at what the vendors hold afterwards."""
    out = Console(highlight=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended too
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # it tells of every connection that dies
    home = place / database
    if not resume:
        shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    results = Results(home)
    out.print(f"seed {seed}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f}; results in {home}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        _database(database) as (fleet, new_database),
        Progress(*columns, console=out, transient=not out.is_terminal) as bar,
    ):
        task = bar.add_task("kills", total=kills, completed=results.tally.kills)
        while (left := kills - results.tally.kills) > 0:
            before = results.tally.kills
            order = Order(f"{seed}/{results.batches}", min(left, IN_A_BATCH), fleet, new_database())
            begun = time.monotonic()

            def told(tally: Tally, before: int = before) -> None:
                bar.update(task, completed=before + tally.kills)

            outcome = asyncio.run(run(order, home / f"{results.batches:03d}", results.aims, told))
            results.keep(outcome, seconds=time.monotonic() - begun)
            for trouble in outcome.findings.wrong:
                out.print(f"seed {order.seed}: {trouble}", style="bold red")
    out.print(table(database, results.tally, results.findings, results.aims))
    raise typer.Exit(1 if results.findings.wrong else 0)


@contextmanager
def _database(name: str) -> Iterator[tuple[Fleet, Callable[[], str]]]:
    """The processes that are run on it, and what gives each batch a new one."""
    if name == "sqlite":
        yield APART, lambda: ""
    elif name == "postgres":
        with a_server() as server:
            yield REPLICAS, server.empty_database
    else:
        raise typer.BadParameter("--database is sqlite or postgres")


class Results:
    """What all batches so far came to, a line each in a file."""

    def __init__(self, home: Path) -> None:
        self._file = home / "batches.jsonl"
        self.batches = 0
        self.tally, self.findings, self.aims = Tally(), Findings(), Aims()
        for line in self._file.read_text("utf-8").splitlines() if self._file.exists() else ():
            kept = json.loads(line)
            self._add(Tally(**kept["tally"]), Findings(**kept["findings"]))
            self.aims = Aims(kept["hits"])

    def keep(self, outcome: Outcome, *, seconds: float) -> None:
        """A whole batch; what an interrupted one did is forgotten."""
        self._add(outcome.tally, outcome.findings)
        kept = {"tally": asdict(outcome.tally), "findings": asdict(outcome.findings), "hits": dict(self.aims.hits)}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**kept, "seconds": round(seconds), "load": os.getloadavg()[0]}) + "\n")

    def _add(self, tally: Tally, findings: Findings) -> None:
        self.batches += 1
        self.tally.add(tally)
        self.findings.add(findings)


if __name__ == "__main__":
    typer.run(main)

"""`python -m bench`: prints every figure beside its limit; exit code 1 when a ratio misses its aim."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import small
from bench.figures import Figure, show
from bench.knowledge import GROUP, measure_knowledge
from bench.knowledge import NAMES as SEARCHING
from bench.machinery import cpu
from bench.paths import People, measure_ack, measure_burst, measure_one_channel, measure_paths, needed
from bench.retrieval import retrieval
from bench.stage import outside, stage
from bench.suggesting import suggesting
from bench.waiting import NAMES as FULL
from bench.waiting import measure_waiting
from bench.webhook import webhook
from tests.postgres import a_server

PATHS = ("first-card", "decidable", "page", "full-card", "granted")
STAGED = (*PATHS, "burst", "one-channel", "ack")
SMALL: dict[str, Callable[[], Figure]] = {
    "cold": small.cold,
    "help": small.help_text,
    "commit": small.commit,
    "webhook": webhook,
    "cpu": cpu,
    "suggesting": suggesting,
    "retrieval": retrieval,
}
NAMES = (*SMALL, *FULL, *STAGED, *SEARCHING)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer requests.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join((*NAMES, GROUP))}; repeatable.")] = None,
    database: Annotated[
        str, typer.Option(help="sqlite or postgres, for what is measured with many waiting.")
    ] = "sqlite",
    to_json: Annotated[Path | None, typer.Option("--json", help="Write all samples to this file.")] = None,
) -> None:
    """Measure what people wait for, beside what the outside calls alone take."""
    logging.basicConfig(level=logging.ERROR)
    wanted = frozenset(name for each in only or NAMES for name in (SEARCHING if each == GROUP else (each,)))
    if unknown := wanted.difference(NAMES):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: not one of {', '.join(NAMES)}")
    if database not in ("sqlite", "postgres"):
        raise typer.BadParameter("--database is sqlite or postgres")
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f}", style="dim")
    figures = []
    for figure in _figures(wanted, quick=quick, database=database):
        show(figure, out)
        figures.append(figure)
    if to_json is not None:
        to_json.write_text(json.dumps([figure.as_json() for figure in figures], indent=1), "utf-8")
    raise typer.Exit(0 if all(figure.met for figure in figures) else 1)


def _figures(wanted: frozenset[str], *, quick: bool, database: str) -> Iterator[Figure]:
    yield from (measure() for name, measure in SMALL.items() if name in wanted)
    if not wanted.isdisjoint(FULL):
        with _ledger(database) as url:
            figures = _one_by_one(measure_waiting(wanted, quick=quick, database=url))
            yield from (figure for figure in figures if figure.name in wanted)
    if not wanted.isdisjoint(STAGED):
        yield from _one_by_one(_staged(wanted, quick=quick))
    yield from measure_knowledge(wanted, quick=quick)


@contextmanager
def _ledger(database: str) -> Iterator[str]:
    """The address of an empty database; nothing for SQLite."""
    if database == "sqlite":
        yield ""
        return
    with a_server() as server:
        yield server.empty_database()


def _one_by_one(measuring: AsyncIterator[Figure]) -> Iterator[Figure]:
    with asyncio.Runner() as runner:
        while (figure := runner.run(anext(measuring, None))) is not None:
            yield figure


async def _staged(wanted: frozenset[str], *, quick: bool) -> AsyncIterator[Figure]:
    requests, compared, rounds = (20, 20, 1) if quick else (200, 100, 3)
    people, crowd = People(), needed(requests, compared)
    with tempfile.TemporaryDirectory() as directory, outside(crowd) as base:
        async with stage(base, crowd, Path(directory)) as set_up:
            if "ack" in wanted:
                yield await measure_ack(set_up, people, compared)
            if not wanted.isdisjoint(PATHS):
                async for figure in measure_paths(set_up, people, requests):
                    if figure.name in wanted:
                        yield figure
            if "burst" in wanted:
                yield await measure_burst(set_up, people, rounds)
            if "one-channel" in wanted:
                yield await measure_one_channel(set_up, people)


if __name__ == "__main__":
    typer.run(main)

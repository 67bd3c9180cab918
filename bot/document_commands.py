"""What the commands about documents do. Whoever holds the index does the work: a bot that runs, or else the command."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import typer

from bot.console import bar, say_aside
from bot.document_output import show_answer, show_loss, show_outcome
from bot.errors import Fault, Refused
from bot.library import Answer, Library, open_library, variables_for
from bot.library_client import reach_library
from bot.library_wire import MOST
from bot.sources import DOCUMENTS
from knowledge.reports import NOBODY_AGREED, Consent, Loss
from knowledge.search import Result


def search(query: str, k: int, data_dir: Path | None, documents: Path | None, *, responders: bool) -> None:
    """The best passages, best first."""

    async def look() -> Answer:
        async with _searchable(data_dir, documents) as library:
            return await library.search(query, k, responders=responders)

    show_answer(asyncio.run(look()))


def search_lines(data_dir: Path | None, documents: Path | None, *, responders: bool) -> None:
    """Questions, a line of JSON each, answered by a line each, in order, until the input ends."""

    async def answer() -> None:
        async with _searchable(data_dir, documents) as library:
            while line := await asyncio.to_thread(sys.stdin.buffer.readline):
                if line.strip():
                    sys.stdout.write(json.dumps(await _answer_to(library, line, responders=responders)) + "\n")
                    sys.stdout.flush()

    asyncio.run(answer())


async def _answer_to(library: Library, line: bytes, *, responders: bool) -> dict[str, Any]:
    try:
        question, k = _question_in(line)
    except ValueError as problem:
        return {"error": str(problem)}
    found = await library.search(question, k, responders=responders)
    return {"results": [_as_json(one) for one in found.results], "answerable": found.answerable}


def _question_in(line: bytes) -> tuple[str, int]:
    """`ValueError` says what is wrong with it."""
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError('this line is not JSON; write {"q": "...", "k": 10}') from None
    question, k = (asked.get("q"), asked.get("k", 10)) if isinstance(asked, dict) else (None, 10)
    if not isinstance(question, str):
        raise ValueError('"q" must be a text')
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= MOST:
        raise ValueError(f'"k" must be a number from 1 to {MOST}')
    return question, k


def _as_json(result: Result) -> dict[str, Any]:
    names = ("file", "text", "score", "title", "heading", "url")
    return {name: getattr(result, name) for name in names}


def index(sources: Sequence[str], data_dir: Path | None, documents: Path | None, *, rebuild: bool, yes: bool) -> None:
    """Read the sources anew. `Refused` when something would be forgotten that nobody agreed to lose."""
    asyncio.run(_index(sources, data_dir, documents, rebuild=rebuild, yes=yes))


async def _index(
    sources: Sequence[str], data_dir: Path | None, documents: Path | None, *, rebuild: bool, yes: bool
) -> None:
    wanted = sources or ((DOCUMENTS,) if documents else ())
    async with _library(data_dir, documents) as library:
        losses, trouble = await _read(library, wanted, rebuild=rebuild, consent=Consent(yes=yes))
        if losses and (agreed := _ask(losses)):
            kept = [loss for loss in losses if loss.source not in agreed.gone]
            again, more = await _read(library, list(agreed.gone), consent=agreed)
            losses, trouble = [*kept, *again], trouble or more
    if losses:
        raise Refused("; ".join(loss.words for loss in losses))
    if trouble:
        raise Fault("index", "not everything could be read; see above")


async def _read(
    library: Library, sources: Sequence[str], *, rebuild: bool = False, consent: Consent = NOBODY_AGREED
) -> tuple[list[Loss], bool]:
    """What would be lost, and whether something else is the matter."""
    with bar() as (_, advance):
        outcome = await library.index(sources, advance, rebuild=rebuild, consent=consent)
    show_outcome(outcome)
    return outcome.losses, bool(outcome.other_trouble)


def _ask(losses: Collection[Loss]) -> Consent | None:
    """What a person at the terminal agrees to lose; without one nobody is asked."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    agreed = {}
    for loss in losses:
        show_loss(loss)
        if typer.confirm("Forget them?"):
            agreed[loss.source] = loss.gone
    return Consent(gone=agreed) if agreed else None


@asynccontextmanager
async def _searchable(data_dir: Path | None, documents: Path | None) -> AsyncIterator[Library]:
    async with _library(data_dir, documents) as library:
        for line in await library.refresh():
            say_aside(line)
        yield library


@asynccontextmanager
async def _library(data_dir: Path | None, documents: Path | None) -> AsyncIterator[Library]:
    """The bot's if one runs with this data directory, else our own."""
    variables = variables_for(documents)
    place = data_dir or Path(variables.get("TINYAPPROVER_DATA_DIR", "data"))
    async with reach_library(place, documents) as remote:
        if remote is not None:
            yield remote
            return
    async with open_library(place, variables) as library:
        yield library

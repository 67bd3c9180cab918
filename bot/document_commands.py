"""What the commands about documents do. Searching needs none of the vendors' settings."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bot.config import path_named_in
from bot.console import bar, out
from bot.core.words import one_line
from bot.errors import SettingsError

MOST = 100  # passages an answer


def search(query: str, k: int, data_dir: Path | None, documents: Path | None) -> None:
    """The best passages, best first."""
    from knowledge.memory import Knowledge

    async def look(knowledge: Knowledge) -> None:
        await knowledge.warm()
        await knowledge.index()
        for result in await knowledge.search([query], k):
            out.print(f"{result.score:.3f}  {result.title} › {result.heading}", markup=False, style="bold")
            out.print(f"       {result.url or result.file}", markup=False)
            out.print(f"       {one_line(result.text, 300)}\n", markup=False)

    asyncio.run(_with_knowledge(data_dir, documents, look))


def search_lines(data_dir: Path | None, documents: Path | None) -> None:
    """Questions, a line of JSON each, answered by a line each, in order, until the input ends."""
    from knowledge.memory import Knowledge

    async def answer(knowledge: Knowledge) -> None:
        await knowledge.warm()
        await knowledge.index()
        while line := await asyncio.to_thread(sys.stdin.readline):
            if line.strip():
                sys.stdout.write(json.dumps(await _answer_to(knowledge, line)) + "\n")
                sys.stdout.flush()

    asyncio.run(_with_knowledge(data_dir, documents, answer))


async def _answer_to(knowledge: Any, line: str) -> dict[str, Any]:
    try:
        question, k = _question_in(line)
    except ValueError as problem:
        return {"error": str(problem)}
    found = await knowledge.search([question], k)
    return {"results": [_as_json(one) for one in found], "answerable": bool(knowledge.likely(found))}


def _question_in(line: str) -> tuple[str, int]:
    """`ValueError` says what is wrong with it."""
    try:
        asked = json.loads(line)
    except ValueError:
        raise ValueError('this line is not JSON; write {"q": "...", "k": 10}') from None
    question, k = (asked.get("q"), asked.get("k", 10)) if isinstance(asked, dict) else (None, 10)
    if not isinstance(question, str):
        raise ValueError('"q" must be a text')
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= MOST:
        raise ValueError(f'"k" must be a number from 1 to {MOST}')
    return question, k


def _as_json(result: Any) -> dict[str, Any]:
    names = ("file", "text", "score", "title", "heading", "url")
    return {name: getattr(result, name) for name in names}


def index(data_dir: Path | None, documents: Path | None, *, rebuild: bool) -> None:
    """Read the documents anew, with a bar for what takes long."""
    from knowledge.memory import Knowledge

    async def work(knowledge: Knowledge) -> None:
        await knowledge.warm()
        with bar() as (_, advance):
            summary = await knowledge.index(advance, rebuild=rebuild)
        change = summary.change
        out.print(f"{summary.documents} documents, {summary.passages} passages; embedder: {summary.embedder}")
        out.print(
            f"new {change.new}, unchanged {change.unchanged}, removed {change.deleted}; embedded {summary.embedded}"
        )
        for trouble in summary.trouble:
            out.print(trouble, markup=False, style="yellow")

    asyncio.run(_with_knowledge(data_dir, documents, work))


async def _with_knowledge(
    data_dir: Path | None, documents: Path | None, work: Callable[[Any], Coroutine[Any, Any, None]]
) -> None:
    from knowledge.embed import Wanted
    from knowledge.memory import Knowledge

    place = data_dir or path_named_in("TINYAPPROVER_DATA_DIR") or Path("data")
    folder = documents or path_named_in("TINYAPPROVER_DOCUMENTS")
    if folder is None:
        raise SettingsError("TINYAPPROVER_DOCUMENTS: is not set; name a folder with --documents")
    knowledge = await Knowledge.open(place, folder, embedder=Wanted(os.environ.get("TINYAPPROVER_EMBEDDER", "auto")))
    try:
        await work(knowledge)
    finally:
        await knowledge.close()

"""What the commands about documents do. Searching needs none of the vendors' settings."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bot.config import path_named_in
from bot.console import bar, out
from bot.core.words import one_line
from bot.errors import SettingsError


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

"""Searching and indexing: the local embedder, and an index of 10,000 and 100,000 passages that is kept between runs.

Each index is measured in a process of its own (`python -m bench.knowledge`), so that its memory is its own.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.figures import Figure
from bench.library import KEPT, VERSION, Library, keep_vectors, page_texts, questions
from bot.console import bar
from knowledge import Knowledge, Wanted
from knowledge.embed import LocalEmbedder, count_tokens
from knowledge.minilm import DIMENSION

NAMES = ("embed", "embed-query", "search-10k", "search-100k", "card-100k", "memory-100k", "reindex-10k")
GROUP = "knowledge"
SMALL, LARGE = 10_000, 100_000
LOCAL, ALONE = Wanted("local"), Wanted("none")
TEXTS, QUERIES, SEARCHES, CARDS = 160, 200, 200, 50
DRAWN = "vectors of passages are drawn, the query's is computed; words by Zipf's law, one audience of everybody"
Report = Callable[[str, int, int], None]


def measure_knowledge(wanted: Collection[str], *, quick: bool) -> Iterator[Figure]:
    """Every wanted figure; `quick` leaves the large index out."""
    if not {"embed", "embed-query"}.isdisjoint(wanted):
        yield from (figure for figure in embedding() if figure.name in wanted)
    for size, mark in ((SMALL, "10k"), *(() if quick else ((LARGE, "100k"),))):
        if any(name.endswith(mark) for name in wanted):
            told = _apart(size)
            yield from (figure for figure in _figures(told, mark) if figure.name in wanted)


# --- the embedder ----------------------------------------------------------------------------------------------------


def embedding() -> Iterator[Figure]:
    """Processor time of a thousand tokens on one thread, and how long a question takes."""
    embedder = LocalEmbedder(KEPT / "models")
    texts = page_texts(TEXTS)
    embedder.embed(texts[: embedder.batch])
    portions = [texts[start : start + embedder.batch] for start in range(0, len(texts), embedder.batch)]
    spent = [_per_thousand(embedder, some) for some in portions]
    at_pace = "1,000 tokens at 2,500 a second (processor time of one thread)"
    yield Figure(
        "embed", 400.0, at_pace, spent, aim=1.0, notes=(f"{1000 / (sum(spent) / len(spent)) * 1000:.0f} a second",)
    )
    asked = [_timed(partial(embedder.embed, [query])) for query in questions(QUERIES, 10)]
    yield Figure("embed-query", 10.0, "what a query may take", asked, aim=1.0, aim_p99=1.0)


def _per_thousand(embedder: LocalEmbedder, texts: Sequence[str]) -> float:
    _, count = count_tokens()
    tokens = sum(count(text) for text in texts)
    before = time.process_time()
    embedder.embed(texts)
    return (time.process_time() - before) * 1_000_000 / tokens


def _timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


# --- an index of its own ---------------------------------------------------------------------------------------------


def _figures(told: dict[str, Any], mark: str) -> Iterator[Figure]:
    limit, notes = {"10k": 150.0, "100k": 300.0}[mark], (DRAWN,)
    size = {"10k": "10,000 passages", "100k": "100,000 passages"}[mark]
    yield Figure(f"search-{mark}", limit, f"a question to {size}", told["search"], aim_p99=1.0, notes=notes)
    yield Figure(f"card-{mark}", limit, f"a card's five queries to {size}", told["card"], notes=notes)
    yield Figure(f"memory-{mark}", 1024.0, "1 GB, resident at most", [told["memory"]], aim=1.0, unit="MB")
    if "reindex" in told:
        made_of = f"10 s to index {size} that did not change; embedded anew: {told['embedded']}"
        yield Figure(f"reindex-{mark}", 10.0, made_of, [told["reindex"]], aim=1.0, unit="s")


def _apart(size: int) -> dict[str, Any]:
    """What a process of its own measured at an index of this size, which is built first if need be."""
    asyncio.run(_built(size))
    done = subprocess.run([sys.executable, "-m", "bench.knowledge", str(size)], check=True, stdout=subprocess.PIPE)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _home(size: int) -> Path:
    return KEPT / f"index-{size}"


async def _built(size: int) -> None:
    """Have the index there, with drawn vectors; a second run finds it."""
    mark = _home(size) / "built"
    fingerprint = LocalEmbedder(KEPT / "models").fingerprint
    if mark.exists() and mark.read_text() == f"{fingerprint} {VERSION}":
        return
    (_home(size) / "knowledge").mkdir(parents=True, exist_ok=True)
    with bar() as (_, advance):
        await _indexed(size, ALONE, advance)
        _draw(size, fingerprint)
        await _indexed(size, LOCAL, advance)
    mark.write_text(f"{fingerprint} {VERSION}")


async def _indexed(size: int, wanted: Wanted, advance: Report) -> None:
    knowledge = await Knowledge.open(_home(size), None, embedder=wanted, sources=[Library(size)])
    await knowledge.index(advance)
    await knowledge.close()


def _draw(size: int, fingerprint: str) -> None:
    from knowledge.catalogue import Catalogue

    catalogue = Catalogue(_home(size) / "knowledge" / "catalogue.db")
    keep_vectors(catalogue, fingerprint, DIMENSION)
    catalogue.close()


async def _measured(size: int) -> dict[str, Any]:
    knowledge = await Knowledge.open(_home(size), None, embedder=LOCAL, sources=[Library(size)])
    await knowledge.warm()
    await knowledge.search(questions(1, 10))
    search = [await _searched(knowledge, [query]) for query in questions(SEARCHES, 10)]
    several = questions(CARDS * 5, 25)
    card = [await _searched(knowledge, several[n : n + 5]) for n in range(0, len(several), 5)]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {"search": search, "card": card, "memory": memory}
    if size == SMALL:
        begun = time.monotonic()
        summary = await knowledge.index()
        told |= {"reindex": time.monotonic() - begun, "embedded": summary.embedded}
    await knowledge.close()
    return told


async def _searched(knowledge: Knowledge, queries: list[str]) -> float:
    begun = time.perf_counter()
    await knowledge.search(queries, 5)
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_measured(int(sys.argv[1])))))

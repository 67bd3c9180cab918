"""How well the right passage is found, on documents and questions of our own, or of a company.

`python -m bench.retrieval --documents DIR --questions FILE` takes a company's own. A line of FILE is
`{"q": "...", "kind": "policy", "files": ["a.md"], "key": "words of the answer"}`; a question that nothing answers has
neither files nor key. Questions are halved by a hash: search was tuned on one half, the other was held back.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import re
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer
from rich.console import Console
from rich.table import Table

from bench.figures import Figure
from knowledge import Knowledge, Wanted
from knowledge.embed import Embedder, build
from knowledge.sources import Document
from knowledge.sources.documents import Folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OWN = Path(__file__).parent / "retrieval"
DOCUMENTS, QUESTIONS = OWN / "documents", OWN / "questions.jsonl"
HALVES = ("tune", "held back")
SIZE, FLOOR = 1000, 0.30  # the plain recipe: characters a chunk, and the cosine below which it says nothing
DEPTH, FEW = 10, 5
LIMIT = 150.0  # ms
BEGIN, END = "<!-- bench.retrieval begins -->", "<!-- bench.retrieval ends -->"
_MARKS = re.compile(r"[*`]|<[^<>]+>")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and what would answer it: a file of `files`, a text with `key`; nothing when it has none."""

    q: str
    kind: str
    files: tuple[str, ...] = ()
    key: str = ""

    @property
    def answerable(self) -> bool:
        return bool(self.files)

    @property
    def half(self) -> str:
        """Questions on the same document stay together, so that the halves share none."""
        digest = hashlib.sha256((self.files[0] if self.files else self.q).encode()).digest()
        return HALVES[digest[0] % 2]


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that a recipe came up with."""

    file: str
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a recipe made of one question."""

    question: Question
    found: Sequence[Found]
    answers: bool
    ms: float

    def file_rank(self) -> int | None:
        """Where the first passage of a right file stands, from 1."""
        return next((n for n, one in enumerate(self.found, 1) if one.file in self.question.files), None)

    def rank(self) -> int | None:
        """Where the first passage with the words of the answer stands, from 1."""
        key = _plain(self.question.key)
        right = (
            n for n, one in enumerate(self.found, 1) if one.file in self.question.files and key in _plain(one.text)
        )
        return next(right, None)


@dataclass(frozen=True, slots=True)
class Share:
    """A mean of numbers from 0 to 1, and what it may be off by, 95 times in 100."""

    mean: float
    margin: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ±{self.margin:.2f}"


@dataclass(frozen=True, slots=True)
class Scores:
    """The figures of one recipe on some questions."""

    file_at_5: Share
    at_5: Share
    at_10: Share
    mrr: Share
    refused_rightly: Share
    refused_wrongly: Share
    characters: float
    p50: float
    p99: float

    def cells(self) -> list[str]:
        shares = (self.file_at_5, self.at_5, self.at_10, self.mrr, self.refused_rightly, self.refused_wrongly)
        return [*map(str, shares), f"{self.characters:,.0f}", f"{self.p50:.0f} / {self.p99:.0f}"]


HEADINGS = (
    *("recipe", "half", "file @5", "passage @5", "passage @10", "MRR", "unanswerable refused", "answerable refused"),
    *("characters in 5", "ms p50 / p99"),
)


class Recipe(Protocol):
    """A way to search: the best passages, and whether they are said to answer."""

    async def ask(self, q: str) -> tuple[Sequence[Found], bool]: ...


# --- recipes ---------------------------------------------------------------------------------------------------------


class Plain:
    """What a first tutorial would build: pieces of a thousand characters, the nearest vectors, a floor."""

    def __init__(self, documents: Sequence[Document], embedder: Embedder) -> None:
        self._pieces = [Found(one.file, piece) for one in documents for piece in _fixed(one.text)]
        self._embedder = embedder
        self._vectors: NDArray[np.float32] = embedder.embed([piece.text for piece in self._pieces])

    async def ask(self, q: str) -> tuple[Sequence[Found], bool]:
        cosines = self._vectors @ self._embedder.embed([q])[0]
        best = cosines.argsort()[::-1][:DEPTH]
        return [self._pieces[n] for n in best], bool(cosines[best[0]] >= FLOOR)


class Ours:
    """The product's own search."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge

    async def ask(self, q: str) -> tuple[Sequence[Found], bool]:
        found = await self._knowledge.search([q], DEPTH)
        return [Found(one.file, one.text) for one in found], bool(self._knowledge.likely(found))


def _fixed(text: str) -> Iterator[str]:
    for start in range(0, len(text), SIZE):
        yield text[start : start + SIZE]


@asynccontextmanager
async def _recipes(documents: Path, data: Path) -> AsyncIterator[dict[str, Recipe]]:
    embedder = await asyncio.to_thread(build, Wanted("local"), data / "models")
    assert embedder
    read = [one for one in Folder(documents).read() if isinstance(one, Document)]
    words = await Knowledge.open(data / "words", documents, embedder=Wanted("none"))
    both = await Knowledge.open(data / "both", documents, embedder=Wanted("local"))
    try:
        for knowledge in (words, both):
            await knowledge.warm()
            await knowledge.index()
        yield {
            "fixed pieces, vectors alone": await asyncio.to_thread(Plain, read, embedder),
            "words alone (BM25)": Ours(words),
            "TinyApprover": Ours(both),
        }
    finally:
        await words.close()
        await both.close()


# --- measuring -------------------------------------------------------------------------------------------------------


def load(path: Path) -> list[Question]:
    """The questions of a file, in order."""
    lines = (json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip())
    return [Question(one["q"], one["kind"], tuple(one.get("files", ())), one.get("key", "")) for one in lines]


async def measure(documents: Path, questions: Sequence[Question], data: Path) -> dict[str, list[Outcome]]:
    """Every question put to every recipe, one after another."""
    async with _recipes(documents, data) as recipes:
        return {name: [await _outcome(recipe, one) for one in questions] for name, recipe in recipes.items()}


async def _outcome(recipe: Recipe, question: Question) -> Outcome:
    begun = time.perf_counter()
    found, answers = await recipe.ask(question.q)
    return Outcome(question, found, answers, (time.perf_counter() - begun) * 1000)


def score(outcomes: Sequence[Outcome]) -> Scores:
    """The figures; what is answerable counts for finding, what is not for refusing."""
    known = [one for one in outcomes if one.question.answerable]
    unknown = [one for one in outcomes if not one.question.answerable]
    ranks = [one.rank() for one in known]
    times = sorted(one.ms for one in outcomes)
    return Scores(
        file_at_5=_share([_within(one.file_rank(), FEW) for one in known]),
        at_5=_share([_within(rank, FEW) for rank in ranks]),
        at_10=_share([_within(rank, DEPTH) for rank in ranks]),
        mrr=_share([1 / rank if rank else 0.0 for rank in ranks]),
        refused_rightly=_share([float(not one.answers) for one in unknown]),
        refused_wrongly=_share([float(not one.answers) for one in known]),
        characters=statistics.mean(sum(len(passage.text) for passage in one.found[:FEW]) for one in outcomes),
        p50=statistics.median(times),
        p99=times[min(len(times) - 1, int(len(times) * 0.99))],
    )


def _within(rank: int | None, most: int) -> float:
    return float(rank is not None and rank <= most)


def _share(values: Sequence[float]) -> Share:
    if not values:
        return Share(math.nan, math.nan)
    return Share(statistics.mean(values), 1.96 * statistics.pstdev(values) / math.sqrt(len(values)))


def _plain(text: str) -> str:
    """Words as they are compared: without marks, line breaks and capitals."""
    return " ".join(_MARKS.sub("", text).split()).casefold()


def rows(outcomes: dict[str, list[Outcome]]) -> list[list[str]]:
    """The lines of the table, a recipe and half each."""
    return [
        [name, half, *score(some).cells()]
        for name, all_of_them in outcomes.items()
        for half in HALVES
        if (some := [one for one in all_of_them if one.question.half == half])
    ]


def between_marks(page: str, table: Sequence[Sequence[str]]) -> str:
    """The page with the table in it, as Markdown."""
    before, _, rest = page.partition(BEGIN)
    lines = [HEADINGS, ["---"] * len(HEADINGS), *table]
    written = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{before}{BEGIN}\n{written}\n{END}{rest.partition(END)[2]}"


def retrieval() -> Figure:
    """The figure for `python -m bench`: how long a search takes, with the table beneath."""
    with tempfile.TemporaryDirectory() as directory:
        outcomes = asyncio.run(measure(DOCUMENTS, load(QUESTIONS), Path(directory)))
    notes = [" | ".join(row) for row in (HEADINGS, *rows(outcomes))]
    samples = [one.ms for one in outcomes["TinyApprover"]]
    return Figure("retrieval", LIMIT, "one search with the query's embedding", samples, aim_p99=1.0, notes=notes)


def main(
    documents: Annotated[Path, typer.Option(help="The folder to search.")] = DOCUMENTS,
    questions: Annotated[Path, typer.Option(help="The labelled questions, a line of JSON each.")] = QUESTIONS,
    data_dir: Annotated[Path | None, typer.Option(help="Where to keep the index; else it is thrown away.")] = None,
    write: Annotated[Path | None, typer.Option(help="A page between whose marks the table is written.")] = None,
    missed: Annotated[bool, typer.Option("--missed", help="Name what was not found in the first five.")] = False,
) -> None:
    """How well the right passage is found, and what nothing answers is refused."""
    with tempfile.TemporaryDirectory() as directory:
        outcomes = asyncio.run(measure(documents, load(questions), data_dir or Path(directory)))
    out = Console(highlight=False)
    table = Table(*HEADINGS)
    for row in rows(outcomes):
        table.add_row(*row)
    out.print(table)
    if write is not None:
        write.write_text(between_marks(write.read_text("utf-8"), rows(outcomes)), "utf-8")
    for one in outcomes["TinyApprover"] if missed else ():
        if one.question.answerable and not _within(one.rank(), FEW):
            out.print(f"{one.question.half}: {one.question.q} ({one.question.files[0]})", markup=False)


if __name__ == "__main__":
    typer.run(main)

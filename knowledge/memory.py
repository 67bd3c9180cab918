"""The company's own words, searched: the one class the rest of the product sees. Satisfies `bot.ports.Memory`."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

from bot.core.request import Passage, Quotes
from bot.errors import Fault, SettingsError
from knowledge.catalogue import Change
from knowledge.chroma_server import Server
from knowledge.embed import Wanted
from knowledge.engine import Engine, portions
from knowledge.prose import prose
from knowledge.recheck import may_be_shown, moved, places_of, still_standing, who_may_see
from knowledge.reports import NOBODY_AGREED, Consent, Report, Standing, left_out
from knowledge.search import Result, tidy
from knowledge.sources import CHAT, EVERYBODY, DocumentSource, FollowedSource, Held, Skipped, Step
from knowledge.sources.documents import Folder

Progress = Callable[[str, int, int], None]

LEFTOVERS_STAY = timedelta(days=7)
_P = ParamSpec("_P")
_T = TypeVar("_T")


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


@dataclass(slots=True)
class _Run:
    """A run over some sources: whom to tell, what was agreed to, and what came of it so far."""

    say: Progress
    consent: Consent = NOBODY_AGREED
    reports: list[Report] = field(default_factory=list)
    change: Change = field(default_factory=Change)
    skipped: list[Skipped] = field(default_factory=list)
    embedded: int = 0
    fault: Fault | None = None

    def told_of(self, source: str) -> Progress:
        """The same, as steps of one source."""
        return lambda step, done, total: self.say(f"{source}: {step}", done, total)


class Knowledge:
    """Documents in a data directory that this process owns. All work happens on one worker thread.

    `open` is quick. `warm` loads the embedder and the vectors; until then, and whenever they fail, `passages` and
    `search` go by words (BM25) alone. `index` reads the sources anew; searches are answered between its steps.
    """

    def __init__(self, home: Path, sources: Sequence[DocumentSource | FollowedSource], wanted: Wanted) -> None:
        self._home = home
        self._sources = sources
        self._whole = [source for source in sources if not isinstance(source, FollowedSource)]
        self.followed = [source for source in sources if isinstance(source, FollowedSource)]
        self._following = asyncio.Lock()
        self._wanted = wanted
        self._lock = _own(home)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="knowledge")
        self._busy = asyncio.Lock()
        self._engine: Engine | None = None
        self._held = ""
        self._closed = False

    @classmethod
    async def open(
        cls,
        data_dir: Path,
        documents: Path | None,
        *,
        embedder: Wanted | None = None,
        server: Server | None = None,
        base_url: str = "",
        sources: Sequence[DocumentSource | FollowedSource] = (),
    ) -> Knowledge:
        """Take `data_dir`/knowledge over. `SettingsError` when another process has it or a setting cannot be used."""
        wanted = embedder or Wanted()
        wanted.resolve()
        self = cls(data_dir / "knowledge", [*_folders(documents, base_url), *sources], wanted)
        try:
            self._engine = await self._run(Engine, self._home, wanted, server)
            self._engine.catalogue.sources = tuple(self.source_names)
            await self._look()
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Give the directory back. An indexing run in another task ends with a `Fault` at its next step."""
        engine, self._engine, self._closed = self._engine, None, True
        if engine:
            await asyncio.get_running_loop().run_in_executor(self._worker, engine.close)
        self._worker.shutdown(wait=False)
        self._lock.close()

    async def warm(self) -> None:
        """Load the embedder and open the vectors, if they are healthy and in its space. Safe to call again."""
        async with self._busy:
            await self._warm()

    async def _warm(self) -> None:
        engine = self._ready()
        await self._run(engine.load_embedder)
        stored = await self._run(engine.usable_build)
        try:
            if stored and await engine.shelf.is_healthy(stored):
                await self._run(engine.open_index, stored)
        except Fault as fault:
            engine.trouble = str(fault)
        await self._look()

    async def recover(self) -> None:
        """Go by meaning again when the server that holds the vectors is back, bringing them up to date."""
        engine = self._ready()
        if not engine.lost_server:
            return
        try:
            await asyncio.to_thread(engine.shelf.ping)
            await self.catch_up()
        except Fault as fault:
            engine.trouble = str(fault)

    # --- search ------------------------------------------------------------------------------------------------------

    async def passages(
        self,
        queries: Sequence[str],
        *,
        limit: int = 3,
        audience: frozenset[str] = EVERYBODY,
        people: frozenset[str] = frozenset(),
    ) -> list[Passage]:
        """The best passages that the audience may see, as evidence `p1`, `p2`...; unlike ones are left out.

        In which somebody of `people` wrote (ids, addresses and names as a source may know them), is marked as theirs.
        """
        return list((await self.quotes(queries, limit=limit, audience=audience, people=people)).passages)

    async def quotes(
        self, queries: Sequence[str], *, limit: int, audience: frozenset[str], people: frozenset[str]
    ) -> Quotes:
        """The same, and whether something was left out because nobody could say in time who may see it."""
        found, unsure = await self._look_up(queries, 3 * limit, audience)
        likely = self.likely(found)[:limit]
        return Quotes(tuple(_passage(number, result, people) for number, result in enumerate(likely, 1)), unsure)

    async def still(self, passages: Sequence[Passage], *, audience: frozenset[str]) -> Quotes:
        """Those of them that stand there at this moment as they were quoted, for this audience to see."""
        places = places_of(self.followed, [one.row for one in passages])
        now = await who_may_see(places)
        stand = await self._run(still_standing, self._ready().catalogue, passages, audience)
        shown = tuple(one for one in stand if may_be_shown(one.row, places, now, audience))
        return Quotes(shown, unsure=not places.keys() <= now.keys())

    def likely(self, found: Sequence[Result]) -> list[Result]:
        """Those of them that are like enough to what was asked to support an answer."""
        embedder = self._ready().embedder
        floor = embedder.floor if embedder else 0.0
        return [result for result in found if not floor or result.support is None or result.support >= floor]

    async def search(self, queries: Sequence[str], k: int = 5, *, audience: frozenset[str] = EVERYBODY) -> list[Result]:
        """The `k` best passages that the audience may see with their scores, however unlike the queries they are."""
        return (await self._look_up(queries, k, audience))[0]

    async def _look_up(self, queries: Sequence[str], k: int, audience: frozenset[str]) -> tuple[list[Result], bool]:
        """What may be shown, and whether something was left out for want of somebody's word."""
        tidied = tidy(queries)
        found = await self._run(self._ready().search, tidied, k, audience)
        places = places_of(self.followed, [one.id for one in found])
        now = await who_may_see(places)
        if turned := moved(now, found):
            for place, visibility in turned.items():
                await self.take(places[place], Step(moved=((place, visibility),)))
            found = await self._run(self._ready().search, tidied, k, audience)
            places = places_of(self.followed, [one.id for one in found])
            now = await who_may_see(places)
        shown = [one for one in found if may_be_shown(one.id, places, now, audience)]
        return shown, not places.keys() <= now.keys()

    async def likeness(self, query: str, texts: Sequence[str]) -> list[float]:
        """How alike in meaning a query is to each of a few texts (cosine); empty while only words are searched."""
        return await self._run(self._ready().likeness, query, tuple(texts))

    # --- indexing ----------------------------------------------------------------------------------------------------

    async def index(
        self,
        progress: Progress | None = None,
        *,
        only: Collection[str] | None = None,
        rebuild: bool = False,
        consent: Consent = NOBODY_AGREED,
    ) -> Summary:
        """Bring the catalogue and the vectors up to date with the sources that are read as a whole, or `only` some.

        `progress` is called with a word for the step, how much is done, and of how much. `rebuild` makes the vector
        index anew from the cached vectors; `consent` says how much of a source may be forgotten when it is gone there.
        """
        run = _Run(progress or _say_nothing, consent)
        if self._busy.locked():
            run.say("waiting for another reading", 0, 0)
        async with self._busy:
            await self._warm()
            for source in self._whole:
                if only is None or source.name in only:
                    await self._index(source, run)
            await self._align(run.say, rebuild=rebuild)
            await self._look()
            return await self._summary(run)

    async def _index(self, source: DocumentSource, run: _Run) -> None:
        """Read a source and embed what is new in it, and keep a report of that."""
        began, report = time.monotonic(), Report(source.name, datetime.now(UTC))
        try:
            report = await self._read(source, report, run)
        except Fault as fault:
            report = replace(report, trouble=str(fault))
        await self._run(self._ready().catalogue.reports.keep, report)  # a stop is kept before anything else is done
        await self._embed_for(source.name, report, run, began)

    async def _read(self, source: DocumentSource, report: Report, run: _Run) -> Report:
        engine, say = self._ready(), run.told_of(source.name)
        reading = await self._run(engine.start_reading, source)
        try:
            while (item := await asyncio.to_thread(next, reading.rest, None)) is not None:  # others go on meanwhile
                await self._run(engine.take_one, reading, item)
                say("read", len(reading.seen), 0)
            loss = await self._run(engine.finish_reading, reading, run.consent)
        finally:
            run.change += reading.change
            run.skipped += reading.skipped
        return replace(report, documents=reading.change.documents, loss=loss, **left_out(reading.skipped))

    async def _embed_for(self, source: str, report: Report, run: _Run, began: float) -> None:
        """What follows a source's reading. An embedder that failed is not asked again in this run."""
        embedded = 0
        if run.fault is None:
            embedded, run.fault = await self._embed(run.told_of(source))
        seconds = time.monotonic() - began
        report = replace(report, embedded=embedded, embedder=self._embedder_name, seconds=seconds)
        run.embedded += embedded
        run.reports.append(await self._run(self._ready().catalogue.reports.keep, report))

    # --- following ---------------------------------------------------------------------------------------------------

    async def follow(self, progress: Progress | None = None, *, only: Collection[str] | None = None) -> Summary:
        """Read what changed in the sources that are followed, each step kept before the next is read.

        It may take long, while Slack lets us read slowly; searches and `index` go on beside it.
        """
        run = _Run(progress or _say_nothing)
        if self._following.locked():
            run.say("waiting for another reading", 0, 0)
        async with self._following:
            for source in self.followed:
                if only is None or source.name in only:
                    await self._follow(source, run)
        return await self._summary(run)

    async def _follow(self, source: FollowedSource, run: _Run) -> None:
        began, report = time.monotonic(), Report(source.name, datetime.now(UTC))
        try:
            report = await self._take_steps(source, report, run)
        except Fault as fault:
            report = replace(report, trouble=str(fault))
        async with self._busy:
            await self._embed_for(source.name, report, run, began)
            await self._align(run.say, rebuild=False)
            await self._look()

    async def _take_steps(self, source: FollowedSource, report: Report, run: _Run) -> Report:
        change, skipped, read, say = Change(), list[Skipped](), 0, run.told_of(source.name)
        async with aclosing(source.changes(await self.held(source))) as steps:
            async for step in steps:
                change += await self.take(source, step)
                skipped += step.skipped
                say("read", read := read + len(step.documents), 0)
        run.change += change
        run.skipped += skipped
        return replace(report, documents=change.documents, **left_out(skipped))

    async def held(self, source: FollowedSource) -> Held:
        """What is kept of a source."""
        return await self._run(self._ready().catalogue.held, source.name)

    async def forget_others(self) -> None:
        """Forget what is kept of sources that are not chosen any more: nobody says who may see it now."""
        names = {source.name for source in self._sources}
        await self._run(self._ready().catalogue.forget_sources_but, names)

    async def take(self, source: FollowedSource, step: Step) -> Change:
        """Keep a step of a source's, of a reading or of what it just heard; found by words from now on."""
        return await self._run(self._ready().take_step, source.name, step)

    async def catch_up(self) -> int:
        """Let what was taken meanwhile be found by meaning too."""
        async with self._busy:
            await self._warm()
            embedded, _ = await self._embed(_say_nothing)
            await self._align(_say_nothing, rebuild=False)
            await self._look()
        return embedded

    # --- erasing -----------------------------------------------------------------------------------------------------

    @property
    def erased_up_to(self) -> int:
        """The last erasure in the audit trail that was carried out here."""
        return self._ready().forgotten.up_to

    async def forget_people(
        self, ids: Collection[str], *, up_to: int = 0, progress: Progress | None = None
    ) -> list[str]:
        """Take out for good what people wrote, by their ids as sources know them; they are never read again.

        Nothing of it can be read in any file afterwards. Chat goes as whole documents, whose ids are returned: give
        them to `read_again` to have them back without these people.
        """
        gone = await self._run(self._ready().forget_people, ids, up_to)
        await self.forget_leftovers(progress)
        return gone

    async def forget_leftovers(self, progress: Progress | None = None) -> None:
        """Have no file hold what was deleted: the vectors are built anew, and the catalogue is written anew."""
        engine = self._ready()
        async with self._busy:
            if engine.embedder is None:
                await self._run(engine.drop_vectors)
            await self._align(progress or _say_nothing, rebuild=True)
            await self._run(engine.catalogue.forget_leftovers)
            await self._look()

    async def forget_leftovers_in_time(self, now: datetime) -> bool:
        """What was deleted is in no file a week later; says whether it was time for that."""
        since = await self._run(self._ready().catalogue.leftovers_since)
        if since is None or now - since < LEFTOVERS_STAY:
            return False
        await self.forget_leftovers()
        return True

    async def read_again(self, document_ids: Iterable[str]) -> None:
        """Read documents of followed sources as they are now; what cannot be is left to the next whole reading."""
        for name in document_ids:
            for source in self.followed:
                if source.place_of(name):
                    await self.take(source, await source.again(name))

    # --- keeping up --------------------------------------------------------------------------------------------------

    async def _embed(self, say: Progress) -> tuple[int, Fault | None]:
        """How many passages got their vectors, and why not all of them."""
        engine = self._ready()
        missing = await self._run(engine.missing)
        done = 0
        for some in portions(missing, engine.embedder.batch if engine.embedder else 1):
            try:
                await self._run(engine.embed, some)
            except Fault as fault:
                return done, fault
            done += len(some)
            say("embed", done, len(missing))
        return done, None

    async def _align(self, say: Progress, *, rebuild: bool) -> None:
        """Make the vector index hold what the catalogue holds; one that fails is built anew, once.

        A server that does not answer then either is trouble, and words serve until it does.
        """
        try:
            await self._fill_or_fill_anew(say, rebuild=rebuild)
        except Fault as fault:
            engine = self._ready()
            if fault.vendor != "chroma" or not engine.shelf.is_far:
                raise
            await self._run(engine.lose_server, fault)

    async def _fill_or_fill_anew(self, say: Progress, *, rebuild: bool) -> None:
        try:
            await self._fill(say, rebuild=rebuild)
        except Fault as fault:
            if fault.vendor != "chroma":
                raise
            await self._fill(say, rebuild=True)

    async def _fill(self, say: Progress, *, rebuild: bool) -> None:
        engine = self._ready()
        lacking = await self._run(engine.start_aligning, rebuild=rebuild)
        done = 0
        for some in portions(lacking):
            await self._run(engine.add, some)
            done += len(some)
            say("vectors", done, len(lacking))
        await self._run(engine.finish_aligning)

    async def _summary(self, run: _Run) -> Summary:
        engine = self._ready()
        documents, passages, _ = await self._run(engine.catalogue.totals)
        return Summary(
            documents=documents,
            passages=passages,
            change=run.change,
            embedded=run.embedded,
            embedder=self._embedder_name,
            skipped=tuple(run.skipped),
            trouble=(*filter(None, [engine.trouble]), *[line async for line in self._troubles(run)]),
            reports=tuple(run.reports),
        )

    @property
    def _embedder_name(self) -> str:
        embedder = self._ready().embedder
        return embedder.name if embedder else "none"

    async def _troubles(self, run: _Run) -> AsyncIterator[str]:
        """What the operator has to see to."""
        for report in run.reports:
            if report.trouble:
                yield report.trouble
            if report.loss:
                yield report.loss.words
        if run.fault:
            missing = await self._run(self._ready().missing)
            yield f"{run.fault}; {len(missing)} passages are found by words alone until the next run"

    # --- state -------------------------------------------------------------------------------------------------------

    @property
    def source_names(self) -> list[str]:
        """The sources that are read, by name."""
        return [source.name for source in self._sources]

    async def passages_kept(self) -> int:
        """How many passages there are to be found."""
        return (await self._run(self._ready().catalogue.totals))[1]

    async def standings(self) -> list[Standing]:
        """What is kept of each source, and what came of its last reading."""
        return await self._run(self._ready().catalogue.reports.standings)

    def describe(self) -> tuple[str, ...]:
        """How things stand, in lines for `check`."""
        if self._engine is None:
            return (self._held, "closed")
        return (self._held, self._way(self._engine), *filter(None, [self._engine.trouble]))

    async def _look(self) -> None:
        """Refresh what `describe` says."""
        engine = self._ready()
        documents, passages, last = await self._run(engine.catalogue.totals)
        held = f"{documents} documents, {passages} passages" + (f", read {last:%Y-%m-%d %H:%M} UTC" if last else "")
        if not self._sources:
            held = f"no documents folder is configured (TINYAPPROVER_DOCUMENTS); {held}"
        elif not documents:
            held = "no documents are indexed"
        self._held = held

    def _way(self, engine: Engine) -> str:
        """How searches are answered now."""
        if engine.searches_meaning and engine.embedder:
            return f"search by words and meaning ({engine.embedder.name}; vectors {engine.shelf.where})"
        wanted = self._wanted.resolve()
        if wanted == "none":
            return "search by words alone (BM25): no embedder is configured or installed"
        return f"search by words alone (BM25) until the vectors are there (embedder: {wanted})"

    def _ready(self) -> Engine:
        if self._engine is None:
            raise Fault("knowledge", "it is closed", permanent=True)
        return self._engine

    async def _run(self, step: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """One step on the worker thread."""
        if self._closed:
            raise Fault("knowledge", "it is closed", permanent=True)
        return await asyncio.get_running_loop().run_in_executor(self._worker, lambda: step(*args, **kwargs))


def _folders(documents: Path | None, base_url: str) -> list[DocumentSource]:
    if documents is None:
        return []
    if not documents.is_dir():
        raise SettingsError(f"TINYAPPROVER_DOCUMENTS is {documents}, which is not a folder")
    return [Folder(documents, base_url=base_url)]


def _say_nothing(_step: str, _done: int, _total: int) -> None:
    """For callers who want no progress."""


def _passage(number: int, result: Result, people: frozenset[str]) -> Passage:
    written_by = {name.casefold() for author in result.authors for name in (author.id, author.name)}
    return Passage(
        id=f"p{number}",
        title=result.title,
        heading=result.heading,
        text=prose(result.text),
        url=result.url,
        updated_at=result.updated_at,
        chat=result.kind == CHAT,
        authors=tuple(author.name for author in result.authors),
        theirs=not written_by.isdisjoint(one.casefold() for one in people),
        row=result.id,
    )


def _own(home: Path) -> IO[str]:
    """Lock the directory for this process; the lock goes when the file is closed, or with the process."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = (home / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read(40).strip()
        file.close()
        raise SettingsError(
            f"{home} is in use by another process ({owner or 'unknown'}); "
            "wait until it has ended, stop it, or set TINYAPPROVER_DATA_DIR"
        ) from error
    file.truncate(0)
    file.write(f"pid {os.getpid()}")
    file.flush()
    return file

"""Sources read into the index: the catalogue and its vectors, brought up to date step by step and erased from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from bot.errors import Fault
from knowledge.catalogue import Change
from knowledge.embed import Wanted
from knowledge.engine import Engine, portions
from knowledge.owner import Owner
from knowledge.reports import NOBODY_AGREED, Consent, Standing
from knowledge.runs import Progress, Reading, Run, Summary, say_nothing
from knowledge.sources import DocumentSource, FollowedSource, Held, Skipped, Step

LEFTOVERS_STAY = timedelta(days=7)


class Indexing:
    """The index in a data directory that this process owns, and the sources that are read into it.

    Each step of a reading is kept before the next is read; searches are answered between them.
    """

    def __init__(self, home: Path, sources: Sequence[DocumentSource | FollowedSource], wanted: Wanted) -> None:
        self._home = home
        self._sources = sources
        self._whole = [source for source in sources if not isinstance(source, FollowedSource)]
        self.followed = [source for source in sources if isinstance(source, FollowedSource)]
        self._wanted = wanted
        self._owner = Owner(home)
        self._run = self._owner.run
        self._engine: Engine | None = None
        self._indexing, self._following, self._aligning = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
        self._held = ""

    # --- reading -----------------------------------------------------------------------------------------------------

    async def index(
        self,
        progress: Progress = say_nothing,
        *,
        only: Collection[str] | None = None,
        rebuild: bool = False,
        consent: Consent = NOBODY_AGREED,
    ) -> Summary:
        """Bring the catalogue and the vectors up to date with the sources that are read as a whole, or `only` some.

        `progress` is called with a word for the step, how much is done, and of how much. `rebuild` makes the vector
        index anew from the cached vectors; `consent` says how much of a source may be forgotten when it is gone there.
        """
        run = Run(progress, consent)
        async with _turn(self._indexing, run):
            await self.warm()
            for source in self._whole:
                if only is None or source.name in only:
                    await self._read(source, run)
            await self._align(run.say, rebuild=rebuild)
            return await self._summary(run)

    async def follow(self, progress: Progress = say_nothing, *, only: Collection[str] | None = None) -> Summary:
        """Read what changed in the sources that are followed.

        It may take long, while Slack lets us read slowly; `index` goes on beside it.
        """
        run = Run(progress)
        async with _turn(self._following, run):
            for source in self.followed:
                if only is None or source.name in only:
                    await self._read(source, run)
                    await self._align(run.say)
            return await self._summary(run)

    async def _read(self, source: DocumentSource | FollowedSource, run: Run) -> None:
        """Read a source, embed what is new, and keep a report. An embedder that failed is not asked again in a run."""
        reading, reports, embedded = Reading(source.name, run), self._ready().catalogue.reports, 0
        try:
            await self._take_steps(source, reading)
        except Fault as fault:
            reading.trouble = str(fault)
        except Exception as problem:  # noqa: BLE001 - a company's own source may raise anything
            reading.trouble = f"{source.name}: it broke off with {type(problem).__name__}: {problem}"
        await self._run(reports.keep, reading.report())  # a stop is kept before anything else is done
        if run.fault is None:
            embedded, run.fault = await self._embed(run.told_of(source.name))
        run.embedded += embedded
        run.reports.append(await self._run(reports.keep, reading.report(embedded, self._embedder_name)))

    async def _take_steps(self, source: DocumentSource | FollowedSource, reading: Reading) -> None:
        """Take what a source tells, but of one that is read as a whole forget no large part unless it was agreed to."""
        held, may_lose = await self.held(source), isinstance(source, FollowedSource)
        steps = source.changes(held) if isinstance(source, FollowedSource) else _changes(source, held)
        async with aclosing(steps):
            async for told in steps:
                step = told if may_lose else await self._unless_lost(told, held, reading)
                reading.count(step, await self.take(source, step))

    async def _unless_lost(self, step: Step, held: Held, reading: Reading) -> Step:
        loss = await self._run(self._ready().catalogue.reports.loss, reading.source, step.gone, held.documents)
        if not loss or reading.run.consent.covers(loss):
            return step
        reading.loss = loss
        return replace(step, gone=())

    async def held(self, source: DocumentSource | FollowedSource) -> Held:
        """What is kept of a source."""
        return await self._run(self._ready().catalogue.held, source.name)

    async def take(self, source: DocumentSource | FollowedSource, step: Step) -> Change:
        """Keep a step of a source's, of a reading or of what it just heard; found by words from now on."""
        return await self._run(self._ready().take_step, source.name, step)

    async def forget_others(self) -> None:
        """Forget what is kept of sources that are not chosen any more: nobody says who may see it now."""
        names = {source.name for source in self._sources}
        await self._run(self._ready().catalogue.forget_sources_but, names)

    # --- erasing -----------------------------------------------------------------------------------------------------

    @property
    def erased_up_to(self) -> int:
        """The last erasure in the audit trail that was carried out here."""
        return self._ready().forgotten.up_to

    async def forget_people(
        self, ids: Collection[str], *, up_to: int = 0, progress: Progress = say_nothing
    ) -> list[str]:
        """Take out for good what people wrote, by their ids as sources know them; they are never read again.

        Nothing of it can be read in any file afterwards. Chat goes as whole documents, whose ids are returned: give
        them to `read_again` to have them back without these people.
        """
        gone = await self._run(self._ready().forget_people, ids, up_to)
        await self.forget_leftovers(progress)
        return gone

    async def forget_leftovers(self, progress: Progress = say_nothing) -> None:
        """Have no file hold what was deleted: the vectors are built anew, and the catalogue is written anew."""
        engine = self._ready()
        if engine.embedder is None:
            await self._run(engine.drop_vectors)
        await self._align(progress, rebuild=True)
        await self._run(engine.catalogue.forget_leftovers)

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

    # --- vectors -----------------------------------------------------------------------------------------------------

    async def warm(self) -> None:
        """Load the embedder and open the vectors, if they are healthy and in its space. Safe to call again."""
        async with self._aligning:
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

    async def catch_up(self) -> int:
        """Let what was taken meanwhile be found by meaning too."""
        await self.warm()
        embedded, _ = await self._embed(say_nothing)
        await self._align(say_nothing)
        return embedded

    async def _embed(self, say: Progress) -> tuple[int, Fault | None]:
        """How many passages got their vectors, and why not all of them."""
        async with self._aligning:
            engine, done = self._ready(), 0
            missing = await self._run(engine.missing)
            for some in portions(missing, engine.embedder.batch if engine.embedder else 1):
                try:
                    await self._run(engine.embed, some)
                except Fault as fault:
                    return done, fault
                done += len(some)
                say("embed", done, len(missing))
            return done, None

    async def _align(self, say: Progress, *, rebuild: bool = False) -> None:
        """Make the vector index hold what the catalogue holds; one that fails is built anew, once.

        A server that does not answer then either is trouble, and words serve until it does.
        """
        async with self._aligning:
            try:
                await self._fill_or_fill_anew(say, rebuild=rebuild)
            except Fault as fault:
                engine = self._ready()
                if fault.vendor != "chroma" or not engine.shelf.is_far:
                    raise
                await self._run(engine.lose_server, fault)
            await self._look()

    async def _fill_or_fill_anew(self, say: Progress, *, rebuild: bool) -> None:
        try:
            await self._fill(say, rebuild=rebuild)
        except Fault as fault:
            if fault.vendor != "chroma":
                raise
            await self._fill(say, rebuild=True)

    async def _fill(self, say: Progress, *, rebuild: bool) -> None:
        engine, done = self._ready(), 0
        lacking = await self._run(engine.start_aligning, rebuild=rebuild)
        for some in portions(lacking):
            await self._run(engine.add, some)
            done += len(some)
            say("vectors", done, len(lacking))
        await self._run(engine.finish_aligning)

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

    async def _summary(self, run: Run) -> Summary:
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

    async def _troubles(self, run: Run) -> AsyncIterator[str]:
        """What the operator has to see to."""
        for report in run.reports:
            if report.trouble:
                yield report.trouble
            if report.loss:
                yield report.loss.words
        if run.fault:
            missing = await self._run(self._ready().missing)
            yield f"{run.fault}; {len(missing)} passages are found by words alone until the next run"

    def _ready(self) -> Engine:
        if self._engine is None:
            raise Fault("knowledge", "it is closed", permanent=True)
        return self._engine


@asynccontextmanager
async def _turn(lock: asyncio.Lock, run: Run) -> AsyncIterator[None]:
    """One run at a time."""
    if lock.locked():
        run.say("waiting for another reading", 0, 0)
    async with lock:
        yield


async def _changes(source: DocumentSource, held: Held) -> AsyncGenerator[Step, None]:
    """A source that is read as a whole as steps like a followed one's: each thing it holds, and what is gone at last.

    Its next thing is read on some thread, so that others go on meanwhile.
    """
    seen: set[str] = set()
    rest = await asyncio.to_thread(source.read)
    while (item := await asyncio.to_thread(next, rest, None)) is not None:
        if isinstance(item, Skipped):
            yield Step(skipped=(item,))
        else:
            seen.add(item.id)
            yield Step(documents=(item,))
    yield Step(gone=tuple(held.documents.keys() - seen))

"""The company's own words, searched: the one class the rest of the product sees. Satisfies `bot.ports.Memory`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bot.core.request import Passage, Quotes
from bot.errors import SettingsError
from knowledge.chroma_server import Server
from knowledge.embed import Wanted
from knowledge.engine import Engine
from knowledge.indexing import Indexing
from knowledge.prose import prose
from knowledge.recheck import may_be_shown, moved, places_of, still_standing, who_may_see
from knowledge.search import Result, tidy
from knowledge.sources import DECIDED, DOCUMENT, EVERYBODY, DocumentSource, FollowedSource, Step
from knowledge.sources.documents import Folder


class Knowledge(Indexing):
    """The index of a data directory, kept up to date with its sources and searched.

    `open` is quick. `warm` loads the embedder and the vectors; until then, and whenever they fail, `passages` and
    `search` go by words (BM25) alone. `index` reads the sources anew; searches are answered between its steps.
    """

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
        engine, self._engine = self._engine, None
        await self._owner.close(engine.close if engine else None)

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


def _folders(documents: Path | None, base_url: str) -> list[DocumentSource]:
    if documents is None:
        return []
    if not documents.is_dir():
        raise SettingsError(f"TINYAPPROVER_DOCUMENTS is {documents}, which is not a folder")
    return [Folder(documents, base_url=base_url)]


def _passage(number: int, result: Result, people: frozenset[str]) -> Passage:
    written_by = {name.casefold() for author in result.authors for name in (author.id, author.name)}
    return Passage(
        id=f"p{number}",
        title=result.title,
        heading=result.heading,
        text=prose(result.text),
        url=result.url,
        updated_at=result.updated_at,
        chat=result.kind != DOCUMENT,
        authors=tuple(author.name for author in result.authors),
        decided=result.kind == DECIDED,
        theirs=not written_by.isdisjoint(one.casefold() for one in people),
        row=result.id,
    )

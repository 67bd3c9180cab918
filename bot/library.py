"""The index of documents as commands use it, from the process that holds it. Needs none of the vendors' settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot.clock import SystemClock
from bot.errors import SettingsError
from bot.source_variables import environment
from bot.sources import DOCUMENTS, names, open_sources, vector_server
from knowledge.embed import Wanted
from knowledge.memory import Knowledge
from knowledge.reports import Consent, Loss, Report
from knowledge.runs import Progress, Summary
from knowledge.search import Result
from knowledge.sources import EVERYBODY, RESPONDERS
from knowledge.sources.registry import Ports

Variables = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reading came to. `trouble` are sentences for the operator; the reading went on past them."""

    documents: int
    passages: int
    embedder: str
    reports: tuple[Report, ...]
    trouble: tuple[str, ...]

    @property
    def losses(self) -> list[Loss]:
        """What waits for somebody to agree that it is forgotten."""
        return [report.loss for report in self.reports if report.loss]

    @property
    def other_trouble(self) -> list[str]:
        """What went wrong besides."""
        lost = {loss.words for loss in self.losses}
        return [line for line in self.trouble if line not in lost]


@dataclass(frozen=True, slots=True)
class Answer:
    """The passages found, best first, and whether they are like enough to support an answer.

    `searched` is how many passages there are, counted only when none was found.
    """

    results: tuple[Result, ...]
    answerable: bool
    searched: int = 0


class Library(Protocol):
    """The index, held by this process or by another."""

    async def refresh(self) -> Sequence[str]:
        """Before it is searched: read anew what is quick to read; returns what went wrong."""
        ...

    async def index(
        self, wanted: Sequence[str], progress: Progress, *, rebuild: bool = False, consent: Consent
    ) -> Outcome:
        """Read the sources named, all when none is. `SettingsError` when one is not chosen."""
        ...

    async def search(self, question: str, k: int, *, responders: bool = False) -> Answer:
        """The `k` best passages that everybody may see; with `responders`, also what they may see in their channel."""
        ...


@dataclass(frozen=True, slots=True)
class OwnLibrary:
    """The index of this process. `folder` is what the source `documents` reads, if it is chosen."""

    knowledge: Knowledge
    folder: Path | None
    channel: str = ""

    async def refresh(self) -> Sequence[str]:
        """Of the sources, the documents folder."""
        await self.knowledge.warm()
        return (await self.knowledge.index(only={DOCUMENTS})).trouble

    async def index(
        self, wanted: Sequence[str], progress: Progress, *, rebuild: bool = False, consent: Consent
    ) -> Outcome:
        only = self.named(wanted)
        whole = await self.knowledge.index(progress, only=only, rebuild=rebuild, consent=consent)
        followed = await self.knowledge.follow(progress, only=only)
        return _both(whole, followed)

    def named(self, wanted: Sequence[str]) -> Collection[str]:
        """A kind's name stands for all its parts: `wiki` for `wiki:ENG` and `wiki:OPS`."""
        chosen = self.knowledge.source_names
        if unknown := [name for name in wanted if not any(_is_named(one, name) for one in chosen)]:
            raise SettingsError(f"{unknown[0]!r} is no source that is chosen; chosen are {', '.join(chosen) or 'none'}")
        return [one for one in chosen if not wanted or any(_is_named(one, name) for name in wanted)]

    async def search(self, question: str, k: int, *, responders: bool = False) -> Answer:
        audience = EVERYBODY | {one for one in (RESPONDERS, self.channel) if one and responders}
        found = await self.knowledge.search([question], k, audience=audience)
        if not found:
            return Answer((), answerable=False, searched=await self.knowledge.passages_kept())
        return Answer(tuple(found), answerable=bool(self.knowledge.likely(found)))

    def check_folder(self, documents: Path | None) -> None:
        """`SettingsError` when somebody means another folder than this index is of."""
        if documents is not None and self.folder != documents.resolve():
            raise SettingsError(
                f"the bot that runs keeps this index, with the documents of {self.folder or 'no folder'}; "
                "name another --data-dir for those of another folder"
            )


def _is_named(source: str, name: str) -> bool:
    return name in (source, source.partition(":")[0])


def _both(one: Summary, other: Summary) -> Outcome:
    return Outcome(
        documents=other.documents,
        passages=other.passages,
        embedder=other.embedder,
        reports=(*one.reports, *other.reports),
        trouble=tuple(dict.fromkeys((*one.trouble, *other.trouble))),
    )


def library_of(knowledge: Knowledge, variables: Variables) -> OwnLibrary:
    """The index of a run, with what its settings say."""
    named = variables.get("TINYAPPROVER_DOCUMENTS") if DOCUMENTS in names(variables) else None
    folder = Path(named).resolve() if named else None
    return OwnLibrary(knowledge, folder, variables.get("SLACK_RESPONDER_CHANNEL", ""))


def variables_for(documents: Path | None) -> dict[str, str]:
    """The environment's and .env's; a folder that is named is read in place of all that they choose."""
    found = environment()
    return (
        {**found, "TINYAPPROVER_SOURCES": DOCUMENTS, "TINYAPPROVER_DOCUMENTS": str(documents)} if documents else found
    )


@asynccontextmanager
async def open_library(data_dir: Path, variables: Variables) -> AsyncIterator[OwnLibrary]:
    """Hold the index for as long as the context lasts. `SettingsError` when somebody else does."""
    if not names(variables):
        raise SettingsError(
            "TINYAPPROVER_DOCUMENTS: is not set, and TINYAPPROVER_SOURCES neither; name a folder with --documents"
        )
    sources = open_sources(variables, Ports(SystemClock().now, data_dir / "knowledge"))
    server = vector_server(variables)
    knowledge = await Knowledge.open(
        data_dir, None, embedder=wanted_embedder(variables), server=server, sources=sources
    )
    try:
        yield library_of(knowledge, variables)
    finally:
        await knowledge.close()


def wanted_embedder(variables: Variables) -> Wanted:
    """What makes the vectors, by the same settings for a bot and for a command."""
    return Wanted(
        variables.get("TINYAPPROVER_EMBEDDER", "auto"),
        api_key=variables.get("OPENAI_API_KEY", ""),
        base_url=variables.get("OPENAI_BASE_URL", ""),
    )

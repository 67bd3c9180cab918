"""The index as commands use it while a bot runs that holds it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

from bot.errors import Fault, SettingsError
from bot.library import Answer, Outcome
from bot.library_wire import (
    INDEX,
    LONGEST_LINE,
    LONGEST_QUESTION,
    SEARCH,
    SOCKET,
    Ask,
    Json,
    Read,
    answer_of,
    outcome_of,
)
from bot.unix_socket import is_listening, name_of
from knowledge.reports import Consent
from knowledge.runs import Progress

GONE = "the bot stopped before it answered; what it read is kept: run this again"
PATIENT = aiohttp.ClientTimeout(total=None)
SEARCH_SECONDS = aiohttp.ClientTimeout(total=120)


@dataclass(frozen=True, slots=True)
class RemoteLibrary:
    """The index of the bot that runs. `documents` is the folder that is meant, if one was named."""

    session: aiohttp.ClientSession
    documents: str | None

    async def refresh(self) -> Sequence[str]:
        """The bot sees to that."""
        return ()

    async def search(self, question: str, k: int, *, responders: bool = False) -> Answer:
        ask = Ask(question[:LONGEST_QUESTION], k, responders=responders, documents=self.documents)
        with _telling_that_it_stopped():
            async with self.session.post(SEARCH, json=asdict(ask), timeout=SEARCH_SECONDS) as response:
                return answer_of(_checked(await response.json()))

    async def index(
        self, wanted: Sequence[str], progress: Progress, *, rebuild: bool = False, consent: Consent
    ) -> Outcome:
        read = Read(tuple(wanted), rebuild=rebuild, yes=consent.yes, gone=dict(consent.gone), documents=self.documents)
        with _telling_that_it_stopped():
            async with self.session.post(INDEX, json=asdict(read), timeout=PATIENT) as response:
                async for line in response.content:
                    told = _checked(json.loads(line))
                    if "outcome" in told:
                        return outcome_of(told["outcome"])
                    progress(told["step"], told["done"], told["of"])
        raise Fault("index", GONE)


def _checked(told: Json) -> Json:
    """What was told, unless it is that something went wrong."""
    if "settings" in told:
        raise SettingsError(told["settings"])
    if "fault" in told:
        raise Fault("index", told["fault"])
    return told


@contextmanager
def _telling_that_it_stopped() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, ConnectionError, TimeoutError) as problem:
        raise Fault("index", GONE) from problem


def _full(documents: Path | None) -> str | None:
    return str(documents.resolve()) if documents else None


@asynccontextmanager
async def reach_library(data_dir: Path, documents: Path | None) -> AsyncIterator[RemoteLibrary | None]:
    """The index of the bot that runs with this data directory; None when there is none."""
    path = data_dir / SOCKET
    try:
        listening = is_listening(path)
    except PermissionError:
        raise SettingsError(f"{path} belongs to another user, whose bot keeps this index; be that user") from None
    if not listening:
        yield None
        return
    with name_of(path) as name:
        connector = aiohttp.UnixConnector(path=name)
        async with aiohttp.ClientSession("http://index", connector=connector, read_bufsize=LONGEST_LINE) as session:
            yield RemoteLibrary(session, _full(documents))

"""The index through a socket, in the place of a bot that runs: what clients may do, and what they are told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.errors import Fault, SettingsError
from bot.library import OwnLibrary
from bot.library_client import RemoteLibrary, reach_library
from bot.library_server import LibraryServer, Telling
from bot.unix_socket import LONGEST
from knowledge import Knowledge
from knowledge.reports import NOBODY_AGREED, Consent
from knowledge.sources import CHAT, RESPONDERS, Author, Document, Skipped
from tests.knowledge.conftest import HANDBOOK, Open

Steps = list[tuple[str, int, int]]


class Wiki:
    """A source that is read as far as a test lets it."""

    name = "wiki:ENG"

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.pages = 30

    def read(self) -> Iterator[Document | Skipped]:
        for number in range(self.pages):
            yield Document(f"wiki/{number}", f"Page {number}", f"Herons of lake {number}.", "", "", None)
            self.begun.set()
            assert self.go_on.wait(20)
        yield Skipped("wiki/99", "it is locked")


class Chat:
    """What only responders may see."""

    name = "chat"

    def read(self) -> Iterator[Document | Skipped]:
        people = (Author("U1", "Alice"),)
        yield Document("chat/1", "In C0ACCESS", "Ospreys hunt.", "", "", None, "C0ACCESS", CHAT, people)
        yield Document("chat/2", "Runbook", "Ospreys nest.", "", "", None, RESPONDERS)


@pytest.fixture
def wiki() -> Iterator[Wiki]:
    source = Wiki()
    yield source
    source.go_on.set()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The data directory that `opened` uses."""
    return tmp_path / "data"


@asynccontextmanager
async def served(knowledge: Knowledge, place: Path) -> AsyncIterator[LibraryServer]:
    server = LibraryServer(OwnLibrary(knowledge, HANDBOOK, "C0ACCESS"))
    await server.start(place)
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def reached(place: Path, documents: Path | None = None) -> AsyncIterator[RemoteLibrary]:
    async with reach_library(place, documents) as remote:
        assert remote is not None
        yield remote


def silent(_step: str, _done: int, _total: int) -> None:
    """For who wants no progress."""


async def begun(wiki: Wiki) -> None:
    assert await asyncio.to_thread(wiki.begun.wait, 20)


async def read_all(remote: RemoteLibrary, *sources: str) -> None:
    await remote.index(sources, silent, consent=NOBODY_AGREED)


async def test_progress_and_outcome_come_over_the_socket(opened: Open, place: Path, wiki: Wiki) -> None:
    wiki.go_on.set()
    steps: Steps = []
    async with (
        opened(None, kind="none", sources=[wiki]) as knowledge,
        served(knowledge, place),
        reached(place) as remote,
    ):
        outcome = await remote.index((), lambda *step: steps.append(step), consent=NOBODY_AGREED)
        kept = (await knowledge.standings())[0]
    assert steps[-1] == ("wiki:ENG: read", 30, 0)
    assert (outcome.documents, outcome.embedder) == (30, "none")
    assert outcome.reports == (kept.report,)
    assert outcome.reports[0].skipped == (Skipped("wiki/99", "it is locked"),)


async def test_what_is_found_is_the_same_over_the_socket(opened: Open, place: Path, indexed: Path) -> None:
    async with opened() as knowledge, served(knowledge, place), reached(place) as remote:
        await knowledge.warm()
        own = await OwnLibrary(knowledge, HANDBOOK).search("contractors and the VPN", 5)
        assert await remote.search("contractors and the VPN", 5) == own
    assert len(own.results) == 5
    assert own.results[0].cosine is not None


async def test_only_who_says_responders_sees_what_is_theirs(opened: Open, place: Path) -> None:
    async with (
        opened(None, kind="none", sources=[Chat()]) as knowledge,
        served(knowledge, place),
        reached(place) as remote,
    ):
        await read_all(remote)
        public = await remote.search("ospreys", 5)
        theirs = await remote.search("ospreys", 5, responders=True)
    assert (public.results, public.searched) == ((), 2)
    assert sorted(one.text for one in theirs.results) == ["Ospreys hunt.", "Ospreys nest."]


async def test_nothing_is_found_of_a_source_that_is_not_chosen_any_more(opened: Open, folder: Path) -> None:
    async with opened(None, kind="none", sources=[Chat()]) as knowledge:
        await knowledge.index()
    async with opened(folder, kind="none") as knowledge:
        assert (await OwnLibrary(knowledge, folder).search("ospreys", 5, responders=True)).results == ()
        assert (await knowledge.standings())[0].documents == 2


async def test_a_client_that_goes_away_does_not_stop_the_reading(opened: Open, place: Path, wiki: Wiki) -> None:
    async with opened(None, kind="none", sources=[wiki]) as knowledge, served(knowledge, place):
        async with reached(place) as remote:
            asking = asyncio.create_task(read_all(remote))
            await begun(wiki)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        wiki.go_on.set()
        async with reached(place) as remote:
            await read_all(remote)  # waits for the first
            (report,) = [one.report for one in await knowledge.standings()]
    assert report
    assert (report.documents.new, report.documents.unchanged) == (0, 30)


async def test_several_clients_are_answered_while_one_has_everything_read(
    opened: Open, place: Path, wiki: Wiki
) -> None:
    async with (
        opened(None, kind="none", sources=[wiki]) as knowledge,
        served(knowledge, place),
        reached(place) as one,
        reached(place) as two,
        reached(place) as three,
    ):
        asking = asyncio.create_task(read_all(one))
        await begun(wiki)
        answers = await asyncio.gather(two.search("herons", 3), three.search("herons", 3))
        assert not asking.done()
        wiki.go_on.set()
        await asking
    assert [len(answer.results) for answer in answers] == [1, 1]


async def test_a_bot_that_stops_says_so_and_keeps_what_was_read(opened: Open, place: Path, wiki: Wiki) -> None:
    async with opened(None, kind="none", sources=[wiki]) as knowledge:
        async with served(knowledge, place) as server, reached(place) as remote:
            asking = asyncio.create_task(read_all(remote))
            await begun(wiki)
            stopping = asyncio.create_task(server.stop())
            wiki.go_on.set()
            with pytest.raises(Fault, match="the bot stops; what was read so far is kept"):
                await asking
            await stopping
            with pytest.raises(Fault, match="the bot stopped before it answered"):
                await remote.search("herons", 3)
        assert await knowledge.passages_kept() >= 1
        async with reach_library(place, None) as nobody:
            assert nobody is None


async def test_a_loss_is_agreed_to_over_the_socket(opened: Open, place: Path, wiki: Wiki) -> None:
    wiki.go_on.set()
    async with (
        opened(None, kind="none", sources=[wiki]) as knowledge,
        served(knowledge, place),
        reached(place) as remote,
    ):
        await read_all(remote)
        wiki.pages = 3
        stopped = await remote.index((), silent, consent=NOBODY_AGREED)
        loss = stopped.reports[0].loss
        assert loss
        assert (stopped.documents, loss.gone, loss.known) == (30, 27, 30)
        agreed = await remote.index(["wiki"], silent, consent=Consent(gone={"wiki:ENG": 27}))
    assert (agreed.documents, agreed.reports[0].loss) == (3, None)


async def test_a_source_that_is_not_chosen_is_refused_with_those_that_are(
    opened: Open, place: Path, wiki: Wiki
) -> None:
    async with (
        opened(None, kind="none", sources=[wiki, Chat()]) as knowledge,
        served(knowledge, place),
        reached(place) as remote,
    ):
        for name in ("wiki:OPS", "wik", ""):
            with pytest.raises(SettingsError, match=f"'{name}' is no source that is chosen; .* wiki:ENG, chat"):
                await read_all(remote, "chat", name)
        assert await knowledge.standings() == []


async def test_another_folder_than_the_index_is_of_is_refused(opened: Open, place: Path, folder: Path) -> None:
    async with opened(kind="none") as knowledge, served(knowledge, place):
        async with reached(place, HANDBOOK) as remote:
            await remote.search("vpn", 1)
        async with reached(place, folder) as remote:
            for asking in (remote.search("vpn", 1), read_all(remote)):
                with pytest.raises(SettingsError, match=f"with the documents of {HANDBOOK}; name another --data-dir"):
                    await asking


# --- the socket ------------------------------------------------------------------------------------------------------


@pytest.fixture
def far(place: Path) -> Path:
    """A data directory whose path no socket call takes."""
    path = place / ("a" * LONGEST) / ("b" * LONGEST)
    (path / "knowledge").mkdir(parents=True)
    return path


async def test_a_path_of_any_length_will_do(opened: Open, far: Path) -> None:
    async with opened(kind="none") as knowledge, served(knowledge, far), reached(far) as remote:
        assert (await remote.search("vpn", 1)).searched == 0
        assert (far / "knowledge.sock").stat().st_mode & 0o777 == 0o600


async def test_whatever_lies_there_is_replaced_and_gone_at_the_end(opened: Open, place: Path) -> None:
    async with opened(kind="none") as knowledge:
        (place / "knowledge.sock").write_text("left there")
        (place / "knowledge" / ".socket").write_text("left there")
        async with served(knowledge, place), reached(place) as remote:
            await remote.search("vpn", 1)
    assert not (place / "knowledge.sock").exists()


async def test_where_no_socket_can_be_the_program_runs_without(opened: Open, place: Path, far: Path) -> None:
    async with opened(kind="none") as knowledge:
        (far / "knowledge").rmdir()
        async with served(knowledge, far), reach_library(far, None) as nobody:
            assert nobody is None


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"7",
        b'{"question": "vpn"}',
        b'{"question": "vpn", "k": 0}',
        b'{"question": "vpn", "k": 101}',
        b'{"question": 7, "k": 5}',
        b'{"question": "vpn", "k": 5, "more": 1}',
        b'{"question": "' + b"a" * 300_000 + b'", "k": 5}',
    ],
    ids=lambda body: body[:40].decode(),
)
async def test_what_is_not_understood_is_refused_in_words(opened: Open, place: Path, body: bytes) -> None:
    async with opened(kind="none") as knowledge, served(knowledge, place), reached(place) as remote:
        async with remote.session.post("/search", data=body) as response:
            assert response.status in (413, 422)
            assert "start it again if the program was updated" in "".join((await response.json()).values())
        async with remote.session.post("/elsewhere") as response:
            assert "Not Found" in (await response.json())["fault"]


async def test_a_question_of_any_length_is_answered(opened: Open, place: Path) -> None:
    async with opened(kind="none") as knowledge, served(knowledge, place), reached(place) as remote:
        await remote.search("\u20ac" * 1_000_000, 1)


async def test_a_slow_listener_is_told_the_latest_of_each_step() -> None:
    telling = Telling()
    for number in range(1000):
        telling.step("wiki: read", number, 0)
        telling.step("wiki: embed", number, 1000)
    telling.end({"outcome": {}})
    assert [json.dumps(line) async for line in telling.lines()] == [
        '{"step": "wiki: read", "done": 999, "of": 0}',
        '{"step": "wiki: embed", "done": 999, "of": 1000}',
        '{"outcome": {}}',
    ]


async def test_a_bot_that_dies_in_the_middle_is_told_of(place: Path) -> None:
    """Something that takes the question and is gone."""
    (place / "knowledge").mkdir(parents=True)

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"st')
        writer.transport.abort()

    server = await asyncio.start_unix_server(hang_up, place / "knowledge.sock")
    async with server, reached(place) as remote:
        with pytest.raises(Fault, match="the bot stopped before it answered"):
            await read_all(remote)

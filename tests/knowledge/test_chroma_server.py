"""Vectors on a real Chroma server, behind a proxy that can be slow, down or mad."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from bot.errors import Fault
from knowledge import chroma_server
from knowledge.chroma_server import Server, ServerShelf
from tests.knowledge.conftest import Open

CHROMA = Path(sys.executable).parent / "chroma"
QUESTION, ANSWER = "opening the safe with the sealed credentials", "break-glass.md"
TRIES, PAUSE = 300, 0.1
TOKEN = "not-a-real-token"


@dataclass
class Far:
    """A Chroma server, and the proxy in front of it: `mood` is what the proxy does instead of passing calls on."""

    folder: Path
    port: int
    mood: str = ""
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    http: httpx.Client = field(default_factory=lambda: httpx.Client(verify=False))
    process: subprocess.Popen[bytes] | None = None
    url: str = ""

    @property
    def itself(self) -> Server:
        """Past the proxy, which needs this test's event loop."""
        return Server(f"http://127.0.0.1:{self.port}")

    async def start(self, name: str = "first") -> None:
        """Begin with the files of this name, of which there are none at first."""
        path = self.folder / name
        command = [str(CHROMA), "run", "--path", str(path), "--host", "127.0.0.1", "--port", str(self.port)]
        silent = subprocess.DEVNULL
        self.process = await asyncio.to_thread(subprocess.Popen, command, stdout=silent, stderr=silent, cwd=self.folder)
        for _ in range(TRIES):
            if (await asyncio.to_thread(self._call, "GET", "/api/v2/heartbeat")).status_code == HTTPStatus.OK:
                return
            await asyncio.sleep(PAUSE)
        raise AssertionError("Chroma does not start")

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(request.headers.get("Authorization", ""))
        self.bodies.append(body)
        self.paths.append(request.path)
        if self.mood == "slow":
            await self.over.wait()
        if self.mood == "garbage":
            return web.Response(text='{"ids": [[7, null]], "distances": "near", "name": []}')
        if self.mood == "html":
            return web.Response(text="<html>Bad gateway</html>", status=502)
        told = await asyncio.to_thread(self._call, request.method, request.path_qs, body)
        return web.Response(body=told.content, status=told.status_code, content_type="application/json")

    def _call(self, method: str, path: str, body: bytes = b"") -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        try:
            return self.http.request(method, f"http://127.0.0.1:{self.port}{path}", content=body, headers=headers)
        except httpx.HTTPError:
            return httpx.Response(HTTPStatus.BAD_GATEWAY)


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[Far]:
    far = Far(tmp_path, a_free_port())
    await far.start()
    app = web.Application(client_max_size=100_000_000)
    app.router.add_route("*", "/{anything:.*}", far.pass_on)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port := a_free_port())
    await site.start()
    far.url = f"http://127.0.0.1:{port}"
    yield far
    far.over.set()
    await runner.cleanup()
    far.stop()
    far.http.close()


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chroma_server, "SEARCH_SECONDS", 1.0)
    monkeypatch.setattr(chroma_server, "WORK_SECONDS", 5.0)


async def best(knowledge: Any) -> tuple[str, bool]:
    """The best file for a question in other words, and whether meaning was searched."""
    found = await knowledge.search([QUESTION])
    return (found[0].file, found[0].cosine is not None) if found else ("", False)


def collections(far: Far) -> set[str]:
    client = chroma_server._Client(far.itself)
    try:
        return {found.name for found in client.list_collections()}
    finally:
        client.close()


async def test_vectors_stand_on_the_server_and_words_do_not(opened: Open, far: Far, tmp_path: Path) -> None:
    async with opened(server=Server(far.url, TOKEN)) as knowledge:
        assert (await knowledge.index()).trouble == ()
        assert await best(knowledge) == (ANSWER, True)
        assert "vectors on the Chroma server 127.0.0.1" in knowledge.describe()[1]
    assert set(far.asked) == {f"Bearer {TOKEN}"}
    assert b"break-glass" not in b"".join(far.bodies).lower().replace(b"break-glass.md", b"")
    assert not list((tmp_path / "data" / "knowledge" / "vectors").glob("*/"))
    assert [path for path in far.paths if path.endswith("/add")]
    far.paths.clear()
    async with opened(server=Server(far.url)) as knowledge:
        assert (await knowledge.index()).embedded == 0
        assert await best(knowledge) == (ANSWER, True)
    assert not [path for path in far.paths if path.endswith("/add")]


async def test_a_rebuild_switches_and_leaves_no_older_vectors(opened: Open, far: Far) -> None:
    async with opened(server=Server(far.url)) as knowledge:
        await knowledge.index()
        before = collections(far)
        await knowledge.index(rebuild=True)
        assert await best(knowledge) == (ANSWER, True)
    after = collections(far)
    assert len(after) == len(before) == 1
    assert after.isdisjoint(before)


async def test_two_programs_on_one_server_leave_each_other_alone(opened: Open, far: Far, tmp_path: Path) -> None:
    other = ServerShelf(tmp_path / "other", far.itself)
    other.begin()
    build = other.fresh("feed")
    other.open(build).close()
    other.switch(build)
    async with opened(server=Server(far.url)) as knowledge:
        await knowledge.index()
        await knowledge.index(rebuild=True)
        assert await best(knowledge) == (ANSWER, True)
    assert await other.is_healthy(build)
    other.sweep()
    assert len(collections(far)) == 2


@pytest.mark.parametrize("mood", ["slow", "garbage", "html"])
async def test_a_server_that_is_unwell_costs_the_meaning_and_not_the_words(opened: Open, far: Far, mood: str) -> None:
    async with opened(server=Server(far.url)) as knowledge:
        await knowledge.index()
        far.mood = mood
        assert await best(knowledge) == (ANSWER, False)
        assert "words alone" in knowledge.describe()[1]
        assert "the vector index does not answer" in knowledge.describe()[2]
        await knowledge.recover()
        assert await best(knowledge) == (ANSWER, False)
        far.mood = ""
        await knowledge.recover()
        assert await best(knowledge) == (ANSWER, True)
        assert len(knowledge.describe()) == 2
    assert len(collections(far)) == 1


async def test_what_was_read_while_the_server_was_away_is_found_by_meaning_later(
    opened: Open, far: Far, folder: Path
) -> None:
    (folder / "tea.md").write_text("# Tea\n\nThe kettle is on the third floor.")
    async with opened(folder, server=Server(far.url)) as knowledge:
        await knowledge.index()
        far.stop()
        (folder / "keys.md").write_text("# Keys\n\nHardware keys are kept in the blue cupboard.")
        summary = await knowledge.index()
        assert (summary.documents, summary.embedded) == (2, 1)
        assert "the vector index does not answer" in summary.trouble[0]
        await far.start()
        await knowledge.recover()
        (best_one, *_) = await knowledge.search(["where do I find my yubikey token"])
    assert (best_one.file, best_one.cosine is not None) == ("keys.md", True)


async def test_a_server_that_comes_back_empty_is_filled_again(opened: Open, far: Far) -> None:
    async with opened(server=Server(far.url)) as knowledge:
        await knowledge.index()
        far.stop()
        await far.start("second")
        assert await best(knowledge) == (ANSWER, False)
        await knowledge.recover()
        assert await best(knowledge) == (ANSWER, True)
    far.stop()
    await far.start("third")
    async with opened(server=Server(far.url)) as knowledge:
        await knowledge.warm()
        assert "words alone" in knowledge.describe()[1]
        assert (await knowledge.index()).embedded == 0
        assert await best(knowledge) == (ANSWER, True)


async def test_a_server_that_is_away_at_the_start_holds_nothing_up(opened: Open, far: Far) -> None:
    far.stop()
    async with opened(server=Server(far.url)) as knowledge:
        summary = await knowledge.index()
        assert summary.documents == 12
        assert await best(knowledge) == (ANSWER, False)
        await far.start()
        await knowledge.recover()
        assert await best(knowledge) == (ANSWER, True)


async def test_vectors_that_stood_here_go_when_a_server_holds_them(opened: Open, far: Far, indexed: Path) -> None:
    async with opened(server=Server(far.url)) as knowledge:
        assert (await knowledge.index()).embedded == 0
        assert await best(knowledge) == (ANSWER, True)
    assert not list((indexed / "knowledge" / "vectors").glob("*/"))


async def test_what_is_private_stands_apart_on_the_server_too(far: Far, tmp_path: Path) -> None:
    import numpy as np

    from knowledge.vectors import Place

    shelf = ServerShelf(tmp_path / "shelf", far.itself)
    shelf.begin()
    index = shelf.open(shelf.fresh("feed"))
    index.add([Place("public", "a"), Place("C0PRIVATE", "b")], np.eye(2, 3, dtype=np.float32))
    query = np.array([[0.0, 1.0, 0.0]], dtype=np.float32)
    assert index.nearest(query, 5, frozenset({"public"})) == [["a"]]
    assert index.nearest(query, 5, frozenset({"public", "C0PRIVATE"})) == [["b", "a"]]
    assert index.places() == {Place("public", "a"), Place("C0PRIVATE", "b")}
    index.close()


def test_a_server_that_is_not_there_is_said_so() -> None:
    with pytest.raises(Fault, match="the vector index does not answer: ConnectError"):
        Server(f"http://127.0.0.1:{a_free_port()}").ping()

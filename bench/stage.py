"""The stage of a run: the outside in its own process, the shipped program in this one, and the wire between them."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

import policies
from bench.catalogue import write_policies
from bench.outside import APPROVER, SLOW, crowded_world, serve
from bot.app import SANDBOX, Running, start
from bot.core.request import Quotes
from bot.demo import link_responders, sandbox_settings
from bot.documents import Documents
from bot.ports import Memory

SEARCH_SECONDS = 0.030
PATIENCE = 120.0
LONGEST_PATH = 4.0
UNLIMITED = {
    "TINYAPPROVER_OPEN_REQUESTS": 1000,
    "TINYAPPROVER_REQUESTS_AN_HOUR": 10_000,
    "TINYAPPROVER_PAGES_AN_HOUR": 10_000,
}

Json = dict[str, Any]
Seen = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Outside:
    """The address of the outside, and what can be done there."""

    base: str
    http: aiohttp.ClientSession

    async def act(self, do: str, **arguments: Any) -> Json:
        return await self._send("POST", "act", {"as": APPROVER, "do": do, **arguments})

    async def slow(self, *, on: bool) -> None:
        """Delay every call to the vendors as long as `SLOW` says, or no longer."""
        await self._send("DELETE", "faults")
        for vendor, seconds in SLOW.items() if on else ():
            fault = {"vendor": vendor, "route": "*", "kind": "latency", "times": None, "seconds": seconds}
            await self._send("POST", "faults", fault)

    async def until(self, milestones: Collection[str], cases: Collection[str], *, seconds: float = PATIENCE) -> Seen:
        """What was seen once every case has reached all milestones; an error names how many have not.

        To look through all calls keeps the vendors busy for a tenth of a second, in which they answer nobody: what is
        measured is over before that.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while loop.time() < deadline:
            await asyncio.sleep(LONGEST_PATH)
            seen: Seen = await self.act("bench.seen")
            missing = [case for case in cases if not seen.get(case, {}).keys() >= set(milestones)]
            if not missing:
                return seen
        raise SystemExit(f"{len(missing)} of {len(cases)} cases never reached {', '.join(milestones)}")

    async def _send(self, method: str, where: str, body: Json | None = None) -> Json:
        async with self.http.request(method, f"{self.base}/_sandbox/{where}", json=body) as answer:
            told: Json = await answer.json()
            assert answer.status == 200, told
            return told


@dataclass(frozen=True, slots=True)
class Stage(Outside):
    """A running program and its outside."""

    running: Running


@dataclass(frozen=True, slots=True)
class SlowMemory:
    """The documents behind a search that takes as long as a remote one."""

    memory: Memory

    async def quotes(self, queries: Sequence[str], **wanted: Any) -> Quotes:
        found, _ = await asyncio.gather(self.memory.quotes(queries, **wanted), asyncio.sleep(SEARCH_SECONDS))
        return found


@contextmanager
def outside(people: int) -> Iterator[str]:
    """The vendors' process; yields its address."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(people, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield str(ours.recv())
    finally:
        ours.close()
        process.join(timeout=10)


@asynccontextmanager
async def stage(base: str, people: int, directory: Path) -> AsyncIterator[Stage]:
    """The program, ready by its own `/readyz`, against that address; its data and policies are in `directory`."""
    world = crowded_world(people)
    shipped = Path(str(policies.__file__)).parent
    catalogue = write_policies(shipped, directory / "policies")
    settings = sandbox_settings(base, world, directory / "data", TINYAPPROVER_POLICIES=catalogue, **UNLIMITED)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        running = await start(settings, kind=SANDBOX)
        try:
            await until_ready(http, running.url)
            await link_responders(running, world)
            _slow_search(running)
            yield Stage(base, http, running)
        finally:
            await running.stop()


def _slow_search(running: Running) -> None:
    sources = running.journey.sources
    assert isinstance(sources, list)
    sources[:] = [replace(one, memory=SlowMemory(one.memory)) if isinstance(one, Documents) else one for one in sources]


async def until_ready(http: aiohttp.ClientSession, url: str, *, seconds: float = PATIENCE) -> None:
    """Wait for `/readyz` to say yes."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                async with http.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.02)

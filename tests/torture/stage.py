"""The place of one batch: vendors with their faults, the program that is killed and started again, and the time."""

from __future__ import annotations

import asyncio
import random
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from bench.outside import requester
from bot.app import SANDBOX
from bot.config import FRONT, ROLES, setting_names
from bot.demo import sandbox_settings
from connectors.sandbox import new_sandbox
from connectors.sandbox.pagerduty import PagerDuty
from connectors.sandbox.server import Refusal
from connectors.sandbox.slack import Slack
from connectors.sandbox.world import Call, Fault, World, new_world
from tests.responders import link_in
from tests.story import Json
from tests.torture.aims import RANDOM, Aim, Aims, kind_of
from tests.torture.processes import Program, asked_from

LOST_CLICK_SECONDS = 1.5
FAULTS = ("slow", "rate_limit", "rate_limit_bare", "maintenance", "error", "cut", "empty", "html", "lost_answer")
FAILING = 0.20
VENDORS = ("slack", "pagerduty", "okta", "openai")
TICK, FASTER = 0.2, 4.0
GLANCE = 0.02
COLD_EVERY = 10
LATE = Fault("slack", "POST /api/chat.postMessage", "late", times=None, seconds=1.5, chance=0.05)  # and posted anew


@dataclass(slots=True)
class Tally:
    """What a batch did to the program."""

    kills: int = 0
    cold: int = 0
    starts: int = 0
    stopped_by_itself: int = 0

    def add(self, more: Tally) -> None:
        for name, value in asdict(more).items():
            setattr(self, name, getattr(self, name) + value)


Fleet = Sequence[tuple[str, ...]]  # the processes of the program, by their roles


class Stage:
    """Everything around the program. `kills` of its lives end by `kill -9`; the one after that lives on."""

    def __init__(self, place: Path, *, crowd: int, kills: int, aims: Aims, chance: random.Random) -> None:
        self.place = place
        self.world = _world(crowd, chance.random())
        self.sandbox = new_sandbox(self.world)
        slack, pager = (self.sandbox.stand_ins[name] for name in ("slack", "pagerduty"))
        assert isinstance(slack, Slack)
        assert isinstance(pager, PagerDuty)
        self.slack, self.pager = slack, pager
        self.slack.socket.ack_seconds = LOST_CLICK_SECONDS
        self.kills_left = kills
        self.aims, self.chance = aims, chance
        self.tally = Tally()
        self.away: list[tuple[datetime, datetime]] = []
        self._programs: dict[Program, Aim | None] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._sleepers: list[datetime] = []
        self._ticks: list[tuple[datetime, float]] = []
        self.lives = 0

    # --- beginning and end ------------------------------------------------------------------------------------------

    async def open(self, fleet: Fleet, **settings: Any) -> None:
        """The vendors, two linked responders, then faults and the program's processes."""
        base = await self.sandbox.start()
        database = settings.get("TINYAPPROVER_DATABASE_URL")
        self.settings = sandbox_settings(base, self.world, self.place / "data", **settings)
        self.settings.data_dir.mkdir(parents=True)
        await link_in(self.settings.ledger_url, self.world, kind=SANDBOX)
        self.world.faults += _faults()
        self.world.watch = self._watch
        homes = [self.place / f"data{number}" if database else self.place / "data" for number in range(len(fleet))]
        places = [_values(base, self.world, home, settings) for home in homes]
        log = self.place / "said.log"
        self._programs = {Program(given, roles, log): None for given, roles in zip(places, fleet, strict=True)}
        work = [self._time(), self._availability(), *(self._tend(one) for one in self._programs)]
        self._tasks = [asyncio.create_task(one) for one in work]

    async def close(self) -> list[int]:
        """Stop the program in order; how each of its processes ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.world.faults.clear()
        return [await program.terminate() for program in self._programs if program.exit_code is None]

    # --- the program ------------------------------------------------------------------------------------------------

    async def _tend(self, program: Program) -> None:
        """What a supervisor does: start it, and start it again whenever it has died."""
        while True:
            await self._one_life(program)
            self._programs[program] = None

    async def _one_life(self, program: Program) -> None:
        self.tally.starts += 1
        asks = "" if FRONT in program.roles else "okta"
        aim = self.aims.next(self.chance, asks=asks) if self.kills_left > 0 else None
        cold = aim is not None and self.tally.cold * COLD_EVERY <= self.tally.kills
        program.start(cold=cold)
        self._programs[program] = aim
        until = time.monotonic() + aim.seconds if aim and aim.early else None
        while program.exit_code is None:
            await asyncio.sleep(GLANCE)
            if until is None and aim and self._is_connected(program):
                until = time.monotonic() + aim.seconds
            if until and time.monotonic() > until and self._programs[program] is not None:
                await self._kill(program, RANDOM)
        killed = program.exit_code == -9
        self.tally.cold += cold and killed
        self.tally.stopped_by_itself += not killed

    def _is_connected(self, program: Program) -> bool:
        """As far as one can see: an executor has no connection that stays."""
        if FRONT not in program.roles:
            return True
        peers = (one.request.transport for one in self.slack.socket.connections)
        ports = [peer.get_extra_info("peername")[1] for peer in peers if peer]
        return any(asked_from(port, [program.pid]) for port in ports)

    async def _kill(self, program: Program, how: str) -> None:
        self._programs[program] = None
        if self.kills_left <= 0:
            return
        self.kills_left -= 1
        self.tally.kills += 1
        self.aims.hit(how)
        await program.kill()

    async def _watch(self, call: Call, edge: str) -> None:
        """At an edge that a life is to end at, kill it if it asked; what was only asked is not done."""
        self.aims.see(call)
        here = f"{edge} {kind_of(call)}"
        aimed = {one.pid: one for one, aim in self._programs.items() if aim and here in aim.edges}
        caller = asked_from(call.port, list(aimed)) if aimed else None
        if caller is None or self._programs[aimed[caller]] is None:
            return
        await self._kill(aimed[caller], here)
        if edge == "before":
            raise web.HTTPServiceUnavailable

    async def _availability(self) -> None:
        """Since when, and until when, nobody was connected or some role had no process."""
        since: datetime | None = None
        while True:
            alive = {role for program in self._programs if program.exit_code is None for role in program.roles}
            up = bool(self.slack.socket.connections) and len(alive) == len(ROLES)
            if up and since:
                self.away.append((since, self.world.now()))
            since = None if up else since or self.world.now()
            await asyncio.sleep(GLANCE)

    # --- people and time --------------------------------------------------------------------------------------------

    async def try_to(self, who: str, do: str, arguments: Mapping[str, Any]) -> Json:
        """Do something as a person; an empty answer when it cannot be done."""
        vendor, _, verb = do.partition(".")
        try:
            return dict(await self.sandbox.stand_ins[vendor].acts()[verb](who, arguments))
        except Refusal:
            return {}

    @asynccontextmanager
    async def asleep(self, until: datetime) -> AsyncIterator[None]:
        """Somebody waits for a time; when everybody does, it comes."""
        self._sleepers.append(until)
        try:
            yield
        finally:
            self._sleepers.remove(until)

    async def _time(self) -> None:
        """Time goes a few times faster than ours, and jumps when all who live wait for it."""
        while True:
            await asyncio.sleep(TICK)
            step = timedelta(seconds=TICK * FASTER)
            coming = [at for at in self._sleepers if at > self.world.now()]
            if coming and len(coming) == self.lives:
                step = max(step, min(coming) - self.world.now())
            self.world.advance(step)
            self._ticks.append((self.world.now(), time.monotonic()))

    def ours(self, at: datetime) -> float:
        """When a time of the sandbox's came, by our clock (seconds, to a tick)."""
        found = min(bisect_left(self._ticks, at, key=lambda tick: tick[0]), len(self._ticks) - 1)
        return self._ticks[found][1]

    async def quiet(self, *, seconds: float = 1.5) -> None:
        """Until the vendors have not been asked anything for a while."""
        seen, since = len(self.world.calls), time.monotonic()
        while time.monotonic() - since < seconds:
            await asyncio.sleep(GLANCE)
            if len(self.world.calls) != seen:
                seen, since = len(self.world.calls), time.monotonic()


def _world(crowd: int, seed: float) -> World:
    world = new_world()
    world.chance = random.Random(seed)
    world.people |= {(person := requester(number)).key: person for number in range(crowd)}
    return world


def _faults() -> list[Fault]:
    """Each kind as likely as every other, and one call in five fails by one of them; some messages come late."""
    each = 1 - (1 - FAILING) ** (1 / len(FAULTS))
    usual = [Fault(vendor, "*", kind, times=None, seconds=1.0, chance=each) for vendor in VENDORS for kind in FAULTS]
    return [*usual, replace(LATE)]


def _values(base: str, world: World, data: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as text, for another process."""
    made = sandbox_settings(base, world, data, **settings)
    found = {name: getattr(made, field) for field, name in setting_names().items()}
    return {name: _text(value) for name, value in found.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    secret = getattr(value, "get_secret_value", None)
    return str(secret() if secret else value)

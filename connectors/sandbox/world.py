"""What all stand-ins share: the people, one movable clock, the faults to play, and the record of every call."""

from __future__ import annotations

import asyncio
import fnmatch
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import yaml

SLOW_KINDS, BROKEN_KINDS = ("slow", "held", "latency"), ("error", "cut", "empty", "html", "lost_answer", "late")
FAULT_KINDS = (*SLOW_KINDS, "rate_limit", "rate_limit_bare", "maintenance", *BROKEN_KINDS)
CALLS_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class SandboxPerson:
    """One entry of people.yml."""

    key: str
    name: str
    email: str
    slack: str
    okta: str | None = None
    pagerduty: str | None = None
    title: str = ""
    department: str = ""
    manager: str = ""
    groups: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()
    sign_ins: tuple[Mapping[str, Any], ...] = ()
    guest: bool = False
    deactivated: bool = False


@dataclass(slots=True)
class Fault:
    """A fault to play on matching calls: `times` runs down to 0 (None: until removed), `chance` is 0 to 1.

    `seconds` is the delay of `slow`, the whole time that a call takes with `latency`, and the Retry-After of
    `rate_limit` and `maintenance`; `status` is what `error` answers. What is `held` is done when the faults are
    cleared; what is `late` is done after `seconds`, when its caller has long been cut off.
    """

    vendor: str
    route: str
    kind: str
    times: int | None = 1
    seconds: float = 1.0
    status: int = 503
    chance: float = 1.0

    def matches(self, vendor: str, route: str) -> bool:
        """Whether it applies to a call such as `PUT /groups/00g1/users/00u1`, and has times left."""
        return self.vendor == vendor and self.times != 0 and fnmatch.fnmatchcase(route, self.route)


@dataclass(slots=True)
class Call:
    """One request that reached a stand-in, from a port of this machine. `status` is None when the answer was cut."""

    at: datetime
    started: float
    vendor: str
    route: str
    body: Any
    status: int | None = None
    fault: str = ""
    ms: float = 0.0
    port: int = 0


async def _nobody_watches(_call: Call, _edge: str) -> None:
    """What `World.watch` is while nobody does."""


@dataclass(slots=True)
class World:
    """The shared state of one sandbox.

    `watch` is told of every call when it has come (`before` anything is done) and when it is done and not answered yet
    (`after`); it may hold the call up, or end it by an error.
    """

    people: dict[str, SandboxPerson]
    seed: dict[str, Any]
    offset: timedelta = timedelta()
    version: int = 0
    clock_version: int = 0
    faults: list[Fault] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    base_url: str = ""
    watch: Callable[[Call, str], Awaitable[None]] = _nobody_watches
    _waiting: set[asyncio.Future[None]] = field(default_factory=set)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - repeatable faults

    def now(self) -> datetime:
        """The sandbox's time: real time plus what was advanced."""
        return datetime.now(UTC) + self.offset

    def token(self, name: str) -> str:
        """A credential that the stand-ins accept, by its name in people.yml."""
        return str(self.seed["tokens"][name])

    def advance(self, by: timedelta) -> None:
        """Move the clock, mostly forward, and tell everybody who waits for it."""
        self.offset += by
        self.clock_version += 1
        self.touch()

    def touch(self) -> None:
        """Something changed: pages redraw, long polls answer."""
        self.version += 1
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def spawn(self, work: Any) -> None:
        """Run a coroutine beside the handler and keep hold of it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait(self, counter: str, after: int, seconds: float) -> None:
        """Return when `counter` (an attribute of this class) has moved past `after`, or after `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while getattr(self, counter) <= after:
                    await self._change()

    async def _change(self) -> None:
        """Until anything changes. A future each: many who are cancelled at once do not wait for one another."""
        changed = asyncio.get_running_loop().create_future()
        self._waiting.add(changed)
        try:
            await changed
        finally:
            self._waiting.discard(changed)

    def pick_fault(self, vendor: str, route: str) -> Fault | None:
        """The first fault that applies to a call, spent by one."""
        for fault in self.faults:
            if fault.matches(vendor, route) and self.chance.random() < fault.chance:
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    async def until_cleared(self, fault: Fault) -> None:
        """Wait until the fault is taken away."""
        while fault in self.faults:
            await self.wait("version", self.version, 1.0)

    def record(self, call: Call) -> None:
        """Remember a call, the oldest forgotten beyond `CALLS_KEPT`."""
        self.calls.append(call)
        if len(self.calls) > CALLS_KEPT:
            del self.calls[: CALLS_KEPT // 2]

    async def close(self) -> None:
        """Stop what runs beside the handlers."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def new_world() -> World:
    """A fresh world, seeded from people.yml."""
    seed = yaml.safe_load((resources.files(__package__) / "people.yml").read_text("utf-8"))
    people = {entry["key"]: _person(entry) for entry in seed["people"]}
    return World(people=people, seed=seed)


def _person(entry: dict[str, Any]) -> SandboxPerson:
    lists = {name: tuple(entry.get(name, ())) for name in ("groups", "factors", "sign_ins")}
    return SandboxPerson(**{**entry, **lists})

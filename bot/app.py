"""The composition root: settings to parts to a running program, in one of its roles or both.

The front talks to people, the executor changes things (see `bot.front` and `bot.executor`). Run apart, they share the
ledger and nothing else. What only the front needs is imported only where there is a front.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot import executor
from bot.base import Base
from bot.clock import SandboxClock, SystemClock
from bot.collecting import collect_now_and_then, settle
from bot.config import EXECUTOR, FRONT, ROLES, Settings, check_addresses
from bot.errors import Fault, SettingsError, Unreachable
from bot.heartbeat import Heartbeat, Watch
from bot.jobs import STUCK_TRIES, Handler, Worker
from bot.ledger import Job, Ledger
from bot.ports import Clock
from bot.rules import Rules
from bot.stepping import keep_time
from bot.stuck import tell_stuck
from bot.vendors import connect
from connectors.okta import OktaGroupActor
from policies.load import load

if TYPE_CHECKING:
    from bot.asides import Asides
    from bot.front import Front
    from bot.journey import Journey
    from bot.slack.socket import Socket

log = logging.getLogger(__name__)

PRODUCTION, SANDBOX = "production", "sandbox"
ACTIONS = frozenset({OktaGroupActor.kind})
TURN_SECONDS = 0.001  # a commit waits for its thread's turn several times; by default each may take 5 ms


@dataclass(slots=True)
class Running:
    """A running program: its parts, and how to stop it in order."""

    settings: Settings
    clock: Clock
    ledger: Ledger
    worker: Worker
    _front: Front | None
    _vital: list[asyncio.Task[None]]
    _beside: list[asyncio.Task[None]]
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def front(self) -> Front:
        """Its front, for whoever started one."""
        assert self._front is not None
        return self._front

    @property
    def journey(self) -> Journey:
        return self.front.journey

    @property
    def asides(self) -> Asides:
        return self.front.asides

    @property
    def socket(self) -> Socket:
        return self.front.socket

    @property
    def warm(self) -> asyncio.Event:
        return self.front.warm

    @property
    def url(self) -> str:
        """Where its front listens; empty without one."""
        return self._front.url if self._front else ""

    async def stop(self) -> None:
        """Take nothing more, finish what runs, close everything."""
        if self._front is not None:
            await self._front.stop_listening()
        await self.worker.stop()
        await self._vital[0]
        for task in (*self._vital[1:], *self._beside):
            task.cancel()
            with suppress(asyncio.CancelledError, Fault):
                await task
        await self._stack.aclose()

    async def wait(self) -> None:
        """Until anything vital ends, which it does only when stopped or broken."""
        ended, _ = await asyncio.wait(self._vital, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()


async def start(settings: Settings, *, kind: str = PRODUCTION, roles: Collection[str] = ROLES) -> Running:
    """Check everything, connect everything, then begin. `SettingsError` before anything is half started."""
    sys.setswitchinterval(TURN_SECONDS)
    async with AsyncExitStack() as stack:
        running = await _begin(await _base(settings, kind, roles, stack), roles, stack)
        running._stack = stack.pop_all()
        return running


async def _base(settings: Settings, kind: str, roles: Collection[str], stack: AsyncExitStack) -> Base:
    check_settings(settings, kind)
    policies = load(policy_directory(settings, kind), actions=ACTIONS)
    rules = Rules(
        policies.entitlements,
        policies.guardrails,
        policies.advice,
        policies.digest,
        policies.protected,
        policies.files,
        policies.commit,
    )
    clock = await _clock(settings)
    ledger = await Ledger.open(settings.ledger_url, kind=kind, now=clock.now, roles=tuple(roles))
    stack.push_async_callback(ledger.close)
    async with _away_for_now(ledger):
        vendors = await connect(settings, clock, stack, roles=roles, patient=True)
    actor = OktaGroupActor(vendors.reader, vendors.writer, protected=rules.protected)
    return Base(settings, rules, clock, ledger, vendors, actor)


async def _begin(base: Base, roles: Collection[str], stack: AsyncExitStack) -> Running:
    await _check_anchors(base)
    front = await _front(base, stack) if FRONT in roles else None
    worker = _worker(base, front, roles)
    base.ledger.on_commit = worker.wake
    if front is not None:
        async with _away_for_now(base.ledger):
            await front.start(base.settings, stack)
    heartbeat = Heartbeat(
        base.ledger, tuple(roles), _watches(base.settings, front, roles), base.settings.heartbeat_seconds
    )
    if front is not None:
        front.lives, heartbeat.reached_by = heartbeat.lives, front.reached_by
    vital: list[Coroutine[Any, Any, None]] = [worker.run(), heartbeat.run()]
    beside: list[Coroutine[Any, Any, None]] = [
        keep_time(base.ledger, base.clock, tuple(roles)),
        collect_now_and_then(lambda: not worker.running),
    ]
    if front is not None:
        vital.append(front.watch_slack())
        beside += [front.warm_up(), front.follow(), front.forget()]
        beside.append(front.read_documents_now_and_then(base.settings.index_minutes))
    else:
        settle()
    if isinstance(base.clock, SandboxClock):
        base.clock.on_move = worker.wake
        beside.append(base.clock.follow())
    return Running(base.settings, base.clock, base.ledger, worker, front, _begun(vital), _begun(beside))


@asynccontextmanager
async def _away_for_now(ledger: Ledger) -> AsyncIterator[None]:
    """Whom an earlier run of the front reached is not at a wrong address: a fault, which passes."""
    try:
        yield
    except Unreachable as away:
        if FRONT not in await ledger.presence():
            raise
        raise Fault("start", str(away)) from away


def _begun(work: list[Coroutine[Any, Any, None]]) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(one) for one in work]


async def _check_anchors(base: Base) -> None:
    """Neither role begins on a database that is older than its anchors."""
    for trouble in await base.anchors.check_not_behind():
        log.warning("starting without having compared the audit trail with its anchors: %s", trouble)


async def _front(base: Base, stack: AsyncExitStack) -> Front:
    from bot.front import assemble

    return await assemble(base, stack)


def _worker(base: Base, front: Front | None, roles: Collection[str]) -> Worker:
    table: dict[str, Handler] = dict(executor.handlers(base)) if EXECUTOR in roles else {}
    if front is not None:
        from bot.front import handlers

        table |= handlers(front)
    return Worker(base.ledger, table, base.clock, roles=tuple(roles), on_trouble=partial(_tell_trouble, base, front))


async def _tell_trouble(base: Base, front: Front | None, job: Job, trouble: str) -> None:
    """What is stuck is told in the channel, by the front; whoever waits is told more if their front is here."""
    if front is not None:
        await front.tell_trouble(job)
    if job.attempts >= STUCK_TRIES:
        await tell_stuck(base.ledger, base.clock, job, trouble)


def _watches(settings: Settings, front: Front | None, roles: Collection[str]) -> list[Watch]:
    """Somebody dead cannot be silent about it: the front's heartbeat stays away for late jobs of the executor too."""
    watches = []
    if front is not None and settings.heartbeat_url:
        watches.append(Watch(settings.heartbeat_url, ROLES, front.is_connected))
    if EXECUTOR in roles and settings.executor_heartbeat_url:
        watches.append(Watch(settings.executor_heartbeat_url, (EXECUTOR,)))
    return watches


def check_settings(settings: Settings, kind: str) -> None:
    """Addresses, clock and data directory: what can be told without asking anybody."""
    check_addresses(settings)
    if settings.clock_url and kind != SANDBOX:
        raise SettingsError("TINYAPPROVER_CLOCK_URL: only a sandbox run has a movable clock; remove it")
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        probe = settings.data_dir / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as problem:
        raise SettingsError(
            f"TINYAPPROVER_DATA_DIR: cannot write to {settings.data_dir} ({problem.strerror}); choose another directory"
        ) from None


def policy_directory(settings: Settings, kind: str) -> Path:
    """The company's own policies; the shipped examples serve the sandbox only."""
    if settings.policies is not None:
        if not settings.policies.is_dir():
            raise SettingsError(f"TINYAPPROVER_POLICIES: {settings.policies} is not a directory")
        return settings.policies
    if kind == SANDBOX:
        return Path(__file__).parent.parent / "policies"
    raise SettingsError("TINYAPPROVER_POLICIES: is not set. `tinyapprover init DIR` writes a commented starter set.")


async def _clock(settings: Settings) -> SystemClock | SandboxClock:
    if not settings.clock_url:
        return SystemClock()
    clock = SandboxClock(settings.clock_url)
    await clock.connect()
    return clock

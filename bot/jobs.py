"""The due loop: claims jobs when they are due, runs them side by side, and tries again what failed.

A job is a short idempotent step named by its kind (`card`, `page`, `grant` ...) and its subject (a request id). Waiting
is a row with a due time: nothing is kept in memory, and after a crash whatever was in flight runs again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from bot.claims import Busy, ClaimLost, holding, running_clock
from bot.errors import Fault
from bot.ledger import Job, Ledger
from bot.ledger.kinds import LANE_ROOM, kind_of
from bot.ports import Clock

log = logging.getLogger(__name__)

Handler = Callable[[Job], Awaitable[datetime | None]]
LEASE_SECONDS = 30.0
RENEWED_EVERY = LEASE_SECONDS / 3
LONGEST_CALL = LEASE_SECONDS / 2  # more than any one write outside may take
LONGEST_STEP = 120.0
LONGEST_WAIT = 10.0
SHORTEST_BACK_OFF, LONGEST_BACK_OFF = 0.2, 60.0
STUCK_TRIES = 10  # minutes of failing: people are told
HOPELESS_TRIES, HOPELESS_BACK_OFF = 100, 300.0  # hours of it: tried more slowly
DATABASE_AWAY_SECONDS = 1.0
BUSY = timedelta(seconds=0.5)
GRACE_SECONDS = 8.0  # less than what supervisors wait after SIGTERM
AT_ONCE = 256
BURST, BURST_SECONDS = 8, 0.1


def back_off(attempts: int, *, retry_after: float | None = None, longest: float = LONGEST_BACK_OFF) -> timedelta:
    """How long to wait before the next try: as long as the vendor asked for, else doubling with jitter."""
    if retry_after is not None:
        return timedelta(seconds=max(retry_after, SHORTEST_BACK_OFF))
    doubling: float = min(longest, 2.0 ** min(attempts, 10) / 2)
    return timedelta(seconds=doubling * random.uniform(0.7, 1.0))  # noqa: S311 - jitter


def longest_back_off(job: Job) -> float:
    """What has failed for hours is tried more slowly, except what gives access or takes it back."""
    slow = job.attempts >= HOPELESS_TRIES and kind_of(job.kind).role != "executor"
    return HOPELESS_BACK_OFF if slow else LONGEST_BACK_OFF


class Worker:
    """Runs the jobs of its roles. A handler returns when it wants to run again, or None when it is done.

    `on_trouble` is told of every failed try, so that the people who wait can be told what is missing.
    """

    def __init__(
        self,
        ledger: Ledger,
        handlers: Mapping[str, Handler],
        clock: Clock,
        *,
        roles: Sequence[str],
        on_trouble: Callable[[Job, str], Awaitable[None]],
    ) -> None:
        self._ledger = ledger
        self._handlers = handlers
        self._clock = clock
        self._roles = tuple(roles)
        self._on_trouble = on_trouble
        self._wake = asyncio.Event()
        self._running: dict[int, tuple[Job, asyncio.Task[None]]] = {}
        self._renewed_at: dict[int, float] = {}
        self._handed_over: set[int] = set()
        self._stopping = False
        self.grace_seconds = GRACE_SECONDS

    @property
    def running(self) -> int:
        """How many jobs run at this moment."""
        return len(self._running)

    def wake(self) -> None:
        """Look for due jobs now: something was committed, or the clock was moved."""
        self._wake.set()

    async def run(self) -> None:
        """Until `stop`; then what is running is finished."""
        await self._ledger.release_leases(self._roles)
        self._ledger.hand_first_cards_to(self._take, lease=LEASE_SECONDS, while_=self._has_room)
        async with self._ledger.heard(self._roles, self.wake), _beside(self._keep_leases()):
            while not self._stopping:
                await self._turn()
            await self._finish()

    async def _turn(self) -> None:
        """Start what is due, and sleep. A database that is away for a while is waited for."""
        await self._lets_cards_go_first()
        self._wake.clear()
        try:
            room = max(0, AT_ONCE - len(self._running))  # cards may have been handed over together
            jobs = await self._claim(room) if room else []
            await self._lets_cards_go_first()
            for job in jobs:
                self._start(job)
            if not room or len(jobs) < room:
                await self._sleep()
        except Fault as fault:
            log.warning("no work can be taken: %s", fault)
            await asyncio.sleep(DATABASE_AWAY_SECONDS)

    async def _finish(self) -> None:
        """What runs may end; what takes too long for a stop is let go, and runs again elsewhere or at the start."""
        if not self._running:
            return
        await asyncio.wait([task for _, task in self._running.values()], timeout=self.grace_seconds)
        late = list(self._running.values())
        for _, task in late:
            task.cancel()
        await asyncio.gather(*(task for _, task in late), return_exceptions=True)
        for job, _ in late:
            await self._ledger.finish(job, again_at=self._clock.now(), retry=True)

    # --- leases -----------------------------------------------------------------------------------------------------

    async def _keep_leases(self) -> None:
        """Renew the leases of what runs; what was overtaken all the same stops at once."""
        while True:
            await asyncio.sleep(RENEWED_EVERY)
            try:
                for job in await self._renew(self._jobs()):
                    await self._drop(job)
            except Fault as fault:
                log.warning("leases cannot be renewed: %s", fault)

    async def _renew(self, jobs: Sequence[Job]) -> list[Job]:
        """Those that were overtaken; the rest are ours for a lease from before we asked."""
        asked_at = running_clock()
        lost = await self._ledger.renew(jobs, lease=LEASE_SECONDS)
        ours = {job.id for job in jobs} - {job.id for job in lost}
        self._renewed_at |= dict.fromkeys(ours & self._running.keys(), asked_at)
        return lost

    def _lasts(self, job: Job) -> bool:
        """Whether a call outside ends before the lease can, by what this process knows."""
        begun = max(job.leased_at, self._renewed_at.get(job.id, 0.0))
        return running_clock() - begun < LEASE_SECONDS - LONGEST_CALL

    async def _drop(self, job: Job) -> None:
        if job.id in self._running:
            _, task = self._running[job.id]
            task.cancel()
            await asyncio.wait([task])
            await self._overtaken(job)

    async def _hold(self, job: Job) -> None:
        """See `bot.claims`."""
        if await self._renew([job]):
            raise ClaimLost

    async def _overtaken(self, job: Job) -> None:
        """Its end changes nothing any more, but has what it wrote looked at."""
        log.warning("overtaken by another process", extra={"request": job.subject, "step": job.kind})
        await self._ledger.finish(job)

    # --- running ----------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Claim nothing more and let what is running finish."""
        self._stopping = True
        self.wake()

    def _jobs(self) -> list[Job]:
        return [job for job, _ in self._running.values()]

    async def _claim(self, room: int) -> list[Job]:
        """Never a job that runs here still, whatever the clock did to its lease."""
        return await self._ledger.claim(self._roles, most=room, lease=LEASE_SECONDS, running=self._jobs())

    def _has_room(self) -> bool:
        """Whether one more card can begin at once. Asked on a thread of the ledger."""
        return not self._stopping and len(self._running) < AT_ONCE

    def _take(self, job: Job) -> None:
        """The card of a request that was just stored: the first that people see of it."""
        self._handed_over.add(job.id)
        self._start(job)

    async def _lets_cards_go_first(self) -> None:
        """In a burst of new requests, stored or about to be, their cards go out before anything else about them."""
        if self._handed_over and len(self._handed_over) + self._ledger.queued > BURST:
            await asyncio.sleep(BURST_SECONDS)

    def _start(self, job: Job) -> None:
        task = asyncio.create_task(self._attempt(job), name=f"{job.subject} {job.kind}")
        self._running[job.id] = job, task
        task.add_done_callback(lambda _: self._finished(job))

    def _finished(self, job: Job) -> None:
        """There is room again, for whatever had none."""
        crowded = len(self._running) >= min(AT_ONCE, LANE_ROOM)
        del self._running[job.id]
        self._renewed_at.pop(job.id, None)
        self._handed_over.discard(job.id)
        if crowded:
            self.wake()

    async def _sleep(self) -> None:
        """Until something is due, or until there is room again. What was just started asks the ledger first."""
        await asyncio.sleep(0)
        crowded = len(self._running) >= AT_ONCE
        due = await self._ledger.next_due(self._roles, running=self._jobs()) if not crowded else None
        seconds = (due - self._clock.now()).total_seconds() if due else LONGEST_WAIT
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(seconds, 0.001), LONGEST_WAIT)):
                await self._wake.wait()

    async def _attempt(self, job: Job) -> None:
        """Run one job to its end; whatever goes wrong becomes a later try."""
        started = time.monotonic()
        holding(partial(self._hold, job), lasts=partial(self._lasts, job))
        try:
            async with asyncio.timeout(LONGEST_STEP):
                again_at = await self._handlers[job.kind.partition(":")[0]](job)
            await asyncio.sleep(0)  # what follows from it is claimed before it is put away
            await self._ledger.finish(job, again_at=again_at)
            log.info("done", extra=_fields(job, started))
        except ClaimLost:
            await self._overtaken(job)
        except Busy:
            await self._put_back(job)
        except Fault as fault:
            log.warning("%s", fault, extra=_fields(job, started, vendor=fault.vendor))
            await self._retry(job, str(fault), retry_after=fault.retry_after)
        except TimeoutError:
            log.warning("took too long", extra=_fields(job, started))
            await self._retry(job, "took too long")
        except Exception:  # the outermost edge: a mistake of ours must not lose the job
            log.exception("failed", extra=_fields(job, started))
            await self._retry(job, "an error of our own, see the log")

    async def _put_back(self, job: Job) -> None:
        """Two that wait for each other in turn must not begin to count their failures anew each time."""
        try:
            await self._ledger.put_back(job, at=self._clock.now() + BUSY)
        except Fault as fault:
            self._keeps_lease(job, fault)

    def _keeps_lease(self, job: Job, fault: Fault) -> None:
        log.warning("its lease has to run out first: %s", fault, extra={"request": job.subject, "step": job.kind})

    async def _retry(self, job: Job, trouble: str, *, retry_after: float | None = None) -> None:
        wait = back_off(job.attempts, retry_after=retry_after, longest=longest_back_off(job))
        again_at = self._clock.now() + wait
        not_before = again_at if retry_after is not None else None
        try:
            await self._ledger.finish(job, again_at=again_at, trouble=trouble, retry=True, not_before=not_before)
            await self._on_trouble(job, trouble)
        except Fault as fault:
            self._keeps_lease(job, fault)


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Something that goes on meanwhile."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _fields(job: Job, started: float, *, vendor: str = "") -> dict[str, object]:
    ms = round((time.monotonic() - started) * 1000)
    return {"request": job.subject, "step": job.kind, "vendor": vendor, "ms": ms}

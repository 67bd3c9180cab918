"""Whether the job that runs is still ours: asked right before every write outside.

A process that was frozen, or cut off from the database, for longer than its lease may have been overtaken without
knowing it. Whoever writes outside asks here first. Writes of access ask the ledger each time, and the answer is also a
new lease; messages and pages, which are many, ask it when the lease may be over by our own reckoning. What gives access
asks as well whether it may still be given (`only_while`): it may have been stopped, or everything frozen, meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

Hold = Callable[[], Awaitable[None]]
Permission = Callable[[], Awaitable[bool]]
_SLEEP_COUNTS = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class ClaimLost(Exception):
    """Another process has this job now: nothing more may be written for it here."""


class Busy(Exception):
    """Another job changes the same thing at this moment: this one did nothing, and its try does not count."""


def running_clock() -> float:
    """Seconds that nobody can set; on Linux those for which the machine was suspended count as well."""
    return time.clock_gettime(_SLEEP_COUNTS)


@dataclass(frozen=True, slots=True)
class _Claim:
    ask: Hold
    lasts: Callable[[], bool]


_claim: ContextVar[_Claim | None] = ContextVar("claim", default=None)
_permission: ContextVar[Permission | None] = ContextVar("permission", default=None)


def holding(ask: Hold, *, lasts: Callable[[], bool]) -> None:
    """From here on, in this task, `ask` is who knows; `lasts` says whether the lease outlasts a call in any case."""
    _claim.set(_Claim(ask, lasts))


@contextmanager
def only_while(permitted: Permission) -> Iterator[None]:
    """What is written in here is written only while this is so; else the job is `Busy`, and begins anew."""
    before = _permission.set(permitted)
    try:
        yield
    finally:
        _permission.reset(before)


async def still_ours() -> None:
    """Return only while nobody else has claimed the running job; `ClaimLost` otherwise. Outside of jobs: return.

    Then what the write is `only_while` of is asked, last of all.
    """
    if (claim := _claim.get()) is not None:
        await claim.ask()
    if (permitted := _permission.get()) is not None and not await permitted():
        raise Busy


async def ours_by_lease() -> None:
    """The same, without asking anybody while the lease certainly lasts."""
    if (claim := _claim.get()) is not None and not claim.lasts():
        await claim.ask()

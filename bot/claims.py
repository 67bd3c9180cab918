"""Whether the job that runs is still ours: asked right before every write outside.

A process that was frozen, or cut off from the database, for longer than its lease may have been overtaken without
knowing it. Whoever writes outside asks here first; the answer is also a new lease.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

Hold = Callable[[], Awaitable[None]]
_hold: ContextVar[Hold | None] = ContextVar("hold", default=None)


class ClaimLost(Exception):
    """Another process has this job now: nothing more may be written for it here."""


class Busy(Exception):
    """Another job changes the same thing at this moment: this one did nothing, and its try does not count."""


def holding(hold: Hold) -> None:
    """From here on, in this task, `still_ours` asks `hold`."""
    _hold.set(hold)


async def still_ours() -> None:
    """Return only while nobody else has claimed the running job; `ClaimLost` otherwise. Outside of jobs: return."""
    if (hold := _hold.get()) is not None:
        await hold()

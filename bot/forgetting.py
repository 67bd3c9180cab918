"""The index's minute hand: who was erased in the ledger is forgotten there too, and what was deleted leaves its files.

The trail tells whom: every front has an index of its own, and one that was away or is new learns it at its next look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import datetime
from typing import Protocol

from bot.audit import AuditEvent
from bot.errors import Fault
from knowledge.runs import Progress, say_nothing

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0


class Erasures(Protocol):
    """The ledger that tells of them."""

    async def erasures(self, after: int) -> list[AuditEvent]: ...


class Index(Protocol):
    """What holds documents in which people's words may be."""

    @property
    def erased_up_to(self) -> int: ...
    async def forget_people(self, ids: Collection[str], *, up_to: int, progress: Progress) -> list[str]: ...
    async def recover(self) -> None: ...
    async def forget_leftovers_in_time(self, now: datetime) -> bool: ...
    def read_again(self, document_ids: Iterable[str]) -> Awaitable[None]: ...


class Forgetting:
    """Over the ledger and one index."""

    def __init__(self, ledger: Erasures, index: Index) -> None:
        self._ledger = ledger
        self._index = index

    async def look(self, progress: Progress = say_nothing) -> list[str]:
        """Forget whoever was erased since the last look; returns the documents that may be read again without them."""
        erased = await self._ledger.erasures(self._index.erased_up_to)
        if not erased:
            return []
        ids = {one for event in erased for one in accounts_in(event)}
        return await self._index.forget_people(ids, up_to=erased[-1].seq, progress=progress)

    async def tend(self, now: datetime) -> None:
        """One round of it in a running program."""
        try:
            await self._index.recover()
            await self._index.read_again(await self.look())
            if await self._index.forget_leftovers_in_time(now):
                log.info("the index was written anew without what was deleted", extra={"step": "forget"})
        except Fault as fault:
            log.warning("tried again in a minute: %s", fault, extra={"step": "forget", "vendor": fault.vendor})

    async def run(self, now: Callable[[], datetime]) -> None:
        """For ever."""
        while True:
            await self.tend(now())
            await asyncio.sleep(LOOK_SECONDS)


def accounts_in(event: AuditEvent) -> set[str]:
    """Everything that an erasure says somebody is known by."""
    accounts = event.detail.get("accounts")
    told = [event.detail.get("person"), *(accounts if isinstance(accounts, list) else ())]
    return {one for one in told if isinstance(one, str) and one}

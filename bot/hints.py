"""What webhooks tell, gathered until the ledger comes to it: a burst costs a few transactions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.ledger import Ledger

STORE_SECONDS = 3.0  # of the five that PagerDuty waits


@dataclass(slots=True)
class _Batch:
    """What is committed together, and who waits for that."""

    told: dict[str, str | None] = field(default_factory=dict)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def settle(self, problem: Exception | None = None) -> None:
        """Tell whoever still waits."""
        for one in self.waiting:
            if one.done():
                continue
            if problem is None:
                one.set_result(None)
            else:
                one.set_exception(problem)


@dataclass(slots=True)
class Hints:
    """Events of PagerDuty's on their way into the ledger."""

    ledger: Ledger
    _gathering: _Batch | None = None
    _adding: threading.Lock = field(default_factory=threading.Lock)
    _committing: set[asyncio.Task[None]] = field(default_factory=set)

    async def take(self, event: str, incident: str | None) -> None:
        """Return when it is committed; `TimeoutError` if that takes long, and then it may be committed all the same."""
        waiter = asyncio.get_running_loop().create_future()
        with self._adding:
            batch = self._gathering or self._begin()
            batch.told[event] = incident
            batch.waiting.append(waiter)
        await waiter

    def _begin(self) -> _Batch:
        batch = self._gathering = _Batch()
        task = asyncio.create_task(self._commit(batch))
        self._committing.add(task)
        task.add_done_callback(self._committing.discard)
        return batch

    async def _commit(self, batch: _Batch) -> None:
        late = TimeoutError("it was not stored in time")
        timer = asyncio.get_running_loop().call_later(STORE_SECONDS, self._give_up, batch, late)
        try:
            await asyncio.sleep(0)  # what has come in by now joins, instead of contending with the commit
            await self.ledger.hear(lambda: self._close(batch))
            batch.settle()
        except Exception as problem:  # noqa: BLE001 - told to whoever waits
            self._give_up(batch, problem)
        finally:
            timer.cancel()

    def _give_up(self, batch: _Batch, problem: Exception) -> None:
        """Whether or not the ledger came to it: whoever comes from here on does not wait for this one."""
        self._close(batch)
        batch.settle(problem)

    def _close(self, batch: _Batch) -> Mapping[str, str | None]:
        """The ledger comes to it now, on a thread of its own: what is told from here on is another batch."""
        with self._adding:
            if self._gathering is batch:
                self._gathering = None
        return batch.told

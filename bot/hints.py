"""What webhooks tell, gathered while the ledger commits what came before: a burst costs a few transactions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bot.ledger import Ledger


@dataclass(slots=True)
class Hints:
    """Events of PagerDuty's on their way into the ledger."""

    ledger: Ledger
    _told: dict[str, str | None] = field(default_factory=dict)
    _committing: asyncio.Task[None] | None = None
    _next: asyncio.Task[None] | None = None

    async def take(self, event: str, incident: str | None) -> None:
        """Return when it is committed."""
        self._told[event] = incident
        if self._next is None:
            self._next = asyncio.create_task(self._commit(self._committing))
        await asyncio.shield(self._next)

    async def _commit(self, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait({earlier})
        told, self._told = self._told, {}
        self._committing, self._next = self._next, None
        await self.ledger.hear(told)

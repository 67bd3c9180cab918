"""What changes while a request waits, beside decisions, and what waits for too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, select, update

from bot.core.lifecycle import State
from bot.core.request import Request
from bot.ledger import tables as t
from bot.ledger.database import Audit, Due
from bot.ledger.requests import Requests, number_of


class Waiting(Requests):
    """Requests that nobody answers, and access that should be gone."""

    async def open_to(self, request: str, group: str, *, audit: Audit, jobs: Sequence[Due]) -> bool:
        """From now on members of `group` decide as well; false when it cannot be decided, or they do already."""

        def work(c: Connection) -> bool:
            found = self._load(c, request)
            if found.ruling is None or not found.decidable or found.ruling.fallback_group == group:
                return False
            row = (t.requests.c.number == number_of(request)) & (t.requests.c.state == State.PENDING.value)
            c.execute(update(t.requests).where(row).values(ruling=replace(found.ruling, fallback_group=group)))
            self._append(c, request, audit)
            self._schedule(c, request, jobs)
            return True

        return await self._change(work)

    async def overdue(self) -> list[Request]:
        """Whose access should be gone and is not, oldest first."""
        query = select(t.grants.c.request_id).where(t.grants.c.overdue.is_(True)).order_by(t.grants.c.ends_at)
        return await self._run(lambda c: [self._load(c, row.request_id) for row in c.execute(query).all()])

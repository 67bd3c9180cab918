"""Webhook deliveries: hints that something happened on an incident, taken once, many of them in one transaction."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, insert, select

from bot.ledger import tables as t
from bot.ledger.database import Database, Due

_REQUESTS = select(t.incidents.c.incident_id, t.incidents.c.request_id).where(
    t.incidents.c.incident_id.in_(bindparam("incidents", expanding=True))
)
_TAKEN = select(t.inbox.c.delivery_id).where(
    t.inbox.c.source == bindparam("by"), t.inbox.c.delivery_id.in_(bindparam("ids", expanding=True))
)
_TAKE = insert(t.inbox)


class Hints(Database):
    """What others tell us to look at."""

    async def hear(self, source: str, told: Mapping[str, str]) -> None:
        """Delivery id to incident id: what is new of them, and about an incident of ours, wants a reading of it."""
        if await self._run(lambda c: self._hear(c, source, told)):
            self.on_commit()

    def _hear(self, c: Connection, source: str, told: Mapping[str, str]) -> bool:
        found = c.execute(_REQUESTS, {"incidents": sorted(set(told.values()))}).all()
        requests: dict[str, str] = {row.incident_id: row.request_id for row in found}
        ours = {delivery: requests[incident] for delivery, incident in told.items() if incident in requests}
        taken = set(c.execute(_TAKEN, {"by": source, "ids": list(ours)}).scalars()) if ours else set()
        new = {delivery: request for delivery, request in ours.items() if delivery not in taken}
        if new:
            c.execute(_TAKE, [{"source": source, "delivery_id": one, "at": self._now()} for one in new])
        for request in sorted(set(new.values())):
            self._schedule(c, request, [Due("poll")])
        return bool(new)

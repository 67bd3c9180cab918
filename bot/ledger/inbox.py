"""What webhooks brought: each event once, and what was last seen of each kind of delivery."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from bot.ledger import tables as t
from bot.ledger.database import Due
from bot.ledger.queue import TAKE, Queue

EVENTS = "pagerduty.event"
_CASES = select(t.incidents.c.incident_id, t.incidents.c.request_id).where(
    t.incidents.c.incident_id.in_(bindparam("incidents", expanding=True))
)
_SEEN_AGAIN = (
    update(t.seen)
    .where(t.seen.c.name == bindparam("n"))
    .values(times=t.seen.c.times + bindparam("more"), at=bindparam("now"), words=bindparam("said"))
)
_SEEN_FIRST = insert(t.seen)


@dataclass(frozen=True, slots=True)
class Seen:
    """How often something came, when last, and what was said of it then."""

    times: int
    at: datetime
    words: str


class Inbox(Queue):
    """Deliveries from outside."""

    async def hear(self, told: Callable[[], Mapping[str, str | None]]) -> None:
        """Take webhook events (event id to incident id) in one commit: an incident of ours is read next.

        They are asked for on the ledger's thread when it comes to them. Each counts as `taken`, `repeated`, or `other`
        when it is about nothing of ours; those that are all repeated want nothing.
        """
        if await self._run(lambda c: self._hear(c, told())):
            self.on_commit()

    def _hear(self, c: Connection, told: Mapping[str, str | None]) -> bool:
        now = self._now()
        found = c.execute(_CASES, {"incidents": sorted({one for one in told.values() if one})}).all()
        cases: dict[str | None, str] = {row.incident_id: row.request_id for row in found}
        ours = {event: cases[incident] for event, incident in told.items() if incident in cases}
        rows = [{"source": EVENTS, "delivery_id": event, "at": now} for event in ours]
        new = c.execute(TAKE, rows).rowcount if rows else 0
        hinted = Due("poll", payload={"hinted": now.isoformat()})
        for case in sorted(set(ours.values())) if new else ():
            self._schedule(c, case, [hinted])
        self._count(c, taken=new, repeated=len(ours) - new, other=len(told) - len(ours))
        return bool(new)

    def _count(self, c: Connection, **outcomes: int) -> None:
        for outcome, count in outcomes.items():
            if count:
                self._see(c, f"webhook.{outcome}", count, "")

    async def see(self, name: str, *, count: int = 1, words: str = "") -> None:
        """Something was seen that `check` and the metrics should tell of."""
        await self._run(lambda c: self._see(c, name, count, words))

    def _see(self, c: Connection, name: str, count: int, words: str) -> None:
        if c.execute(_SEEN_AGAIN, {"n": name, "more": count, "now": self._now(), "said": words}).rowcount == 0:
            c.execute(_SEEN_FIRST, {"name": name, "times": count, "at": self._now(), "words": words})

    async def seen(self) -> dict[str, Seen]:
        """Everything that was seen, by name."""
        query = select(t.seen)
        return await self._run(lambda c: {row.name: Seen(row.times, row.at, row.words) for row in c.execute(query)})

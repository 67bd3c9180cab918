"""What webhooks brought: each event once, and what was last seen of each kind of delivery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from bot.ledger import tables as t
from bot.ledger.database import Due
from bot.ledger.queue import Queue

EVENTS = "pagerduty.event"
_CASE = select(t.incidents.c.request_id).where(t.incidents.c.incident_id == bindparam("i"))
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

    async def take_hint(self, event_id: str, incident_id: str | None) -> str:
        """Take a webhook's event in one commit: its incident, if it is ours, is read next. `taken`, `repeated`, or
        `other` for what is about nothing of ours."""

        def work(c: Connection) -> str:
            case = c.execute(_CASE, {"i": incident_id}).scalar() if incident_id else None
            hinted = Due("poll", payload={"hinted": self._now().isoformat()})
            if case is None:
                outcome = "other"
            else:
                outcome = "taken" if self._accept(c, EVENTS, event_id, case, None, [hinted]) else "repeated"
            self._see(c, f"webhook.{outcome}", 1, "")
            return outcome

        return await self._change(work)

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

"""Which of our chat messages stand for something still, so that they can be compared with what the chat shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Integer, String, cast, delete, exists, func, literal, select, update

from bot.core.lifecycle import FINAL, State
from bot.ledger import tables as t
from bot.ledger.database import Database, Due

REDRAWN = ("card", "dm")  # the kinds that a job of the same name makes true to the record
_OPEN = t.requests.c.state.in_(sorted(state.value for state in State if state not in FINAL))
_OPEN_IDS = select(literal("TA-").concat(cast(t.requests.c.number, String))).where(_OPEN)
_NUMBER = cast(func.substr(t.messages.c.subject, len("TA-") + 1), Integer)
_DRAWN = t.messages.c.kind.in_(REDRAWN) & exists().where(t.requests.c.number == _NUMBER, _OPEN)
FURTHEST = timedelta(days=62)  # a request is open for thirty days at most, and a grant hardly longer


@dataclass(frozen=True, slots=True)
class Kept:
    """A message of ours as it should stand; `open` when it is drawn anew as its request goes on."""

    subject: str
    kind: str
    ts: str
    fingerprint: str
    open: bool


class Keeping(Database):
    """Messages by channel."""

    async def channels_in_use(self, most: int, *, kind: str = "") -> list[str]:
        """Channels in which a card or requester's message of an open request stands, the latest first."""
        newest = func.max(t.messages.c.ts).label("newest")
        query = (
            select(t.messages.c.channel, newest)
            .where(t.messages.c.subject.in_(_OPEN_IDS), t.messages.c.kind.in_([kind] if kind else REDRAWN))
            .group_by(t.messages.c.channel)
            .order_by(newest.desc())
            .limit(most)
        )
        return await self._run(lambda c: [row.channel for row in c.execute(query)])

    async def messages_in(self, channel: str, *, since: datetime, most: int) -> Sequence[Kept]:
        """What is recorded of a channel since then, and what stands for an open request longer; the latest of it."""
        furthest, recent = _ts(since - FURTHEST), t.messages.c.ts >= _ts(since)
        query = (
            select(t.messages, _DRAWN.label("open"))
            .where(t.messages.c.channel == channel, t.messages.c.ts >= furthest, recent | _DRAWN)
            .order_by(t.messages.c.ts.desc())
            .limit(most)
        )
        return await self._run(
            lambda c: [Kept(row.subject, row.kind, row.ts, row.fingerprint, bool(row.open)) for row in c.execute(query)]
        )

    async def draw_again(self, kept: Kept, *, gone: bool) -> None:
        """The chat shows something else, or nothing: have it drawn, unless that was done meanwhile."""
        as_read = (
            (t.messages.c.subject == kept.subject)
            & (t.messages.c.kind == kept.kind)
            & (t.messages.c.ts == kept.ts)
            & (t.messages.c.fingerprint == kept.fingerprint)
        )
        change = delete(t.messages).where(as_read) if gone else update(t.messages).where(as_read).values(fingerprint="")

        def work(c: Connection) -> None:
            if c.execute(change).rowcount == 1:
                self._schedule(c, kept.subject, [Due(kept.kind)])

        await self._change(work)


def _ts(at: datetime) -> str:
    return f"{at.timestamp():.6f}"

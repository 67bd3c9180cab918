"""Which of our chat messages stand for something still, so that they can be compared with what the chat shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, String, cast, delete, func, literal, select, update

from bot.core.lifecycle import FINAL
from bot.ledger import tables as t
from bot.ledger.database import Database, Due

REDRAWN = ("card", "dm")  # the kinds that a job of the same name makes true to the record
_OPEN = t.requests.c.state.not_in(sorted(state.value for state in FINAL))
_ABOUT = t.messages.c.subject == literal("TA-").concat(cast(t.requests.c.number, String))


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
        kinds = [kind] if kind else list(REDRAWN)
        newest = func.max(t.messages.c.ts).label("newest")
        query = (
            _messages(t.messages.c.channel, newest)
            .where(_OPEN, t.messages.c.kind.in_(kinds))
            .group_by(t.messages.c.channel)
            .order_by(newest.desc())
            .limit(most)
        )
        return await self._run(lambda c: [row.channel for row in c.execute(query)])

    async def messages_in(self, channel: str, *, since: datetime) -> Sequence[Kept]:
        """What is recorded of a channel since then, or since the oldest open request's if that is longer ago."""
        here = t.messages.c.channel == channel
        oldest = _messages(func.min(t.messages.c.ts)).where(here, _OPEN, t.messages.c.kind.in_(REDRAWN))
        rows = _messages(t.messages, _OPEN.label("open")).where(here)

        def work(c: Connection) -> list[Kept]:
            first = min(c.execute(oldest).scalar() or "9", f"{since.timestamp():.6f}")
            found = c.execute(rows.where(t.messages.c.ts >= first).order_by(t.messages.c.ts))
            return [
                Kept(row.subject, row.kind, row.ts, row.fingerprint, bool(row.open) and row.kind in REDRAWN)
                for row in found
            ]

        return await self._run(work)

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


def _messages(*columns: object) -> Select[tuple[object, ...]]:
    return select(*columns).select_from(t.messages).join(t.requests, _ABOUT)  # type: ignore[call-overload, no-any-return]

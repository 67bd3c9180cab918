"""What waits for moments, when the clock steps back: a try that was due in a second is not to wait for an hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update

from bot.ledger import tables as t
from bot.ledger.database import Database

TIMERS = ("revoke", "expire", "remind", "silence", "fallback", "warn")
SOON = timedelta(minutes=6)  # longer than any pause between two tries or two readings
_LATELY = select(t.events.c.at).order_by(t.events.c.seq.desc()).limit(1000).subquery()
_LATEST_MOMENT = select(func.max(_LATELY.c.at))


class Stepping(Database):
    """Jobs under a clock that is set back."""

    async def latest_moment(self) -> datetime | None:
        """The latest time that the end of the trail tells; None while it tells nothing."""
        at = await self._run(lambda c: c.execute(_LATEST_MOMENT).scalar())
        return datetime.fromisoformat(at) if at else None

    async def stepped_back(self, roles: Sequence[str], *, was: datetime, now: datetime) -> None:
        """Shift with the clock what was due, or soon would have been. A time that was promised stays that time."""
        promised = or_(*(t.jobs.c.kind == kind for kind in TIMERS)) & (t.jobs.c.attempts == 0)
        waiting = (t.jobs.c.due > now.timestamp()) & (t.jobs.c.due <= (was + SOON).timestamp())
        theirs = or_(*(t.jobs.c.role == role for role in roles))
        step = (was - now).total_seconds()
        shifted = {"due": t.jobs.c.due - step, "not_before": t.jobs.c.not_before - step}
        await self._change(lambda c: c.execute(update(t.jobs).where(theirs, waiting, ~promised).values(shifted)))

"""Which role lives: when each was last seen at work, and how late its jobs are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, or_, select, update

from bot.ledger import tables as t
from bot.ledger.database import Database
from bot.ledger.engine import database_clock

_SEEN = update(t.presence).where(t.presence.c.role == bindparam("who")).values(seen_at=bindparam("now"))
_FIRST_SEEN = insert(t.presence)
_ALL = select(t.presence.c.role, t.presence.c.seen_at)


@cache
def _waiting_since(roles: tuple[str, ...]) -> Select[Any]:
    """When the first job fell due that nobody does now. A lease that ran out by the database's clock holds nothing."""
    theirs = or_(*(t.jobs.c.role == role for role in roles))
    return select(func.min(t.jobs.c.due)).where(theirs, t.jobs.c.leased_until <= database_clock())


@cache
def _in_vain(roles: tuple[str, ...], kinds: tuple[str, ...]) -> Select[Any]:
    """Jobs of these kinds that were tried so often. What is tried again later is due later, and so never late."""
    theirs = or_(*(t.jobs.c.role == role for role in roles))
    return select(t.jobs.c.subject).where(theirs, t.jobs.c.kind.in_(kinds), t.jobs.c.attempts >= bindparam("tries"))


class Presence(Database):
    """Signs of life, by the machine's own clock: a story's may be moved."""

    async def at_work(self, roles: Sequence[str]) -> None:
        """They are at work at this moment."""

        def work(c: Connection) -> None:
            now = datetime.now(UTC)
            for role in roles:
                if c.execute(_SEEN, {"who": role, "now": now}).rowcount == 0:
                    c.execute(_FIRST_SEEN, {"role": role, "seen_at": now})

        await self._run(work)

    async def presence(self) -> dict[str, datetime]:
        """When each role was last seen; one that never was is missing."""
        return await self._run(lambda c: {row.role: row.seen_at for row in c.execute(_ALL)})

    async def lateness(self, roles: Sequence[str]) -> float:
        """For how many seconds the most overdue job of these roles has waited for somebody to do it."""

        def work(c: Connection) -> float:
            now = self._now().timestamp()
            due = c.execute(_waiting_since(tuple(roles))).scalar()
            return max(now - due, 0.0) if due is not None else 0.0

        return await self._run(work)

    async def in_vain(self, roles: Sequence[str], kinds: Sequence[str], *, tries: int) -> Sequence[str]:
        """The subjects of jobs of these kinds that keep failing."""
        query = _in_vain(tuple(roles), tuple(kinds))
        return await self._run(lambda c: c.execute(query, {"tries": tries}).scalars().all())

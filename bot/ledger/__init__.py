"""Where requests, decisions, jobs and the audit trail are kept: every change is one transaction.

A request moves only by compare-and-swap (`UPDATE ... WHERE number = ? AND state = ?`): one row changed means this
caller won. The change, the jobs that follow from it and its audit event are committed together. SQLite runs on one
writer thread (WAL, synchronous=FULL), so nothing here blocks the event loop.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from bot.core.request import Draft, Entitlement, Request
from bot.ledger.database import Audit, Due
from bot.ledger.decisions import Decisions
from bot.ledger.erasing import Erasing, Erasure
from bot.ledger.grants import Grants, written
from bot.ledger.links import Links
from bot.ledger.places import Paged, Places, Shown
from bot.ledger.queue import Figures, Job, Queue
from bot.ledger.trail import Trail


class Ledger(Decisions, Grants, Places, Links, Queue, Trail, Erasing):
    """The story's memory, in one piece."""

    async def to_show(self, request: str, kind: str) -> tuple[Request, Shown | None]:
        """A request, and our message of a kind about it as it stands, in one reading."""
        return await self._run(lambda c: self._to_show(c, request, kind))

    def _to_show(self, c: Connection, request: str, kind: str) -> tuple[Request, Shown | None]:
        return self._load(c, request), self._shown(c, request, kind)

    def _with_reading(self, c: Connection, job: Job) -> Job:
        if job.kind != "card":
            return job
        try:
            return replace(job, reading=self._to_show(c, job.subject, "card"))
        except (KeyError, ValueError):  # of no request: whoever runs it will say so
            return job

    async def rehearse(self, draft: Draft, entitlement: Entitlement) -> None:
        """Store, read and claim a request that is undone again, so that nobody waits for what the first time takes."""

        def work(c: Connection) -> None:
            undone = c.begin_nested()
            request = self._receive(c, draft, entitlement, self._now(), [Due("card")])
            self._to_show(c, request, "card")
            undone.rollback()

        await self._run(work)
        await self.claim(("nobody",), most=1, lease=0.0)


__all__ = ["Audit", "Due", "Erasure", "Figures", "Job", "Ledger", "Paged", "Shown", "written"]

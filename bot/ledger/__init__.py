"""Where requests, decisions, jobs and the audit trail are kept: every change is one transaction.

A request moves only by compare-and-swap (`UPDATE ... WHERE number = ? AND state = ?`): one row changed means this
caller won. The change, the jobs that follow from it and its audit event are committed together. SQLite runs on one
writer thread (WAL, synchronous=FULL), PostgreSQL on a few, so nothing here blocks the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from bot.core.request import Draft, Entitlement, Request
from bot.core.traffic import Traffic
from bot.ledger.database import Audit, Due, Following, following_in
from bot.ledger.decisions import Decisions
from bot.ledger.erasing import Erasing, Erasure
from bot.ledger.grants import Grants, written
from bot.ledger.halting import Freeze, Halting
from bot.ledger.inbox import Inbox
from bot.ledger.kept import Keeping, Kept
from bot.ledger.links import Links
from bot.ledger.pages import Pages
from bot.ledger.places import Paged, Places, Shown
from bot.ledger.policy_questions import PolicyQuestions, Rated
from bot.ledger.precedents import Precedents
from bot.ledger.presence import Presence
from bot.ledger.queue import Figures, Job
from bot.ledger.stepping import Stepping
from bot.ledger.targets import Targets
from bot.ledger.trail import Trail
from bot.ledger.waiting import Waiting

FIRST = "card"
NONE_OF_THEM = 0  # requests are numbered from 1
TURNS = 8  # of the loop: less than 0.1 ms, unless much has come in


async def _let_others_join() -> None:
    """What is submitted at the same moment is committed together, instead of contending with a commit under way."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


@dataclass(slots=True)
class _Received:
    """What became of a submission; when it is new and its card is claimed with it, that job."""

    id: str
    request: Request | None = None
    first: Job | None = None


class _Undone(Exception):
    """A rehearsal is over."""


class Ledger(
    Decisions,
    Grants,
    Targets,
    Halting,
    Waiting,
    Pages,
    Stepping,
    Precedents,
    Places,
    Keeping,
    Links,
    Presence,
    Inbox,
    Trail,
    Erasing,
    PolicyQuestions,
):
    """The story's memory, in one piece."""

    _first_to: Callable[[Job], None] | None = None
    _hands_over: Callable[[], bool] = staticmethod(lambda: False)
    _lease = 0.0

    def hand_first_cards_to(
        self, take: Callable[[Job], None], *, lease: float, while_: Callable[[], bool] = lambda: True
    ) -> None:
        """From now on a new request's card is claimed as it is stored and given to `take`: somebody waits for it.

        Only as long as `while_` says so: what cannot begin at once is claimed like any other job.
        """
        self._first_to, self._lease, self._hands_over = take, lease, while_

    async def receive(
        self,
        draft: Draft,
        entitlement: Entitlement,
        *,
        deadline: datetime,
        jobs: Sequence[Due],
        admit: Callable[[Traffic], None] | None = None,
    ) -> str:
        """Store a submission with its jobs; the id it got, or the id it has already if its key was seen before.

        `admit` raises `Refused` if what this person has asked for so far stands against one more.
        """
        await _let_others_join()
        received = await self._change(lambda c: self._receive(c, draft, entitlement, deadline, jobs, admit))
        if received.first is not None and self._first_to is not None:
            self._first_to(received.first)
        return received.id

    def _receive(
        self,
        c: Connection,
        draft: Draft,
        entitlement: Entitlement,
        deadline: datetime,
        jobs: Sequence[Due],
        admit: Callable[[Traffic], None] | None,
        number: int | None = None,
    ) -> _Received:
        if (known := self._known(c, draft.key)) is not None:
            return _Received(known)
        if admit is not None:
            admit(self._traffic(c, draft))
        request = self._store(c, draft, entitlement, deadline, jobs, number)
        received = _Received(request.id, request)
        if self._hands_over() and any(due.kind == FIRST for due in jobs):
            following_in(c).claims[request.id] = received
        return received

    def _write_new(self, c: Connection, following: Following) -> None:
        """With the jobs of new requests, those cards that somebody waits for are claimed."""
        super()._write_new(c, following)
        if following.claims:
            for request, job in self._claim_at_once(c, following.claims, FIRST, lease=self._lease).items():
                received = following.claims[request]
                received.first = replace(job, reading=(received.request, None))

    async def to_show(self, request: str, kind: str) -> tuple[Request, Shown | None]:
        """A request, and our message of a kind about it as it stands, in one reading."""
        return await self._run(lambda c: self._to_show(c, request, kind))

    def _to_show(self, c: Connection, request: str, kind: str) -> tuple[Request, Shown | None]:
        return self._load(c, request), self._shown(c, request, kind)

    def _with_reading(self, c: Connection, job: Job) -> Job:
        if job.kind != FIRST:
            return job
        try:
            return replace(job, reading=self._to_show(c, job.subject, FIRST))
        except (KeyError, ValueError):  # of no request: whoever runs it will say so
            return job

    async def rehearse(self, draft: Draft, entitlement: Entitlement) -> None:
        """Store, read and claim a request that is undone again, so that nobody waits for what the first time takes.

        PostgreSQL does not give a number back, and an auditor would look for that request.
        """
        number = NONE_OF_THEM if self._shared else None

        def work(c: Connection) -> None:
            received = self._receive(c, draft, entitlement, self._now(), [Due(FIRST)], lambda _: None, number)
            self._write_new(c, following_in(c))
            self._to_show(c, received.id, FIRST)
            raise _Undone

        with suppress(_Undone):
            await self._run(work)
        await self.claim(("nobody",), most=1, lease=0.0)


__all__ = [
    "Audit",
    "Due",
    "Erasure",
    "Figures",
    "Freeze",
    "Job",
    "Kept",
    "Ledger",
    "Paged",
    "Rated",
    "Shown",
    "written",
]

"""Comments on our incidents: read back through the API, taken once, and handed on as attempts to decide.

Polling works with no inbound endpoint at all; a webhook only makes the next reading happen at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from bot.authority import Attempt
from bot.core.lifecycle import OPEN
from bot.core.notes import Approve, Chatter, Comment, Deny, Unclear, read_comment
from bot.core.request import Answer, Place, Request
from bot.ledger import Audit, Due, Job, Ledger
from bot.ports import Clock, Note, Pager
from bot.screen import looks_secret

SOURCE, OPENED = "pagerduty.note", "page.opened"
EARLIER = "it stands on an earlier page of this request; answer on the newest one, or on the card"
CALLS_A_SECOND = 4.0  # of the 16 that PagerDuty allows: pages and notes go first
CALLS_A_READING = 2
REPAGE_AFTER = timedelta(minutes=10)


def next_reading(age: timedelta) -> timedelta:
    """How long until an incident is read again that has shown its plan for so long: seconds at first."""
    if age < timedelta(minutes=2):
        return timedelta(seconds=5)
    return timedelta(seconds=15 if age < timedelta(minutes=30) else 60)


@dataclass(slots=True)
class Pace:
    """Reads many open incidents less often, so that all together stay well inside the account's rate limit."""

    a_second: float = CALLS_A_SECOND
    _calls: dict[str, float] = field(default_factory=dict)

    def until_next(self, incident_id: str, wanted: timedelta) -> timedelta:
        """How long until this incident's next reading: as wanted, or longer while many are open."""
        self._calls[incident_id] = CALLS_A_READING / wanted.total_seconds()
        return wanted * max(1.0, sum(self._calls.values()) / self.a_second)

    def forget(self, incident_id: str) -> None:
        """It is not read any more."""
        self._calls.pop(incident_id, None)


@dataclass(frozen=True, slots=True)
class Comments:
    """Reads the comments of open incidents."""

    ledger: Ledger
    pager: Pager
    clock: Clock
    pace: Pace = field(default_factory=Pace)

    async def poll(self, job: Job) -> datetime | None:
        """Take what is new on one incident; again later while the request is open, and once after that."""
        request = await self.ledger.request(job.subject)
        paged = await self.ledger.paged(job.subject)
        if paged is None:
            return None
        incident, _ = await asyncio.gather(
            self.pager.incident(paged.incident_id), self._read_all(request, paged.incident_id)
        )
        if request.state not in OPEN:
            self.pace.forget(paged.incident_id)
            return None
        if incident.status == "resolved":
            await self._closed_undecided(request, paged.incident_id)
        now = self.clock.now()
        return now + self.pace.until_next(paged.incident_id, next_reading(now - paged.shown_at))

    async def _read_all(self, request: Request, incident_id: str) -> None:
        """This incident, and those before it, whose comments get an answer and count no more."""
        earlier = await self._earlier(request.id, incident_id)
        await asyncio.gather(
            self._read(request, incident_id), *(self._read(request, one, why=EARLIER) for one in earlier)
        )

    async def _earlier(self, request: str, incident_id: str) -> list[str]:
        """The incidents that stood for the request before this one."""
        opened = [event.detail["incident"] for event in await self.ledger.events(request, what=OPENED)]
        return [one for one in opened if one != incident_id]

    async def _read(self, request: Request, incident_id: str, *, why: str = "") -> None:
        """Take what is new on one incident; `why` says why nothing that stands there counts."""
        notes = await self.pager.notes(incident_id)
        taken = await self.ledger.accepted(SOURCE, [_receipt(note) for note in notes])
        for note in notes:
            if _receipt(note) not in taken:
                await self._take(request, note, incident_id, why)

    async def _take(self, request: Request, note: Note, incident_id: str, why: str) -> None:
        """Each comment is taken once, whatever it says. What we write tells how to decide and never has that form."""
        comment = read_comment(note.content, case=request.id)
        ours = note.author is not None and note.author == self.pager.own_user
        if isinstance(comment, Chatter) or (ours and isinstance(comment, Unclear)):
            await self.ledger.accept(SOURCE, _receipt(note))
            return
        why = "it was written as TinyApprover itself" if ours else why
        follow = _refused(note, why, incident_id) if why else _follow(note, comment, incident_id)
        await self.ledger.accept(SOURCE, _receipt(note), request=request.id, jobs=[follow])

    async def unclear(self, job: Job) -> datetime | None:
        """A comment that decided nothing is audited, and answered with the line to write."""
        detail = {"rule": "comment#form", "place": Place.PAGERDUTY.value, "receipt": job.payload["receipt"]}
        audit = Audit(str(job.payload["who"]) or "nobody", "decision.refused", detail)
        follow = Due(f"reply:{job.payload['receipt']}", payload=job.payload)
        await self.ledger.note_event(audit, request=job.subject, jobs=(follow,))
        return None

    async def _closed_undecided(self, request: Request, incident_id: str) -> None:
        """Resolving is no decision: requester and channel are told, and it is paged once more unless taken."""
        if not await self.ledger.accept("pagerduty.closed", incident_id):
            return
        jobs = [Due("card"), Due("tell:closed"), Due("announce:closed")]
        if await self.ledger.accept("pagerduty.closed", request.id):
            jobs.append(Due("repage", at=self.clock.now() + REPAGE_AFTER))
        audit = Audit("pagerduty", "page.closed_undecided", {"incident": incident_id})
        await self.ledger.note_event(audit, request=request.id, jobs=jobs)


def _receipt(note: Note) -> str:
    """Under what a comment is taken once; an edit after that is taken again, to be told that it does not count."""
    return f"{note.id}-edited" if note.edited else note.id


def _follow(note: Note, comment: Comment, incident_id: str) -> Due:
    if note.author is None:
        return _refused(note, "it was not written by a person", incident_id)
    if note.edited:
        return _refused(note, "it was edited after it was written; write a new one instead", incident_id)
    match comment:
        case Approve():
            return _attempt(note, Answer.APPROVE, code=comment.code or "")
        case Deny():
            return _attempt(note, Answer.DENY, reason=_fit_to_keep(comment.reason))
        case _:
            return _refused(note, "it is not in the form that decides", incident_id)


def _fit_to_keep(reason: str) -> str:
    """A denial counts whatever its reason holds; a secret in it goes no further."""
    found = looks_secret(reason)
    return f"(reason withheld: looks like {found})" if found else reason


def _attempt(note: Note, answer: Answer, *, code: str = "", reason: str = "") -> Due:
    attempt = Attempt(
        place=Place.PAGERDUTY,
        who=note.author or "",
        answer=answer,
        receipt=note.id,
        code=code,
        reason=reason,
        written_at=note.created_at.isoformat(),
    )
    return Due(f"decide:{note.id}", payload=asdict(attempt))


def _refused(note: Note, why: str, incident_id: str) -> Due:
    payload = {
        "place": Place.PAGERDUTY,
        "who": note.author or "",
        "receipt": _receipt(note),
        "incident": incident_id,
        "text": f"{why}.",
    }
    return Due(f"unclear:{_receipt(note)}", payload=payload)

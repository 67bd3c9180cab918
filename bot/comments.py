"""Comments on our incidents: read back through the API, taken once, and handed on as attempts to decide.

Polling works with no inbound endpoint at all; a webhook only makes the next reading happen at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from bot.authority import Attempt
from bot.core.lifecycle import OPEN
from bot.core.notes import Approve, Chatter, Comment, Deny, Stop, Unclear, read_comment
from bot.core.request import Answer, Place, Request
from bot.core.words import is_blank
from bot.ledger import Audit, Due, Job, Ledger, Paged
from bot.ports import Clock, Note, Pager
from bot.screen import looks_secret

SOURCE, OPENED = "pagerduty.note", "page.opened"
EARLIER = "it stands on an earlier page of this request; answer on the newest one, or on the card"
CALLS_A_SECOND = 4.0  # of the 16 that PagerDuty allows: pages and notes go first
CALLS_A_READING = 2
REPAGE_AFTER = timedelta(minutes=10)
LIVE_READING = timedelta(seconds=30)
FRESH = timedelta(minutes=30)  # whoever answers a page does so soon
AT_ONCE = timedelta(seconds=20)


def next_reading(age: timedelta) -> timedelta:
    """How long until an incident is read again that has shown its plan for so long: seconds at first."""
    if age < timedelta(minutes=2):
        return timedelta(seconds=5)
    return timedelta(seconds=15 if age < FRESH else 60)


@dataclass(slots=True)
class Pace:
    """Reads many open incidents less often, so that all together stay well inside the account's rate limit."""

    a_second: float = CALLS_A_SECOND
    _calls: dict[str, float] = field(default_factory=dict)
    _turns: dict[str, datetime] = field(default_factory=dict)
    _free: datetime | None = None

    def first(self, incident_id: str, now: datetime) -> datetime:
        """When an incident may be read that this run has not read yet: after a restart all are due at once."""
        if incident_id in self._calls:
            return now
        if incident_id not in self._turns:
            self._turns[incident_id] = max(self._free or now, now)
            self._free = self._turns[incident_id] + timedelta(seconds=CALLS_A_READING / self.a_second)
        return self._turns[incident_id]

    def until_next(self, incident_id: str, wanted: timedelta, *, calls: int = CALLS_A_READING) -> timedelta:
        """How long until this incident's next reading, which takes so many calls: longer while many are open."""
        self._turns.pop(incident_id, None)
        self._calls[incident_id] = rate = calls / wanted.total_seconds()
        together = sum(self._calls.values()) + rate * len(self._turns)
        return wanted * max(1.0, together / self.a_second)

    def forget(self, incident_id: str) -> None:
        """It is not read any more."""
        self._calls.pop(incident_id, None)
        self._turns.pop(incident_id, None)


@dataclass(frozen=True, slots=True)
class Comments:
    """Reads the comments of open incidents. What was paged long ago, or is decided, has a small budget of its own."""

    ledger: Ledger
    pager: Pager
    clock: Clock
    pace: Pace = field(default_factory=Pace)
    aside: Pace = field(default_factory=lambda: Pace(CALLS_A_SECOND / 5))

    async def poll(self, job: Job) -> datetime | None:
        """Take what is new on one incident; again later while the request is open, and once after that."""
        request, paged, opened = await asyncio.gather(
            self.ledger.request(job.subject),
            self.ledger.paged(job.subject),
            self.ledger.events(job.subject, what=OPENED),
        )
        if paged is None:
            return None
        now = self.clock.now()
        age = now - paged.shown_at
        pace = self.pace if age < FRESH else self.aside
        turn = now if _cannot_wait(job, paged, now) else pace.first(paged.incident_id, now)
        if turn > now:
            return turn
        earlier = [one for event in opened if (one := str(event.detail["incident"])) != paged.incident_id]
        incident, _ = await asyncio.gather(
            self.pager.incident(paged.incident_id), self._read_all(request, paged.incident_id, earlier)
        )
        if request.state not in OPEN:
            self.pace.forget(paged.incident_id)
            return self._look_for_a_stop(request, paged.incident_id)
        if incident.status == "resolved":
            await self._closed_undecided(request, paged.incident_id)
        if pace is self.aside:
            self.pace.forget(paged.incident_id)
        wanted, calls = next_reading(age), CALLS_A_READING + len(earlier)
        return self.clock.now() + pace.until_next(paged.incident_id, wanted, calls=calls)

    def _look_for_a_stop(self, request: Request, incident_id: str) -> datetime | None:
        """What was decided can still be stopped by a comment; with a budget of its own, so that nobody waits for it."""
        if not request.stoppable:
            self.aside.forget(incident_id)
            return None
        return self.clock.now() + self.aside.until_next(incident_id, LIVE_READING)

    async def _read_all(self, request: Request, incident_id: str, earlier: Sequence[str]) -> None:
        """This incident, and those before it, whose comments get an answer and count no more."""
        await asyncio.gather(
            self._read(request, incident_id), *(self._read(request, one, why=EARLIER) for one in earlier)
        )

    async def _read(self, request: Request, incident_id: str, *, why: str = "") -> None:
        """Take what is new on one incident; `why` says why nothing that stands there counts."""
        notes = await self.pager.notes(incident_id)
        taken = await self.ledger.accepted(SOURCE, [_receipt(note) for note in notes]) if notes else set()
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
        why = "it was written as TinyApprover itself" if ours else why or await self._elsewhere(request, comment)
        follow = _refused(note, why, incident_id) if why else _follow(note, comment, incident_id)
        await self.ledger.accept(SOURCE, _receipt(note), request=request.id, jobs=[follow])

    async def _elsewhere(self, request: Request, comment: Comment) -> str:
        """Where to answer the other case that a comment names; nothing when it names none."""
        if not isinstance(comment, Unclear) or not comment.another:
            return ""
        names = f"it names {comment.another}, and this page is for {request.id} alone"
        other, paged = await asyncio.gather(self.ledger.find(comment.another), self.ledger.paged(comment.another))
        if other is None:
            return f"{names}; there is no {comment.another}"
        if other.state not in OPEN and not other.stoppable:
            return f"{names}; {other.id} waits for no answer any more"
        return f"{names}; answer {other.id} on {f'its own page, {paged.url} , or ' if paged else ''}its card in Slack"

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


def _cannot_wait(job: Job, paged: Paged, now: datetime) -> bool:
    """A page that just went out, and one that a webhook has just told of, are read before all others."""
    hinted = job.payload.get("hinted")
    return now - max(paged.shown_at, datetime.fromisoformat(hinted) if hinted else paged.shown_at) < AT_ONCE


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
        case Stop():
            return _stop(note)
        case _:
            return _refused(note, "it is not in the form that decides", incident_id)


def _fit_to_keep(reason: str) -> str:
    """A denial counts whatever its reason holds; a secret in it goes no further, and what shows nothing is none."""
    if is_blank(reason):
        return ""
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


def _stop(note: Note) -> Due:
    attempt = Attempt(place=Place.PAGERDUTY, who=note.author or "", answer="stop", receipt=note.id)
    return Due(f"stop:{note.id}", payload=asdict(attempt))


def _refused(note: Note, why: str, incident_id: str) -> Due:
    payload = {
        "place": Place.PAGERDUTY,
        "who": note.author or "",
        "receipt": _receipt(note),
        "incident": incident_id,
        "text": f"{why}.",
    }
    return Due(f"unclear:{_receipt(note)}", payload=payload)

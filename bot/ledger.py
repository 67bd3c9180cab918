"""Where requests, decisions, jobs and the audit trail are kept: every change is one transaction.

A request moves only by compare-and-swap (`UPDATE ... WHERE number = ? AND state = ?`): one row changed means this
caller won. The change, the jobs that follow from it and its audit event are committed together. SQLite runs on one
writer thread (WAL, synchronous=FULL), so nothing here blocks the event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Select,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import StaticPool

from bot import tables as t
from bot.audit import GENESIS, AuditEvent, event_hash
from bot.core.lifecycle import MOVES, Event, State, move
from bot.core.request import (
    Answer,
    Decision,
    Draft,
    Entitlement,
    Grant,
    Person,
    Place,
    Plan,
    Precedent,
    Question,
    Request,
    Ruling,
)
from bot.core.verdict import Tally, tally
from bot.errors import SettingsError
from bot.ports import Incident, Sent

T = TypeVar("T")
EXECUTOR_KINDS = frozenset({"grant", "revoke"})


@dataclass(frozen=True, slots=True)
class Due:
    """A job that follows from a change: `kind` is unique for its subject; `at` is now when absent."""

    kind: str
    at: datetime | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. `attempts` counts claims since it was last wanted; its lease fences its completion."""

    id: int
    subject: str
    kind: str
    attempts: int
    wanted: int
    leased_until: float
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Audit:
    """An event to append: who, what, and JSON details."""

    actor: str
    what: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts for monitoring; `late` is how many seconds the most overdue job waits."""

    requests: Mapping[str, int]
    jobs: Mapping[str, int]
    late: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A chat message of ours as it stands: `digest` is the plan that it shows (empty: none)."""

    sent: Sent
    digest: str
    fingerprint: str
    shown_at: datetime


@dataclass(frozen=True, slots=True)
class Paged:
    """An incident of ours: `digest` is the plan shown on it since `shown_at`."""

    incident_id: str
    url: str
    digest: str
    shown_at: datetime
    resolved: bool


def request_id(number: int) -> str:
    """`TA-<n>`."""
    return f"TA-{number}"


def number_of(request: str) -> int:
    """The n of `TA-<n>`."""
    return int(request.removeprefix("TA-"))


# Statements are built once: building them per call costs more than running them.
_REQUEST = select(t.requests).where(t.requests.c.number == bindparam("n"))
_DECISIONS = select(t.decisions).where(t.decisions.c.request_id == bindparam("r")).order_by(t.decisions.c.at)
_QUESTIONS = select(t.questions).where(t.questions.c.request_id == bindparam("r")).order_by(t.questions.c.id)
_GRANT = select(t.grants).where(t.grants.c.request_id == bindparam("r"))
_INCIDENT = select(t.incidents).where(t.incidents.c.request_id == bindparam("r"))
_MESSAGE = select(t.messages).where(t.messages.c.subject == bindparam("s"), t.messages.c.kind == bindparam("k"))
_TROUBLE = select(t.jobs.c.kind, t.jobs.c.trouble).where(t.jobs.c.subject == bindparam("r"), t.jobs.c.trouble != "")
_HEAD = select(t.events.c.seq, t.events.c.hash).order_by(t.events.c.seq.desc()).limit(1)
_JOB = select(t.jobs.c.id).where(t.jobs.c.subject == bindparam("s"), t.jobs.c.kind == bindparam("k"))
_CLAIMABLE = (
    select(t.jobs)
    .where(t.jobs.c.role.in_(bindparam("roles", expanding=True)))
    .where(t.jobs.c.due <= bindparam("now"), t.jobs.c.leased_until <= bindparam("now"))
    .where(t.jobs.c.id.not_in(bindparam("running", expanding=True)))
    .order_by(t.jobs.c.due)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_LEASE = (
    update(t.jobs)
    .where(t.jobs.c.id == bindparam("job"))
    .values(leased_until=bindparam("until"), attempts=t.jobs.c.attempts + 1)
)
_NEXT_DUE = select(func.min(t.jobs.c.due)).where(
    t.jobs.c.role.in_(bindparam("roles", expanding=True)), t.jobs.c.leased_until == 0.0
)
_WANT_AGAIN = (
    update(t.jobs)
    .where(t.jobs.c.subject == bindparam("s"), t.jobs.c.kind == bindparam("k"))
    .values(due=bindparam("at"), wanted=t.jobs.c.wanted + 1, attempts=0, payload=bindparam("p"))
)
_PERSON_BY_SLACK = select(t.people).where(
    t.people.c.slack_team == bindparam("team"), t.people.c.slack_user == bindparam("user")
)
_PERSON_BY_PAGER = select(t.people).where(t.people.c.pagerduty_user == bindparam("user"))
_PERSON = select(t.people).where(t.people.c.id == bindparam("id"))
_OPEN_STATES = (State.RECEIVED.value, State.PENDING.value)


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://...`, set up for lasting commits."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=4)
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _lasting_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _lasting_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class Ledger:
    """The story's memory. `on_commit` is called (on the loop) after every transaction that scheduled jobs."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self.on_commit: Callable[[], None] = lambda: None

    @classmethod
    async def open(cls, url: str, *, kind: str, now: Callable[[], datetime]) -> Ledger:
        """Create what is missing and stamp the database `sandbox` or `production`; the other kind is refused."""
        ledger = cls(open_engine(url), now)
        await ledger._run(lambda connection: _set_up(connection, kind))
        return ledger

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown, wait=True)
        self._engine.dispose()

    async def _run(self, work: Callable[[Connection], T]) -> T:
        """One transaction, on the ledger's own thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    def _transact(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)

    async def _change(self, work: Callable[[Connection], T]) -> T:
        result = await self._run(work)
        self.on_commit()
        return result

    # --- requests ---------------------------------------------------------------------------------------------------

    async def receive(self, draft: Draft, entitlement: Entitlement, *, deadline: datetime, jobs: Sequence[Due]) -> str:
        """Store a submission with its jobs; the id it got, or the id it has already if its key was seen before."""
        return await self._change(lambda c: self._receive(c, draft, entitlement, deadline, jobs))

    def _receive(
        self, c: Connection, draft: Draft, entitlement: Entitlement, deadline: datetime, jobs: Sequence[Due]
    ) -> str:
        seen = c.execute(select(t.requests.c.number).where(t.requests.c.key == draft.key)).scalar()
        if seen is not None:
            return request_id(seen)
        result = c.execute(insert(t.requests), _row_of(draft, entitlement, now=self._now(), deadline=deadline))
        number = result.inserted_primary_key
        request = request_id(number[0] if number else 0)
        detail = {
            "entitlement": draft.entitlement,
            "for": draft.beneficiary.id,
            "minutes": draft.minutes,
            "origin": draft.origin,
        }
        self._append(c, request, Audit(draft.requester.id, "request.received", detail))
        self._schedule(c, request, [Due("expire", at=deadline), *jobs])
        return request

    async def request(self, request: str) -> Request:
        """Everything recorded of a request; `KeyError` for an unknown id."""
        return await self._run(lambda c: self._load(c, request))

    async def find(self, request: str) -> Request | None:
        """The same, or None."""
        try:
            return await self.request(request)
        except (KeyError, ValueError):
            return None

    def _load(self, c: Connection, request: str) -> Request:
        row = c.execute(_REQUEST, {"n": number_of(request)}).one_or_none()
        if row is None:
            raise KeyError(request)
        return self._assemble(c, row)

    def _assemble(self, c: Connection, row: Row[Any]) -> Request:
        request = request_id(row.number)
        grant = c.execute(_GRANT, {"r": request}).one_or_none()
        incident = c.execute(_INCIDENT, {"r": request}).one_or_none()
        trouble = {row.kind: row.trouble for row in c.execute(_TROUBLE, {"r": request})}
        return Request(
            id=request,
            state=State(row.state),
            round=row.round,
            entitlement=row.entitlement,
            requester=row.requester,
            beneficiary=row.beneficiary,
            minutes=row.minutes,
            justification=row.justification,
            ticket=row.ticket,
            can_wait=row.can_wait,
            origin=row.origin,
            created_at=row.created_at,
            deadline=row.deadline,
            planned_at=row.planned_at,
            plan=row.plan,
            ruling=row.ruling,
            evidence=row.evidence,
            advice=row.advice,
            decisions=tuple(_decision(d) for d in c.execute(_DECISIONS, {"r": request}) if d.round == row.round),
            questions=tuple(_question(q) for q in c.execute(_QUESTIONS, {"r": request})),
            grant=_grant(grant) if grant else None,
            incident_id=incident.incident_id if incident else None,
            incident_url=incident.url if incident else None,
            outcome=row.outcome,
            closed_at=row.closed_at,
            revoke_overdue=bool(grant and grant.overdue),
            trouble=trouble,
        )

    async def requests(
        self, *, states: Iterable[State] = (), person: str | None = None, limit: int = 50
    ) -> list[Request]:
        """Newest first; `person` matches requester or beneficiary."""
        query = select(t.requests).order_by(t.requests.c.number.desc()).limit(limit)
        if wanted := [state.value for state in states]:
            query = query.where(t.requests.c.state.in_(wanted))
        if person is not None:
            query = query.where((t.requests.c.requester_id == person) | (t.requests.c.beneficiary_id == person))
        return await self._run(lambda c: [self._assemble(c, row) for row in c.execute(query).all()])

    async def precedents(self, entitlement: str, *, before: str, limit: int = 3) -> list[Precedent]:
        """The latest closed or granted requests for the same thing, before this one."""
        decided = [state.value for state in State if state not in (State.RECEIVED, State.PENDING)]
        query = (
            select(t.requests)
            .where(t.requests.c.entitlement_id == entitlement, t.requests.c.number < number_of(before))
            .where(t.requests.c.state.in_(decided))
            .order_by(t.requests.c.number.desc())
            .limit(limit)
        )
        return await self._run(lambda c: [_precedent(self._assemble(c, row)) for row in c.execute(query).all()])

    async def move(
        self,
        request: str,
        happened: Event,
        *,
        audit: Audit,
        values: Mapping[str, Any] | None = None,
        jobs: Sequence[Due] = (),
    ) -> bool:
        """Compare-and-swap by the table of moves; false when the request is elsewhere already (somebody else won)."""
        return await self._change(lambda c: self._move(c, request, happened, audit, values or {}, jobs))

    def _move(
        self,
        c: Connection,
        request: str,
        happened: Event,
        audit: Audit,
        values: Mapping[str, Any],
        jobs: Sequence[Due],
    ) -> bool:
        for state in [state for state, listed in MOVES if listed is happened]:
            row = (t.requests.c.number == number_of(request)) & (t.requests.c.state == state.value)
            after = move(state, happened)
            if c.execute(update(t.requests).where(row).values(state=after.value, **values)).rowcount == 1:
                detail = {**audit.detail, "from": state.value, "to": after.value}
                self._append(c, request, Audit(audit.actor, audit.what, detail))
                self._schedule(c, request, jobs)
                return True
        return False

    async def record(
        self, request: str, *, audit: Audit, values: Mapping[str, Any] | None = None, jobs: Sequence[Due] = ()
    ) -> None:
        """Add to a request without moving it."""

        def work(c: Connection) -> None:
            if values:
                c.execute(update(t.requests).where(t.requests.c.number == number_of(request)).values(**values))
            self._append(c, request, audit)
            self._schedule(c, request, jobs)

        await self._change(work)

    async def note_event(self, audit: Audit, *, request: str = "", jobs: Sequence[Due] = ()) -> None:
        """An event that changes nothing (a refused click, advice shown), with what follows from it."""

        def work(c: Connection) -> None:
            self._append(c, request, audit)
            self._schedule(c, request, jobs)

        await self._change(work)

    # --- decisions --------------------------------------------------------------------------------------------------

    async def decide(
        self,
        decision: Decision,
        *,
        code: str = "",
        approved_jobs: Sequence[Due],
        closed_jobs: Sequence[Due],
        jobs: Sequence[Due],
    ) -> Tally | None:
        """Count one person's answer, in one transaction with its outcome; None when it came too late or twice.

        `approved_jobs` follow an approval that completes the quorum, `closed_jobs` a denial, `jobs` an answer that
        leaves the request waiting. A `code` must be unused, and is used up.
        """
        return await self._change(lambda c: self._decide(c, decision, code, approved_jobs, closed_jobs, jobs))

    def _decide(
        self,
        c: Connection,
        decision: Decision,
        code: str,
        approved_jobs: Sequence[Due],
        closed_jobs: Sequence[Due],
        jobs: Sequence[Due],
    ) -> Tally | None:
        request = self._load(c, decision.request_id)
        if not _may_still_be_decided(request, decision) or not self._record_decision(c, request, decision):
            return None
        if code and not self._use_code(c, decision, code):
            raise KeyError("code")
        needed = request.ruling.approvals if request.ruling else 1
        counted = tally((*request.decisions, decision), needed=needed, minutes=request.minutes)
        audit = Audit(decision.person_id, f"decision.{decision.answer}", _decision_detail(decision))
        if counted.outcome == "approved":
            self._move(c, request.id, Event.APPROVED, audit, {}, approved_jobs)
        elif counted.outcome == "denied":
            closing = {"outcome": decision.reason, "closed_at": decision.at}
            self._move(c, request.id, Event.DENIED, audit, closing, closed_jobs)
        else:
            self._append(c, request.id, audit)
            self._schedule(c, request.id, jobs)
        return counted

    def _record_decision(self, c: Connection, request: Request, decision: Decision) -> bool:
        if any(earlier.person_id == decision.person_id for earlier in request.decisions):
            return False
        row = {
            "request_id": request.id,
            "round": request.round,
            "person_id": decision.person_id,
            "name": decision.name,
            "answer": decision.answer.value,
            "place": decision.place.value,
            "digest": decision.digest,
            "minutes": decision.minutes,
            "reason": decision.reason,
            "receipt": decision.receipt,
            "at": decision.at,
        }
        c.execute(insert(t.decisions), row)
        return True

    def _use_code(self, c: Connection, decision: Decision, code: str) -> bool:
        mine = (t.codes.c.request_id == decision.request_id) & (t.codes.c.person_id == decision.person_id)
        live = mine & (t.codes.c.code == code) & (t.codes.c.digest == decision.digest) & t.codes.c.used_at.is_(None)
        return c.execute(update(t.codes).where(live).values(used_at=decision.at)).rowcount == 1

    async def give_code(self, request: str, person: str, digest: str, code: str) -> str:
        """The one-time code of a person for a plan: the one that they have, or this new one."""

        def work(c: Connection) -> str:
            mine = (t.codes.c.request_id == request) & (t.codes.c.person_id == person) & (t.codes.c.digest == digest)
            held = c.execute(select(t.codes.c.code).where(mine)).scalar()
            if held is None:
                c.execute(insert(t.codes), {"request_id": request, "person_id": person, "digest": digest, "code": code})
            return str(held or code)

        return await self._run(work)

    async def reopen(self, request: str, plan: Plan, ruling: Ruling, *, audit: Audit, jobs: Sequence[Due]) -> bool:
        """The plan is no longer the one that was approved: back to pending, in a new round of decisions."""
        values = {"plan": plan, "ruling": ruling, "round": t.requests.c.round + 1, "planned_at": self._now()}
        return await self.move(request, Event.PLAN_CHANGED, audit=audit, values=values, jobs=jobs)

    async def ask(
        self, request: str, asked_by: str, text: str, *, audit: Audit, jobs: Callable[[int], Sequence[Due]]
    ) -> int:
        """Store a responder's question; its id, which the jobs that follow are told."""

        def work(c: Connection) -> int:
            row = {"request_id": request, "asked_by": asked_by, "text": text, "asked_at": self._now()}
            key = c.execute(insert(t.questions), row).inserted_primary_key
            number = int(key[0]) if key else 0
            self._append(c, request, audit)
            self._schedule(c, request, jobs(number))
            return number

        return await self._change(work)

    async def answer(self, question: int, text: str, *, request: str, audit: Audit, jobs: Sequence[Due]) -> bool:
        """Store the answer to a question, once."""

        def work(c: Connection) -> bool:
            open_question = (
                (t.questions.c.id == question) & (t.questions.c.request_id == request) & (t.questions.c.answer == "")
            )
            if c.execute(update(t.questions).where(open_question).values(answer=text)).rowcount != 1:
                return False
            self._append(c, request, audit)
            self._schedule(c, request, jobs)
            return True

        return await self._change(work)

    # --- grants -----------------------------------------------------------------------------------------------------

    async def start_grant(self, plan: Plan, minutes: int, *, actor: str) -> Grant:
        """Record that an action begins, before anything is written outside; a second start finds the first."""

        def work(c: Connection) -> Grant:
            row = c.execute(_GRANT, {"r": plan.request_id}).one_or_none()
            if row is None:
                values = {
                    "request_id": plan.request_id,
                    "target": plan.target,
                    "held_before": plan.already,
                    "minutes": minutes,
                    "started_at": self._now(),
                }
                c.execute(insert(t.grants), values)
                self._append(
                    c,
                    plan.request_id,
                    Audit(actor, "grant.started", {"digest": plan.digest, "held_before": plan.already}),
                )
                row = c.execute(_GRANT, {"r": plan.request_id}).one()
            return _grant(row)

        return await self._run(work)

    async def granted(self, request: Request, *, audit: Audit, jobs: Callable[[datetime], Sequence[Due]]) -> bool:
        """The access was read back: approved becomes active until its end."""
        now = self._now()

        def work(c: Connection) -> bool:
            grant = _grant(c.execute(_GRANT, {"r": request.id}).one())
            ends_at = now + timedelta(minutes=grant.minutes)
            row = t.grants.c.request_id == request.id
            c.execute(update(t.grants).where(row).values(verified_at=now, ends_at=ends_at))
            detail = {**audit.detail, "ends_at": ends_at.isoformat()}
            return self._move(c, request.id, Event.GRANTED, Audit(audit.actor, audit.what, detail), {}, jobs(ends_at))

        return await self._change(work)

    async def taken_back(self, request: str, *, outcome: str, audit: Audit, jobs: Sequence[Due]) -> bool:
        """The access was read to be gone (or was never ours to remove): active becomes ended."""
        now = self._now()

        def work(c: Connection) -> bool:
            row = t.grants.c.request_id == request
            c.execute(update(t.grants).where(row).values(revoked_at=now, overdue=False))
            if self._move(c, request, Event.TAKEN_BACK, audit, {"outcome": outcome, "closed_at": now}, jobs):
                return True
            self._append(c, request, audit)  # what a failed grant may have left behind
            return False

        return await self._change(work)

    async def retry(self, request: str, *, audit: Audit, jobs: Sequence[Due]) -> bool:
        """A failed grant is tried again; one that was cleaned up starts from nothing."""

        def work(c: Connection) -> bool:
            cleaned = (t.grants.c.request_id == request) & t.grants.c.revoked_at.is_not(None)
            if not self._move(c, request, Event.RETRIED, audit, {"outcome": ""}, jobs):
                return False
            c.execute(delete(t.grants).where(cleaned))
            return True

        return await self._change(work)

    async def mark_overdue(self, request: str, *, audit: Audit, jobs: Sequence[Due]) -> None:
        """The access should be gone and is not."""

        def work(c: Connection) -> None:
            row = (t.grants.c.request_id == request) & (t.grants.c.overdue.is_(False))
            if c.execute(update(t.grants).where(row).values(overdue=True)).rowcount == 1:
                self._append(c, request, audit)
                self._schedule(c, request, jobs)

        await self._change(work)

    async def other_live_grant(self, target: str, *, besides: str) -> str | None:
        """Another request whose active grant covers the same access."""
        query = (
            select(t.grants.c.request_id)
            .where(t.grants.c.target == target, t.grants.c.request_id != besides)
            .where(t.grants.c.verified_at.is_not(None), t.grants.c.revoked_at.is_(None))
        )
        return await self._run(lambda c: c.execute(query).scalar())

    # --- what was shown where ---------------------------------------------------------------------------------------

    async def shown(self, subject: str, kind: str) -> Shown | None:
        """A message of ours."""

        def work(c: Connection) -> Shown | None:
            row = c.execute(_MESSAGE, {"s": subject, "k": kind}).one_or_none()
            return _shown(row) if row else None

        return await self._run(work)

    async def show(self, subject: str, kind: str, sent: Sent, *, digest: str, fingerprint: str) -> None:
        """Record what a message of ours now shows; `shown_at` is kept while the plan on it stays the same."""
        now = self._now()

        def work(c: Connection) -> None:
            row = c.execute(_MESSAGE, {"s": subject, "k": kind}).one_or_none()
            since = row.shown_at if row and row.digest == digest else now
            values = {
                "channel": sent.channel,
                "ts": sent.ts,
                "digest": digest,
                "fingerprint": fingerprint,
                "shown_at": since,
            }
            place = (t.messages.c.subject == subject) & (t.messages.c.kind == kind)
            if row is None:
                c.execute(insert(t.messages), {"subject": subject, "kind": kind, **values})
            else:
                c.execute(update(t.messages).where(place).values(**values))

        await self._run(work)

    async def forget_message(self, subject: str, kind: str) -> None:
        """The message is gone (deleted, channel archived): the next drawing posts anew."""
        place = (t.messages.c.subject == subject) & (t.messages.c.kind == kind)
        await self._run(lambda c: c.execute(delete(t.messages).where(place)))

    async def paged(self, request: str) -> Paged | None:
        """The incident of a request."""

        def work(c: Connection) -> Paged | None:
            row = c.execute(_INCIDENT, {"r": request}).one_or_none()
            return (
                Paged(row.incident_id, row.url, row.digest, row.shown_at, row.resolved_at is not None) if row else None
            )

        return await self._run(work)

    async def record_incident(self, request: str, incident: Incident, *, digest: str, jobs: Sequence[Due]) -> None:
        """An incident stands for the request, showing the plan of `digest`."""

        def work(c: Connection) -> None:
            row = {
                "request_id": request,
                "incident_id": incident.id,
                "url": incident.url,
                "digest": digest,
                "shown_at": self._now(),
            }
            try:
                with c.begin_nested():
                    c.execute(insert(t.incidents), row)
            except IntegrityError:
                return
            self._append(c, request, Audit("tinyapprover", "page.opened", {"incident": incident.id, "digest": digest}))
            self._schedule(c, request, jobs)

        await self._change(work)

    async def replace_incident(self, request: str, incident: Incident, *, digest: str, jobs: Sequence[Due]) -> None:
        """A second page stands for the request now; comments on the first count no more."""

        def work(c: Connection) -> None:
            row = t.incidents.c.request_id == request
            values = {"incident_id": incident.id, "url": incident.url, "digest": digest, "shown_at": self._now()}
            c.execute(update(t.incidents).where(row).values(**values))
            self._append(c, request, Audit("tinyapprover", "page.opened", {"incident": incident.id, "digest": digest}))
            self._schedule(c, request, jobs)

        await self._change(work)

    async def plan_on_incident(self, request: str, digest: str) -> None:
        """A changed plan was written to the incident as a note: it counts from now."""
        row = t.incidents.c.request_id == request
        values = {"digest": digest, "shown_at": self._now()}
        await self._run(lambda c: c.execute(update(t.incidents).where(row).values(**values)))

    async def incident_resolved(self, request: str) -> None:
        row = t.incidents.c.request_id == request
        await self._run(lambda c: c.execute(update(t.incidents).where(row).values(resolved_at=self._now())))

    async def request_of_incident(self, incident_id: str) -> str | None:
        query = select(t.incidents.c.request_id).where(t.incidents.c.incident_id == incident_id)
        return await self._run(lambda c: c.execute(query).scalar())

    # --- inbox ------------------------------------------------------------------------------------------------------

    async def accept(self, source: str, delivery_id: str, *, request: str = "", jobs: Sequence[Due] = ()) -> bool:
        """Take a delivery once, with the jobs that it means; false when it was taken before."""
        return await self._change(lambda c: self._accept(c, source, delivery_id, request, jobs))

    def _accept(self, c: Connection, source: str, delivery_id: str, request: str, jobs: Sequence[Due]) -> bool:
        try:
            with c.begin_nested():
                c.execute(insert(t.inbox), {"source": source, "delivery_id": delivery_id, "at": self._now()})
        except IntegrityError:
            return False
        self._schedule(c, request, jobs)
        return True

    async def accepted(self, source: str, delivery_ids: Sequence[str]) -> set[str]:
        """Which of these deliveries were taken before."""
        query = select(t.inbox.c.delivery_id).where(t.inbox.c.source == source, t.inbox.c.delivery_id.in_(delivery_ids))
        return await self._run(lambda c: set(c.execute(query).scalars()))

    # --- people -----------------------------------------------------------------------------------------------------

    async def person(self, person: str) -> Person | None:
        return await self._one_person(_PERSON, {"id": person})

    async def person_by_slack(self, team: str, user: str) -> Person | None:
        return await self._one_person(_PERSON_BY_SLACK, {"team": team, "user": user})

    async def person_by_pagerduty(self, user: str) -> Person | None:
        return await self._one_person(_PERSON_BY_PAGER, {"user": user})

    async def people(self) -> list[Person]:
        """Everybody linked."""
        query = select(t.people).order_by(t.people.c.email)
        return await self._run(lambda c: [_person(row) for row in c.execute(query)])

    async def _one_person(self, query: Select[Any], values: Mapping[str, str]) -> Person | None:
        def work(c: Connection) -> Person | None:
            row = c.execute(query, values).one_or_none()
            return _person(row) if row else None

        return await self._run(work)

    async def link(self, person: Person, *, by: str) -> None:
        """Link somebody's accounts, replacing an earlier link of the same directory account. Audited."""

        def work(c: Connection) -> None:
            values = {
                "email": person.email,
                "name": person.name,
                "slack_team": person.slack_team,
                "slack_user": person.slack_user,
                "pagerduty_user": person.pagerduty_user,
                "decides": person.decides,
                "linked_by": by,
                "linked_at": self._now(),
            }
            row = t.people.c.id == person.id
            if c.execute(update(t.people).where(row).values(**values)).rowcount == 0:
                c.execute(insert(t.people), {"id": person.id, **values})
            ids = {"slack": person.slack_user, "pagerduty": person.pagerduty_user, "decides": person.decides}
            self._append(c, "", Audit(by, "person.linked", {"person": person.id, **ids}))

        await self._run(work)

    async def unlink(self, person: str, *, by: str) -> bool:
        """Forget a link; false when there was none."""

        def work(c: Connection) -> bool:
            gone = c.execute(delete(t.people).where(t.people.c.id == person)).rowcount == 1
            if gone:
                self._append(c, "", Audit(by, "person.unlinked", {"person": person}))
            return gone

        return await self._run(work)

    # --- jobs -------------------------------------------------------------------------------------------------------

    async def claim(self, roles: Sequence[str], *, most: int, lease: float, running: Collection[int] = ()) -> list[Job]:
        """Due jobs, leased for `lease` seconds; never one of those that the caller is `running`."""
        now = self._now().timestamp()

        def work(c: Connection) -> list[Job]:
            wanted = {"roles": list(roles), "now": now, "most": most, "running": list(running)}
            rows = c.execute(_CLAIMABLE, wanted).all()
            if rows:
                c.execute(_LEASE, [{"job": row.id, "until": now + lease} for row in rows])
            return [_job(row, leased_until=now + lease) for row in rows]

        return await self._run(work)

    async def finish(
        self, job: Job, *, again_at: datetime | None = None, trouble: str = "", retry: bool = False
    ) -> None:
        """Done: gone, unless it was wanted again meanwhile; or due again at a time, with what went wrong.

        Only the claim that holds the lease may say so: a later claim of the same job has another lease.
        """
        ours = (t.jobs.c.id == job.id) & (t.jobs.c.leased_until == job.leased_until)
        unchanged = ours & (t.jobs.c.wanted == job.wanted)

        def work(c: Connection) -> bool:
            if again_at is None:
                if c.execute(delete(t.jobs).where(unchanged)).rowcount == 1:
                    return False
                c.execute(update(t.jobs).where(ours).values(leased_until=0.0))
                return True
            values = {"leased_until": 0.0, "trouble": trouble[:300]}
            later = {"due": again_at.timestamp()} | ({} if retry else {"attempts": 0})
            if c.execute(update(t.jobs).where(unchanged).values(**values, **later)).rowcount == 0:
                c.execute(update(t.jobs).where(ours).values(**values))
            return True

        if await self._run(work):
            self.on_commit()  # it waits again, perhaps for less long than anything that was known before

    async def next_due(self, roles: Sequence[str]) -> datetime | None:
        """When the next unleased job is due."""
        due = await self._run(lambda c: c.execute(_NEXT_DUE, {"roles": list(roles)}).scalar())
        return datetime.fromtimestamp(due, self._now().tzinfo) if due is not None else None

    async def release_leases(self, roles: Sequence[str]) -> None:
        """At the start of the only process: what was in flight at a crash runs again."""
        mine = t.jobs.c.role.in_(list(roles))
        await self._run(lambda c: c.execute(update(t.jobs).where(mine).values(leased_until=0.0)))

    async def figures(self) -> Figures:
        """What waits, and how late."""
        by_state = select(t.requests.c.state, func.count()).group_by(t.requests.c.state)
        kinds = select(t.jobs.c.kind, t.jobs.c.due)

        def work(c: Connection) -> Figures:
            waiting = [(kind.partition(":")[0], due) for kind, due in c.execute(kinds).tuples()]
            late = max((self._now().timestamp() - due for _, due in waiting), default=0.0)
            states = {str(state): int(count) for state, count in c.execute(by_state).tuples()}
            return Figures(states, Counter(kind for kind, _ in waiting), max(late, 0.0))

        return await self._run(work)

    async def schedule(self, subject: str, jobs: Sequence[Due]) -> None:
        """Want jobs without changing anything else."""
        await self._change(lambda c: self._schedule(c, subject, jobs))

    async def cancel(self, subject: str, kinds: Sequence[str]) -> None:
        """Forget jobs that are no longer wanted."""
        theirs = (t.jobs.c.subject == subject) & t.jobs.c.kind.in_(list(kinds))
        await self._run(lambda c: c.execute(delete(t.jobs).where(theirs)))

    def _schedule(self, c: Connection, subject: str, jobs: Sequence[Due]) -> None:
        now = self._now()
        for due in jobs:
            whose, at = due.subject or subject, (due.at or now).timestamp()
            again = {"s": whose, "k": due.kind, "at": at, "p": dict(due.payload)}
            if c.execute(_WANT_AGAIN, again).rowcount == 0:
                role = "executor" if due.kind in EXECUTOR_KINDS else "front"
                row = {"subject": whose, "kind": due.kind, "role": role, "due": at, "payload": dict(due.payload)}
                c.execute(insert(t.jobs), row)

    # --- audit ------------------------------------------------------------------------------------------------------

    async def events(self, request: str | None = None) -> list[AuditEvent]:
        """The trail, oldest first."""
        query = select(t.events).order_by(t.events.c.seq)
        if request is not None:
            query = query.where(t.events.c.request_id == request)
        return await self._run(lambda c: [AuditEvent(**row._mapping) for row in c.execute(query)])

    def _append(self, c: Connection, request: str, audit: Audit) -> None:
        head = c.execute(_HEAD).one_or_none()
        seq, prev = (head.seq + 1, head.hash) if head else (1, GENESIS)
        at = self._now().isoformat(timespec="milliseconds")
        body = {
            "seq": seq,
            "at": at,
            "request_id": request,
            "actor": audit.actor,
            "what": audit.what,
            "detail": dict(audit.detail),
            "prev": prev,
        }
        c.execute(insert(t.events), {**body, "hash": event_hash(body)})


def _set_up(c: Connection, kind: str) -> None:
    t.metadata.create_all(c)
    stamped = c.execute(select(t.stamp.c.value).where(t.stamp.c.name == "kind")).scalar()
    if stamped is None:
        c.execute(insert(t.stamp), {"name": "kind", "value": kind})
    elif stamped != kind:
        raise SettingsError(
            f"this database belongs to a {stamped} run and this is a {kind} run: "
            "set TINYAPPROVER_DATA_DIR (or TINYAPPROVER_DATABASE_URL) to another place"
        )


def sqlite_url(data_dir: Path) -> str:
    """The embedded database of a data directory."""
    return f"sqlite:///{data_dir / 'tinyapprover.db'}"


def _row_of(draft: Draft, entitlement: Entitlement, *, now: datetime, deadline: datetime) -> dict[str, Any]:
    return {
        "key": draft.key,
        "state": State.RECEIVED.value,
        "entitlement_id": entitlement.id,
        "entitlement": entitlement,
        "requester_id": draft.requester.id,
        "requester": draft.requester,
        "beneficiary_id": draft.beneficiary.id,
        "beneficiary": draft.beneficiary,
        "minutes": draft.minutes,
        "justification": draft.justification,
        "ticket": draft.ticket,
        "can_wait": draft.can_wait,
        "origin": draft.origin,
        "created_at": now,
        "deadline": deadline,
    }


def _may_still_be_decided(request: Request, decision: Decision) -> bool:
    """A denial counts from the start; an approval only while pending, and only for the plan as it is now."""
    if decision.answer is Answer.DENY:
        return request.state in (State.RECEIVED, State.PENDING)
    return request.decidable and request.plan is not None and request.plan.digest == decision.digest


def _decision_detail(decision: Decision) -> dict[str, Any]:
    return {
        "place": decision.place.value,
        "digest": decision.digest,
        "minutes": decision.minutes,
        "receipt": decision.receipt,
        "reason": decision.reason,
    }


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        request_id=row.request_id,
        person_id=row.person_id,
        name=row.name,
        answer=Answer(row.answer),
        place=Place(row.place),
        digest=row.digest,
        at=row.at,
        minutes=row.minutes,
        reason=row.reason,
        receipt=row.receipt,
    )


def _question(row: Row[Any]) -> Question:
    return Question(id=row.id, asked_by=row.asked_by, text=row.text, asked_at=row.asked_at, answer=row.answer)


def _grant(row: Row[Any]) -> Grant:
    values = {key: value for key, value in row._mapping.items() if key != "overdue"}
    return Grant(**values)


def _job(row: Row[Any], *, leased_until: float) -> Job:
    return Job(row.id, row.subject, row.kind, row.attempts + 1, row.wanted, leased_until, row.payload)


def _shown(row: Row[Any]) -> Shown:
    return Shown(Sent(row.channel, row.ts), row.digest, row.fingerprint, row.shown_at)


def _paged(row: Row[Any]) -> Paged:
    return Paged(row.incident_id, row.url, row.digest, row.shown_at, row.resolved_at is not None)


def _person(row: Row[Any]) -> Person:
    return Person(
        id=row.id,
        email=row.email,
        name=row.name,
        slack_team=row.slack_team,
        slack_user=row.slack_user,
        pagerduty_user=row.pagerduty_user,
        decides=row.decides,
    )


def _precedent(request: Request) -> Precedent:
    return Precedent(
        request_id=request.id,
        requester=request.requester.name,
        minutes=request.minutes,
        outcome=request.state.value,
        reason=request.outcome,
        at=request.created_at,
    )

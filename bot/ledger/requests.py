"""Requests: stored once, read whole, and moved only by compare-and-swap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Integer,
    Row,
    Select,
    String,
    bindparam,
    cast,
    exists,
    func,
    insert,
    literal,
    select,
    union,
    update,
)

from bot.core.lifecycle import MOVES, OPEN, Event, State, move
from bot.core.request import (
    Answer,
    Decision,
    Draft,
    Entitlement,
    Evidence,
    Grant,
    Place,
    Question,
    Request,
)
from bot.ledger import tables as t
from bot.ledger.database import Audit, Due
from bot.ledger.traffic import Asked


def request_id(number: int) -> str:
    """`TA-<n>`."""
    return f"TA-{number}"


def number_of(request: str) -> int:
    """The n of `TA-<n>`."""
    return int(request.removeprefix("TA-"))


def numbered(column: ColumnElement[str]) -> ColumnElement[int]:
    """The number in a column of request ids, by which a request is found at once."""
    return cast(func.substr(column, len("TA-") + 1), Integer)


_ID = literal("TA-").concat(cast(t.requests.c.number, String))
_ROWS = select(  # with a row comes what else there is about it, so that only that is read
    t.requests,
    exists().where(t.grants.c.request_id == _ID).label("granted"),
    exists().where(t.incidents.c.request_id == _ID).label("paged"),
    exists().where(t.decisions.c.request_id == _ID).label("decided"),
    exists().where(t.questions.c.request_id == _ID).label("questioned"),
    exists().where(t.jobs.c.subject == _ID, t.jobs.c.trouble != "").label("troubled"),
)
_REQUEST = _ROWS.where(t.requests.c.number == bindparam("n"))
_UNSETTLED = _ROWS.where(
    t.requests.c.state.in_([state.value for state in sorted(OPEN | {State.APPROVED, State.FAILED})])
    | exists().where(t.requests.c.number == numbered(t.grants.c.request_id), t.grants.c.revoked_at.is_(None))
).order_by(t.requests.c.number)
_DECISIONS = select(t.decisions).where(t.decisions.c.request_id == bindparam("r")).order_by(t.decisions.c.at)
_QUESTIONS = select(t.questions).where(t.questions.c.request_id == bindparam("r")).order_by(t.questions.c.id)
_GRANT = select(t.grants).where(t.grants.c.request_id == bindparam("r"))
_INCIDENT = select(t.incidents).where(t.incidents.c.request_id == bindparam("r"))
_TROUBLE = select(t.jobs.c.kind, t.jobs.c.trouble).where(t.jobs.c.subject == bindparam("r"), t.jobs.c.trouble != "")
_FROZEN = select(t.freezes.c.by.concat(": ").concat(t.freezes.c.why)).where(t.freezes.c.thawed_at.is_(None))

_EVIDENCE = (
    select(t.requests.c.number, t.requests.c.evidence)
    .where(t.requests.c.state.in_([state.value for state in OPEN]), t.requests.c.evidence.is_not(None))
    .order_by(t.requests.c.number.desc())
)
_KNOWN = select(t.requests.c.number).where(t.requests.c.key == bindparam("k"))
_STORE = insert(t.requests)
_HOLD = select(t.requests.c.number).where(t.requests.c.number == bindparam("n")).with_for_update()
_CHANGE = update(t.requests).where(t.requests.c.number == bindparam("n"))
_MOVE = _CHANGE.where(t.requests.c.state == bindparam("was"))


def _newest(states: Sequence[str], person: str | None, limit: int) -> Select[Any]:
    """Numbers first, which indexes alone tell: the rows are wide, and there may be many."""
    number, about = t.requests.c.number, [t.requests.c.state.in_(states)] if states else []
    numbers: Select[Any] | CompoundSelect[Any] = select(number).where(*about)
    if person is not None:
        mine, for_me = t.requests.c.requester_id == person, t.requests.c.beneficiary_id == person
        numbers = union(select(number).where(mine, *about), select(number).where(for_me, *about))
    newest = numbers.order_by(number.desc()).limit(limit).subquery()
    return _ROWS.where(number.in_(select(newest.c.number))).order_by(number.desc())


class Requests(Asked):
    """The rows behind the story."""

    def _known(self, c: Connection, key: str) -> str | None:
        """The request that a submission has become already."""
        seen = c.execute(_KNOWN, {"k": key}).scalar()
        return request_id(seen) if seen is not None else None

    def _store(
        self,
        c: Connection,
        draft: Draft,
        entitlement: Entitlement,
        deadline: datetime,
        jobs: Sequence[Due],
        number: int | None = None,
    ) -> Request:
        """A new request, as `_load` would read it now; the next of them if it comes without a number."""
        now = self._now()
        row = _row_of(draft, entitlement, now=now, deadline=deadline)
        key = c.execute(_STORE, row if number is None else {**row, "number": number}).inserted_primary_key
        request = request_id(key[0] if key else 0)
        detail = {
            "entitlement": draft.entitlement,
            "for": draft.beneficiary.id,
            "minutes": draft.minutes,
            "origin": draft.origin,
        }
        if draft.extends is not None:
            detail["extends"] = draft.extends.of
        texts = {"justification": draft.justification, "ticket": draft.ticket}
        self._append(c, request, Audit(draft.requester.id, "request.received", detail, texts))
        self._schedule_new(c, request, [Due("expire", at=deadline), *jobs])
        return _received(request, draft, entitlement, now=now, deadline=deadline)

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
        about = {"r": request}
        grant = c.execute(_GRANT, about).one() if row.granted else None
        incident = c.execute(_INCIDENT, about).one() if row.paged else None
        decisions = c.execute(_DECISIONS, about).all() if row.decided else ()
        questions = c.execute(_QUESTIONS, about).all() if row.questioned else ()
        trouble = c.execute(_TROUBLE, about).all() if row.troubled else ()
        frozen = c.execute(_FROZEN).scalar() if row.state == State.APPROVED.value else None
        return Request(
            id=request,
            state=State(row.state),
            round=row.round,
            extends=row.extends,
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
            decisions=tuple(_decision(one) for one in decisions if one.round == row.round),
            questions=tuple(_question(one) for one in questions),
            grant=grant_of(grant) if grant else None,
            incident_id=incident.incident_id if incident else None,
            incident_url=incident.url if incident else None,
            outcome=row.outcome,
            closed_at=row.closed_at,
            revoke_overdue=bool(grant and grant.overdue),
            trouble={one.kind: one.trouble for one in trouble},
            frozen=frozen or "",
        )

    async def requests(
        self, *, states: Iterable[State] = (), person: str | None = None, limit: int = 50
    ) -> list[Request]:
        """Newest first; `person` matches requester or beneficiary."""
        query = _newest([state.value for state in states], person, limit)
        return await self._run(lambda c: [self._assemble(c, row) for row in c.execute(query).all()])

    async def evidence_of_open(self, *, before: str | None = None, limit: int = 20) -> dict[str, Evidence]:
        """What was gathered for open requests, newest first; `before` goes on below one."""
        older = () if before is None else (t.requests.c.number < number_of(before),)
        query = _EVIDENCE.where(*older).limit(limit)
        return await self._run(lambda c: {request_id(row.number): row.evidence for row in c.execute(query)})

    async def every_request(self) -> list[str]:
        """The ids of all there are."""
        query = select(t.requests.c.number).order_by(t.requests.c.number)
        return await self._run(lambda c: [request_id(number) for number in c.execute(query).scalars()])

    async def unsettled(self) -> list[Request]:
        """Everything of which access is there or may still come, decided or not, oldest first."""
        return await self._run(lambda c: [self._assemble(c, row) for row in c.execute(_UNSETTLED).all()])

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
        self._hold(c, request)
        for state in [state for state, listed in MOVES if listed is happened]:
            after = move(state, happened)
            changes = {"n": number_of(request), "was": state.value, "state": after.value, **values}
            if c.execute(_MOVE, changes).rowcount == 1:
                detail = {**audit.detail, "from": state.value, "to": after.value}
                self._append(c, request, replace(audit, detail=detail))
                self._schedule(c, request, jobs)
                return True
        return False

    def _hold(self, c: Connection, request: str) -> None:
        """Until the end of this transaction nobody else changes this request. On SQLite nobody can in any case."""
        if self._shared:
            c.execute(_HOLD, {"n": number_of(request)})

    async def record(
        self, request: str, *, audit: Audit, values: Mapping[str, Any] | None = None, jobs: Sequence[Due] = ()
    ) -> None:
        """Add to a request without moving it."""

        def work(c: Connection) -> None:
            if values:
                c.execute(_CHANGE, {"n": number_of(request), **values})
            self._append(c, request, audit)
            self._schedule(c, request, jobs)

        await self._change(work)

    async def note_event(self, audit: Audit, *, request: str = "", jobs: Sequence[Due] = ()) -> None:
        """An event that changes nothing (a refused click, advice shown), with what follows from it."""

        def work(c: Connection) -> None:
            self._append(c, request, audit)
            self._schedule(c, request, jobs)

        await self._change(work)


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
        "department": draft.department,
        "justification": draft.justification,
        "ticket": draft.ticket,
        "can_wait": draft.can_wait,
        "origin": draft.origin,
        "created_at": now,
        "deadline": deadline,
        "extends_id": draft.extends.of if draft.extends else "",
        "extends": draft.extends,
    }


def _received(request: str, draft: Draft, entitlement: Entitlement, *, now: datetime, deadline: datetime) -> Request:
    return Request(
        id=request,
        state=State.RECEIVED,
        entitlement=entitlement,
        requester=draft.requester,
        beneficiary=draft.beneficiary,
        minutes=draft.minutes,
        justification=draft.justification,
        ticket=draft.ticket,
        can_wait=draft.can_wait,
        origin=draft.origin,
        created_at=now,
        deadline=deadline,
        extends=draft.extends,
    )


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


def grant_of(row: Row[Any]) -> Grant:
    values = {key: value for key, value in row._mapping.items() if key != "overdue"}
    return Grant(**values)

"""What an auditor checks of every grant, done on the events alone: they are hash-chained, tables are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.audit import AuditEvent
from bot.core.request import Request

LATE = timedelta(minutes=5)
RECEIVED, PLANNED, CHANGED = "request.received", "request.planned", "plan.changed"
APPROVED, DENIED = "decision.approve", "decision.deny"
IN_THE_TABLES = "tables agree with the trail"
WRITING, VERIFIED = "grant.writing", "grant.verified"
ENDS = ("grant.revoked", "grant.ended")
SHOWN = ("plan.shown", "page.opened")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be; `seq` is the event that shows it, `check` the name of the check."""

    request_id: str
    check: str
    finding: str
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A request as the tables have it, and every event about it in order."""

    request: Request
    events: Sequence[AuditEvent]

    def of(self, *kinds: str, before: int | None = None) -> list[AuditEvent]:
        """Its events of some kinds, up to a number."""
        return [event for event in self.events if event.what in kinds and (before is None or event.seq < before)]

    def approvals(self, grant: AuditEvent) -> list[AuditEvent]:
        """The approvals that stood when the grant was written: of its plan, and given since that last changed."""
        since = max((event.seq for event in self.of(CHANGED, before=grant.seq)), default=0)
        given = [event for event in self.of(APPROVED, before=grant.seq) if event.seq > since]
        return [event for event in given if event.detail.get("digest") == grant.detail.get("digest")]

    def told(self, name: str, *kinds: str, before: int | None = None) -> Any:
        """What the last event of some kinds says; None when there is none."""
        return next((event.detail.get(name) for event in reversed(self.of(*kinds, before=before))), None)

    @property
    def state(self) -> str:
        """Where the trail leaves it."""
        moves = (event.detail for event in reversed(self.events) if {"from", "to"} <= event.detail.keys())
        return str(next(moves, {"to": "received"})["to"])

    @property
    def concerned(self) -> set[str]:
        """Who asked and who is to get it: as the tables have it, and as the trail does."""
        asked = {event.actor for event in self.of(RECEIVED)} | {self.told("for", RECEIVED)}
        return {self.request.requester.id, self.request.beneficiary.id} | asked


def findings(case: Case, *, now: datetime) -> list[Finding]:
    """Everything wrong with one request; nothing for one that is in order."""
    found = [finding for grant in case.of(WRITING, VERIFIED) for check in ON_GRANTS for finding in check(case, grant)]
    found += [finding for check in ON_ENDS for finding in check(case, now)]
    return [*found, *_in_the_tables_alone(case), *_not_as_told(case)]


# --- on every grant --------------------------------------------------------------------------------------------------


def _approved_before(case: Case, grant: AuditEvent) -> Iterator[Finding]:
    """Enough different people approved this very plan before anything was written."""
    needed = case.told("approvals", PLANNED, CHANGED, before=grant.seq) or 1
    people = {event.actor for event in case.approvals(grant)}
    if len(people) < needed:
        words = f"{len(people)} of {needed} approvals of this plan came before event {grant.seq} ({grant.what})"
        yield Finding(case.request.id, "approval before provisioning", words, grant.seq)


def _clock_agrees(case: Case, grant: AuditEvent) -> Iterator[Finding]:
    for approval in case.approvals(grant):
        if _at(approval) > _at(grant):
            words = f"event {approval.seq} (approval) has a later time than event {grant.seq} ({grant.what})"
            yield Finding(case.request.id, "times in order", words, grant.seq)


def _not_denied(case: Case, grant: AuditEvent) -> Iterator[Finding]:
    for denial in case.of(DENIED, before=grant.seq):
        yield Finding(case.request.id, "not denied", f"it was denied in event {denial.seq} and written", grant.seq)


def _somebody_else(case: Case, grant: AuditEvent) -> Iterator[Finding]:
    for approval in case.approvals(grant):
        if approval.actor in case.concerned:
            words = f"event {approval.seq}: approved by somebody whom it concerns"
            yield Finding(case.request.id, "separation of duties", words, approval.seq)


def _plan_was_shown(case: Case, grant: AuditEvent) -> Iterator[Finding]:
    for approval in case.approvals(grant):
        shown = case.of(*SHOWN, before=approval.seq)
        if not any(event.detail.get("digest") == approval.detail.get("digest") for event in shown):
            words = f"event {approval.seq}: approved, and no event says that this plan was shown before"
            yield Finding(case.request.id, "plan shown before approval", words, approval.seq)


# --- on its end ------------------------------------------------------------------------------------------------------


def _taken_back_on_time(case: Case, now: datetime) -> Iterator[Finding]:
    for grant in (one for one in case.of(VERIFIED) if one.detail.get("ends_at")):
        due = datetime.fromisoformat(grant.detail["ends_at"])
        ends = [event for event in case.of(*ENDS) if event.seq > grant.seq]
        ended = _at(ends[0]) if ends else now
        if ended > due + LATE:
            words = f"due at {due.isoformat()}, " + (f"gone at {ended.isoformat()}" if ends else "not taken back yet")
            yield Finding(case.request.id, "taken back on time", words, grant.seq)


def _writes_have_an_end(case: Case, now: datetime) -> Iterator[Finding]:
    """Every write was read back, or given up and cleaned away."""
    for write in case.of(WRITING):
        later = [event for event in case.of(VERIFIED, "grant.failed", *ENDS) if event.seq > write.seq]
        if not later and _at(write) < now - LATE:
            words = f"event {write.seq} began a write, and nothing says what came of it"
            yield Finding(case.request.id, "writes have an end", words, write.seq)


def _in_the_tables_alone(case: Case) -> Iterator[Finding]:
    """What the tables say and the trail does not: somebody wrote into the database."""
    if case.request.grant is not None and not case.of("grant.started"):
        yield Finding(case.request.id, IN_THE_TABLES, "a grant stands in the tables alone")
    told = {(event.what, event.actor, event.detail.get("digest")) for event in case.of(APPROVED, DENIED)}
    for decision in case.request.decisions:
        if (f"decision.{decision.answer}", decision.person_id, decision.digest) not in told:
            words = f"a decision of {decision.person_id} stands in the tables alone"
            yield Finding(case.request.id, IN_THE_TABLES, words)


def _not_as_told(case: Case) -> Iterator[Finding]:
    """What an auditor reads in the tables is what was written to the trail when it happened."""
    request, asked = case.request, case.of(RECEIVED)
    pairs = {
        "requester": (request.requester.id, asked[0].actor if asked else None),
        "beneficiary": (request.beneficiary.id, case.told("for", RECEIVED)),
        "entitlement": (request.entitlement.id, case.told("entitlement", RECEIVED)),
        "minutes": (request.minutes, case.told("minutes", RECEIVED)),
        "state": (request.state.value, case.state),
    }
    for name, (stands, told) in pairs.items():
        if stands != told:
            words = f"its {name} is {stands} in the tables, and {told} in the trail"
            yield Finding(request.id, IN_THE_TABLES, words)


def _at(event: AuditEvent) -> datetime:
    return datetime.fromisoformat(event.at)


OnGrant = Callable[[Case, AuditEvent], Iterator[Finding]]
OnEnd = Callable[[Case, datetime], Iterator[Finding]]
ON_GRANTS: tuple[OnGrant, ...] = (_approved_before, _clock_agrees, _not_denied, _somebody_else, _plan_was_shown)
ON_ENDS: tuple[OnEnd, ...] = (_taken_back_on_time, _writes_have_an_end)

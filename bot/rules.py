"""What policy and settings hand to the story: the rules it asks, and its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from bot.calendar import next_morning, working
from bot.core.patience import Patience
from bot.core.request import Answer, Draft, Entitlement, Person, Place, Request, Ruling, Standing, Wake
from bot.core.verdict import granted_minutes
from policies.rules import Guard, as_decided_by, rule_decision, rule_execution, rule_submission


@dataclass(frozen=True, slots=True)
class Rules:
    """The catalogue and the guardrails, asked at each of the three moments that matter."""

    entitlements: Mapping[str, Entitlement]
    guard: Guard
    advice_prompt: str
    digest: str = ""
    protected: frozenset[str] = frozenset()
    files: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""

    def at_submission(
        self, asked: Draft | Request, entitlement: Entitlement, requester: Standing, beneficiary: Standing
    ) -> Ruling:
        """Whether it may be put before people to decide."""
        return self._submission(
            entitlement,
            requester=requester,
            beneficiary=beneficiary,
            minutes=asked.minutes,
            before=_before(asked),
            ticket=asked.ticket,
        )

    def foresee(self, entitlement: Entitlement, person: Standing) -> Ruling:
        """What would be said of it as it is offered, for themselves; asked early, it is known when they ask for it."""
        ticket = "given" if entitlement.ticket_required else ""
        minutes = entitlement.default_minutes
        return self._submission(entitlement, requester=person, beneficiary=person, minutes=minutes, ticket=ticket)

    @property
    def _submission(self) -> partial[Ruling]:
        return partial(rule_submission, self.entitlements, guard=self.guard, protected=self.protected)

    def at_decision(
        self,
        request: Request,
        approver: Standing,
        person: Person,
        *,
        place: Place,
        answer: Answer,
        on_call: Sequence[tuple[str, int]] | None,
    ) -> Ruling:
        """Whether this person may give this answer there and now."""
        return rule_decision(
            as_decided_by(request.entitlement, approver, fallback=_fallback(request)),
            approver=approver,
            approver_person=person,
            requester_id=request.requester.id,
            beneficiary_id=request.beneficiary.id,
            place=place,
            on_call=on_call,
            answer=answer,
            guard=self.guard,
        )

    def at_execution(
        self, request: Request, requester: Standing, beneficiary: Standing, approvers: Sequence[Standing]
    ) -> Ruling:
        """Whether what was approved may still be carried out."""
        return rule_execution(
            self.entitlements,
            request.entitlement,
            requester=requester,
            beneficiary=beneficiary,
            minutes=granted_minutes(request.decisions, minutes=request.minutes),
            before=_before(request),
            ticket=request.ticket,
            approvers=approvers,
            guard=self.guard,
            protected=self.protected,
            fallback=_fallback(request),
        )


def _before(asked: Draft | Request) -> int:
    return asked.extends.minutes_before if asked.extends else 0


def _fallback(request: Request) -> str:
    return request.ruling.fallback_group if request.ruling else ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines and places."""

    responder_channel: str
    evidence_seconds: float = 4.0
    request_lifetime: timedelta = timedelta(hours=8)
    morning: str = "09:00 UTC"
    evening: str = "17:00"
    patience: Patience = field(default_factory=Patience)

    def asked_from(self, asked: Draft | Request, entitlement: Entitlement, at: datetime) -> datetime:
        """When people are asked beyond Slack, and its time runs: at once, or for what waits in the morning.

        What is to wake nobody is paged in working hours, and only if nobody answers in Slack.
        """
        if asked.can_wait:
            return next_morning(at, self.morning)
        silent = at + self.patience.escalate_after(entitlement)
        return self.working(silent) if entitlement.wake is Wake.NEVER else at

    def working(self, at: datetime) -> datetime:
        """The same moment, or when working hours begin again."""
        return working(at, self.morning, self.evening)

    def on_silence(self, asked: Draft | Request, entitlement: Entitlement, at: datetime) -> Mapping[str, datetime]:
        """What is due when if nobody answers; what can wait until morning is not asked about before."""
        paged = self.asked_from(asked, entitlement, at)
        first = paged if asked.can_wait else at
        return self.patience.on_silence(entitlement, asked=first, paged=paged, working=self.working)

"""What policy and settings hand to the story: the rules it asks, and its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from bot.core.request import Answer, Draft, Entitlement, Person, Place, Request, Ruling, Standing
from bot.core.verdict import granted_minutes
from policies.rules import Guard, rule_decision, rule_execution, rule_submission


@dataclass(frozen=True, slots=True)
class Rules:
    """The catalogue and the guardrails, asked at each of the three moments that matter."""

    entitlements: Mapping[str, Entitlement]
    guard: Guard
    advice_prompt: str
    digest: str = ""
    protected: frozenset[str] = frozenset()
    files: Mapping[str, str] = field(default_factory=dict)

    def at_submission(
        self, asked: Draft | Request, entitlement: Entitlement, requester: Standing, beneficiary: Standing
    ) -> Ruling:
        """Whether it may be put before people to decide."""
        return rule_submission(
            self.entitlements,
            entitlement,
            requester=requester,
            beneficiary=beneficiary,
            minutes=asked.minutes,
            ticket=asked.ticket,
            guard=self.guard,
            protected=self.protected,
        )

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
            request.entitlement,
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
            ticket=request.ticket,
            approvers=approvers,
            guard=self.guard,
            protected=self.protected,
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines and places."""

    responder_channel: str
    evidence_seconds: float = 4.0
    request_lifetime: timedelta = timedelta(hours=8)
    morning: str = "09:00 UTC"

"""The people and things that tests speak of, changed as a test needs. Ids are those of the sandbox."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.core.lifecycle import State
from bot.core.request import (
    Answer,
    Approvers,
    Decision,
    Draft,
    Entitlement,
    Evidence,
    Fact,
    Flag,
    Grant,
    Passage,
    Person,
    Place,
    Plan,
    Precedent,
    Request,
    Ruling,
    Sensitivity,
    Standing,
    Wake,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # a Monday morning
DIRECTORY = {
    "alice": ("00ualice0000000001", "Alice Archer"),
    "bob": ("00ubob00000000002", "Bob Baker"),
    "carol": ("00ucarol0000000003", "Carol Chen"),
    "mallory": ("00umallory000000004", "Mallory Moss"),
    "dave": ("00udave00000000005", "Dave Dunn"),
}


def a_person(who: str = "alice", **more: Any) -> Person:
    """Somebody whose accounts are all linked."""
    account, name = DIRECTORY[who]
    linked = {
        "slack_team": "T0SANDBOX",
        "slack_user": f"U0{who.upper()}",
        "pagerduty_user": f"P{who.upper()}",
        "decides": who in ("bob", "carol"),
    }
    return Person(id=account, email=f"{who}@example.com", name=name, **{**linked, **more})


def a_standing(who: str = "alice", *groups: str, status: str = "ACTIVE") -> Standing:
    """What the directory says of them."""
    account, name = DIRECTORY[who]
    return Standing(account, f"{who}@example.com", name, status, frozenset(groups), NOW)


def an_entitlement(id: str = "prod-readonly", **more: Any) -> Entitlement:
    """One thing that may be asked for: by default membership in the group of the same name."""
    fields: dict[str, Any] = {
        "title": "Production, read only",
        "description": "Look at logs and dashboards of production.",
        "why": "Engineers on a problem need to see what happens.",
        "action": "okta.group",
        "params": {"group": id},
        "sensitivity": Sensitivity.MEDIUM,
        "requestable_by": frozenset({"engineering"}),
        "approvers": Approvers("iam-approvers"),
        "approvals": 1,
        "default_minutes": 60,
        "max_minutes": 240,
        "wake": Wake.LOW,
    }
    return Entitlement(id=id, **{**fields, **more})


def a_request(*, group: str = "prod-readonly", minutes: int = 60, person: Person | None = None, **more: Any) -> Request:
    """A pending request of alice's (or another `person`) that nothing is known about yet."""
    asker = person or a_person()
    fields: dict[str, Any] = {
        "id": "TA-1",
        "state": State.PENDING,
        "entitlement": an_entitlement(group),
        "requester": asker,
        "beneficiary": asker,
        "minutes": minutes,
        "justification": "Look at yesterday's error logs",
        "ticket": "",
        "can_wait": False,
        "origin": "slack",
        "created_at": NOW,
        "deadline": NOW + timedelta(hours=8),
    }
    return Request(**{**fields, **more})


def a_plan(request: Request, **more: Any) -> Plan:
    """What will change for a request."""
    person, group = request.beneficiary, request.entitlement.params["group"]
    fields: dict[str, Any] = {
        "action": request.entitlement.action,
        "request_id": request.id,
        "entitlement": request.entitlement.id,
        "beneficiary": person.id,
        "minutes": request.minutes,
        "changes": {"group": "00ggroup1", "user": person.id},
        "lines": (f"adds {person.email} to the Okta group {group} (00ggroup1)",),
    }
    return Plan(**{**fields, **more})


def a_ruling(**more: Any) -> Ruling:
    """Policy lets people decide."""
    fields = {"allowed": True, "rule": "catalogue/prod-readonly#ask", "reason": "engineers may ask"}
    return Ruling(**{**fields, "approvals": 1, "approver_group": "iam-approvers", **more})


def some_evidence(**more: Any) -> Evidence:
    """Facts of each kind, a passage and a precedent."""
    fields: dict[str, Any] = {
        "facts": (
            Fact("okta", "Account", "active since 2021"),
            Fact("okta", "Second factor", "push and a security key", Flag.GOOD),
            Fact("okta", "Last sign-in", "from a new country 5 minutes ago", Flag.WARN),
        ),
        "passages": (
            Passage(
                id="production-access#reading",
                title="Production access",
                heading="Reading",
                text="Read access is given for the length of an investigation, at most four hours.",
                url="https://handbook.example.com/production-access#reading",
                updated_at=NOW - timedelta(days=30),
            ),
        ),
        "precedents": (a_precedent(),),
        "gathered_at": NOW,
    }
    return Evidence(**{**fields, **more})


def a_precedent(**more: Any) -> Precedent:
    """Alice asked for the same three days ago."""
    fields: dict[str, Any] = {
        "request_id": "TA-0",
        "requester": "Alice Archer",
        "minutes": 60,
        "outcome": "ended",
        "reason": "The time was up.",
        "at": NOW - timedelta(days=3),
        "decided_by": "Bob Baker",
        "url": "https://example-corp.slack.com/archives/C0ACCESS/p1",
    }
    return Precedent(**{**fields, **more})


def some_chat(**more: Any) -> Passage:
    """What carol said about it."""
    fields: dict[str, Any] = {
        "id": "chat-1",
        "title": "Carol Chen in #general: Logs of production",
        "heading": "",
        "text": "Carol Chen: an hour of reading is usually enough.",
        "url": "https://example-corp.slack.com/archives/C0GENERAL/p1",
        "updated_at": NOW - timedelta(days=95),
        "chat": True,
        "authors": ("Carol Chen",),
    }
    return Passage(**{**fields, **more})


def a_decidable_request(**more: Any) -> Request:
    """A pending request with everything that a responder sees."""
    request = a_request(**more)
    return replace(
        request,
        planned_at=NOW,
        plan=request.plan or a_plan(request),
        ruling=request.ruling or a_ruling(),
        evidence=request.evidence or some_evidence(),
    )


def a_decision(who: str = "bob", answer: Answer = Answer.APPROVE, **more: Any) -> Decision:
    """Somebody's answer."""
    account, name = DIRECTORY[who]
    fields: dict[str, Any] = {
        "request_id": "TA-1",
        "place": Place.SLACK,
        "digest": "",
        "at": NOW,
        "receipt": f"{who}-1",
    }
    return Decision(person_id=account, name=name, answer=answer, **{**fields, **more})


def a_grant(request: Request, **more: Any) -> Grant:
    """The access as given and read back."""
    fields: dict[str, Any] = {
        "target": a_plan(request).target,
        "held_before": False,
        "minutes": request.minutes,
        "started_at": NOW,
        "verified_at": NOW,
        "ends_at": NOW + timedelta(minutes=request.minutes),
    }
    return Grant(request_id=request.id, **{**fields, **more})


def a_draft(key: str = "view-1", **more: Any) -> Draft:
    """A submission that was checked."""
    person = a_person()
    fields: dict[str, Any] = {
        "entitlement": "prod-readonly",
        "requester": person,
        "beneficiary": person,
        "minutes": 60,
        "justification": "Look at yesterday's error logs",
    }
    return Draft(key=key, **{**fields, **more})

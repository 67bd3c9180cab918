"""The rows of the auditor's file: what reviewers ask for of a request, its decisions, its grant and its end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.audit import TEXTS, AuditEvent
from bot.core.request import Person
from bot.evidence_checks import APPROVED, DENIED, ENDS, VERIFIED, WRITING, Case

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Words:
    """What people wrote, by event and name; nothing at all when the file is to hold none."""

    texts: Mapping[tuple[int, str], str]
    wanted: bool

    def of(self, event: AuditEvent | None, name: str) -> str | None:
        """A text as it was written; None when it was erased, was empty, or is not wanted."""
        return self.texts.get((event.seq, name)) if event and self.wanted else None

    def named(self, person: Person) -> str | None:
        return f"{person.name} <{person.email}>" if self.wanted else None


def request_row(case: Case, words: Words) -> Row:
    """One row a request: who, what, why, by which policy, and what the model and people saw."""
    request, received = case.request, _first(case, "request.received")
    planned, gathered = _last(case, "request.planned", "plan.changed"), _last(case, "evidence.gathered")
    return {
        "id": request.id,
        "state": request.state.value,
        "entitlement": request.entitlement.id,
        "title": request.entitlement.title,
        "action": request.entitlement.action,
        "sensitivity": request.entitlement.sensitivity.value,
        "requester_id": request.requester.id,
        "requester": words.named(request.requester),
        "beneficiary_id": request.beneficiary.id,
        "beneficiary": words.named(request.beneficiary),
        "requested_minutes": request.minutes,
        "justification": words.of(received, "justification"),
        "ticket": words.of(received, "ticket"),
        "origin": request.origin,
        "created_at": _time(request.created_at),
        "deadline": _time(request.deadline),
        "closed_at": _time(request.closed_at),
        **_policy(planned),
        "plan_digest": _detail(planned, "digest"),
        "evidence_digest": _detail(gathered, "digest"),
        "evidence_opened_by": ", ".join(sorted({event.actor for event in case.of("evidence.shown")})),
        **_model(case),
        "incident": _detail(_last(case, "page.opened"), "incident"),
        "refused_attempts": len(case.of("decision.refused", "press.refused")),
    }


def _policy(planned: AuditEvent | None) -> Row:
    """Which policy, which rule, and what it found on separation of duties."""
    return {
        "policy_digest": _detail(planned, "policy"),
        "rule": _detail(planned, "rule"),
        "approvals_needed": _detail(planned, "approvals"),
        "approver_group": _detail(planned, "group"),
        "conflicts": ", ".join(_detail(planned, "conflicts") or ()),
    }


def _model(case: Case) -> Row:
    """What the model said, and whether anybody looked before deciding."""
    given, decided = _last(case, "advice.given"), _last(case, APPROVED, DENIED)
    looked = case.of("advice.shown", before=decided.seq if decided else None)
    return {
        "ai_model": _detail(given, "model"),
        "ai_leaning": _detail(given, "leaning"),
        "ai_prompt_digest": _detail(given, "prompt"),
        "ai_shown_before_decision_to": ", ".join(sorted({event.actor for event in looked})),
    }


def decision_rows(case: Case, words: Words) -> Iterator[Row]:
    """One row an answer, of every round, with the authority under which it was given."""
    for event in case.of(APPROVED, DENIED):
        yield {
            "seq": event.seq,
            "request_id": case.request.id,
            "person_id": event.actor,
            "name": words.of(event, "name"),
            "answer": event.what.partition(".")[2],
            "at": event.at,
            "place": _detail(event, "place"),
            "receipt": _detail(event, "receipt"),
            "plan_digest": _detail(event, "digest"),
            "minutes": _detail(event, "minutes"),
            "as_member_of": _detail(event, "group"),
            "on_call_for": _detail(event, "on_call"),
            "reason": words.of(event, "reason"),
        }


def grant_rows(case: Case) -> Iterator[Row]:
    """One row a grant that was read back."""
    for event in case.of(VERIFIED):
        written = _last(case, WRITING, before=event.seq)
        yield {
            "seq": event.seq,
            "request_id": case.request.id,
            "plan_digest": _detail(event, "digest"),
            "action": _detail(event, "action"),
            "changes": json.dumps(_detail(event, "changes")),
            "held_before": _detail(event, "held_before"),
            "minutes": case.request.grant.minutes if case.request.grant else None,
            "written_at": written.at if written else None,
            "verified_at": event.at,
            "ends_at": _detail(event, "ends_at"),
            "vendor_request": _detail(event, "receipt"),
        }


def revocation_rows(case: Case) -> Iterator[Row]:
    """One row an end, and how late it came."""
    for event in case.of(*ENDS):
        due = _detail(_last(case, VERIFIED, before=event.seq), "ends_at")
        late = datetime.fromisoformat(event.at) - datetime.fromisoformat(due) if due else None
        yield {
            "seq": event.seq,
            "request_id": case.request.id,
            "at": event.at,
            "removed": event.what == "grant.revoked",
            "why_not_removed": _detail(event, "why"),
            "given_back_early": bool(case.of("grant.given_back", before=event.seq)),
            "due_at": due,
            "seconds_late": max(0.0, late.total_seconds()) if late is not None else None,
            "vendor_request": _detail(event, "receipt"),
        }


def event_row(event: AuditEvent) -> Row:
    """An event as it stands in the chain, so that it can be checked from the file."""
    return {
        "seq": event.seq,
        "at": event.at,
        "request_id": event.request_id,
        "actor": event.actor,
        "what": event.what,
        "detail": json.dumps(event.detail, ensure_ascii=False),
        "has_words": TEXTS in event.detail,
        "prev": event.prev,
        "hash": event.hash,
    }


def policy_row(policy: Mapping[str, Any], events: Sequence[AuditEvent]) -> Row:
    """A version of the policies, and the commit in whose history stands who wrote and who reviewed it."""
    told = (event.detail for event in events if event.what == "policy.in_force")
    return {
        **policy,
        "commit": next((one.get("commit") for one in told if one.get("digest") == policy["digest"]), None),
    }


def person_row(person: Person, words: Words) -> Row:
    """Somebody's linked accounts."""
    return {
        "id": person.id,
        "name": words.named(person),
        "slack_user": person.slack_user,
        "pagerduty_user": person.pagerduty_user,
        "decides": person.decides,
    }


def _first(case: Case, *kinds: str) -> AuditEvent | None:
    return next(iter(case.of(*kinds)), None)


def _last(case: Case, *kinds: str, before: int | None = None) -> AuditEvent | None:
    return next(reversed(case.of(*kinds, before=before)), None)


def _detail(event: AuditEvent | None, name: str) -> Any:
    return event.detail.get(name) if event else None


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None

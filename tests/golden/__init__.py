"""The cards, and the answers to questions, as JSON for a review. `python -m tests.golden` writes them again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from bot.core.lifecycle import State
from bot.core.request import Answer, Evidence, Extension, Place, Question, Request, Sensitivity
from bot.quoting import TAKEN_BACK
from bot.slack.cards import card, requester_card
from tests.builders import (
    NOW,
    a_decidable_request,
    a_decision,
    a_grant,
    a_person,
    a_plan,
    a_precedent,
    a_request,
    a_ruling,
    an_entitlement,
    some_chat,
    some_evidence,
)

HERE = Path(__file__).parent


def requests() -> dict[str, Request]:
    """A request in each way that it can stand, by the name of its file."""
    asked = a_decidable_request()
    paged = replace(asked, incident_id="Q1", incident_url="https://example.pagerduty.com/incidents/Q1")
    approved = replace(paged, decisions=(a_decision(),), state=State.APPROVED)
    active = replace(approved, state=State.ACTIVE, grant=a_grant(paged))
    denied = a_decision("carol", Answer.DENY, place=Place.PAGERDUTY)
    return {
        "received": a_request(state=State.RECEIVED),
        "pending": replace(a_request(), evidence=some_evidence()),
        "decidable": paged,
        "for-somebody-else": replace(
            asked, beneficiary=a_person("carol"), ticket="https://jira.example.com/browse/OPS-7", can_wait=True
        ),
        "one-of-two": a_decidable_request(
            entitlement=an_entitlement(sensitivity=Sensitivity.CRITICAL, approvals=2),
            ruling=a_ruling(approvals=2),
            decisions=(a_decision(),),
        ),
        "extension": replace(paged, id="TA-2", extends=Extension("TA-1", NOW + timedelta(minutes=15), 60)),
        "after-silence": replace(paged, ruling=a_ruling(fallback_group="it-leads")),
        "silent-sources": replace(
            asked, evidence=Evidence(silent=("okta", "documents", "precedents"), gathered_at=NOW)
        ),
        "nothing-found": replace(asked, evidence=Evidence(gathered_at=NOW, unsaid=True)),
        "everything-found": replace(asked, evidence=_everything()),
        "for-the-channel-alone": replace(
            asked, evidence=some_evidence(passages=(), closed=(some_chat(), some_chat()), left_out=TAKEN_BACK)
        ),
        "question": replace(
            asked,
            questions=(
                Question(1, "Bob Baker", "Which logs?", NOW, "Those of the payment service"),
                Question(2, "Carol Chen", "Until when?", NOW),
            ),
        ),
        "page-trouble": replace(asked, trouble={"page": "pagerduty: no usable answer (TimeoutError)"}),
        "approved": approved,
        "active": active,
        "overdue": replace(active, revoke_overdue=True),
        "ended": replace(active, state=State.ENDED, outcome="The time was up; the access was removed."),
        "done": replace(approved, state=State.DONE, grant=replace(a_grant(paged), ends_at=None)),
        "denied": replace(paged, state=State.DENIED, decisions=(denied,), outcome="Ask again after the freeze."),
        "expired": replace(
            paged, state=State.EXPIRED, outcome="Nobody decided in time.", closed_at=NOW + timedelta(hours=8)
        ),
        "plan-trouble": replace(a_request(state=State.RECEIVED), trouble={"plan": "okta: no usable answer (503)"}),
        "granted-for-less": replace(
            active,
            plan=a_plan(paged, lines=("adds alice@example.com to Okta group logs", "removes 1 hour after the grant")),
            grant=a_grant(paged, minutes=15),
        ),
        "withdrawn": replace(paged, state=State.WITHDRAWN, outcome="Withdrawn by the requester."),
        "stopped": replace(approved, state=State.WITHDRAWN, outcome="Stopped by Carol Chen in Slack."),
        "being-stopped": replace(active, outcome="Stopped by Carol Chen on the page."),
        "frozen": replace(approved, frozen="admin root: We look into a break-in"),
        "refused": replace(paged, state=State.REFUSED, outcome="Alice Archer left the company meanwhile."),
        "left-behind": replace(
            active,
            state=State.FAILED,
            revoke_overdue=True,
            outcome="Okta does not answer. What was written is removed.",
        ),
        "failed": replace(approved, state=State.FAILED, outcome="Okta refused the change (403)."),
    }


def _everything() -> Evidence:
    """More of each kind than a card holds, some of it old, some of it alice's own words."""
    found = some_evidence()
    documents = [
        replace(found.passages[0], id=f"p{n}", heading=f"Reading {n}", updated_at=NOW - timedelta(days=200 * n))
        for n in range(5)
    ]
    chat = [
        some_chat(),
        some_chat(title="Alice Archer in #general: Logs", authors=("Alice Archer",), theirs=True),
        some_chat(title="What a card has no room for"),
    ]
    other = a_precedent(request_id="TA-9", title="Production administrator", outcome="denied", reason="Too wide.")
    return replace(found, passages=(*documents, *chat), precedents=(*found.precedents, other))


def drawn() -> dict[str, str]:
    """Each file's content: the card of the responders, then the requester's own."""
    return {name: _text(request) for name, request in requests().items()}


def _text(request: Request) -> str:
    theirs, own = card(request, page_url=request.incident_url), requester_card(request)
    shown = {"text": theirs.text, "blocks": theirs.blocks, "requester": {"text": own.text, "blocks": own.blocks}}
    return json.dumps(shown, indent=1, ensure_ascii=False) + "\n"


def write(texts: Mapping[str, str], folder: Path) -> None:
    """All files of a folder again; those of what there is no more are removed."""
    for file in folder.glob("*.json"):
        if file.stem not in texts:
            file.unlink()
    for name, text in texts.items():
        (folder / f"{name}.json").write_text(text, "utf-8")

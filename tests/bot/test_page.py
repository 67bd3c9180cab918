"""What a phone shows when it rings: enough to decide in the first lines, whatever people wrote."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings

from bot import page
from bot.core.lifecycle import State
from bot.core.request import (
    Advice,
    Answer,
    Approvers,
    Evidence,
    Fact,
    Flag,
    Leaning,
    Passage,
    Place,
    Reason,
    Request,
    Sensitivity,
)
from tests.bot.hostile import requests
from tests.builders import (
    NOW,
    a_decidable_request,
    a_decision,
    a_grant,
    a_person,
    a_precedent,
    a_request,
    an_entitlement,
    some_chat,
    some_evidence,
)

CARD = "https://example-corp.slack.com/archives/C0ACCESS/p1"
worst = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def head(request: Request) -> str:
    return page.body(request, card=CARD)[: page.HEAD_LIMIT]


def test_the_title_says_who_asks_for_what_and_how_long() -> None:
    assert page.title(a_request()) == "TA-1: Alice Archer asks for Production, read only for 1 hour"
    for_carol = a_request(beneficiary=a_person("carol"))
    assert page.title(for_carol) == "TA-1: Alice Archer asks for Production, read only for Carol Chen for 1 hour"


def test_the_first_500_characters_are_enough() -> None:
    said = head(a_decidable_request())
    for words in (
        "Alice Archer asks for Production, read only for 1 hour",  # who and what
        "Risk medium",
        "Why: Look at yesterday's error logs",
        "Comment: approve TA-1   or: deny TA-1 reason",
        "If nobody answers it expires at 2 Mar 17:00 UTC; nothing is granted.",
        "You are asked because iam-approvers decides this and you are on call.",
    ):
        assert words in said


def test_what_is_high_asks_for_the_code_and_never_holds_it() -> None:
    request = a_decidable_request(entitlement=an_entitlement(sensitivity=Sensitivity.HIGH))
    assert "approve TA-1 and your code (sent to you in Slack)" in head(request)


def test_what_is_critical_is_decided_on_the_card_only() -> None:
    request = a_decidable_request(entitlement=an_entitlement(sensitivity=Sensitivity.CRITICAL))
    assert "a comment here decides nothing" in head(request)
    assert "Comment: approve" not in page.body(request, card=CARD)


@worst
@given(requests())
def test_whatever_people_write_the_head_holds_what_matters(request: Request) -> None:
    said = head(request)
    assert f"Risk {request.entitlement.sensitivity.value}." in said
    assert "; nothing is granted." in said
    assert said.count("\n") >= 4
    assert "decides this and you are on call." in said
    if request.entitlement.sensitivity is not Sensitivity.CRITICAL:
        assert f"Comment: approve {request.id}" in said
        assert f"deny {request.id} reason" in said


@worst
@given(requests())
def test_whatever_people_write_the_texts_are_within_the_vendors_limits(request: Request) -> None:
    assert len(page.title(request)) <= 255
    assert len(page.title(request).splitlines()) == 1
    assert len(page.body(request, card=CARD)) <= page.BODY_LIMIT
    alarm = page.overdue(request)
    assert len(alarm.title) <= 255
    notes = [page.plan_note(request), page.advice_note(request), page.outcome_note(request), alarm.body]
    assert all(0 < len(note) < 25_000 for note in notes)
    assert not any(set("\u202e\u200b\x00\x1b") & set(note) for note in [*notes, page.body(request, card=CARD)])


@worst
@given(requests())
def test_no_outside_text_starts_a_line_of_its_own_in_the_head(request: Request) -> None:
    starts = ("Why: ", "Comment: ", "Critical: ", "If nobody answers", "You are asked because")
    lines = page.body(request, card=CARD).split("\n\n")[0].splitlines()
    assert len(lines) == 5
    assert all(line.startswith(starts) for line in lines[1:])


def test_the_body_tells_the_plan_the_facts_and_where_the_card_is() -> None:
    text = page.body(a_decidable_request(), card=CARD)
    assert "- adds alice@example.com to the Okta group prod-readonly (00ggroup1)" in text
    assert "- ! Last sign-in: from a new country 5 minutes ago" in text
    assert "- Document (31 Jan 2026): Production access > Reading: Read access is given" in text
    assert f"Card: {CARD}" in text
    assert "Acknowledging or resolving this incident decides nothing." in text


def test_the_body_says_what_is_missing() -> None:
    text = page.body(a_request(evidence=Evidence(silent=("okta",))), card=None)
    assert "Plan: not known yet, so an approval cannot count yet." in text
    assert "okta did not answer in time" in text
    assert "The Slack card could not be posted yet" in text


def test_too_many_facts_leave_the_way_to_the_card_in_place() -> None:
    many = Evidence(facts=tuple(Fact("okta", "x" * 80, "y" * 400, Flag.WARN) for _ in range(100)))
    text = page.body(a_decidable_request(evidence=many), card=CARD)
    assert len(text) <= page.BODY_LIMIT
    assert f"Card: {CARD}" in text


@pytest.mark.parametrize(
    ("state", "more", "words"),
    [
        (State.ACTIVE, {}, "approved by Bob Baker in Slack; granted and read back; ends 2 Mar 10:00 UTC."),
        (State.APPROVED, {}, "approved by Bob Baker in Slack; not granted yet."),
        (State.DONE, {}, "approved by Bob Baker in Slack; done and read back."),
        (State.ENDED, {"outcome": "The time was up."}, "ended. The time was up."),
        (State.EXPIRED, {}, "expired."),
        (State.WITHDRAWN, {}, "withdrawn."),
    ],
)
def test_the_outcome_is_one_sentence(state: State, more: dict[str, str], words: str) -> None:
    request = a_decidable_request(state=state, decisions=(a_decision(),), **more)
    assert page.outcome(replace(request, grant=a_grant(request))) == words


def test_a_denial_names_who_and_why() -> None:
    denied = a_decision("carol", Answer.DENY, place=Place.PAGERDUTY)
    request = a_request(state=State.DENIED, decisions=(denied,), outcome="Not now.")
    assert page.outcome_note(request) == "TA-1: denied by Carol Chen on the page. Reason: Not now."


def test_advice_is_labelled_as_what_it_is() -> None:
    reasons = (Reason("A new country.", ("fact-1", "p1", "precedent-1")), Reason("Odd.", ("p9",)), Reason("Late."))
    advice = Advice(Leaning.NEEDS_REVIEW, reasons, model="some-model")
    evidence = Evidence(
        facts=(Fact("okta", "Last sign-in", "Lima, Peru"),),
        passages=(Passage("p1", "Production access", "Travel", "Ask first.", "https://docs.example.com/p"),),
        precedents=(a_precedent(request_id="TA-9"),),
    )
    note = page.advice_note(a_request(advice=advice, evidence=evidence))
    assert note.splitlines() == [
        "TA-1: AI suggestion, may be wrong: needs review (some-model)",
        "- A new country. [Last sign-in; Production access › Travel; TA-9]",
        "- Odd. [something that is not shown any more]",
        "- Late.",
    ]


def test_the_page_about_overdue_access_says_what_to_remove() -> None:
    alarm = page.overdue(a_decidable_request(state=State.ACTIVE))
    assert alarm.title == "TA-1: access of Alice Archer is overdue and could not be removed"
    assert "- adds alice@example.com to the Okta group prod-readonly" in alarm.body


def test_the_group_may_have_a_long_name() -> None:
    entitlement = an_entitlement(approvers=Approvers("g" * 255), title="t" * 75, sensitivity=Sensitivity.HIGH)
    request = a_decidable_request(id="TA-999999999", entitlement=entitlement, deadline=NOW + timedelta(days=20))
    assert "Why: Look at" in head(request)


def test_chat_and_the_requesters_own_words_are_labelled_on_the_page_and_earlier_requests_tell_who_decided() -> None:
    theirs = some_chat(title="Alice Archer in #general", theirs=True)
    other = a_precedent(request_id="TA-9", title="Production, administrator", outcome="denied", reason="Too wide.")
    evidence = some_evidence(passages=(some_chat(), theirs), precedents=(other,))
    text = page.body(a_decidable_request(evidence=evidence), card=CARD)
    assert "- Said in Slack by Carol Chen, no policy: Carol Chen in #general" in text
    assert "- ! Written by whoever asks or is to get it, no policy: Alice Archer in #general" in text
    assert "- TA-9 for Production, administrator (27 Feb 09:00 UTC): denied by Bob Baker. Too wide." in text

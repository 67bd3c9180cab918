"""Whatever people write, every message, modal and Home is one that Slack accepts and that nobody can spoof."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.core.request import Entitlement, Fallback, Request
from bot.slack import blocks, cards, forms, notices
from bot.slack.home import home
from tests.bot.hostile import entitlements, names, requests, texts
from tests.bot.slack_limits import assert_message_fits, assert_view_fits

worst = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
PAGE = "https://example.pagerduty.com/incidents/Q1"


@worst
@given(requests())
def test_the_card_fits(request: Request) -> None:
    message = cards.card(request, page_url=PAGE)
    assert_message_fits(message)
    assert message.text.startswith(f"{request.id}: ")
    assert message.text.endswith(".")


@worst
@given(requests())
def test_the_requesters_messages_fit(request: Request) -> None:
    assert_message_fits(cards.requester_card(request))
    told = ["outcome", "ended", "progress", "again", "closed", *(f"question:{one.id}" for one in request.questions)]
    for message in [notices.told(request, what) for what in told]:
        if message is not None:
            assert_message_fits(message)
    assert_message_fits(notices.code_message(request, "K7QF-2M9D"))
    assert_message_fits(notices.ends_soon(request, request.deadline))


@worst
@given(requests(), texts)
def test_what_is_said_of_a_request_that_waits_fits(request: Request, group: str) -> None:
    named = replace(request, entitlement=replace(request.entitlement, fallback=Fallback(group, 60)))
    for what in notices.SAYS:
        assert_message_fits(notices.waits(named, what, card=PAGE))
    assert_message_fits(notices.decide_as_fallback(named, card=None))


@worst
@given(requests(), texts, st.none() | entitlements)
def test_the_modals_fit(request: Request, words: str, entitlement: Entitlement | None) -> None:
    assert_view_fits(forms.request_form("U0ALICE", entitlement=entitlement, justification=words, notice=words))
    assert_view_fits(forms.refusal_form(words or "No."))
    assert_view_fits(forms.deny_form(request.id, channel="C0ACCESS", ts="1.2"))
    assert_view_fits(forms.question_form(request.id))
    assert_view_fits(forms.answer_form(request.id, 7, words))
    assert_view_fits(forms.extend_form(request))
    assert_view_fits(forms.advice_view(request))
    assert_view_fits(forms.details_view(request))


@worst
@given(st.lists(requests(), max_size=3, unique_by=lambda request: request.id))
def test_the_home_fits(some: list[Request]) -> None:
    assert_view_fits(home(some, [(request, PAGE) for request in some], some))


@given(names, st.integers(20, 400))
def test_outside_text_in_mrkdwn_fits_when_it_is_escaped(text: str, limit: int) -> None:
    said = blocks.said(text, limit)
    assert len(said) <= limit
    assert "<" not in said
    assert ">" not in said
    for piece in said.split("&")[1:]:
        assert piece.startswith(("amp;", "lt;", "gt;"))  # an escape is never cut in two


def test_a_link_that_is_not_a_web_address_stays_text() -> None:
    assert blocks.link("javascript:alert(1)", "the runbook") == blocks.text("the runbook")
    assert blocks.link("https://handbook.example.com", "the runbook")["type"] == "link"


def test_a_short_text_is_shown_whole() -> None:
    assert blocks.said("a < b & c", 20) == "a &lt; b &amp; c"

"""Every card as it is, so that a change of wording is a difference in review: `python -m tests.golden` writes them."""

from __future__ import annotations

import pytest

from bot.core.lifecycle import State
from bot.slack.cards import card, requester_card
from tests.bot.slack_limits import assert_message_fits
from tests.golden import HERE, drawn, requests

DRAWN = drawn()


@pytest.mark.parametrize("name", DRAWN)
def test_the_card_is_the_one_that_was_reviewed(name: str) -> None:
    assert DRAWN[name] == (HERE / f"{name}.json").read_text("utf-8"), (
        "python -m tests.golden, and look at the difference"
    )


def test_no_card_is_kept_that_is_not_drawn_any_more() -> None:
    assert {file.stem for file in HERE.glob("*.json")} == set(DRAWN)


def test_every_state_has_its_card() -> None:
    assert {request.state for request in requests().values()} == set(State)


@pytest.mark.parametrize("name", DRAWN)
def test_every_card_is_within_slacks_limits(name: str) -> None:
    request = requests()[name]
    assert_message_fits(card(request, page_url=request.incident_url))
    assert_message_fits(requester_card(request))


def test_approve_is_drawn_only_when_it_can_count() -> None:
    with_button = {name for name, text in DRAWN.items() if '"action_id": "approve"' in text}
    assert with_button == {name for name, request in requests().items() if request.decidable}


def test_nothing_that_is_over_can_still_be_decided() -> None:
    for name, request in requests().items():
        if request.state not in (State.RECEIVED, State.PENDING):
            assert '"action_id": "deny"' not in DRAWN[name]


def test_a_card_says_granted_only_when_the_access_was_read_back() -> None:
    assert "Granted and read back" in DRAWN["active"]
    assert all("Granted" not in DRAWN[name] for name in ("approved", "decidable", "failed", "overdue"))

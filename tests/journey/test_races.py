"""Two at once, too late, and a world that changed in between: one outcome, one execution, everybody told."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import on_both
from tests.journey.relay import Relay
from tests.story import Story

pytestmark = on_both
READONLY, ROOT = "prod-readonly", "prod-root"
ALICE = "alice@example.com"
GRANTED = ("add", ALICE, READONLY)
TAKEN = ("remove", ALICE, READONLY)


async def paged(story: Story) -> str:
    """A request that waits on a card and a page."""
    request = await story.asks()
    await story.until(story.incidents)
    await story.settle()
    return request


async def granted(story: Story, **fields: str) -> str:
    """A request that bob has approved."""
    request = await story.asks(**fields)
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card(request=request)["text"])
    return request


async def decided(story: Story, request: str) -> list[str]:
    """The decisions that counted."""
    return [what for what in await story.trail(request) if what in ("decision.approve", "decision.deny")]


def added(story: Story) -> int:
    """How often Okta logged that alice was added."""
    return story.changes().count(GRANTED)


# --- at once ---------------------------------------------------------------------------------------------------------


async def test_two_approve_at_once_and_it_is_carried_out_once(story: Story) -> None:
    request = await paged(story)
    card = story.card()
    await asyncio.gather(*(story.presses(who, "approve", card=card, stale=True) for who in ("bob", "carol")))
    await story.until(lambda: "Too late" in story.told("bob") + story.told("carol"))
    await story.until(lambda: "Granted" in story.card()["text"])
    loser = "carol" if "Too late" in story.told("carol") else "bob"
    winner = {"carol": "Bob Baker", "bob": "Carol Chen"}[loser]
    assert f"approved by {winner}" in story.told(loser)
    await story.settle()
    assert await decided(story, request) == ["decision.approve"]
    assert story.changes() == [GRANTED]


async def test_a_double_click_is_one_answer(story: Story) -> None:
    request = await paged(story)
    card = story.card()
    await asyncio.gather(*(story.presses("bob", "approve", card=card, stale=True) for _ in range(3)))
    await story.until(lambda: "one answer a person counts" in story.told("bob"))
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.settle()
    assert await decided(story, request) == ["decision.approve"]
    assert story.changes() == [GRANTED]


async def test_a_double_click_is_one_of_two_approvals(story: Story) -> None:
    request = await story.asks(access="Production, root (break-glass)", Ticket="https://tickets.example.com/INC-3")
    card = story.card()
    await asyncio.gather(*(story.presses("bob", "approve", card=card, stale=True) for _ in range(3)))
    await story.until(lambda: "1 of 2 approvals" in str(story.card()["blocks"]))
    await story.settle()
    assert await decided(story, request) == ["decision.approve"]
    assert story.members(ROOT) == []


@pytest.mark.parametrize("lead", [-0.03, -0.01, 0.0, 0.01, 0.03])
async def test_an_approval_in_slack_against_a_denial_in_pagerduty(story: Story, relay: Relay, lead: float) -> None:
    """Within the same 50 ms, `lead` seconds apart: one of them counts, and whoever lost is told who decided."""
    request = await paged(story)
    card, incident = story.card(), story.incidents()[0]["id"]

    async def approve() -> None:
        await asyncio.sleep(max(0.0, -lead))
        await story.presses("bob", "approve", card=card, stale=True)

    async def deny() -> None:
        await asyncio.sleep(max(0.0, lead))
        await story.act("carol", "pagerduty.comment", incident=incident, content=f"deny {request} wrong week")

    await asyncio.gather(approve(), deny())
    await story.until(lambda: "Waiting" not in story.card()["text"])
    await story.settle()
    (outcome,) = await decided(story, request)
    if outcome == "decision.approve":
        await story.until(lambda: "a comment decided nothing" in story.notes())
        assert "approved by Bob Baker" in story.notes().partition("a comment decided nothing")[2]
        await story.until(lambda: story.changes() == [GRANTED])
    else:
        await story.until(lambda: "Too late" in story.told("bob"))
        assert "denied by Carol Chen" in story.told("bob")
        assert story.changes() == []


async def test_an_approval_does_not_overtake_a_denial_that_was_written_before_it(story: Story) -> None:
    """Both are found by one reading, and who carol is takes longer to read than who bob is."""
    await paged(story)
    await story.advance(1)
    incident, carol = story.incidents()[0]["id"], "GET /users/00ucarol"
    asked = story.calls("okta", carol), story.calls("okta", "GET /users/00ubob")
    await story.fault("okta", f"{carol}*", "held", times=None)
    await story.act("carol", "pagerduty.comment", incident=incident, content="deny wrong week")
    await story.act("bob", "pagerduty.comment", incident=incident, content="approve")
    await story.advance(6)
    await story.until(lambda: story.calls("okta", carol) > asked[0])
    await story.until(lambda: story.calls("okta", "GET /users/00ubob") > asked[1])
    await asyncio.sleep(1.0)  # in which his answer would have been counted
    assert "Waiting" in story.card()["text"]
    await story.mend()
    await story.until(lambda: "Denied" in story.card()["text"])
    await story.until(lambda: "denied by Carol Chen" in story.notes())
    await story.settle()
    assert story.changes() == []


async def test_a_comment_that_comes_after_the_decision_is_told_by_polling_too(story: Story) -> None:
    request = await paged(story)
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.comments("carol", f"deny {request} wrong week")
    await story.advance(31)  # what is decided is read less often
    await story.until(lambda: "a comment decided nothing" in story.notes())
    assert "approved by Bob Baker" in story.notes().partition("a comment decided nothing")[2]
    assert story.members(READONLY) == [ALICE]


async def test_withdrawing_against_approving_has_one_outcome(story: Story) -> None:
    await paged(story)
    card, message = story.card(), (await story.until(lambda: story.dms("alice")))[0]
    await asyncio.gather(
        story.act("alice", "slack.click", ts=message["ts"], action_id="withdraw"),
        story.presses("bob", "approve", card=card, stale=True),
    )
    await story.until(lambda: "Waiting" not in story.card()["text"])
    await story.settle()
    if "Withdrawn" in story.card()["text"]:
        assert story.changes() == []
        assert "Too late" in story.told("bob")
    else:
        assert story.changes() == [GRANTED]
        assert "Too late" in story.told("alice")


# --- too late --------------------------------------------------------------------------------------------------------


async def test_a_press_on_an_old_card_after_the_decision_is_told_who_decided(story: Story) -> None:
    request = await paged(story)
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.presses("carol", "approve", stale=True)
    await story.until(lambda: "approved by Bob Baker" in story.told("carol"))
    assert await decided(story, request) == ["decision.approve"]
    assert story.changes() == [GRANTED]


async def test_a_reason_that_comes_too_late_is_told_who_decided(story: Story) -> None:
    await paged(story)
    opened = await story.presses("carol", "deny", await_view=True)
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.act("carol", "slack.submit", view_id=opened["view"]["id"], values={"Reason": "Not today"})
    await story.until(lambda: "approved by Bob Baker" in story.told("carol"))
    assert story.members(READONLY) == [ALICE]


# --- the plan is no longer the one -----------------------------------------------------------------------------------


async def test_a_plan_that_changed_is_asked_about_again_and_what_was_held_before_stays(story: Story) -> None:
    request = await paged(story)
    await story.act("carol", "okta.add_member", who="alice", group=READONLY)
    await story.advance(6)
    await story.presses("bob", "approve")
    await story.until(lambda: "asked again" in story.told("alice"))
    await story.until(lambda: "already" in str(story.card(button="approve")["blocks"]))
    await story.until(lambda: "answers count from this note on" in story.notes())
    trail = await story.trail(request)
    assert "plan.changed" in trail
    assert "grant.started" not in trail

    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.advance(3601)
    await story.until(lambda: "Ended" in story.card()["text"])
    await story.settle()
    assert story.members(READONLY) == [ALICE]
    assert story.changes() == [GRANTED]
    await story.until(lambda: "held before" in story.told("alice"))


async def test_an_approval_of_an_older_plan_does_not_count(story: Story) -> None:
    request = await paged(story)
    old = next(
        element["value"]
        for block in story.card()["blocks"]
        for element in block.get("elements", [])
        if element.get("action_id") == "approve"
    )
    await story.act("carol", "okta.add_member", who="alice", group=READONLY)
    await story.advance(6)
    await story.presses("bob", "approve")
    await story.until(lambda: "already" in str(story.card(button="approve")["blocks"]))
    await story.presses("carol", "approve", stale=True, value=old)
    await story.until(lambda: "plan has changed" in story.told("carol"))
    await story.settle()
    assert "Waiting" in story.card()["text"]
    assert "invariant#plan-shown" in await story.refusals(request)


async def test_a_comment_counts_for_a_changed_plan_once_it_stands_on_the_incident(story: Story) -> None:
    await paged(story)
    await story.act("carol", "okta.add_member", who="alice", group=READONLY)
    await story.advance(6)
    await story.presses("bob", "approve")
    await story.until(lambda: "answers count from this note on" in story.notes())
    await story.comments("carol", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.settle()
    assert story.changes() == [GRANTED]


# --- back early, and overlapping -------------------------------------------------------------------------------------


async def test_access_is_given_back_early_from_the_message(story: Story) -> None:
    request = await granted(story)
    message = await story.until(lambda: next(one for one in story.dms("alice") if "give_back" in story.buttons(one)))
    await story.act("alice", "slack.click", ts=message["ts"], action_id="give_back")
    await story.until(lambda: "Ended" in story.card()["text"])
    assert story.changes() == [GRANTED, TAKEN]
    assert "grant.given_back" in await story.trail(request)


async def test_access_is_given_back_early_from_the_app_home(story: Story) -> None:
    await granted(story)
    await story.act("alice", "slack.home")
    await story.until(lambda: "give_back" in story.buttons(story.home("alice")))
    assert " · ends <!date^" in str(story.home("alice")["blocks"])
    await story.act("alice", "slack.click", view_id="home", action_id="give_back")
    await story.until(lambda: "Ended" in story.card()["text"])
    assert story.changes() == [GRANTED, TAKEN]
    await story.until(lambda: "give_back" not in story.buttons(story.home("alice")))


async def test_the_end_of_one_grant_does_not_cut_another_short(story: Story) -> None:
    first = await granted(story)
    second = await granted(story, Duration="2 hours")
    assert "already" not in str(story.card(request=second)["blocks"])
    await story.advance(3601)
    await story.until(lambda: "Ended" in story.card(request=first)["text"])
    await story.settle()
    assert story.members(READONLY) == [ALICE]
    await story.advance(3601)
    await story.until(lambda: "Ended" in story.card(request=second)["text"])
    assert story.changes() == [GRANTED, TAKEN]


async def test_giving_the_longer_one_back_leaves_the_shorter_one(story: Story) -> None:
    first = await granted(story)
    second = await granted(story, Duration="2 hours")
    await story.act("alice", "slack.home")
    await story.until(lambda: str(story.home("alice")["blocks"]).count("'give_back'") == 2)
    await story.act("alice", "slack.click", view_id="home", action_id="give_back", block_id=f"mine-{second}")
    await story.until(lambda: "Ended" in story.card(request=second)["text"])
    assert story.members(READONLY) == [ALICE]
    await story.advance(3601)
    await story.until(lambda: "Ended" in story.card(request=first)["text"])
    assert story.changes() == [GRANTED, TAKEN]


async def test_grants_that_ended_while_the_program_was_away_are_all_taken_back(story: Story) -> None:
    """Neither may leave it to the other."""
    first, second = await granted(story), await granted(story, Duration="2 hours")
    await story.stop()
    await story.advance(3 * 3600)
    await story.start()
    await story.until(lambda: "Ended" in story.card(request=first)["text"])
    await story.until(lambda: "Ended" in story.card(request=second)["text"])
    assert story.changes() == [GRANTED, TAKEN]

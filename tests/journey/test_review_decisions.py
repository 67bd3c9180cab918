"""Deciding when something is not as usual: another workspace, a new plan, a vendor down, a time that is over."""

from __future__ import annotations

import re

import pytest

from connectors.sandbox.slack import Slack
from tests.story import Story

READONLY, ADMIN, ROOT = "prod-readonly", "prod-admin", "prod-root"
ALICE = "alice@example.com"
HIGH = "Production, administrator"
TICKET = "https://tickets.example.com/INC-3"
EIGHT_HOURS = 8 * 3600.0
CODE = re.compile(r"approve TA-\d+ ([0-9A-Z]{4}-[0-9A-Z]{4})")


def shown(story: Story, request: str | None = None) -> str:
    """Everything that stands on a card."""
    return str(story.card(request=request)["blocks"])


def codes_of(story: Story, who: str) -> list[str]:
    """The codes that somebody got, oldest first."""
    return CODE.findall("\n".join(str(one["text"]) for one in story.dms(who)))


async def granted(story: Story, request: str | None = None) -> None:
    await story.until(lambda: "Granted and read back" in story.card(request=request)["text"])


async def asks_while_okta_is_silent(story: Story, access: str = "Production, read only") -> None:
    """Who alice is was read already; what would change cannot be."""
    opened = await story.act("alice", "slack.shortcut", callback_id="request_access", await_view=True)
    view = opened["view"]["id"]
    await story.act("alice", "slack.fill", view_id=view, label="Access", value=access)
    await story.advance(1)  # what was read for the form is too old for a plan
    await story.fault("okta", "*", "cut", times=None)
    submitted = await story.act("alice", "slack.submit", view_id=view, values={"Justification": "Look at the logs"})
    assert submitted.get("closed"), submitted


def mends(story: Story, **which: str) -> None:
    """Some of the faults end, and the others stay."""
    faults = story.sandbox.world.faults
    faults[:] = [one for one in faults if any(getattr(one, name) != value for name, value in which.items())]
    story.sandbox.world.touch()


async def approves_and_okta_goes_down(story: Story) -> None:
    """Bob's answer is counted on what was being read; what the grant needs to read again cannot be."""
    await story.advance(1)  # nothing is read so freshly that it need not be read now
    asked = story.calls("okta", "GET /users/")
    await story.fault("okta", "*", "held", times=None)
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "GET /users/") >= asked + 4)
    await story.fault("okta", "*", "cut", times=None)
    await story.advance(10)
    story.let_go()
    await story.until(lambda: "Approved, not granted yet" in story.card()["text"])


async def changes_plan(story: Story, group: str, *, held: bool) -> None:
    """Somebody adds or removes alice in Okta, and bob approves what was shown before."""
    await story.act("carol", "okta.add_member" if held else "okta.remove_member", who="alice", group=group)
    await story.advance(6)
    await story.presses("bob", "approve")


# --- who -------------------------------------------------------------------------------------------------------------


async def test_somebody_with_bobs_id_in_another_workspace_decides_nothing(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = await story.asks()
    await story.until(lambda: story.card(button="show_advice"))
    slack = story.sandbox.stand_ins["slack"]
    assert isinstance(slack, Slack)
    monkeypatch.setattr(slack.workspace, "team_id", "T0OTHERS")
    await story.presses("bob", "approve")
    await story.presses("bob", "show_advice")
    await story.until(lambda: "not linked" in story.told("bob"))
    await story.until(lambda: "for the people who decide" in story.told("bob"))
    assert sorted(await story.refusals(request)) == ["invariant#linked-to-decide", "invariant#responder"]
    assert story.changes() == []


async def test_whoever_is_unlinked_after_approving_does_not_count_any_more(story: Story) -> None:
    await story.asks(access="Production, root (break-glass)", Ticket=TICKET)
    await story.presses("bob", "approve")
    await story.until(lambda: "1 of 2 approvals" in shown(story))
    assert story.running is not None
    assert await story.running.ledger.unlink(story.sandbox.world.people["bob"].okta or "", by="admin")
    await story.presses("carol", "approve")
    await story.until(lambda: "Refused by policy" in story.card()["text"])
    assert "1 of 2 approvals still count" in shown(story)
    assert story.changes() == []


# --- access that is to be gone, and is not ---------------------------------------------------------------------------


async def test_asking_again_for_access_that_is_overdue_keeps_it_when_the_removal_works_at_last(story: Story) -> None:
    first = await story.asks()
    await story.presses("bob", "approve")
    await granted(story)
    await story.fault("okta", "DELETE /groups/*", "error", status=500, times=None)
    await story.advance(3601)
    await story.until(lambda: story.calls("okta", "DELETE /groups/"))
    await story.steps(3)
    await story.until(lambda: "Overdue" in shown(story))

    second = await story.asks()
    assert "nothing is added" not in shown(story, second)
    await story.presses("bob", "approve")
    await granted(story, second)
    await story.mend()
    await story.advance(61)
    await story.until(lambda: f"{second} still covers the same access" in shown(story, first))
    assert story.members(READONLY) == [ALICE]
    await story.advance(3601)
    await story.until(lambda: story.members(READONLY) == [])


async def test_what_a_failed_grant_left_behind_wakes_somebody_until_it_is_gone(story: Story) -> None:
    await story.asks()
    await story.fault("okta", "PUT /groups/*", "held")
    await story.fault("okta", "DELETE /groups/*", "error", status=500, times=None)
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/"))
    await story.fault("okta", "GET /users/*/groups", "error", times=None)
    story.let_go()
    await story.steps(7)
    await story.until(lambda: "is being taken away" in story.told("alice"))
    await story.steps(3)
    await story.until(lambda: "what was written could not be removed yet" in shown(story))
    await story.until(lambda: len(story.incidents()) == 2)
    assert "could not be removed" in story.incidents()[1]["title"]
    assert story.members(READONLY) == [ALICE]
    await story.mend()
    await story.advance(150)
    await story.until(lambda: "nothing is left behind" in shown(story))
    assert "could not be removed yet" not in shown(story)
    assert story.members(READONLY) == []


async def test_a_grant_is_not_tried_again_after_the_time_to_decide_it(story: Story) -> None:
    await story.fault("okta", "PUT /groups/*", "error", status=500, times=None)
    await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/"))
    await story.steps(6)
    await story.until(lambda: story.card(button="retry"))
    await story.mend()
    await story.advance(EIGHT_HOURS)
    await story.presses("bob", "retry")
    await story.until(lambda: "ask for it anew" in story.told("bob"))
    await story.settle()
    assert story.changes() == []


# --- a plan that changes, or comes late ------------------------------------------------------------------------------


async def test_a_plan_that_goes_back_and_forth_is_noted_each_time(story: Story) -> None:
    await story.asks()
    await story.until(story.incidents)
    for turn, held in ((2, True), (3, False), (4, True)):
        await changes_plan(story, READONLY, held=held)
        await story.until(lambda turn=turn: f"(round {turn};" in story.notes())  # type: ignore[misc]
        await story.settle()
    await story.advance(2)
    await story.comments("carol", "approve")
    await granted(story)


async def test_a_new_plan_brings_new_codes_and_the_old_ones_count_no_more(story: Story) -> None:
    request = await story.asks(access=HIGH)
    await story.until(story.incidents)
    await story.until(lambda: codes_of(story, "carol"))
    await changes_plan(story, ADMIN, held=True)
    await story.until(lambda: len(codes_of(story, "carol")) == 2)
    old, new = codes_of(story, "carol")
    await story.settle()
    await story.advance(2)
    await story.comments("carol", f"approve {request} {old}")
    await story.until(lambda: "code is not yours" in story.notes())
    await story.comments("carol", f"approve {request} {new}")
    await granted(story)


async def test_codes_are_sent_when_the_plan_comes_after_the_page(story: Story) -> None:
    await asks_while_okta_is_silent(story, HIGH)
    await story.advance(5)
    await story.until(story.incidents)
    await story.settle()
    assert codes_of(story, "bob") == []
    await story.mend()
    await story.advance(61)
    await story.until(lambda: codes_of(story, "bob"))


async def test_advice_reaches_an_incident_whose_plan_is_still_missing(story: Story) -> None:
    await asks_while_okta_is_silent(story)
    await story.advance(5)
    await story.until(story.incidents)
    await story.until(lambda: "AI suggestion" in story.notes())
    assert "Gathering" in story.card()["text"]


async def test_a_request_that_is_asked_about_again_after_its_time_expires(story: Story) -> None:
    await story.asks()
    await story.settle()
    await approves_and_okta_goes_down(story)
    await story.advance(EIGHT_HOURS)
    await story.settle()
    assert "Approved, not granted yet" in story.card()["text"]
    await story.act("carol", "okta.add_member", who="alice", group=READONLY)
    await story.mend()
    await story.advance(61)
    await story.until(lambda: "Expired" in story.card()["text"])
    await story.until(lambda: "Nobody decided in time" in story.told("alice"))


async def test_a_request_that_is_asked_about_again_is_paged_if_it_was_not_yet(story: Story) -> None:
    await story.fault("pagerduty", "*", "cut", times=None)
    await story.asks()
    await story.until(lambda: story.calls("pagerduty", "POST /incidents"))
    await approves_and_okta_goes_down(story)
    mends(story, vendor="pagerduty")
    await story.advance(61)
    await story.settle()
    assert story.incidents() == []
    await story.act("carol", "okta.add_member", who="alice", group=READONLY)
    await story.mend()
    await story.advance(61)
    await story.until(lambda: "asked again" in story.told("alice"))
    await story.until(story.incidents)


async def test_a_plan_that_cannot_be_read_is_said_on_the_card_and_at_the_end(story: Story) -> None:
    await asks_while_okta_is_silent(story)
    await story.until(lambda: "Nobody can approve yet, the plan is not known" in shown(story))
    await story.advance(EIGHT_HOURS + 1)
    await story.until(lambda: "Expired" in story.card()["text"])
    await story.until(lambda: "The plan could not be read in time" in story.told("alice"))
    assert "obody decided in time" not in f"{story.told('alice')} {shown(story)}"


# --- an answer that cannot be checked --------------------------------------------------------------------------------


async def test_whoever_answers_while_the_directory_is_down_is_told_once_that_it_waits(story: Story) -> None:
    await story.asks()
    await story.settle()
    await story.fault("okta", "*", "cut", times=None)
    await story.advance(61)
    await story.presses("bob", "approve")
    await story.until(lambda: "your answer is taken" in story.told("bob"))
    await story.presses("bob", "approve")
    await story.steps(2)
    assert story.told("bob").count("your answer is taken") == 1
    await story.mend()
    await story.advance(61)
    await granted(story)


async def test_whoever_comments_while_the_directory_is_down_is_told_that_it_waits(story: Story) -> None:
    await story.asks()
    await story.until(story.incidents)
    await story.settle()
    await story.fault("okta", "*", "cut", times=None)
    await story.advance(61)
    await story.comments("bob", "approve")
    await story.until(lambda: "your answer is taken" in story.notes())
    assert "decided nothing" not in story.notes()
    await story.mend()
    await story.advance(61)
    await granted(story)


async def test_whoever_has_no_account_in_the_directory_any_more_is_told_that_it_decided_nothing(story: Story) -> None:
    request = await story.asks()
    await story.settle()
    await story.fault("okta", f"GET /users/{story.sandbox.world.people['bob'].okta}", "error", status=404, times=None)
    await story.presses("bob", "approve")
    await story.until(lambda: "trying again would not help" in story.told("bob"))
    assert await story.refusals(request) == ["decision#unreadable"]
    await story.presses("carol", "approve")
    await granted(story)


# --- time ------------------------------------------------------------------------------------------------------------


async def test_what_wakes_nobody_is_paged_in_the_morning_and_can_be_decided_from_then_on(story: Story) -> None:
    await story.asks(access="Analytics, viewer")
    await story.advance_to("09:00", after=1)
    await story.until(story.incidents)
    await story.settle()
    assert "Waiting for a decision" in story.card()["text"]
    await story.advance(EIGHT_HOURS)
    await story.until(lambda: "Expired" in story.card()["text"])


async def test_the_card_of_an_approval_for_less_says_for_how_long_it_is(story: Story) -> None:
    await story.asks()
    await story.presses("bob", "approve_less", option="Approve for 15 minutes")
    await granted(story)
    await story.until(lambda: "removes 15 minutes after the grant" in shown(story))
    assert "1 hour" not in shown(story)

"""What others break: each vendor down, slow, silent or talking nonsense, and answers that are lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from tests.story import CHANNEL, Story

READONLY, ROOT = "prod-readonly", "prod-root"
ALICE = "alice@example.com"
ADDED, REMOVED = ("add", ALICE, READONLY), ("remove", ALICE, READONLY)
STEP = 150.0
HOUR_STEPS = 24
POST = "POST /api/chat.postMessage"
UNPAGED = "Nobody has been paged yet"


async def an_hour(story: Story, *, steps: int = HOUR_STEPS) -> None:
    """Time passes in steps of a few minutes, each long enough for the next try of everything."""
    for _ in range(steps):
        await story.advance(STEP)
        await story.settle()


def shown(story: Story) -> str:
    """Everything that stands on the card."""
    return str(story.card()["blocks"])


def keys(story: Story) -> Counter[str]:
    """How often each message of ours stands in the channel or in alice's direct messages."""
    messages = [*story.messages(CHANNEL), *story.dms("alice")]
    return Counter(str(message["metadata"]["event_payload"]["key"]) for message in messages)


def body(story: Story, incident: int = 0) -> str:
    return str(story.incidents()[incident]["body"])


def said_granted(story: Story) -> bool:
    """Whether anybody was told that the access is there."""
    everything = f"{story.messages()} {story.dms('alice')} {story.notes()}".casefold()
    return "granted and read back" in everything


async def granted(story: Story) -> None:
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    assert story.members(READONLY) == [ALICE]


# --- PagerDuty -------------------------------------------------------------------------------------------------------


async def test_while_pagerduty_is_down_the_card_says_that_nobody_is_paged_and_slack_decides(story: Story) -> None:
    await story.fault("pagerduty", "*", "cut", times=None)
    await story.asks()
    await story.until(lambda: UNPAGED in shown(story))
    await an_hour(story)
    assert UNPAGED in shown(story)
    await story.presses("bob", "approve")
    await granted(story)
    await story.mend()
    await an_hour(story, steps=2)
    assert story.incidents() == []  # it is decided: nobody is woken for it any more
    assert UNPAGED not in shown(story), "nobody needs to be paged for what is decided"


async def test_when_pagerduty_is_back_after_an_hour_the_page_goes_out_once(story: Story) -> None:
    await story.fault("pagerduty", "*", "cut", times=None)
    await story.asks()
    await an_hour(story)
    await story.mend()
    await story.advance(STEP)
    await story.until(lambda: UNPAGED not in shown(story))
    await story.settle()
    assert len(story.incidents()) == 1
    await story.comments("bob", "approve")
    await story.advance(STEP)
    await granted(story)


@pytest.mark.parametrize("kind", ["lost_answer", "html", "empty", "error"])
async def test_an_incident_whose_answer_cannot_be_used_is_opened_once(story: Story, kind: str) -> None:
    await story.fault("pagerduty", "POST /incidents", kind)
    await story.asks()
    await story.advance(STEP)
    await story.until(story.incidents)
    await story.until(lambda: "|page>" in shown(story), what="the page was never found")
    await story.settle()
    assert len(story.incidents()) == 1
    assert UNPAGED not in shown(story)


async def test_a_page_that_was_lost_and_could_not_be_looked_up_is_closed_after_the_decision(story: Story) -> None:
    await story.fault("pagerduty", "POST /incidents", "lost_answer")
    await story.fault("pagerduty", "GET /incidents", "cut", times=None)
    await story.asks()
    await story.until(lambda: UNPAGED in shown(story))
    await story.presses("bob", "approve")
    await granted(story)
    await story.mend()
    await story.advance(STEP)
    await story.until(lambda: [one["status"] for one in story.incidents()] == ["resolved"])


async def test_a_page_that_is_still_being_opened_when_it_is_decided_is_closed(story: Story) -> None:
    await story.fault("pagerduty", "POST /incidents", "held")
    await story.submits()
    await story.until(lambda: story.card(button="approve") and story.calls("pagerduty", "POST /incidents"))
    await story.presses("bob", "approve")
    await granted(story)
    assert story.incidents() == []
    await story.mend()
    await story.until(lambda: [one["status"] for one in story.incidents()] == ["resolved"])
    assert "granted and read back" in story.notes()


async def test_notes_whose_answers_are_lost_are_written_once(story: Story) -> None:
    await story.fault("pagerduty", "POST /incidents/*/notes", "lost_answer", times=None)
    await story.asks()
    await story.until(story.incidents)
    await story.presses("bob", "approve")
    await story.until(lambda: story.incidents()[0]["status"] == "resolved")
    await story.settle()
    notes = Counter(note["content"] for note in story.incidents()[0]["notes"])
    assert set(notes.values()) == {1}
    assert "granted and read back" in story.notes()


# --- Slack -----------------------------------------------------------------------------------------------------------


async def test_while_slack_is_down_the_page_goes_out_says_so_and_decides(story: Story) -> None:
    await story.fault("slack", "* /api/chat.*", "cut", times=None)
    assert (await story.submits()).get("closed")
    await story.until(story.incidents)
    assert "The Slack card could not be posted yet" in body(story)
    await an_hour(story)
    await story.comments("bob", "approve")
    await story.advance(61)
    await story.until(lambda: story.members(READONLY) == [ALICE])
    await story.until(lambda: story.incidents()[0]["status"] == "resolved")
    assert story.messages() == []
    assert story.dms("alice") == []

    await story.mend()
    await story.advance(61)
    await granted(story)
    await story.until(lambda: any("granted and read back" in message["text"] for message in story.dms("alice")))
    await story.settle()
    assert keys(story) == {"TA-1/card": 1, "TA-1/dm": 1, "TA-1/tell:outcome:active": 1}


async def test_a_page_without_a_card_is_told_where_the_card_is_once_it_is_there(story: Story) -> None:
    await story.fault("slack", "* /api/chat.*", "cut", times=None)
    await story.submits()
    await story.until(story.incidents)
    await story.mend()
    await story.advance(61)
    await story.until(lambda: story.card(button="approve"))
    link = f"/archives/{CHANNEL}/p{story.card()['ts'].replace('.', '')}"
    await story.until(lambda: story.notes().count(link) == 1)


@pytest.mark.parametrize("kind", ["lost_answer", "html", "empty", "error", "cut"])
async def test_messages_whose_answers_cannot_be_used_are_found_again(story: Story, kind: str) -> None:
    await story.fault("slack", POST, kind, times=2)
    await story.submits()
    await story.until(lambda: story.calls("slack", POST) >= 2)
    await story.advance(STEP)
    await story.until(lambda: story.card(button="approve") and story.dms("alice"))
    await story.settle()
    assert keys(story) == {"TA-1/card": 1, "TA-1/dm": 1}


# --- the model -------------------------------------------------------------------------------------------------------


async def test_a_model_that_takes_its_time_holds_nothing_up(story: Story) -> None:
    await story.fault("openai", "*", "slow", seconds=2.0, times=None)
    await story.asks()
    await story.until(story.incidents)
    assert "AI suggestion" not in story.notes()
    await story.presses("bob", "approve")
    await granted(story)


@pytest.mark.parametrize("kind", ["rate_limit", "html", "empty", "cut", "error"])
async def test_a_model_that_cannot_be_reached_is_done_without(story: Story, kind: str) -> None:
    await story.fault("openai", "*", kind, times=None, seconds=30)
    await without_recommendation(story)


@pytest.mark.parametrize("mode", ["broken_json", "absent"])
async def test_a_model_that_gives_nothing_usable_is_done_without(story: Story, mode: str) -> None:
    await story.act("bob", "openai.mode", mode=mode)
    await without_recommendation(story)


async def without_recommendation(story: Story) -> None:
    await story.asks()
    await story.until(story.incidents)
    await story.until(lambda: "there is no recommendation" in shown(story))
    await story.until(lambda: "there is no recommendation" in story.notes())
    await story.presses("bob", "approve")
    await granted(story)


# --- Okta, while it is asked -----------------------------------------------------------------------------------------


async def test_a_silent_okta_is_a_line_and_approval_waits_for_the_plan(story: Story) -> None:
    opened = await story.act("alice", "slack.shortcut", callback_id="request_access", await_view=True)
    view = opened["view"]["id"]
    await story.act("alice", "slack.fill", view_id=view, label="Access", value="Production, read only")
    await story.advance(1)  # what was read for the form is too old for a plan
    await story.fault("okta", "*", "cut", times=None)
    submitted = await story.act("alice", "slack.submit", view_id=view, values={"Justification": "Look at the logs"})
    assert submitted.get("closed"), submitted

    await story.until(lambda: shown(story).count("could not be read") == 2)
    await story.advance(5)
    await story.until(story.incidents)
    assert "Plan: not known yet" in body(story)
    assert body(story).count("could not be read") == 2
    await story.comments("bob", "approve")
    await story.settle()
    with pytest.raises(KeyError):
        story.card(button="approve")

    await story.mend()
    await story.advance(61)
    await story.until(lambda: story.card(button="approve"))
    await story.until(lambda: "the plan is known now" in story.notes())
    await story.until(lambda: "a comment decided nothing" in story.notes())
    await story.settle()
    assert story.members(READONLY) == []

    await story.advance(2)
    await story.comments("bob", "approve")
    await story.advance(61)
    await granted(story)


# --- Okta, while it is written ---------------------------------------------------------------------------------------


async def test_a_grant_that_keeps_failing_is_given_up_told_and_can_be_tried_again(story: Story) -> None:
    await story.fault("okta", "PUT /groups/*", "error", status=500, times=None)
    await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/"))
    await story.until(lambda: "Approved, not granted yet" in story.card()["text"])
    await an_hour(story, steps=6)
    await story.until(lambda: story.card(button="retry"))
    assert "nothing is left behind" in shown(story)
    assert not said_granted(story)
    assert any("could not be granted" in message["text"] for message in story.dms("alice"))
    assert story.changes() == []

    await story.mend()
    await story.presses("bob", "retry")
    await granted(story)
    await story.until(lambda: any("granted and read back" in message["text"] for message in story.dms("alice")))
    assert story.changes() == [ADDED]


async def test_the_page_of_what_failed_stays_open_until_it_can_not_be_tried_again_any_more(story: Story) -> None:
    await story.fault("okta", "PUT /groups/*", "error", status=500, times=None)
    await story.asks()
    await story.until(story.incidents)
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/"))
    await an_hour(story, steps=6)
    await story.until(lambda: story.card(button="retry"))
    await story.settle()
    assert story.incidents()[0]["status"] != "resolved"
    await story.advance(8 * 3600)
    await story.until(lambda: story.incidents()[0]["status"] == "resolved")
    assert story.notes().count("nobody tried it again in time") == 1


@pytest.mark.parametrize("kind", ["lost_answer", "empty", "html", "cut"])
async def test_a_grant_whose_answer_cannot_be_used_is_read_back(story: Story, kind: str) -> None:
    await story.fault("okta", "PUT /groups/*", kind, times=3)
    await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/"))
    await an_hour(story, steps=3)
    await granted(story)
    assert story.changes() == [ADDED]


async def test_a_grant_that_is_never_answered_is_still_found_and_given_once(story: Story) -> None:
    await story.fault("okta", "PUT /groups/*", "lost_answer", times=None)
    await story.asks()
    await story.presses("bob", "approve")
    await granted(story)
    assert story.changes() == [ADDED]


async def given_back(story: Story) -> None:
    message = await story.until(lambda: next(one for one in story.dms("alice") if "give_back" in story.buttons(one)))
    await story.act("alice", "slack.click", ts=message["ts"], action_id="give_back")
    await story.until(lambda: "Ended" in story.card()["text"])


async def answer_is_useless(story: Story) -> None:
    await story.fault("okta", "PUT /groups/*", "html")
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/"))
    await story.advance(2)


async def program_dies(story: Story) -> None:
    assert story.running is not None
    await story.fault("okta", "PUT /groups/*", "held")
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/"))
    story.running.worker.grace_seconds = 0.0
    await story.stop()
    await story.mend()
    await story.start()


@pytest.mark.parametrize("nobody_hears_the_end", [answer_is_useless, program_dies])
async def test_a_write_that_comes_into_force_after_the_access_was_taken_back_is_taken_away(
    story: Story, nobody_hears_the_end: Callable[[Story], Awaitable[None]]
) -> None:
    """A vendor may go on with what nobody waits for any more."""
    request = await story.asks()
    await nobody_hears_the_end(story)
    await granted(story)
    await given_back(story)
    await story.act("carol", "okta.add_member", who="alice", group=READONLY)
    await story.advance(61)
    await story.until(lambda: story.members(READONLY) == [])
    await story.settle()
    assert "grant.put_right" in await story.trail(request)


async def test_what_somebody_adds_by_hand_after_the_end_stays_theirs(story: Story) -> None:
    request = await story.asks()
    await story.presses("bob", "approve")
    await granted(story)
    await given_back(story)
    await story.act("carol", "okta.add_member", who="alice", group=READONLY)
    await story.advance(61)
    await story.settle()
    assert story.members(READONLY) == [ALICE]
    assert "grant.put_right" not in await story.trail(request)


async def test_a_grant_that_cannot_be_read_back_is_not_claimed_and_not_left_behind(story: Story) -> None:
    await story.asks()
    await story.fault("okta", "PUT /groups/*", "held")
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/"))
    await story.fault("okta", "GET /users/*/groups", "error", times=None)
    story.let_go()
    await story.until(lambda: story.changes() == [ADDED])
    await an_hour(story, steps=7)
    assert "Could not be granted" in story.card()["text"]
    assert not said_granted(story)
    assert "nothing is left behind" not in shown(story)  # nobody could read that yet
    await story.mend()
    await story.advance(STEP)
    await story.until(lambda: "nothing is left behind" in shown(story))
    assert story.changes() == [ADDED, REMOVED]


async def test_a_removal_whose_answer_is_lost_is_made_once_and_read_back(story: Story) -> None:
    await story.fault("okta", "DELETE /groups/*", "lost_answer", times=None)
    await story.asks()
    await story.presses("bob", "approve")
    await granted(story)
    await story.advance(3601)
    await story.until(lambda: story.calls("okta", "DELETE /groups/"))
    await an_hour(story, steps=2)
    await story.mend()
    await story.advance(STEP)
    await story.until(lambda: "Ended" in story.card()["text"])
    assert story.changes() == [ADDED, REMOVED]


async def test_access_that_cannot_be_taken_back_is_overdue_pages_and_is_tried_until_it_is_gone(story: Story) -> None:
    await story.asks()
    await story.until(story.incidents)
    await story.presses("bob", "approve")
    await granted(story)
    await story.fault("okta", "DELETE /groups/*", "error", status=500, times=None)
    await story.advance(3601)
    await story.until(lambda: story.calls("okta", "DELETE /groups/"))
    await an_hour(story, steps=4)
    await story.until(lambda: "Overdue" in shown(story))
    await story.until(lambda: len(story.incidents()) == 2)
    assert "overdue and could not be removed" in story.incidents()[1]["title"]
    assert story.members(READONLY) == [ALICE]
    await an_hour(story)
    assert len(story.incidents()) == 2

    await story.mend()
    await story.advance(61)
    await story.until(lambda: "Ended" in story.card()["text"])
    assert story.changes() == [ADDED, REMOVED]
    assert "Overdue" not in shown(story)


# --- people who change meanwhile -------------------------------------------------------------------------------------


async def test_whoever_is_deactivated_before_the_grant_gets_nothing(story: Story) -> None:
    await story.fault("okta", "PUT /groups/*", "error", status=500, times=None)
    await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/"))
    await story.act("carol", "okta.deactivate", who="alice")
    await story.mend()
    await an_hour(story, steps=2)
    await story.until(lambda: "nothing is left behind" in shown(story))
    assert not said_granted(story)
    assert ADDED not in story.changes()


async def test_the_approval_of_somebody_who_is_deactivated_meanwhile_does_not_count(story: Story) -> None:
    await story.asks(access="Production, root (break-glass)", Ticket="https://tickets.example.com/INC-3")
    await story.presses("bob", "approve")
    await story.until(lambda: "1 of 2 approvals" in shown(story))
    await story.act("carol", "okta.deactivate", who="bob")
    await story.advance(6)
    await story.presses("carol", "approve")
    await story.until(lambda: "Refused by policy" in story.card()["text"])
    assert story.members(ROOT) == []


# --- pace ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vendor", "route", "asked"),
    [
        ("okta", "PUT /groups/*", "PUT /groups/"),
        ("pagerduty", "POST /incidents", "POST /incidents"),
    ],
)
async def test_a_vendor_that_asks_for_patience_gets_it(story: Story, vendor: str, route: str, asked: str) -> None:
    await story.fault(vendor, route, "rate_limit", seconds=40, times=None)
    await story.asks()
    await story.until(lambda: UNPAGED in shown(story) if vendor == "pagerduty" else story.incidents())
    if vendor == "okta":
        await story.presses("bob", "approve")
    await story.until(lambda: story.calls(vendor, asked))
    await story.settle()
    before = story.calls(vendor, asked)  # the page is wanted by the plan and by the evidence
    await story.advance(30)
    await story.settle()
    assert story.calls(vendor, asked) == before
    await story.mend()
    await story.advance(12)
    await story.until(lambda: story.calls(vendor, asked) > before)


async def test_a_slow_world_is_only_slow(story: Story) -> None:
    for vendor in ("slack", "pagerduty", "okta", "openai"):
        await story.fault(vendor, "*", "slow", seconds=0.15, times=None)
    await story.asks()
    await story.until(story.incidents)
    await story.presses("bob", "approve")
    await granted(story)
    await story.advance(3601)
    await story.until(lambda: "Ended" in story.card()["text"])
    await story.settle()
    assert story.changes() == [ADDED, REMOVED]
    assert len(story.incidents()) == 1
    assert set(keys(story).values()) == {1}

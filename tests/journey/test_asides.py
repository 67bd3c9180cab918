"""Beside the decision: questions, passing on, advice, details, and a page that somebody closed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.story import PATIENCE, Story

READONLY = "prod-readonly"
ALICE = "alice@example.com"


async def paged(story: Story) -> str:
    """A request that waits on a card and a page."""
    request = await story.asks()
    await story.until(story.incidents)
    await story.until(lambda: "not_me" in story.buttons(story.card()))
    return request


def people_paged(story: Story) -> list[str]:
    return [one["person"] for one in story.state["pagerduty"]["paged"]]


async def opens(story: Story, who: str, button: str) -> dict[str, Any]:
    """Press a button that opens a window; the window."""
    await story.until(lambda: button in story.buttons(story.card()))
    opened = await story.presses(who, button, await_view=True)
    return dict(opened["view"])


async def asks_back(story: Story, words: str) -> None:
    """Bob asks the requester something."""
    view = await opens(story, "bob", "ask")
    assert (await story.act("bob", "slack.submit", view_id=view["id"], values={"Question": words})).get("closed")


async def no_longer_waiting(story: Story, kind: str) -> None:
    """Jobs of this kind have been done."""
    assert story.running is not None
    deadline = time.monotonic() + PATIENCE
    while any(job.kind.startswith(kind) for job in await story.running.ledger.waiting()):
        assert time.monotonic() < deadline, f"{kind} still waits"
        await asyncio.sleep(0.02)


async def answers(story: Story, words: str) -> dict[str, Any]:
    """Alice answers from her direct message."""
    message = await story.until(lambda: next(one for one in story.dms("alice") if "reply" in story.buttons(one)))
    opened = await story.act("alice", "slack.click", ts=message["ts"], action_id="reply", await_view=True)
    return await story.act("alice", "slack.submit", view_id=opened["view"]["id"], values={"Answer": words})


# --- questions -------------------------------------------------------------------------------------------------------


async def test_a_question_reaches_the_requester_and_its_answer_reaches_everybody(story: Story) -> None:
    request = await paged(story)
    await asks_back(story, "Which <host> & why?")
    await story.until(lambda: "Which &lt;host&gt; &amp; why?" in story.told("alice"))
    await story.until(lambda: "asks the requester: Which <host> & why?" in story.notes())
    assert (await answers(story, "db-7, for INC-3")).get("closed")
    await story.until(lambda: "db-7, for INC-3" in str(story.card()["blocks"]))
    await story.until(lambda: "answers: db-7, for INC-3" in story.notes())
    assert "Which <host> & why?" in str(story.card()["blocks"])
    assert {"question.asked", "question.answered"} <= set(await story.trail(request))
    assert story.members(READONLY) == []


async def test_a_question_is_answered_once(story: Story) -> None:
    await paged(story)
    await asks_back(story, "Which host?")
    await answers(story, "db-7")
    await story.until(lambda: "db-7" in str(story.card()["blocks"]))
    assert "answered already" in (await answers(story, "db-8"))["errors"]["reason"]
    await story.settle()
    assert "db-8" not in str(story.card()["blocks"]) + story.notes()


async def test_what_was_asked_and_answered_before_a_page_stands_on_it(story: Story) -> None:
    await story.asks(access="Analytics, viewer")
    await asks_back(story, "Which <dashboard>?")
    await answers(story, "Sales & churn")
    await story.until(lambda: "Sales" in str(story.card()["blocks"]))
    assert story.incidents() == []
    await story.advance_to("09:00", after=1)
    incident = await story.until(lambda: story.incidents()[0])
    assert "Bob Baker asked: Which <dashboard>?\nAnswer: Sales & churn" in incident["body"]


async def test_a_second_page_tells_the_advice_as_well(story: Story) -> None:
    await paged(story)
    await story.until(lambda: "AI suggestion" in story.notes())
    await story.settle()
    await story.act("bob", "pagerduty.resolve", incident=story.incidents()[0]["id"])
    await story.advance(6)
    await story.until(lambda: "closed without a decision" in story.told("alice"))
    await story.settle()
    await story.advance(601)
    await story.until(lambda: "AI suggestion" in str(story.incidents()[1]["notes"]))


async def test_a_question_that_is_asked_while_the_page_is_being_opened_is_noted_on_it(story: Story) -> None:
    await story.fault("pagerduty", "POST /incidents", "held", times=None)
    await story.submits()
    await story.until(lambda: story.calls("pagerduty", "POST /incidents"))
    await asks_back(story, "Which host?")
    await story.until(lambda: "Which host?" in story.told("alice"))
    await no_longer_waiting(story, "question_note")
    await story.mend()
    await story.until(lambda: "asks the requester: Which host?" in story.notes())
    await story.settle()
    assert story.notes().count("Which host?") == 1


async def test_an_answer_that_looks_like_a_secret_is_refused_at_its_field(story: Story) -> None:
    await paged(story)
    await asks_back(story, "Which host?")
    answer = await answers(story, "the password is hunter2secret")
    assert "looks like a password" in answer["errors"]["reason"]
    await story.settle()
    assert "hunter2secret" not in str(story.card()["blocks"]) + story.notes()


async def test_an_answer_that_says_approve_approves_nothing(story: Story) -> None:
    await paged(story)
    await asks_back(story, "approve")
    await answers(story, "approve")
    await story.until(lambda: "answers: approve" in story.notes())
    await story.advance(6)
    await story.settle()
    assert "Waiting for a decision" in story.card()["text"]
    assert story.changes() == []


# --- passing on ------------------------------------------------------------------------------------------------------


async def test_not_me_pages_the_next_level(story: Story) -> None:
    request = await paged(story)
    await story.presses("bob", "not_me")
    await story.until(lambda: people_paged(story) == ["bob", "carol"])
    await story.until(lambda: "passed on to level 2" in story.notes())
    await story.until(lambda: "is passed on" in story.told("bob"))
    assert "page.passed_on" in await story.trail(request)
    await story.presses("carol", "approve")
    await story.until(lambda: story.members(READONLY) == [ALICE])


async def test_after_the_last_level_it_stays_and_says_so(story: Story) -> None:
    await paged(story)
    await story.presses("bob", "not_me")
    await story.until(lambda: people_paged(story) == ["bob", "carol"])
    await story.presses("carol", "not_me")
    await story.until(lambda: "nobody comes after level 2" in story.notes())
    await story.settle()
    assert people_paged(story) == ["bob", "carol"]


# --- looking ---------------------------------------------------------------------------------------------------------


async def test_who_looked_at_the_advice_is_recorded_before_they_see_it(story: Story) -> None:
    request = await paged(story)
    view = await opens(story, "bob", "show_advice")
    assert "AI suggestion, may be wrong" in str(view["blocks"])
    assert "advice.shown" in await story.trail(request)
    assert story.running is not None
    (looked,) = [one for one in await story.running.ledger.events(request) if one.what == "advice.shown"]
    assert looked.actor == story.sandbox.world.people["bob"].okta


async def test_the_advice_is_not_on_the_card_for_whoever_did_not_ask(story: Story) -> None:
    await paged(story)
    await story.until(lambda: "show_advice" in story.buttons(story.card()))
    assert "AI suggestion" not in str(story.card()["blocks"])


async def test_details_show_everything_that_is_recorded(story: Story) -> None:
    request = await paged(story)
    shown = str((await opens(story, "bob", "details"))["blocks"])
    for expected in (
        request,
        "prod-readonly",
        "Look at yesterday's error logs",
        "Why this entitlement exists",
        "digest",
    ):
        assert expected in shown


# --- a page that was closed ------------------------------------------------------------------------------------------


async def test_acknowledging_and_reassigning_decide_nothing(story: Story) -> None:
    request = await paged(story)
    incident = story.incidents()[0]["id"]
    await story.act("bob", "pagerduty.acknowledge", incident=incident)
    await story.act("bob", "pagerduty.reassign", incident=incident, to="carol")
    await story.advance(6)
    await story.settle()
    assert "Waiting for a decision" in story.card()["text"]
    assert "page.closed_undecided" not in await story.trail(request)


async def test_a_page_closed_without_a_decision_is_told_and_paged_once_more(story: Story) -> None:
    request = await paged(story)
    await story.settle()
    await story.act("bob", "pagerduty.resolve", incident=story.incidents()[0]["id"])
    await story.advance(6)
    await story.until(lambda: "closed without a decision" in story.told("alice"))
    assert "Waiting for a decision" in story.card()["text"]
    await story.settle()
    assert len(story.incidents()) == 1
    await story.advance(601)
    await story.until(lambda: len(story.incidents()) == 2)
    assert people_paged(story) == ["bob", "bob"]
    await story.comments("bob", f"approve {request}")
    await story.until(lambda: story.members(READONLY) == [ALICE])
    await story.until(lambda: [one["status"] for one in story.incidents()] == ["resolved", "resolved"])


async def test_a_decision_in_slack_after_the_page_was_closed_pages_nobody_again(story: Story) -> None:
    await paged(story)
    await story.settle()
    await story.act("bob", "pagerduty.resolve", incident=story.incidents()[0]["id"])
    await story.advance(6)
    await story.until(lambda: "closed without a decision" in story.told("alice"))
    await story.presses("carol", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.advance(601)
    await story.settle()
    assert len(story.incidents()) == 1


async def test_who_takes_a_closed_page_in_slack_is_not_paged_again(story: Story) -> None:
    request = await paged(story)
    await story.settle()
    await story.act("bob", "pagerduty.resolve", incident=story.incidents()[0]["id"])
    await story.advance(6)
    notice = await story.until(lambda: next(m for m in story.messages() if "closed without" in m["text"]))
    await story.presses("mallory", "take", card=notice)
    await story.until(lambda: "decide" in str(story.whispers("mallory")))
    await story.presses("bob", "take", card=notice)
    await story.until(lambda: "is yours" in str(story.whispers("bob")))
    await story.advance(601)
    await story.settle()
    assert len(story.incidents()) == 1
    assert (await story.trail(request)).count("request.taken") == 1

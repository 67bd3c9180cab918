"""What does not count: nothing is granted, whoever tried gets one clear answer where they are, and it is audited."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from tests.story import CHANNEL, PATIENCE, Story

READONLY = "prod-readonly"
NOTHING_DECIDED = "a comment decided nothing"

UNCLEAR = {
    "a question": "approve?",
    "a sentence that says no": "I can't approve this",
    "a quotation": "> approve",
    "two cases": "approve TA-1 TA-2",
    "two cases denied": "deny TA-1 and TA-2",
    "another case": "approve TA-99",
    "another case denied": "deny TA-99 no ticket",
    "full-width letters": "ａｐｐｒｏｖｅ",
    "an invisible letter": "app\u200brove",
    "more than the word": "approve please",
    "two lines": "approve\ndeny",
}


async def paged(story: Story, **fields: Any) -> str:
    """A request that waits on a card and a page."""
    request = await story.asks(**fields)
    await story.until(story.incidents)
    return request


async def paged_second(story: Story) -> str:
    """Another one, of bob's."""
    await story.submits("bob")
    await story.until(lambda: story.card(request="TA-2", button="approve") and story.incidents()[1])
    await story.settle()
    return "TA-2"


async def refused_once(story: Story, request: str, rule: str) -> None:
    """Nothing was decided or granted, and the trail says why, once."""
    await story.settle()
    assert story.members(READONLY) == []
    assert "Waiting for a decision" in story.card(request=request)["text"]
    assert await story.refusals(request) == [rule]
    assert not {"decision.approve", "decision.deny"} & set(await story.trail(request))


async def answered_once(story: Story) -> str:
    """The one note that answers a comment; another reading does not repeat it."""
    await story.until(lambda: NOTHING_DECIDED in story.notes())
    await story.advance(60)
    await story.settle()
    assert story.notes().count(NOTHING_DECIDED) == 1
    return next(line for line in story.notes().splitlines() if NOTHING_DECIDED in line)


async def told_once(story: Story, who: str, words: str) -> None:
    """They were told in private, once."""
    await story.until(lambda: words in story.told(who), what=f"{who} was not told {words!r}: {story.told(who)!r}")
    await story.settle()
    assert story.told(who).count(words) == 1


async def refused_times(story: Story, request: str, times: int) -> None:
    """What is only looked at is no job, so nobody can wait for its end but by its audit."""
    deadline = time.monotonic() + PATIENCE
    while len(await story.refusals(request)) < times:
        assert time.monotonic() < deadline, "never refused"
        await asyncio.sleep(0.02)
    assert len(await story.refusals(request)) == times


# --- comments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", UNCLEAR.values(), ids=UNCLEAR)
async def test_a_comment_that_is_not_in_the_form_decides_nothing_and_is_answered(story: Story, content: str) -> None:
    request = await paged(story)
    await story.comments("bob", content)
    await answered_once(story)
    assert f"approve {request}" in story.notes().partition(NOTHING_DECIDED)[2]
    await refused_once(story, request, "comment#form")


@pytest.mark.parametrize("content", ["approve TA-2", "deny TA-2 no ticket", "stop TA-2"])
async def test_an_answer_to_another_case_is_told_where_that_one_is_answered(story: Story, content: str) -> None:
    first, second = await paged(story), await paged_second(story)
    assert story.running is not None
    there = await story.running.ledger.paged(second)
    assert there is not None
    await story.comments("carol", content, incident=story.incidents()[0]["id"])
    told = await answered_once(story)
    assert f"it names {second}, and this page is for {first} alone" in told
    assert f"answer {second} on its own page, {there.url} , or its card in Slack" in told
    assert await story.refusals(first) == ["comment#form"]
    assert await story.refusals(second) == []


async def test_an_answer_to_a_case_that_is_over_or_never_was_is_told_so(story: Story) -> None:
    await paged(story)
    await story.comments("bob", "deny TA-1 no ticket")
    await story.until(lambda: "Denied" in story.card()["text"])
    await paged_second(story)
    await story.comments("carol", "approve TA-1", incident=story.incidents()[1]["id"])
    await story.until(lambda: "TA-1 waits for no answer any more" in story.notes())
    await story.comments("carol", "approve TA-99", incident=story.incidents()[1]["id"])
    await story.until(lambda: "there is no TA-99" in story.notes())


async def test_other_talk_on_the_incident_is_nobodys_business(story: Story) -> None:
    request = await paged(story)
    await story.comments("bob", "Looking at the logs first, ten minutes")
    await story.settle()
    assert NOTHING_DECIDED not in story.notes()
    assert await story.refusals(request) == []


@pytest.mark.parametrize("who", ["alice", "mallory"])
async def test_a_comment_by_an_unlinked_person_does_not_count(story: Story, who: str) -> None:
    request = await paged(story)
    await story.comments(who, f"approve {request}")
    assert "not linked" in await answered_once(story)
    await refused_once(story, request, "invariant#linked-to-decide")


async def test_whoever_asked_cannot_approve_by_comment(story: Story) -> None:
    request = await paged(story, who="bob")
    await story.comments("bob", "approve")
    assert "somebody else has to decide" in await answered_once(story)
    await refused_once(story, request, "invariant#own-request")


async def test_a_service_cannot_approve(story: Story) -> None:
    request = await paged(story)
    await story.comments("bob", "approve", by_service=True)
    assert "not written by a person" in await answered_once(story)
    await refused_once(story, request, "comment#form")


async def test_a_note_as_the_bot_itself_cannot_approve(story: Story) -> None:
    """Whoever holds a full-access key can write as anybody, also as us."""
    request = await paged(story)
    incident = story.incidents()[0]["id"]
    await story.settle()
    headers = {
        "Authorization": f"Token token={story.sandbox.world.token('pagerduty')}",
        "From": story.sandbox.world.seed["bot"]["email"],
    }
    address = f"{story.base}/pagerduty/incidents/{incident}/notes"
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(address, json={"note": {"content": "approve"}}) as response,
    ):
        assert response.status == 200
    await story.advance(6)
    assert "TinyApprover itself" in await answered_once(story)
    await refused_once(story, request, "comment#form")


async def test_an_edited_note_does_not_count(story: Story) -> None:
    request = await paged(story)
    incident = story.incidents()[0]["id"]
    await story.settle()
    note = await story.act("bob", "pagerduty.comment", incident=incident, content="hm")
    await story.advance(1)
    await story.act("bob", "pagerduty.edit_note", incident=incident, note=note["id"], content="approve")
    await story.advance(6)
    assert "edited" in await answered_once(story)
    await refused_once(story, request, "comment#form")


async def test_a_note_that_is_edited_after_it_was_read_does_not_count_either(story: Story) -> None:
    request = await paged(story)
    incident = story.incidents()[0]["id"]
    note = await story.comments("bob", "aprove")
    await story.settle()
    await story.act("bob", "pagerduty.edit_note", incident=incident, note=note["id"], content="approve")
    await story.advance(6)
    assert "edited" in await answered_once(story)
    await refused_once(story, request, "comment#form")


# --- presses ---------------------------------------------------------------------------------------------------------


async def test_whoever_asked_cannot_approve_on_the_card(story: Story) -> None:
    request = await paged(story, who="bob")
    await story.presses("bob", "approve")
    await told_once(story, "bob", "You asked for this yourself")
    await refused_once(story, request, "invariant#own-request")


async def test_whoever_would_get_it_cannot_approve_it(story: Story) -> None:
    request = await paged(story, For="bob")
    await story.presses("bob", "approve")
    await told_once(story, "bob", "This access would be yours")
    await refused_once(story, request, "invariant#own-access")


async def test_somebody_who_is_in_the_channel_but_decides_nothing_is_told_so(story: Story) -> None:
    request = await paged(story)
    await story.presses("mallory", "approve")
    await told_once(story, "mallory", "not linked")
    await refused_once(story, request, "invariant#linked-to-decide")


@pytest.mark.parametrize(
    ("who", "words", "rule"),
    [
        ("alice", "You asked for this yourself", "invariant#own-request"),
        ("erin", "not linked", "invariant#linked-to-decide"),
    ],
)
async def test_somebody_who_is_not_in_the_channel_is_told_directly(
    story: Story, who: str, words: str, rule: str
) -> None:
    request = await paged(story)
    await story.presses(who, "approve", stale=True)
    await told_once(story, who, words)
    assert story.whispers(who) == []
    await refused_once(story, request, rule)


@pytest.mark.parametrize("user", ["U0TINYAPP", "U0DAVE", "USLACKBOT"])
async def test_a_bot_or_a_deactivated_account_decides_nothing(story: Story, user: str) -> None:
    request = await paged(story)
    await story.presses("bob", "approve", raw={"user": {"id": user, "team_id": "T0SANDBOX"}})
    await refused_once(story, request, "invariant#linked-to-decide")


async def test_an_approver_who_left_the_group_decides_no_more(story: Story) -> None:
    request = await paged(story)
    await story.act("carol", "okta.remove_member", who="bob", group="iam-approvers")
    await story.presses("bob", "approve")
    await told_once(story, "bob", "Members of iam-approvers decide this")
    await refused_once(story, request, "catalogue/prod-readonly#who_decides")


async def test_an_approver_who_left_the_company_decides_no_more(story: Story) -> None:
    request = await paged(story)
    await story.act("carol", "okta.deactivate", who="bob")
    await story.comments("bob", "approve")
    assert "not active" in await answered_once(story)
    await refused_once(story, request, "invariant#approver-active")


async def test_a_denial_by_somebody_who_may_not_decide_is_refused_too(story: Story) -> None:
    request = await paged(story)
    opened = await story.presses("mallory", "deny", await_view=True)
    await story.act("mallory", "slack.submit", view_id=opened["view"]["id"], values={"Reason": "Because"})
    await told_once(story, "mallory", "not linked")
    await refused_once(story, request, "invariant#linked-to-decide")


@pytest.mark.parametrize("button", ["approve", "not_me", "show_advice"])
async def test_whoever_clicks_twice_is_told_once_and_later_again(story: Story, button: str) -> None:
    request = await paged(story)
    await story.until(lambda: button in story.buttons(story.card()))
    for _ in range(2):
        await story.presses("mallory", button)
    await told_once(story, "mallory", request if button != "approve" else "not linked")
    await refused_times(story, request, 2)
    await story.advance(31)
    await story.presses("mallory", button)
    await story.until(lambda: len(story.whispers("mallory")) == 2)


@pytest.mark.parametrize("button", ["not_me", "show_advice"])
async def test_the_other_buttons_are_for_those_who_decide(story: Story, button: str) -> None:
    request = await paged(story)
    await story.until(lambda: button in story.buttons(story.card()))
    await story.presses("mallory", button)
    await told_once(story, "mallory", f"for the people who decide {request}")
    await refused_once(story, request, "invariant#responder")
    assert [one["person"] for one in story.state["pagerduty"]["paged"]] == ["bob"]


async def test_only_those_who_decide_can_ask_questions(story: Story) -> None:
    request = await paged(story)
    opened = await story.presses("mallory", "ask", await_view=True)
    assert opened["view"]
    await story.until(lambda: f"decide {request}" in str(story.state["slack"]["views"]["mallory"][-1]["blocks"]))
    assert story.state["slack"]["views"]["mallory"][-1]["title"]["text"] == f"Ask about {request}"
    await refused_once(story, request, "invariant#responder")


async def test_whoever_closed_the_question_before_it_is_refused_is_told_why(story: Story) -> None:
    request = await paged(story)
    await story.fault("slack", "POST /api/views.update", "held")
    opened = await story.presses("mallory", "ask", await_view=True)
    await story.act("mallory", "slack.close_view", view_id=opened["view"]["id"])
    await story.mend()
    await told_once(story, "mallory", f"for the people who decide {request}")
    assert "try again" not in story.told("mallory")
    await refused_once(story, request, "invariant#responder")


async def test_only_whoever_asked_can_withdraw(story: Story) -> None:
    request = await paged(story)
    gone = {"action_id": "withdraw", "block_id": "own", "type": "button", "value": request, "action_ts": "1.1"}
    await story.presses("mallory", "details", raw={"actions": [gone]})
    await story.until(lambda: story.told("mallory"))
    await story.settle()
    assert "Waiting for a decision" in story.card()["text"]


# --- a copy of the card ----------------------------------------------------------------------------------------------


async def test_a_press_on_a_copy_of_the_card_elsewhere_does_not_count(story: Story) -> None:
    request = await paged(story)
    copy = {"type": "message", "channel_id": "C0GENERAL", "message_ts": story.card()["ts"], "is_ephemeral": False}
    await story.presses("bob", "approve", raw={"container": copy, "channel": {"id": "C0GENERAL", "name": "general"}})
    await told_once(story, "bob", "not in use any more")
    await refused_once(story, request, "decision#not-the-card")


async def test_a_press_on_another_message_in_the_channel_does_not_count(story: Story) -> None:
    request = await paged(story)
    copy = {"type": "message", "channel_id": CHANNEL, "message_ts": "1700000000.000100", "is_ephemeral": False}
    await story.presses("bob", "approve", raw={"container": copy})
    await told_once(story, "bob", "not in use any more")
    await refused_once(story, request, "decision#not-the-card")

"""Stop: whoever may decide a request can halt it alone, before the write, during it, and afterwards."""

from __future__ import annotations

from bot.ledger import Due
from tests.story import Story

READONLY = "prod-readonly"
ALICE = "alice@example.com"
ADDED, REMOVED = ("add", ALICE, READONLY), ("remove", ALICE, READONLY)
BOB = "Stopped by Bob Baker in Slack"


async def granted(story: Story) -> str:
    request = await story.asks()
    await story.until(story.incidents)
    await story.presses("bob", "approve")
    await story.until(lambda: story.card(button="stop"))
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    return request


async def test_live_access_is_taken_back_at_once_and_everybody_is_told_by_whom(story: Story) -> None:
    await granted(story)
    await story.presses("bob", "stop")
    await story.until(lambda: "Ended" in story.card()["text"])
    assert story.changes() == [ADDED, REMOVED]
    await story.settle()
    assert BOB in str(story.card()["blocks"])
    assert BOB in story.told("alice")
    assert BOB in story.notes()
    assert any(BOB in message["text"] for message in story.messages())
    assert "request.stopped" in await story.trail("TA-1")


async def test_what_is_approved_and_not_written_yet_is_never_written(story: Story) -> None:
    await story.asks()
    await story.fault("okta", "PUT /groups/*", "error", times=None)
    await story.presses("bob", "approve")
    await story.until(lambda: story.card(button="stop"))
    await story.presses("bob", "stop")
    await story.until(lambda: "Withdrawn" in story.card()["text"])
    await story.mend()
    await story.advance(300)
    await story.settle()
    assert story.changes() == []
    assert story.incidents()[0]["status"] == "resolved"
    assert BOB in story.told("alice")


async def test_a_stop_beats_a_write_that_is_under_way(story: Story) -> None:
    await story.asks()
    await story.fault("okta", "PUT /groups/*", "held")
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/") and story.card(button="stop"))
    await story.presses("bob", "stop")
    await story.until(lambda: "Withdrawn" in story.card()["text"])
    await story.mend()
    await story.until(lambda: story.changes() == [ADDED, REMOVED])
    await story.settle()
    assert story.members(READONLY) == []
    assert "Withdrawn" in story.card()["text"]
    assert "read back as gone" in str(story.card()["blocks"])
    assert "What was begun and was taken back" in str(story.card()["blocks"])
    assert "Granted" not in story.told("alice")
    await story.act("carol", "okta.add_member", who="alice", group=READONLY)
    assert story.running is not None
    await story.running.ledger.schedule("TA-1", [Due("revoke")])  # as after a crash between the removal and its end
    await story.settle()
    assert story.members(READONLY) == [ALICE]


async def test_a_grant_that_failed_cannot_be_tried_again_after_a_stop(story: Story) -> None:
    await story.asks()
    await story.fault("okta", "PUT /groups/*", "error", times=None, status=403)
    await story.presses("bob", "approve")
    await story.steps(8, seconds=61)
    await story.until(lambda: story.card(button="retry"))
    await story.presses("bob", "stop")
    await story.until(lambda: "Withdrawn" in story.card()["text"])
    assert story.buttons(story.card()) == set()
    await story.mend()
    await story.advance(300)
    await story.settle()
    assert story.members(READONLY) == []


async def test_only_those_who_decide_can_stop(story: Story) -> None:
    await granted(story)
    await story.presses("mallory", "stop")
    await story.until(lambda: "for the people who decide TA-1" in " ".join(story.whispers("mallory")))
    assert story.members(READONLY) == [ALICE]
    assert await story.refusals("TA-1") == ["invariant#responder"]


async def test_a_comment_stops_even_on_a_page_that_is_closed(story: Story) -> None:
    await granted(story)
    await story.until(lambda: story.incidents()[0]["status"] == "resolved")
    assert "To stop it, comment: stop TA-1" in story.notes()
    await story.act("bob", "pagerduty.comment", incident=story.incidents()[0]["id"], content="stop TA-1")
    await story.steps(2, seconds=61)
    await story.until(lambda: "Ended" in story.card()["text"])
    assert story.changes() == [ADDED, REMOVED]
    assert "Stopped by Bob Baker on the page" in str(story.card()["blocks"])


async def test_a_comment_of_somebody_else_stops_nothing_and_is_answered(story: Story) -> None:
    await granted(story)
    await story.act("mallory", "pagerduty.comment", incident=story.incidents()[0]["id"], content="stop TA-1")
    await story.steps(2, seconds=61)
    await story.until(lambda: "for the people who decide TA-1" in story.notes())
    assert story.members(READONLY) == [ALICE]


async def test_before_the_decision_there_is_nothing_to_stop(story: Story) -> None:
    await story.asks()
    await story.until(story.incidents)
    await story.comments("bob", "stop TA-1")
    await story.until(lambda: "deny it instead" in story.notes())
    assert await story.refusals("TA-1") == ["stop#nothing"]


async def test_a_second_stop_is_told_that_it_is_stopped_already(story: Story) -> None:
    await granted(story)
    await story.fault("okta", "DELETE /groups/*", "error", times=None)
    await story.presses("bob", "stop")
    await story.until(lambda: "being taken back" in story.card()["text"])
    assert "stop" not in story.buttons(story.card())
    await story.act("carol", "pagerduty.comment", incident=story.incidents()[0]["id"], content="stop TA-1")
    await story.steps(2, seconds=61)
    await story.until(lambda: "is being taken back already" in story.notes())
    await story.mend()
    await story.advance(120)
    await story.until(lambda: "Ended" in story.card()["text"])

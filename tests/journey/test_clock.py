"""A clock that is set back or forward while the program runs: nothing twice, nothing too early, nothing stuck."""

from __future__ import annotations

from tests.story import Story

READONLY, ALICE = "prod-readonly", "alice@example.com"
GRANTED, TAKEN = ("add", ALICE, READONLY), ("remove", ALICE, READONLY)
MINUTE, HOUR = 60, 3600


async def paged(story: Story) -> str:
    request = await story.asks()
    await story.until(story.incidents)
    await story.settle()
    return request


def reminders(story: Story) -> int:
    return sum("still waits" in one["text"] for one in story.messages())


async def stepped_back(story: Story) -> None:
    """An hour back, and noticed."""
    await story.advance(-HOUR)
    assert story.running is not None
    await story.until(lambda: story.running and not story.running.worker.running)


async def test_nobody_is_reminded_twice_when_the_clock_is_set_back(story: Story) -> None:
    await paged(story)
    await story.advance(16 * MINUTE)
    await story.until(lambda: reminders(story) == 1)
    await story.settle()
    await stepped_back(story)
    await story.advance(HOUR + MINUTE)
    await story.settle()
    assert reminders(story) == 1


async def test_a_comment_is_still_read_within_seconds_when_the_clock_is_set_back(story: Story) -> None:
    request = await paged(story)
    await stepped_back(story)
    await story.act("bob", "pagerduty.comment", incident=story.incidents()[0]["id"], content=f"deny {request} no")
    await story.until(lambda: "Denied" in story.card()["text"], seconds=30)


async def test_what_is_tried_again_does_not_wait_for_an_hour_when_the_clock_is_set_back(story: Story) -> None:
    await story.asks()
    await story.fault("okta", "PUT /groups/*", "error", times=None)
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/") >= 2)
    await stepped_back(story)
    await story.mend()
    await story.until(lambda: "Granted" in story.card()["text"], seconds=30)


async def test_nor_when_the_clock_was_set_back_while_the_program_was_away(story: Story) -> None:
    await story.asks()
    await story.fault("okta", "PUT /groups/*", "error", times=None)
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/") >= 2)
    await story.stop()
    await story.advance(-HOUR)
    await story.mend()
    await story.start()
    await story.until(lambda: "Granted" in story.card()["text"], seconds=30)


async def test_access_is_not_taken_early_when_the_clock_is_set_back_or_forward(story: Story) -> None:
    await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.settle()
    await story.advance(30 * MINUTE)
    await stepped_back(story)
    await story.advance(HOUR + 29 * MINUTE)
    await story.settle()
    assert story.changes() == [GRANTED]
    await story.advance(2 * MINUTE)
    await story.until(lambda: "Ended" in story.card()["text"])
    assert story.changes() == [GRANTED, TAKEN]

"""What keeps failing is told to people, and what an overtaken step left behind is put right."""

from __future__ import annotations

from typing import Any

from bot.jobs import STUCK_TRIES
from bot.ledger import Due
from bot.ledger.kinds import KINDS
from tests.story import Story

READONLY, ALICE = "prod-readonly", "alice@example.com"


def announced(story: Story, words: str) -> list[str]:
    return [message["text"] for message in story.messages() if words in message["text"]]


async def until_told(story: Story, words: str, times: int) -> None:
    await story.until(lambda: len(announced(story, words)) == times)


async def look(story: Story, request: str) -> None:
    """As a claim that was overtaken leaves it."""
    assert story.running is not None
    await story.running.ledger.schedule(request, [Due("look")])
    await story.settle()


async def granted(story: Story, **fields: Any) -> str:
    request = await story.asks(**fields)
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card(request=request)["text"])
    return request


async def test_what_keeps_failing_is_told_in_the_channel_once_and_still_tried(story: Story) -> None:
    await story.fault("pagerduty", "POST /incidents", "error", times=None, status=503)
    await story.asks()
    for _ in range(STUCK_TRIES + 2):
        await story.settle()
        await story.advance(61)
    await story.until(lambda: announced(story, "the step that opens the incident"))
    await story.settle()
    (told,) = announced(story, "has failed")
    assert "`tinyapprover jobs retry TA-1`" in told
    await story.mend()
    await story.advance(61)
    await story.until(story.incidents)


async def test_what_fails_again_after_it_went_well_is_told_again(story: Story) -> None:
    """The same job for as long as a request lives: somebody may have forgotten the first time."""
    await story.asks()
    await story.until(story.incidents)
    await story.settle()
    for times in (1, 2):
        await story.fault("pagerduty", "GET /incidents/*", "error", times=None, status=503)
        for _ in range(STUCK_TRIES + 2):
            await story.advance(61)
            await story.settle()
        await until_told(story, "reads the comments", times)
        await story.mend()
        await story.advance(61)
        await story.settle()


async def test_what_was_mended_before_it_could_be_told_is_not_told(story: Story) -> None:
    await story.fault("slack", "* /api/chat.*", "cut", times=None)
    await story.submits()
    for _ in range(STUCK_TRIES + 1):
        await story.settle()
        await story.advance(61)
    await story.mend()
    await story.advance(61)
    await story.until(lambda: story.card(button="approve"))
    await story.settle()
    assert announced(story, "has failed") == []


async def test_access_that_an_overtaken_step_wrote_after_the_end_is_taken_away(story: Story) -> None:
    request = await granted(story)
    await story.advance(3601)
    await story.until(lambda: "Ended" in story.card()["text"])
    await story.act("carol", "okta.add_member", who="alice", group=READONLY)
    await look(story, request)
    assert story.members(READONLY) == []
    assert "grant.put_right" in await story.trail(request)


async def test_access_that_is_held_rightly_is_left_alone(story: Story) -> None:
    request = await granted(story)
    await look(story, request)
    assert story.members(READONLY) == [ALICE]
    assert "grant.put_right" not in await story.trail(request)


async def test_access_of_another_request_is_left_alone(story: Story) -> None:
    first = await granted(story)
    await granted(story, Duration="2 hours")
    await story.advance(3601)
    await story.until(lambda: "Ended" in story.card(request=first)["text"])
    await look(story, first)
    assert story.members(READONLY) == [ALICE]


async def test_access_that_is_gone_is_told_and_not_given_again(story: Story) -> None:
    request = await granted(story)
    await story.act("carol", "okta.remove_member", who="alice", group=READONLY)
    await look(story, request)
    await story.until(lambda: announced(story, "is not there any more"))
    assert story.members(READONLY) == []


async def test_every_kind_of_job_is_described(story: Story) -> None:
    assert story.running is not None
    assert set(story.running.worker._handlers) == set(KINDS)

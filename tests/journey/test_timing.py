"""Silence and the time that goes by: reminded once, passed on, decided by others; only what is still true is said."""

from __future__ import annotations

import pytest

from tests.story import Json, Story

READONLY, ALICE = "prod-readonly", "alice@example.com"
GITHUB = "GitHub, organisation administrator"
GRANTED, TAKEN = ("add", ALICE, READONLY), ("remove", ALICE, READONLY)
MINUTE, HOUR, WEEK = 60, 3600, 7 * 24 * 3600


async def paged(story: Story, **fields: str) -> str:
    """A request that waits on a card and a page."""
    request = await story.asks(**fields)
    await story.until(story.incidents)
    await story.settle()
    return request


def people_paged(story: Story) -> list[str]:
    return [one["person"] for one in story.state["pagerduty"]["paged"]]


def said(story: Story, words: str) -> list[Json]:
    """What was said in the responder channel."""
    return [one for one in story.messages() if words in one["text"]]


# --- nobody answers --------------------------------------------------------------------------------------------------


async def test_the_channel_is_reminded_once_while_nobody_answers(story: Story) -> None:
    request = await paged(story)
    await story.advance(14 * MINUTE)
    await story.settle()
    assert said(story, "still waits") == []
    await story.advance(2 * MINUTE)
    (reminder,) = await story.until(lambda: said(story, "still waits for a decision"))
    assert request in reminder["text"]
    await story.advance(5 * MINUTE)
    await story.settle()
    assert len(said(story, "still waits")) == 1


async def test_nobody_is_reminded_of_what_is_decided(story: Story) -> None:
    await paged(story)
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.advance(40 * MINUTE)
    await story.settle()
    assert said(story, "still waits") == said(story, "next level") == []
    assert people_paged(story) == ["bob"]


async def test_after_longer_silence_the_next_level_is_paged(story: Story) -> None:
    request = await paged(story)
    await story.advance(31 * MINUTE)
    await story.until(lambda: people_paged(story) == ["bob", "carol"])
    await story.until(lambda: "passed on to level 2" in story.notes())
    await story.until(lambda: said(story, "the next level is paged"))
    await story.advance(HOUR)
    await story.settle()
    assert people_paged(story) == ["bob", "carol"]
    assert (await story.trail(request)).count("page.passed_on") == 1


async def test_silence_counts_from_the_page_however_late_that_was(story: Story) -> None:
    await story.fault("pagerduty", "POST /incidents", "error", times=None)
    await story.asks()
    await story.advance(40 * MINUTE)
    await story.mend()
    await story.advance(61)
    await story.until(story.incidents)
    await story.advance(2 * MINUTE)
    await story.settle()
    assert people_paged(story) == ["bob"]
    await story.advance(30 * MINUTE)
    await story.until(lambda: people_paged(story) == ["bob", "carol"])


async def test_a_fallback_group_decides_once_nobody_has_answered_and_not_before(story: Story) -> None:
    """Carol is no approver any more, but leads IT, which the catalogue names."""
    await story.act("carol", "okta.remove_member", who="carol", group="iam-approvers")
    request = await paged(story, access=GITHUB)
    await story.presses("carol", "approve")
    await story.until(lambda: "Members of iam-approvers decide this" in story.told("carol"))
    await story.advance(2 * HOUR + 1)
    await story.until(lambda: "you may decide it now" in story.told("carol"))
    await story.until(lambda: "of it-leads" in str(story.card()["blocks"]))
    await story.until(lambda: said(story, "so it-leads may decide it as well"))
    await story.settle()
    await story.presses("carol", "approve")
    await story.until(lambda: story.members("github-admins") == [ALICE])
    assert "request.fallback" in await story.trail(request)


async def test_who_is_in_neither_group_never_decides_however_long_nobody_answers(story: Story) -> None:
    await paged(story, access=GITHUB)
    await story.advance(2 * HOUR + 1)
    await story.until(lambda: "of it-leads" in str(story.card()["blocks"]))
    await story.settle()
    await story.presses("mallory", "approve")
    await story.until(lambda: "decide this" in story.told("mallory"))
    await story.settle()
    assert story.members("github-admins") == []


@pytest.mark.parametrize(("asked", "paged"), [("06:00", "09:00"), ("10:00", "10:30"), ("16:50", "09:00")])
async def test_what_wakes_nobody_is_paged_in_working_hours_if_nobody_answers(
    story: Story, asked: str, paged: str
) -> None:
    await story.advance_to(asked)
    await story.asks(access="Analytics, viewer")
    await story.settle()
    await story.advance_to(paged, after=-30)
    await story.settle()
    assert story.incidents() == []
    await story.advance(31)
    (incident,) = await story.until(story.incidents)
    assert incident["urgency"] == "low"


# --- switched off for a week -----------------------------------------------------------------------------------------


async def test_a_request_that_nobody_decided_while_the_program_was_away_expires_and_says_so_once(story: Story) -> None:
    request = await paged(story)
    await story.stop()
    await story.advance(WEEK)
    await story.start()
    await story.until(lambda: "Expired" in story.card()["text"])
    await story.settle()
    assert said(story, "still waits") == said(story, "next level") == []
    assert people_paged(story) == ["bob"]
    assert [one["status"] for one in story.incidents()] == ["resolved"]
    assert (await story.trail(request)).count("request.expired") == 1
    assert story.told("alice").count("Nobody decided in time") == 1


async def test_what_fell_due_while_the_program_was_away_is_said_once_and_only_as_far_as_it_is_true(
    story: Story,
) -> None:
    """Two hours away: it still waits, so it is passed on; the reminder before that would say less."""
    await paged(story)
    await story.stop()
    await story.advance(2 * HOUR)
    await story.start()
    await story.until(lambda: people_paged(story) == ["bob", "carol"])
    await story.settle()
    assert len(said(story, "the next level is paged")) == 1
    assert said(story, "still waits") == []


async def test_access_whose_time_was_up_while_the_program_was_away_goes_before_anything_else(story: Story) -> None:
    await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.settle()
    await story.stop()
    await story.advance(WEEK)
    before = len(story.sandbox.world.calls)
    await story.start()
    await story.until(lambda: story.members(READONLY) == [])
    writes = [one.route for one in story.sandbox.world.calls[before:] if one.route.startswith(("PUT", "DELETE"))]
    assert len(writes) == 1
    await story.until(lambda: "Ended" in story.card()["text"])


# --- access that should be gone --------------------------------------------------------------------------------------


async def overdue(story: Story) -> str:
    """A grant whose end Okta does not carry out."""
    request = await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.settle()
    await story.fault("okta", "DELETE /groups/*", "error", times=None, status=403)
    await story.advance(HOUR + 1)
    for _ in range(3):
        await story.advance(61)
    await story.until(lambda: "Overdue" in story.card()["text"])
    await story.until(lambda: len(story.incidents()) == 2)
    await story.settle()
    return request


async def test_overdue_access_pages_again_every_day_until_it_is_gone(story: Story) -> None:
    request = await overdue(story)
    await story.advance(23 * HOUR)
    await story.settle()
    assert len(story.incidents()) == 2
    await story.advance(HOUR + 61)
    await story.until(lambda: len(story.incidents()) == 3)
    await story.settle()
    await story.mend()
    await story.advance(61)
    await story.until(lambda: "Ended" in story.card(request=request)["text"])
    await story.until(lambda: {one["status"] for one in story.incidents()} == {"resolved"})
    assert story.members(READONLY) == []


async def test_overdue_access_stays_visible_to_those_who_decide_and_to_monitoring(story: Story) -> None:
    request = await overdue(story)
    await story.act("bob", "slack.home")
    await story.until(lambda: "could not be removed yet" in str(story.home("bob")["blocks"]))
    assert request in str(story.home("bob")["blocks"])
    assert "tinyapprover_revokes_overdue 1" in await story.metrics()

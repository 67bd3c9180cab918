"""Frozen: nothing is granted in any process, everybody is told, access still ends, and a thaw lets it go on."""

from __future__ import annotations

import pytest

from bot import claims
from bot.emergency import FROZEN, THAWED
from bot.ledger import Due
from bot.metrics import exposition
from tests.story import Story

READONLY = "prod-readonly"
ALICE = "alice@example.com"
ADDED, REMOVED = ("add", ALICE, READONLY), ("remove", ALICE, READONLY)
WHY = "We look into a break-in"


async def freeze(story: Story) -> None:
    """What the command does."""
    assert story.running is not None
    assert await story.running.ledger.freeze(WHY, "admin root", told=FROZEN)


async def thaw(story: Story) -> None:
    assert story.running is not None
    assert await story.running.ledger.thaw("admin root", told=THAWED)


async def approved_while_frozen(story: Story) -> None:
    await freeze(story)
    await story.asks()
    await story.until(story.incidents)
    await story.presses("bob", "approve")
    await story.until(lambda: "everything is frozen" in story.card()["text"])
    await story.settle()


def frozen_at_the_last_moment(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the next start on: after everything was looked at, and right before the question that precedes a write."""

    async def asked_too_late() -> None:
        assert story.running is not None
        await story.running.ledger.freeze(WHY, "admin root", told=FROZEN)
        await claims.still_ours()

    monkeypatch.setattr("bot.vendors.still_ours", asked_too_late)


async def test_the_channel_is_told_once_that_it_is_frozen_and_once_that_it_goes_on(story: Story) -> None:
    await freeze(story)
    await story.until(lambda: any(WHY in message["text"] for message in story.messages()))
    await thaw(story)
    await story.until(lambda: any("Thawed" in message["text"] for message in story.messages()))
    await story.settle()
    assert len(story.messages()) == 2


async def test_a_lost_answer_does_not_tell_it_twice(story: Story) -> None:
    await story.fault("slack", "POST /api/chat.postMessage", "lost_answer")
    await freeze(story)
    await story.until(lambda: any(WHY in message["text"] for message in story.messages()))
    await story.advance(5)
    await story.settle()
    assert len(story.messages()) == 1


async def test_what_is_approved_while_frozen_waits_and_says_so_everywhere(story: Story) -> None:
    await approved_while_frozen(story)
    assert story.changes() == []
    assert WHY in str(story.card()["blocks"])
    assert WHY in story.told("alice")
    assert WHY in story.notes()
    await story.act("bob", "slack.home")
    await story.until(lambda: WHY in str(story.home("bob")["blocks"]))
    await story.advance(2 * 3600)
    await story.settle()
    assert story.changes() == []
    assert (await story.trail("TA-1")).count("grant.frozen") == 1


async def test_a_thaw_grants_what_waited_at_once_after_one_more_check(story: Story) -> None:
    await approved_while_frozen(story)
    await thaw(story)
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    assert story.changes() == [ADDED]
    assert "frozen" not in str(story.card()["blocks"])
    assert [one for one in await story.trail() if one.startswith("freeze.")] == ["freeze.begun", "freeze.ended"]


async def test_access_that_a_removal_took_along_is_put_back_at_the_thaw(story: Story) -> None:
    request = await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
    await freeze(story)
    await story.act("carol", "okta.remove_member", who="alice", group=READONLY)
    assert story.running is not None
    await story.running.ledger.schedule(request, [Due("restore")])
    await story.settle()
    assert story.members(READONLY) == []
    await thaw(story)
    await story.until(lambda: story.members(READONLY) == [ALICE])


async def test_a_grant_that_has_begun_is_not_written_once_it_is_frozen(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen_at_the_last_moment(story, monkeypatch)
    await story.stop()
    await story.start()
    await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: "everything is frozen" in story.card()["text"])
    await story.settle()
    assert story.calls("okta", "PUT /groups/") == 0
    monkeypatch.undo()
    await story.stop()
    await story.start()
    await thaw(story)
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    assert story.changes() == [ADDED]


async def test_access_is_not_put_back_once_it_is_frozen(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    request = await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    await story.stop()
    frozen_at_the_last_moment(story, monkeypatch)
    await story.start()
    await story.act("carol", "okta.remove_member", who="alice", group=READONLY)
    assert story.running is not None
    await story.running.ledger.schedule(request, [Due("restore")])
    await story.until(lambda: any(WHY in message["text"] for message in story.messages()))
    await story.settle()
    assert story.members(READONLY) == []
    assert story.calls("okta", "PUT /groups/") == 1


async def test_access_ends_on_time_while_it_is_frozen(story: Story) -> None:
    await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    await freeze(story)
    await story.advance(3601)
    await story.until(lambda: "Ended" in story.card()["text"])
    assert story.changes() == [ADDED, REMOVED]


async def test_what_waits_for_a_thaw_can_be_stopped(story: Story) -> None:
    await approved_while_frozen(story)
    await story.presses("bob", "stop")
    await story.until(lambda: "Withdrawn" in story.card()["text"])
    await thaw(story)
    await story.settle()
    assert story.changes() == []


async def test_what_was_written_before_the_freeze_is_read_back_and_gets_its_end(story: Story) -> None:
    await story.asks()
    await story.fault("okta", "PUT /groups/*", "held")
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/"))
    await freeze(story)
    await story.fault("okta", "GET /users/*/groups", "error", times=None)
    story.let_go()
    await story.until(lambda: story.members(READONLY) == [ALICE])
    await story.until(lambda: "everything is frozen" in story.card()["text"])
    await story.mend()
    await story.advance(120)
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    assert story.changes() == [ADDED]
    await story.advance(3700)
    await story.until(lambda: "Ended" in story.card()["text"])


async def test_metrics_tell_that_it_is_frozen(story: Story) -> None:
    assert story.running is not None
    assert "tinyapprover_frozen 0" in await exposition(story.running.ledger, gauges={})
    await freeze(story)
    assert "tinyapprover_frozen 1" in await exposition(story.running.ledger, gauges={})

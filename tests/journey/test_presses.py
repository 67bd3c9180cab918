"""A press that was acknowledged is carried out, once, whatever happens to the program or on the wire after that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot.authority import Press
from bot.ledger import Due
from tests.story import Story

READONLY, ALICE = "prod-readonly", "alice@example.com"
Holds = Callable[[Story], Any]


async def paged(story: Story) -> str:
    """A request that waits on a card and a page."""
    request = await story.asks()
    await story.until(lambda: "not_me" in story.buttons(story.card()))
    await story.until(lambda: any("withdraw" in story.buttons(one) for one in story.dms("alice")))
    await story.settle()
    return request


async def granted(story: Story) -> str:
    request = await paged(story)
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    await story.until(lambda: any("give_back" in story.buttons(one) for one in story.dms("alice")))
    return request


async def failed(story: Story) -> str:
    request = await paged(story)
    await story.fault("okta", "PUT /groups/*", "error", status=500, times=None)
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/"))
    await story.steps(8)
    await story.mend()
    await story.until(lambda: story.card(button="retry"))
    return request


async def closed(story: Story) -> str:
    request = await paged(story)
    await story.act("bob", "pagerduty.resolve", incident=story.incidents()[0]["id"])
    await story.advance(6)
    await story.until(lambda: any("take" in story.buttons(one) for one in story.messages()))
    return request


async def from_the_message(story: Story, button: str) -> dict[str, Any]:
    """Alice presses a button of her own message."""
    message = next(one for one in story.dms("alice") if button in story.buttons(one))
    return await story.act("alice", "slack.click", ts=message["ts"], action_id=button)


async def withdraw(story: Story) -> dict[str, Any]:
    return await from_the_message(story, "withdraw")


async def give_back(story: Story) -> dict[str, Any]:
    return await from_the_message(story, "give_back")


async def not_me(story: Story) -> dict[str, Any]:
    return await story.presses("bob", "not_me")


async def retry(story: Story) -> dict[str, Any]:
    return await story.presses("bob", "retry")


async def take(story: Story) -> dict[str, Any]:
    message = next(one for one in story.messages() if "take" in story.buttons(one))
    return await story.presses("bob", "take", card=message)


async def approve(story: Story) -> dict[str, Any]:
    return await story.presses("bob", "approve")


CASES = [
    pytest.param(paged, approve, lambda s: "Granted and read back" in s.card()["text"], "decision.approve", id="yes"),
    pytest.param(paged, withdraw, lambda s: "Withdrawn" in s.card()["text"], "request.withdrawn", id="withdraw"),
    pytest.param(granted, give_back, lambda s: "Ended" in s.card()["text"], "grant.given_back", id="give-back"),
    pytest.param(paged, not_me, lambda s: "is passed on" in s.told("bob"), "page.passed_on", id="not-me"),
    pytest.param(failed, retry, lambda s: s.members(READONLY) == [ALICE], "grant.retried", id="retry"),
    pytest.param(closed, take, lambda s: "is yours" in s.told("bob"), "request.taken", id="take"),
]


@pytest.mark.parametrize(("before", "press", "holds", "event"), CASES)
async def test_a_press_that_was_acknowledged_is_carried_out_once_after_a_restart(
    story: Story,
    before: Callable[[Story], Awaitable[str]],
    press: Callable[[Story], Awaitable[dict[str, Any]]],
    holds: Holds,
    event: str,
) -> None:
    """No job runs from the press to the restart: all that there is is its record."""
    request = await before(story)
    assert story.running is not None
    await story.settle()
    await story.running.worker.stop()
    assert (await press(story))["acknowledged"]
    assert event not in await story.trail(request)
    await story.stop()
    await story.start()
    await story.until(lambda: holds(story))
    await story.settle()
    assert (await story.trail(request)).count(event) == 1


@pytest.mark.parametrize(("before", "press", "holds", "event"), CASES)
async def test_a_press_that_is_delivered_twice_counts_once(
    story: Story,
    before: Callable[[Story], Awaitable[str]],
    press: Callable[[Story], Awaitable[dict[str, Any]]],
    holds: Holds,
    event: str,
) -> None:
    request = await before(story)
    await press(story)
    assert (await story.act("bob", "slack.repeat"))["acknowledged"]
    await story.until(lambda: holds(story))
    await story.settle()
    assert (await story.trail(request)).count(event) == 1
    assert await story.refusals(request) == []


async def test_a_press_that_counted_before_a_crash_is_not_told_that_it_came_too_late(story: Story) -> None:
    """The job dies after its effect was committed and before it is put away: it runs again and finds its mark."""
    request = await paged(story)
    assert story.running is not None
    await withdraw(story)
    await story.until(lambda: "Withdrawn" in story.card()["text"])
    events = await story.running.ledger.events(request)
    receipt = next(one.detail["receipt"] for one in events if one.what == "request.withdrawn")
    press = Press("withdraw", "U0ALICE", "T0SANDBOX", receipt)
    payload = {"action": press.action, "who": press.who, "team": press.team, "receipt": receipt, "channel": ""}
    await story.running.ledger.schedule(request, [Due(f"press:{receipt}", payload=payload)])
    await story.settle()
    assert "Too late" not in story.told("alice")
    assert await story.refusals(request) == []


async def test_while_a_press_cannot_be_carried_out_whoever_pressed_is_told_that_it_waits(story: Story) -> None:
    request = await paged(story)
    await story.advance(120)
    await story.fault("okta", "*", "cut", times=None)
    await not_me(story)
    await story.until(lambda: f"{request}: your press is taken" in story.told("bob"))
    await story.mend()
    await story.advance(61)
    await story.until(lambda: "is passed on" in story.told("bob"))
    assert (await story.trail(request)).count("page.passed_on") == 1


async def test_a_question_that_is_delivered_twice_is_asked_once(story: Story) -> None:
    await paged(story)
    await story.until(lambda: "ask" in story.buttons(story.card()))
    view = (await story.presses("bob", "ask", await_view=True))["view"]
    await story.act("bob", "slack.submit", view_id=view["id"], values={"Question": "Which host?"})
    await story.act("bob", "slack.repeat")
    await story.until(lambda: "Which host?" in story.told("alice"))
    await story.settle()
    assert story.notes().count("Which host?") == 1
    message = await story.until(lambda: next(one for one in story.dms("alice") if "reply" in story.buttons(one)))
    opened = await story.act("alice", "slack.click", ts=message["ts"], action_id="reply", await_view=True)
    await story.act("alice", "slack.submit", view_id=opened["view"]["id"], values={"Answer": "db-7"})
    assert not (await story.act("alice", "slack.repeat"))["answer"]
    await story.settle()
    assert story.notes().count("answers: db-7") == 1


async def test_a_request_that_is_delivered_twice_is_one(story: Story) -> None:
    await story.submits()
    await story.act("alice", "slack.repeat")
    await story.until(story.incidents)
    await story.settle()
    assert len(story.incidents()) == 1
    assert len(story.messages()) == 1

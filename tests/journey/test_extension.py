"""Access that ends soon: the holder is warned, and may ask for longer; that is a request of its own."""

from __future__ import annotations

import pytest

from bot.errors import Refused
from bot.extension import Extending
from tests.story import Json, Story

READONLY, ALICE = "prod-readonly", "alice@example.com"
GRANTED, TAKEN = ("add", ALICE, READONLY), ("remove", ALICE, READONLY)
MINUTE, HOUR = 60, 3600


async def granted(story: Story, **fields: str) -> str:
    """A request that bob has approved, with nothing else under way."""
    request = await story.asks(**fields)
    await approved(story, request)
    return request


async def approved(story: Story, request: str) -> None:
    await story.until(lambda: story.card(request=request, button="approve"))
    await story.presses("bob", "approve", card=story.card(request=request))
    await story.until(lambda: "Granted" in story.card(request=request)["text"])
    await story.settle()


async def warned(story: Story, **fields: str) -> Json:
    """The warning that alice gets a quarter of an hour before the end."""
    request = await granted(story, **fields)
    await story.advance(45 * MINUTE + 1)
    return dict(await story.until(lambda: warning(story, request)))


def warning(story: Story, request: str) -> Json:
    return next(one for one in story.dms("alice") if "ends" in one["text"] and "extend" in story.buttons(one))


async def extends(story: Story, message: Json, why: str = "The incident goes on", **fields: str) -> Json:
    """Press *Extend*, fill the form in and send it."""
    pressed = await story.act("alice", "slack.click", ts=message["ts"], action_id="extend", await_view=True)
    values = {"Justification": why, **fields}
    return await story.act("alice", "slack.submit", view_id=pressed["view"]["id"], values=values)


async def extension_of(story: Story, request: str) -> str:
    """The id of the newest request, which extends another one."""
    await story.until(lambda: f"Extends: {request}" in str(story.card(button="approve")["blocks"]))
    return story.id_of(story.card())


# --- warning ---------------------------------------------------------------------------------------------------------


async def test_the_holder_is_warned_once_before_the_end_and_can_give_it_back_there(story: Story) -> None:
    message = await warned(story)
    assert {"extend", "give_back"} <= story.buttons(message)
    await story.act("alice", "slack.click", ts=message["ts"], action_id="give_back")
    await story.until(lambda: "Ended" in story.card()["text"])
    assert story.changes() == [GRANTED, TAKEN]


async def test_nobody_is_warned_of_an_end_that_is_over(story: Story) -> None:
    request = await granted(story)
    await story.stop()
    await story.advance(2 * HOUR)
    await story.start()
    await story.until(lambda: "Ended" in story.card(request=request)["text"])
    await story.settle()
    assert not [one for one in story.dms("alice") if "extend" in story.buttons(one)]


async def test_nobody_is_warned_while_another_grant_goes_on_with_the_same_access(story: Story) -> None:
    await granted(story)
    await granted(story, Duration="2 hours")
    await story.advance(50 * MINUTE)
    await story.settle()
    assert not [one for one in story.dms("alice") if "extend" in story.buttons(one)]


async def test_what_may_not_last_any_longer_is_not_offered_to_be_extended(story: Story) -> None:
    await granted(story, Duration="8 hours")
    await story.advance(8 * HOUR - 14 * MINUTE)
    message = await story.until(lambda: next(m for m in story.dms("alice") if "cannot be extended" in m["text"]))
    assert story.buttons(message) == {"give_back"}


# --- extension -------------------------------------------------------------------------------------------------------


async def test_an_approved_extension_makes_the_access_last_longer_without_a_gap(story: Story) -> None:
    message = await warned(story)
    first = story.id_of(story.card())
    assert (await extends(story, message, **{"How much longer": "2 hours"})).get("closed")
    second = await extension_of(story, first)
    drawn = str(story.card()["blocks"])
    assert f"{first}, 3 hours in total" in drawn
    assert f"removes 2 hours after the end of {first}" in drawn
    await approved(story, second)
    await story.advance(16 * MINUTE)
    await story.until(lambda: "Ended" in story.card(request=first)["text"])
    await story.settle()
    assert story.changes() == [GRANTED]
    await story.advance(2 * HOUR - 2 * MINUTE)
    await story.settle()
    assert story.members(READONLY) == [ALICE]
    await story.advance(2 * MINUTE)
    await story.until(lambda: "Ended" in story.card(request=second)["text"])
    assert story.changes() == [GRANTED, TAKEN]


async def test_a_denied_extension_leaves_the_grant_as_it_is(story: Story) -> None:
    message = await warned(story)
    first = story.id_of(story.card())
    await extends(story, message)
    second = await extension_of(story, first)
    opened = await story.presses("carol", "deny", await_view=True)
    await story.act("carol", "slack.submit", view_id=opened["view"]["id"], values={"Reason": "Hand it over"})
    await story.until(lambda: "Denied" in story.card(request=second)["text"])
    assert story.members(READONLY) == [ALICE]
    assert "Granted" in story.card(request=first)["text"]
    await story.advance(16 * MINUTE)
    await story.until(lambda: "Ended" in story.card(request=first)["text"])
    assert story.changes() == [GRANTED, TAKEN]


async def test_an_extension_that_nobody_decides_expires_when_the_grant_ends(story: Story) -> None:
    message = await warned(story)
    first = story.id_of(story.card())
    await extends(story, message)
    second = await extension_of(story, first)
    await story.settle()
    await story.advance(16 * MINUTE)
    await story.until(lambda: "Expired" in story.card(request=second)["text"])
    await story.until(lambda: f"before {first} ended" in story.told("alice"))
    await story.until(lambda: story.changes() == [GRANTED, TAKEN])


async def test_an_extension_of_what_was_given_back_meanwhile_is_over(story: Story) -> None:
    message = await warned(story)
    first = story.id_of(story.card())
    await extends(story, message)
    second = await extension_of(story, first)
    await story.settle()
    await story.act("alice", "slack.click", ts=message["ts"], action_id="give_back")
    await story.until(lambda: "Expired" in story.card(request=second)["text"])
    await story.settle()
    assert story.changes() == [GRANTED, TAKEN]


async def test_giving_back_ends_the_extension_as_well(story: Story) -> None:
    message = await warned(story)
    first = story.id_of(story.card())
    await extends(story, message)
    second = await extension_of(story, first)
    await approved(story, second)
    await story.act("alice", "slack.click", ts=message["ts"], action_id="give_back")
    await story.until(lambda: "Ended" in story.card(request=first)["text"])
    await story.until(lambda: "Ended" in story.card(request=second)["text"])
    assert story.changes() == [GRANTED, TAKEN]


async def test_a_stop_ends_the_extension_as_well(story: Story) -> None:
    message = await warned(story)
    first = story.id_of(story.card())
    await extends(story, message)
    second = await extension_of(story, first)
    await approved(story, second)
    await story.presses("bob", "stop", card=story.card(request=first))
    await story.until(lambda: "Ended" in story.card(request=first)["text"])
    await story.until(lambda: "Ended" in story.card(request=second)["text"])
    assert story.changes() == [GRANTED, TAKEN]
    assert "Stopped by Bob Baker" in str(story.card(request=second)["blocks"])


async def test_a_grant_is_extended_by_one_request_at_a_time(story: Story) -> None:
    message = await warned(story)
    first = story.id_of(story.card())
    await extends(story, message)
    second = await extension_of(story, first)
    await approved(story, second)
    answer = await extends(story, message)
    assert f"{second} extends it already" in answer["errors"]["justification"]


async def test_extensions_never_last_longer_in_total_than_the_catalogue_says(story: Story) -> None:
    message = await warned(story)
    opened = await story.act("alice", "slack.click", ts=message["ts"], action_id="extend", await_view=True)
    offered = str(opened["view"]["blocks"])
    assert "'4 hours'" in offered
    assert "'8 hours'" not in offered


async def test_somebody_else_cannot_extend_it(story: Story) -> None:
    await granted(story)
    assert story.running is not None
    journey = story.running.journey
    request = await journey.ledger.request(story.id_of(story.card()))
    bob = await journey.ledger.person_by_slack(journey.home_team, "U0BOB")
    assert bob is not None
    with pytest.raises(Refused, match="Only whoever holds"):
        Extending(journey).check(request, bob)

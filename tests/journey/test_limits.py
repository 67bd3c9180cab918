"""What one person may ask, as they meet it at the form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.errors import Refused
from bot.people import as_person
from tests.builders import a_draft
from tests.story import Json, Story, opened

ADMIN, ANALYTICS = "Production, administrator", "Analytics, viewer"


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Story]:
    """A story with low limits."""
    async with opened(Story(tmp_path / "data", TINYAPPROVER_OPEN_REQUESTS=2, TINYAPPROVER_REQUESTS_AN_HOUR=4)) as story:
        yield story


def refusal(answer: Json) -> str:
    return str(answer["errors"]["access"])


async def denied(story: Story, reason: str = "Not this week") -> str:
    """A request that carol has denied."""
    request = await story.asks()
    opened = await story.presses("carol", "deny", await_view=True)
    await story.act("carol", "slack.submit", view_id=opened["view"]["id"], values={"Reason": reason})
    await story.until(lambda: "Denied" in story.card(request=request)["text"])
    await story.settle()
    return request


async def test_the_same_request_twice_is_one_request_and_the_form_links_to_it(story: Story) -> None:
    request = await story.asks()
    await story.until(lambda: story.dms("alice"))
    await story.settle()
    answer = await story.submits()
    assert f"{request} already waits" in refusal(answer)
    assert f"/archives/{story.state['slack']['dms']['alice']['id']}/p" in refusal(answer)
    await story.until_refused("limits#same")
    assert len(story.incidents()) == 1


async def test_of_two_submissions_at_once_one_is_stored(story: Story) -> None:
    """As two forms on two machines, sent in the same moment."""
    assert story.running is not None
    journey = story.running.journey
    entitlement = journey.rules.entitlements["prod-readonly"]
    alice = await journey.directory.by_login("alice@example.com")
    assert alice is not None
    drafts = [a_draft(key, requester=as_person(alice, None), beneficiary=as_person(alice, None)) for key in "ab"]
    results = await asyncio.gather(*(journey.receive(one, alice, alice) for one in drafts), return_exceptions=True)
    refused = next(one for one in results if isinstance(one, Refused))
    assert (refused.rule, refused.field, results.count(refused.about)) == ("limits#same", "access", 1)
    assert entitlement.title in (await story.until(story.card))["text"]


async def test_somebody_else_may_wait_for_the_same(story: Story) -> None:
    await story.asks()
    assert (await story.submits("bob")).get("closed")


async def test_too_many_open_requests_are_refused_until_one_is_withdrawn(strict: Story) -> None:
    await strict.asks()
    await strict.asks(access=ADMIN)
    await strict.settle()
    assert "2 requests of yours wait already" in refusal(await strict.submits(access=ANALYTICS))
    message = await strict.until(lambda: next(m for m in strict.dms("alice") if "withdraw" in strict.buttons(m)))
    await strict.act("alice", "slack.click", ts=message["ts"], action_id="withdraw")
    await strict.until(lambda: "Withdrawn" in strict.told("alice"))
    await strict.settle()
    assert (await strict.submits(access=ANALYTICS)).get("closed")


async def test_asking_and_withdrawing_again_and_again_stops_paging_people(strict: Story) -> None:
    for _ in range(4):
        request = await strict.asks()
        await strict.settle()
        message = await strict.until(lambda: next(m for m in strict.dms("alice") if "withdraw" in strict.buttons(m)))
        await strict.act("alice", "slack.click", ts=message["ts"], action_id="withdraw")
        await strict.until_card(request, "Withdrawn")
        await strict.settle()
    assert "You have asked 4 times within 1 hour" in refusal(await strict.submits())
    await strict.advance(3601)
    assert (await strict.submits()).get("closed")


async def test_after_a_denial_the_same_person_rests_before_asking_for_the_same(story: Story) -> None:
    request = await denied(story)
    answer = refusal(await story.submits())
    assert f"{request} for the same was denied by Carol Chen" in answer
    assert "talk to Carol Chen" in answer
    assert (await story.submits(access=ADMIN)).get("closed")
    await story.advance(3601)
    assert (await story.submits()).get("closed")

"""What was decided is found by whoever decides, while the program runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from knowledge.sources import EVERYBODY, RESPONDERS
from tests.journey.test_answers import only_answer, words
from tests.journey.test_decisions import denies
from tests.story import CHANNEL, Story, opened


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    chosen = {"TINYAPPROVER_SOURCES": "documents,decisions", "SLACK_ASK_CHANNELS": CHANNEL, "OPENAI_API_KEY": None}
    async with opened(Story(tmp_path / "data", **chosen)) as told:
        yield told


async def decided(story: Story) -> str:
    """A request that bob denied, as the index knows it."""
    request = await story.asks()
    await denies(story, "bob", "zanzibar is being moved")
    await story.until_card(request, "Denied")
    await story.settle()
    assert story.running is not None
    await story.running.front.knowledge.follow()
    return request


async def test_whoever_decides_is_told_in_their_channel_and_others_are_not(story: Story) -> None:
    request = await decided(story)
    asked = await story.act("bob", "slack.say", channel=CHANNEL, text="@TinyApprover what about zanzibar?")
    answer = words(await only_answer(story, asked))
    assert request in answer
    assert "zanzibar is being moved" in answer
    assert "in an earlier request, not a policy" in answer
    assert "in chat" not in answer
    assert story.running is not None
    knowledge = story.running.front.knowledge
    assert not await knowledge.search(["zanzibar"])
    assert await knowledge.search(["zanzibar"], audience=EVERYBODY | {RESPONDERS})


async def test_a_card_tells_it_once_as_an_earlier_request(story: Story) -> None:
    first = await decided(story)
    second = await story.asks("bob")
    await story.until(lambda: first in words(story.card(request=second)))
    await story.settle()
    card = words(story.card(request=second))
    assert card.count("zanzibar is being moved") == 1

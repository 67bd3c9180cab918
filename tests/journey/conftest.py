"""What the stories share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from connectors.pagerduty import PagerDuty
from tests.journey.relay import Relay, relaying
from tests.story import Story


@pytest.fixture
async def relay(story: Story) -> AsyncIterator[Relay]:
    """PagerDuty's signed webhook, subscribed through its API, reaches the story's program."""
    assert story.running is not None
    pager = story.running.journey.pager
    assert isinstance(pager, PagerDuty)
    async with relaying(story) as relay:
        _, secret = await pager.subscribe(relay.url)
        story.settings["PAGERDUTY_WEBHOOK_SECRETS"] = secret
        await story.stop()
        await story.start()
        yield relay

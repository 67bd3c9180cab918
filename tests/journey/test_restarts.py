"""Starting again while a vendor is down."""

from __future__ import annotations

import pytest

from tests.story import Story

READONLY, ALICE = "prod-readonly", "alice@example.com"


@pytest.mark.parametrize("vendor", ["pagerduty", "okta"])
async def test_a_restart_during_an_outage_goes_on_with_the_story(story: Story, vendor: str) -> None:
    request = await story.asks()
    await story.settle()
    await story.stop()
    await story.fault(vendor, "*", "cut", times=None)
    await story.start()
    await story.presses("bob", "approve")
    await story.mend()
    await story.advance(61)
    await story.until(lambda: story.members(READONLY) == [ALICE])
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    assert (await story.trail(request)).count("grant.verified") == 1

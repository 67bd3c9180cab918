"""A policy question by clicking in the page, in a real Chromium: asked, growing, answered, rated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.browser.test_story_in_the_page import OUTPUT, browser, open_as, picture
from tests.story import Story, opened

__all__ = ["browser"]
ASK = "channel:C0ASKACCESS"


@pytest.fixture
async def meaningful(tmp_path: Path) -> AsyncIterator[Story]:
    """The program with the local embedder, as in the demo."""
    async with opened(Story(tmp_path / "data", TINYAPPROVER_EMBEDDER="local")) as story:
        yield story


async def test_alice_asks_and_rates_the_answer(browser: Browser, meaningful: Story) -> None:
    story, complaints = meaningful, list[str]()
    alice = await open_as(browser, story, "alice", ASK, complaints)
    await story.act("alice", "openai.mode", mode="slow")
    await alice.get_by_role("textbox").fill("@TinyApprover who can approve production access?")
    await alice.get_by_role("button", name="Send").click()
    await expect(alice.get_by_text("writing…")).to_be_visible()
    await expect(alice.get_by_role("link", name="[1]").first).to_be_visible()
    await picture(alice, "10-growing")

    await expect(alice.get_by_role("button", name="Helpful")).to_be_visible(timeout=15_000)
    await expect(alice.get_by_text("writing…")).to_have_count(0)
    await expect(alice.get_by_role("link", name="Access policy › Who decides")).to_be_visible()
    await expect(alice.get_by_role("button", name="Request access").last).to_be_visible()
    await alice.get_by_role("article").last.screenshot(path=OUTPUT / "answer.png")
    await alice.get_by_role("button", name="Helpful").click()
    await expect(alice.get_by_text("Thank you.")).to_be_visible()
    await picture(alice, "11-answer")
    assert complaints == []


async def test_what_is_not_known_is_passed_on_to_bob(browser: Browser, meaningful: Story) -> None:
    story, complaints = meaningful, list[str]()
    alice = await open_as(browser, story, "alice", ASK, complaints)
    await alice.get_by_role("textbox").fill("@TinyApprover what is on the cafeteria menu today?")
    await alice.get_by_role("button", name="Send").click()
    await alice.get_by_role("button", name="Ask the responders").click()
    await expect(alice.get_by_text("They answer in this thread.")).to_be_visible()
    await picture(alice, "12-refusal")
    bob = await open_as(browser, story, "bob", "channel:C0ACCESS", complaints)
    await expect(bob.get_by_text("what is on the cafeteria menu today?")).to_be_visible()
    await picture(bob, "13-passed-on")
    assert complaints == []

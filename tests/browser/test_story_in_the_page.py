"""The whole story by clicking in the page, in a real Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Response, async_playwright, expect

from tests.journey.test_demo import begun
from tests.story import Story

expect.set_options(timeout=20_000)  # on a busy machine too
OUTPUT = Path(__file__).parent.parent / "output"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
READONLY, ALICE = "prod-readonly", "alice@example.com"
TOPMOST = """node => {
  const box = node.getBoundingClientRect();
  return node.contains(document.elementFromPoint(box.x + 8, box.y + box.height / 2));
}"""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        reason = "Chromium is not installed here"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


async def open_as(browser: Browser, story: Story, who: str, view: str, complaints: list[str]) -> Page:
    """A window of somebody's own; whatever the console complains about is kept."""
    page = await browser.new_page(viewport={"width": 1280, "height": 1360})
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("response", lambda answer: complaints.extend(refused(answer)))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"{story.base}/#as={who}&view={view}")
    return page


def refused(answer: Response) -> list[str]:
    """What was asked, if it was refused."""
    return [f"{answer.status} to {answer.request.post_data}"] if answer.status >= 400 else []


async def picture(page: Page, name: str) -> None:
    OUTPUT.mkdir(exist_ok=True)
    await page.screenshot(path=OUTPUT / f"{name}.png")


async def known(story: Story, who: str) -> None:
    """Their accounts have been read, so that the first typeahead need not wait for that beside a starting browser."""
    opened = await story.act(who, "slack.shortcut", callback_id="request_access", await_view=True)
    await story.act(who, "slack.close_view", view_id=opened["view"]["id"])


async def ask(page: Page) -> None:
    """Alice fills the form in."""
    await page.get_by_role("button", name="Request access", exact=True).first.click()
    form = page.get_by_role("dialog")
    await form.get_by_label("Access").fill("read only")
    await form.get_by_role("option", name="Production, read only").click()
    await form.get_by_label("Justification").fill("Checkout fails since 14:00; I need the payment service's logs")
    await form.get_by_role("button", name="Request", exact=True).click()
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_alice_asks_bob_approves_on_the_card_and_it_ends(browser: Browser, story: Story) -> None:
    complaints: list[str] = []
    await known(story, "alice")
    alice = await open_as(browser, story, "alice", "channel:C0GENERAL", complaints)
    await ask(alice)

    bob = await open_as(browser, story, "bob", "channel:C0ACCESS", complaints)
    await expect(bob.get_by_role("button", name="Show advice")).to_be_visible(timeout=15_000)
    await picture(bob, "1-channel")
    await bob.get_by_role("button", name="Approve", exact=True).first.click()
    await bob.get_by_role("dialog").get_by_role("button", name="Approve", exact=True).click()
    await expect(bob.get_by_text("Granted and read back")).to_be_visible()
    assert story.members(READONLY) == [ALICE]
    await picture(bob, "2-granted")

    directory = await open_as(browser, story, "bob", "directory", complaints)
    await expect(directory.get_by_text(READONLY).first).to_be_visible()
    await picture(directory, "3-directory")

    await bob.goto(f"{story.base}/#as=bob&view=controls")
    await bob.get_by_role("button", name="1 hour").click()
    await bob.get_by_role("button", name="5 min").click()
    await story.until(lambda: story.members(READONLY) == [])
    await alice.goto(f"{story.base}/#as=alice&view=channel:D0ALICE")
    await expect(alice.get_by_text("Ended").first).to_be_visible()
    await picture(alice, "4-ended")
    assert complaints == []


async def test_alice_reads_at_the_field_what_policy_refuses_before_and_after_writing_why(
    browser: Browser, story: Story
) -> None:
    complaints: list[str] = []
    await story.act("carol", "okta.add_member", who="alice", group="contractors")
    await known(story, "alice")
    alice = await open_as(browser, story, "alice", "channel:C0GENERAL", complaints)
    await alice.get_by_role("button", name="Request access", exact=True).first.click()
    form = alice.get_by_role("dialog")
    await form.get_by_label("Access").fill("administrator")
    await form.get_by_role("option", name="Production, administrator").click()
    await expect(form.get_by_text("As things stand this is refused")).to_be_visible()
    await form.get_by_label("Justification").fill("I will ask all the same")
    await form.get_by_role("button", name="Request", exact=True).click()
    error = form.locator(".error")
    await expect(error).to_contain_text("Contractors do not hold high or critical access")
    await expect(form.get_by_label("Access")).to_be_focused()
    await picture(alice, "10-refused")
    assert await error.evaluate(TOPMOST), "something covers the error"
    await form.get_by_role("button", name="Request", exact=True).click()
    await expect(form.get_by_label("Access")).to_be_focused()
    await form.get_by_label("Access").click()
    await form.get_by_role("option", name="Production, read only").click()
    await expect(form.get_by_text("As things stand this is refused")).to_have_count(0)
    await form.get_by_role("button", name="Request", exact=True).click()
    await expect(alice.get_by_role("dialog")).to_have_count(0)
    assert complaints == []


async def test_bob_answers_the_page_with_a_comment(browser: Browser, story: Story) -> None:
    complaints: list[str] = []
    await known(story, "alice")
    await ask(await open_as(browser, story, "alice", "channel:C0GENERAL", complaints))
    incident = (await story.until(story.incidents))[0]["id"]

    bob = await open_as(browser, story, "bob", f"page:{incident}", complaints)
    await bob.get_by_label("Comment as Bob Baker").fill("approve")
    await bob.get_by_role("button", name="Add comment").click()
    await story.advance(6)
    await story.until(lambda: story.members(READONLY) == [ALICE])
    await expect(bob.get_by_text("granted and read back").first).to_be_visible()
    await picture(bob, "5-page")
    assert complaints == []


async def test_alice_is_warned_and_extends_her_access(browser: Browser, story: Story) -> None:
    complaints: list[str] = []
    first = await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.advance(46 * 60)
    await story.until(lambda: "extend" in str(story.dms("alice")))

    alice = await open_as(browser, story, "alice", "channel:D0ALICE", complaints)
    await alice.get_by_role("button", name="Extend", exact=True).last.click()
    form = alice.get_by_role("dialog")
    await form.get_by_label("Justification").fill("The incident goes on")
    await picture(alice, "6-extend")
    await form.get_by_role("button", name="Request", exact=True).click()
    await expect(alice.get_by_role("dialog")).to_have_count(0)

    bob = await open_as(browser, story, "bob", "channel:C0ACCESS", complaints)
    await expect(bob.get_by_text(f"Extends: {first}, 2 hours in total").first).to_be_visible(timeout=15_000)
    await picture(bob, "7-extension")
    await bob.get_by_role("button", name="Approve", exact=True).last.click()
    await bob.get_by_role("dialog").get_by_role("button", name="Approve", exact=True).click()
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.advance(20 * 60)
    await story.until(lambda: "Ended" in story.card(request=first)["text"])
    assert story.members(READONLY) == [ALICE]
    await picture(alice, "8-extended")
    assert complaints == []


async def test_the_demo_shows_whoever_starts_it_a_whole_card(browser: Browser, tmp_path: Path) -> None:
    complaints: list[str] = []
    async with AsyncExitStack() as stack:
        demo = await begun(tmp_path, stack, embedder="local")
        alice = await open_as(browser, demo, "alice", "channel:C0GENERAL", complaints)
        await expect(alice.get_by_text("and name the ticket").first).to_be_visible()
        await ask(alice)
        bob = await open_as(browser, demo, "bob", "channel:C0ACCESS", complaints)
        await expect(bob.get_by_role("button", name="Show advice")).to_be_visible(timeout=15_000)
        card = bob.get_by_role("article").last
        for words in ("people in Payments hold this", "Said in Slack", "For this channel alone", "1 week ago"):
            await expect(card.get_by_text(words).first).to_be_visible()
        await picture(bob, "9-demo")
        await bob.set_viewport_size({"width": 1280, "height": 2400})
        await card.screenshot(path=OUTPUT / "card.png")
    assert complaints == []

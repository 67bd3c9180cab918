"""The sandbox's page: what it is made of, and that nothing somebody wrote can change what it does."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest
from playwright.async_api import Page, async_playwright

from connectors.sandbox.pagerduty import PagerDuty
from connectors.sandbox.server import Sandbox
from connectors.sandbox.slack import Slack
from connectors.sandbox.world import new_world
from tests.sandbox.slack_desk import Desk, modal, typing

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
REFERENCE = re.compile(r"""(?:src|href)="(/[^"]+)"|from "(\./[^"]+)"|url\(["']?([^"')]+)""")

HOSTILE = "<script>window.ran = 1</script> <img src=x onerror=window.ran=2> <javascript:window.ran=3|press here>"
HOSTILE_BLOCKS: list[dict[str, Any]] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": HOSTILE}},
    {"type": "section", "text": {"type": "mrkdwn", "text": '<https://example.com/" onmouseover="window.ran=4|a link>'}},
    {"type": "section", "text": {"type": "mrkdwn", "text": "<!date^1^{constructor}^javascript:window.ran=5|never>"}},
    {"type": "header", "text": {"type": "plain_text", "text": "<b onclick=window.ran=6>Approved by Bob</b>"}},
    {"type": "markdown", "text": "[press](javascript:window.ran=7) <iframe srcdoc='<script>parent.ran=8</script>'>"},
    {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_section",
                "elements": [{"type": "link", "url": "javascript:window.ran=9", "text": "press too"}],
            }
        ],
    },
    {
        "type": "actions",
        "elements": [
            {
                "type": "button",
                "action_id": "out",
                "text": {"type": "plain_text", "text": "Leave"},
                "url": "javascript:window.ran=10",
            }
        ],
    },
    {"type": "image", "alt_text": "a picture", "image_url": "https://tracker.example/pixel.png"},
]


@dataclass
class Running:
    """A sandbox that listens, and a client for it."""

    url: str
    http: aiohttp.ClientSession

    async def post_as_app(self, **message: Any) -> None:
        """Post to the general channel with the app's own token."""
        headers = {"Authorization": "Bearer xoxb-sandbox-bot"}
        body = {"channel": "C0GENERAL", "text": "hello", **message}
        async with self.http.post(f"{self.url}/slack/api/chat.postMessage", json=body, headers=headers) as answer:
            assert (await answer.json())["ok"]

    async def page_somebody(self, title: str) -> str:
        """Create an incident, and return its id."""
        headers = {"Authorization": "Token token=sandbox-pagerduty-key", "From": "tinyapprover@example.com"}
        service = {"id": "PSVC001", "type": "service_reference"}
        body = {"incident": {"type": "incident", "title": title, "service": service}}
        async with self.http.post(f"{self.url}/pagerduty/incidents", json=body, headers=headers) as answer:
            return str((await answer.json())["incident"]["id"])

    async def state(self) -> Any:
        async with self.http.get(f"{self.url}/_sandbox/state") as answer:
            return await answer.json()


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    world = new_world()
    sandbox = Sandbox([Slack(world), PagerDuty(world)], world)
    url = await sandbox.start()
    async with aiohttp.ClientSession() as http:
        yield Running(url, http)
    await sandbox.stop()


@dataclass
class Watched:
    """A browser tab, what it complained about, and every address it asked for."""

    tab: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.tab.on("console", lambda line: self.complaints.append(line.text) if line.type != "log" else None)
        self.tab.on("pageerror", lambda problem: self.complaints.append(str(problem)))
        self.tab.on("request", lambda request: self.asked.append(request.url))


@pytest.fixture
def chromium_path() -> str:
    """Where Chromium is; without it the tests are skipped, but never in CI."""
    if not CHROMIUM.exists():
        reason = f"{CHROMIUM} is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return str(CHROMIUM)


@pytest.fixture
async def browser(chromium_path: str) -> AsyncIterator[Watched]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=chromium_path, args=FLAGS)
        watched = Watched(await chromium.new_page())
        watched.watch()
        yield watched
        await chromium.close()


async def test_the_page_comes_under_a_policy_that_lets_only_its_own_files_run(running: Running) -> None:
    async with running.http.get(running.url) as page:
        policy = page.headers["Content-Security-Policy"]
        assert page.content_type == "text/html"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cache-Control"] == "no-store"
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


async def test_every_file_that_the_page_refers_to_is_served(running: Running) -> None:
    to_read, seen = [f"{running.url}/"], set()
    while to_read:
        address = to_read.pop()
        seen.add(address)
        async with running.http.get(address) as file:
            assert file.status == 200, address
            text = await file.text()
        found = {urljoin(address, next(filter(None, groups))) for groups in REFERENCE.findall(text)}
        to_read.extend(found - seen - set(to_read))
    assert all(address.startswith(running.url) for address in seen)
    assert {"main.js", "mrkdwn.js", "page.css"} <= {address.rsplit("/", 1)[1] for address in seen}


@pytest.mark.parametrize("path", ["page/nothing.js", "page/..%2fserver.py", "page/%2e%2e/people.yml", "page/"])
async def test_nothing_but_the_pages_own_files_is_served(running: Running, path: str) -> None:
    async with running.http.get(f"{running.url}/{path}") as answer:
        assert answer.status == 404


async def test_a_hostile_message_is_shown_as_text_and_nothing_runs(running: Running, browser: Watched) -> None:
    await running.post_as_app(text="a card", blocks=HOSTILE_BLOCKS)
    await running.post_as_app(text=HOSTILE)
    tab = browser.tab
    await tab.goto(f"{running.url}/#as=alice&view=channel:C0GENERAL")
    await tab.get_by_text("Approved by Bob").wait_for()
    shown = await tab.locator("main").inner_text()
    assert shown.count("<script>window.ran = 1</script>") == 2
    assert "<javascript:window.ran=3|press here>" in shown
    for words in ("press", "press too", "Leave"):
        await tab.locator("main").get_by_text(words, exact=True).click()
    for link in await tab.locator("main .messages a").all():
        assert str(await link.get_attribute("href")).startswith("https://")
    assert await tab.evaluate("window.ran") is None
    assert await tab.locator("main :is(script, img, iframe, [onclick], [onerror], [onmouseover])").count() == 0
    assert [address for address in browser.asked if not address.startswith(running.url)] == []
    assert browser.complaints == []


async def test_what_somebody_types_stays_while_messages_arrive(running: Running, browser: Watched) -> None:
    tab = browser.tab
    await tab.goto(f"{running.url}/#as=alice&view=channel:C0GENERAL")
    await tab.get_by_label("Message", exact=True).fill("half a sentence")
    await running.post_as_app(text="something new")
    await tab.get_by_text("something new").wait_for()
    assert await tab.get_by_label("Message", exact=True).input_value() == "half a sentence"
    assert browser.complaints == []


async def test_a_comment_written_on_the_page_is_the_responders_own(running: Running, browser: Watched) -> None:
    incident = await running.page_somebody("TA-1: <i>Alice</i> asks for billing-admin")
    tab = browser.tab
    await tab.goto(f"{running.url}/#as=bob&view=page:{incident}")
    await tab.get_by_text("<i>Alice</i>").wait_for()
    await tab.get_by_label("Comment as Bob Baker").fill("approve")
    await tab.get_by_role("button", name="Add comment").click()
    await tab.locator(".note").get_by_text("approve").wait_for()
    [note] = (await running.state())["pagerduty"]["incidents"][0]["notes"]
    assert (note["author"], note["content"]) == ("bob", "approve")
    assert browser.complaints == []


async def test_a_refused_form_keeps_what_was_typed_and_says_what_is_wrong(desk: Desk, browser: Watched) -> None:
    app = desk.app()

    @app.shortcut("request_access")
    async def open_form(ack: Any, body: Any, client: Any) -> None:
        await ack()
        form = modal(typing("Justification", "why"), typing("Ticket", "ticket"))
        await client.views_open(trigger_id=body["trigger_id"], view=form)

    @app.view("form")
    async def refuse_or_close(ack: Any, view: Any) -> None:
        why = view["state"]["values"]["why"]["why"]["value"]
        await ack() if why == "logs of the release" else await ack(
            response_action="errors", errors={"why": "Say more."}
        )

    await desk.connect(app)
    tab = browser.tab
    await tab.goto(f"{desk.world.base_url}/#as=alice&view=channel:C0GENERAL")
    await tab.get_by_role("button", name="Request access", exact=True).click()
    await tab.get_by_label("Justification").fill("logs")
    await tab.get_by_label("Ticket").fill("OPS-1")
    await tab.get_by_role("button", name="Send").last.click()
    await tab.get_by_text("Say more.").wait_for()
    assert await tab.get_by_label("Justification").input_value() == "logs"
    assert await tab.get_by_label("Ticket").input_value() == "OPS-1"
    await tab.get_by_label("Justification").fill("logs of the release")
    await tab.get_by_role("button", name="Send").last.click()
    await tab.get_by_role("dialog").wait_for(state="detached")
    assert browser.complaints == []

"""PagerDuty's webhook: stored once and answered at once, whatever comes; set up, switched off, and seen to be so."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

import bot.hints
import bot.web
from bot import front
from bot.config import FRONT
from bot.ledger.kinds import KINDS
from bot.web import BODY_LIMIT
from bot.webhooks import PATH, set_up
from connectors.pagerduty import PagerDuty
from connectors.sandbox.pagerduty_webhooks import sign
from tests.conftest import on_sqlite
from tests.journey.relay import Relay
from tests.story import PATIENCE, Story

READONLY, ALICE = "prod-readonly", "alice@example.com"


def secret_of(story: Story) -> str:
    return str(story.settings["PAGERDUTY_WEBHOOK_SECRETS"])


def pager_of(story: Story) -> PagerDuty:
    assert story.running is not None
    pager = story.running.journey.pager
    assert isinstance(pager, PagerDuty)
    return pager


def event(incident: str, *, id: str = "E1", **more: Any) -> bytes:
    data = {"incident": {"id": incident}, "id": "PNOTE99", "content": "x", "type": "incident_note", "trimmed": False}
    envelope = {"id": id, "event_type": "incident.annotated", "resource_type": "incident", "agent": None}
    return json.dumps({"event": {**envelope, "occurred_at": "2026-01-01T00:00:00Z", "data": data | more}}).encode()


async def send(story: Story, relay: Relay, body: bytes) -> int:
    return await relay.deliver(body, sign([secret_of(story)], body))


async def metrics(story: Story) -> str:
    assert story.running is not None
    async with aiohttp.ClientSession() as http, http.get(f"{story.running.url}/metrics") as answer:
        return await answer.text()


def readings(story: Story, incident: str) -> int:
    return story.calls("pagerduty", f"GET /incidents/{incident}/notes")


def delivered(story: Story) -> int:
    return int(story.state["pagerduty"]["subscriptions"][0]["delivered"])


async def paged(story: Story) -> str:
    await story.asks()
    incident = str((await story.until(story.incidents))[0]["id"])
    await story.settle()
    return incident


async def test_a_comment_that_was_cut_in_the_webhook_is_read_whole(story: Story, relay: Relay) -> None:
    incident = await paged(story)
    await story.act("bob", "pagerduty.comment", incident=incident, content="deny " + "because " * 123 + "end-of-reason")
    await story.until(lambda: "Denied" in story.card()["text"])
    assert any(b'"trimmed": true' in body for body, _ in relay.kept)
    assert not any(b"end-of-reason" in body for body, _ in relay.kept)
    assert story.running is not None
    (decision,) = (await story.running.ledger.request(story.id_of(story.card()))).decisions
    assert decision.reason.endswith("end-of-reason")


async def test_an_event_of_256_kilobytes_is_taken(story: Story, relay: Relay) -> None:
    incident = await paged(story)
    body = event(incident, content="x" * (256 * 1024 - 500))
    read = readings(story, incident)
    assert await send(story, relay, body) == 202
    await story.until(lambda: readings(story, incident) > read)


async def test_an_event_that_comes_again_is_read_once_and_an_old_one_only_causes_a_reading(
    story: Story, relay: Relay
) -> None:
    """PagerDuty signs no time: what an attacker kept for months is worth one look at the truth."""
    incident = await paged(story)
    await story.until(lambda: delivered(story) >= len(story.incidents()[0]["notes"]))  # our own notes come back to us
    await story.settle()
    before = readings(story, incident)
    assert [await send(story, relay, event(incident)) for _ in range(3)] == [202] * 3
    await story.settle()
    assert readings(story, incident) == before + 1
    assert 'outcome="taken"} 1' in await metrics(story)
    assert 'outcome="repeated"} 2' in await metrics(story)
    assert story.changes() == []


async def test_events_out_of_order_end_in_the_same_decision(story: Story, relay: Relay) -> None:
    """What counts is read from PagerDuty, in the order in which it was written there."""
    incident = await paged(story)
    relay.holding = True
    await story.act("bob", "pagerduty.comment", incident=incident, content="deny wrong week")
    await story.act("carol", "pagerduty.comment", incident=incident, content="approve")
    await story.until(lambda: len(relay.kept) >= 1)
    assert await send(story, relay, event(incident, id="E-LATER")) == 202
    await story.until(lambda: "Denied" in story.card()["text"])
    await story.settle()
    assert story.changes() == []


async def test_during_a_rotation_either_secret_is_right(story: Story, relay: Relay) -> None:
    incident, old = await paged(story), secret_of(story)
    subscription = story.state["pagerduty"]["subscriptions"][0]["id"]
    new = (await story.act("bob", "pagerduty.rotate_secret", subscription=subscription))["secret"]
    await story.act("bob", "pagerduty.comment", incident=incident, content="approve")
    await story.until(lambda: story.members(READONLY) == [ALICE])  # signed with both, we know the old one
    story.settings["PAGERDUTY_WEBHOOK_SECRETS"] = f"{new},{old}"
    await story.stop()
    await story.start()
    body = event(incident, id="E2")
    assert await relay.deliver(body, sign([new], body)) == 202
    assert await relay.deliver(body, sign([old], body)) == 202


@on_sqlite
async def test_a_store_that_is_held_up_has_the_event_sent_again(
    story: Story, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = await paged(story)
    usual, free = bot.hints.STORE_SECONDS, threading.Event()
    monkeypatch.setattr(bot.hints, "STORE_SECONDS", 0.05)
    assert story.running is not None
    busy = asyncio.ensure_future(story.running.ledger._run(lambda _: free.wait(PATIENCE)))
    await asyncio.sleep(0.02)
    assert await send(story, relay, event(incident)) == 503
    free.set()
    await busy
    monkeypatch.setattr(bot.hints, "STORE_SECONDS", usual)
    assert await send(story, relay, event(incident)) == 202


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"not json", b'{"event": {"id": 1}}', b'{"event": {"id": "E", "event_type": "new.kind"}}']
)
async def test_what_is_signed_and_useless_is_taken_so_that_nothing_is_dropped(
    story: Story, relay: Relay, body: bytes
) -> None:
    assert await send(story, relay, body) == 202


async def test_a_body_that_is_too_long_or_comes_too_slowly_is_sent_away(
    story: Story, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await send(story, relay, b"x" * (BODY_LIMIT + 1)) == 413
    usual = bot.web.READ_SECONDS
    monkeypatch.setattr(bot.web, "READ_SECONDS", 0.1)
    never = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await never.wait()

    assert story.running is not None
    async with aiohttp.ClientSession() as http, http.post(f"{story.running.url}{PATH}", data=slowly()) as answer:
        assert answer.status == 408
    monkeypatch.setattr(bot.web, "READ_SECONDS", usual)
    assert await send(story, relay, b"[" * 100_000) == 202


async def test_wrong_signatures_are_counted_and_do_not_write_each(story: Story, relay: Relay) -> None:
    body = event("Q1")
    assert [await relay.deliver(body, "v1=00") for _ in range(20)] == [401] * 20
    assert 'tinyapprover_webhook_events_total{outcome="refused"} 1' in await metrics(story)


async def switched_off(story: Story, incident: str) -> None:
    """PagerDuty gives the webhook up after three drops in a row, as after a wrong secret."""
    story.settings["PAGERDUTY_WEBHOOK_SECRETS"] = "another"
    await story.stop()
    await story.start()
    for words in ("one", "two", "three"):
        await story.act("carol", "pagerduty.comment", incident=incident, content=words)
    await story.until(lambda: story.state["pagerduty"]["subscriptions"][0]["delivery_method"]["temporarily_disabled"])


async def test_a_webhook_that_was_switched_off_is_seen_and_comments_are_polled(story: Story, relay: Relay) -> None:
    incident = await paged(story)
    assert "tinyapprover_webhook_active 1" in await metrics(story)
    await switched_off(story, incident)
    await story.comments("bob", "approve")
    await story.until(lambda: story.members(READONLY) == [ALICE])
    await story.advance(601)
    await story.settle()
    assert "tinyapprover_webhook_active 0" in await metrics(story)


# --- set up ----------------------------------------------------------------------------------------------------------


async def test_set_up_makes_one_subscription_and_finds_it_again(story: Story) -> None:
    first = await set_up(pager_of(story), "https://bot.example.com")
    again = await set_up(pager_of(story), "https://bot.example.com/")
    assert first.secret
    assert not again.secret
    (made,) = story.state["pagerduty"]["subscriptions"]
    assert made["delivery_method"]["url"] == f"https://bot.example.com{PATH}"
    assert "was there and is active" in again.words


async def test_set_up_enables_what_was_switched_off(story: Story, relay: Relay) -> None:
    incident = await paged(story)
    await switched_off(story, incident)
    assert "was switched off and is active again" in (await set_up(pager_of(story), relay.url)).words
    assert not story.state["pagerduty"]["subscriptions"][0]["delivery_method"]["temporarily_disabled"]


async def test_a_subscription_whose_secret_was_lost_on_the_way_is_not_left_behind(story: Story) -> None:
    await story.fault("pagerduty", "POST /webhook_subscriptions", "lost_answer")
    with pytest.raises(Exception, match="no answer"):
        await set_up(pager_of(story), "https://bot.example.com")
    assert story.state["pagerduty"]["subscriptions"] == []
    assert (await set_up(pager_of(story), "https://bot.example.com")).secret


async def test_without_pagerduty_in_the_settings_any_more_what_was_begun_there_waits_and_is_no_trouble(
    story: Story, relay: Relay
) -> None:
    await paged(story)
    await story.stop()
    story.settings |= {"PAGERDUTY_API_KEY": None, "PAGERDUTY_WEBHOOK_SECRETS": ""}
    await story.start()
    await story.advance(3600)
    await story.settle()
    assert story.running is not None
    waiting = {job.kind: job.trouble for job in await story.running.ledger.waiting()}
    assert {"poll", "subscription"} <= set(waiting)
    assert not any(waiting.values())


async def test_every_kind_of_job_of_the_front_has_a_step_there(story: Story) -> None:
    assert story.running is not None
    assert set(front.handlers(story.running.front)) == {kind for kind, one in KINDS.items() if one.role == FRONT}

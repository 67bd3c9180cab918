"""PagerDuty's stand-in behaves and refuses as PagerDuty documents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest_asyncio

from connectors.pagerduty_webhook import parse_event, verify_signature
from tests.sandbox.vendor_wire import PAGERDUTY, Receiver, Wire, receiving, running

DRAFT = {
    "type": "incident",
    "title": "alice asks for prod-readonly",
    "service": {"id": "PSVC001", "type": "service_reference"},
    "incident_key": "TA-1",
    "body": {"type": "incident_body", "details": "why"},
}


@pytest_asyncio.fixture
async def wire() -> AsyncIterator[Wire]:
    async with running() as wire:
        yield wire


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    async with receiving() as (receiver, url):
        yield receiver, url


async def create(wire: Wire, **changes: Any) -> tuple[int, Any]:
    status, body, _ = await wire.call("POST", "/pagerduty/incidents", PAGERDUTY, {"incident": {**DRAFT, **changes}})
    return status, body


async def subscribe(wire: Wire, url: str, *events: str) -> dict[str, Any]:
    wanted = {
        "type": "webhook_subscription",
        "delivery_method": {"type": "http_delivery_method", "url": url},
        "events": list(events) or ["incident.annotated", "incident.resolved"],
        "filter": {"type": "service_reference", "id": "PSVC001"},
    }
    path = "/pagerduty/webhook_subscriptions"
    _, body, _ = await wire.call("POST", path, PAGERDUTY, {"webhook_subscription": wanted})
    return dict(body["webhook_subscription"])


async def until(wire: Wire, holds: Callable[[], bool]) -> None:
    """Wait for deliveries: the sandbox says when something has changed."""
    async with asyncio.timeout(5):
        while not holds():
            await wire.world.wait("version", wire.world.version, seconds=5)


async def test_a_wrong_token_is_refused(wire: Wire) -> None:
    status, body, _ = await wire.call("GET", "/pagerduty/users", {"Authorization": "Token token=wrong"})
    assert (status, body["error"]["code"]) == (401, 2006)


async def test_a_write_needs_a_from_address_of_a_user(wire: Wire) -> None:
    for sender in ({}, {"From": "nobody@example.com"}):
        headers = {"Authorization": PAGERDUTY["Authorization"], **sender}
        status, body, _ = await wire.call("POST", "/pagerduty/incidents", headers, {"incident": DRAFT})
        assert (status, body["error"]["code"]) == (400, 2001)


async def test_a_second_open_incident_with_the_same_key_is_refused(wire: Wire) -> None:
    assert (await create(wire))[0] == 201
    assert (await create(wire))[0] == 400


async def test_the_key_is_free_again_once_the_incident_is_resolved(wire: Wire) -> None:
    _, body = await create(wire)
    await wire.act("bob", "pagerduty.resolve", incident=body["incident"]["id"])
    assert (await create(wire))[0] == 201


async def test_resolving_what_is_resolved_is_error_1001(wire: Wire) -> None:
    _, body = await create(wire)
    path = f"/pagerduty/incidents/{body['incident']['id']}"
    change = {"incident": {"type": "incident_reference", "status": "resolved"}}
    assert (await wire.call("PUT", path, PAGERDUTY, change))[0] == 200
    status, body, _ = await wire.call("PUT", path, PAGERDUTY, change)
    assert (status, body["error"]["code"]) == (400, 1001)


async def test_details_must_be_a_string_and_a_title_must_be_there(wire: Wire) -> None:
    assert (await create(wire, body={"type": "incident_body", "details": {"a": 1}}))[0] == 400
    assert (await create(wire, title=" "))[0] == 400
    assert (await create(wire, service={"id": "PNONE"}))[0] == 400


async def test_unknown_ids_are_not_found(wire: Wire) -> None:
    for path in ("users/P1", "incidents/Q1", "incidents/Q1/notes", "services/P1"):
        status, _, _ = await wire.call("GET", f"/pagerduty/{path}", PAGERDUTY)
        assert status == 404


async def test_an_incident_assigned_to_its_author_is_acknowledged_and_pages_nobody(wire: Wire) -> None:
    headers = {**PAGERDUTY, "From": "bob@example.com"}
    _, body, _ = await wire.call("POST", "/pagerduty/incidents", headers, {"incident": DRAFT})
    assert body["incident"]["status"] == "acknowledged"
    assert (await wire.state("pagerduty"))["paged"] == []


async def test_every_answer_tells_what_is_left_of_the_minute() -> None:
    async with running(per_minute=2) as wire:
        answers = [await wire.call("GET", "/pagerduty/users", PAGERDUTY) for _ in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 429]
    assert [headers["ratelimit-remaining"] for _, _, headers in answers] == ["1", "0", "0"]
    assert answers[2][1]["error"]["code"] == 2020


async def test_people_who_have_no_account_can_do_nothing(wire: Wire) -> None:
    _, body = await create(wire)
    status, answer = await wire.act("erin", "pagerduty.comment", incident=body["incident"]["id"], content="approve")
    assert (status, answer["error"]) == (400, "erin has no PagerDuty account")


async def test_reassigning_pages_the_other_person(wire: Wire) -> None:
    _, body = await create(wire)
    await wire.act("bob", "pagerduty.reassign", incident=body["incident"]["id"], to="carol")
    assert [one["person"] for one in (await wire.state("pagerduty"))["paged"]] == ["bob", "carol"]


async def test_the_state_shows_no_secret(wire: Wire, receiver: tuple[Receiver, str]) -> None:
    subscription = await subscribe(wire, receiver[1])
    assert subscription["delivery_method"]["secret"] not in json.dumps(await wire.state("pagerduty"))


async def test_a_comment_is_delivered_signed_with_its_author(wire: Wire, receiver: tuple[Receiver, str]) -> None:
    hook, url = receiver
    subscription = await subscribe(wire, url)
    _, body = await create(wire)
    await wire.act("bob", "pagerduty.comment", incident=body["incident"]["id"], content="approve")
    await until(wire, lambda: bool(hook.received))
    raw, headers = hook.received[0]
    assert verify_signature([subscription["delivery_method"]["secret"]], raw, headers["X-PagerDuty-Signature"])
    assert parse_event(raw).incident_id == body["incident"]["id"]
    assert json.loads(raw)["event"]["agent"]["id"] == "PBOB001"


async def test_during_a_rotation_the_signature_is_that_of_both_secrets(
    wire: Wire, receiver: tuple[Receiver, str]
) -> None:
    hook, url = receiver
    subscription = await subscribe(wire, url)
    _, rotated = await wire.act("bob", "pagerduty.rotate_secret", subscription=subscription["id"])
    await wire.call("POST", f"/pagerduty/webhook_subscriptions/{subscription['id']}/ping", PAGERDUTY)
    await until(wire, lambda: bool(hook.received))
    raw, headers = hook.received[0]
    for secret in (subscription["delivery_method"]["secret"], rotated["secret"]):
        assert verify_signature([secret], raw, headers["X-PagerDuty-Signature"])


async def test_a_long_note_is_trimmed_in_the_webhook_alone(wire: Wire, receiver: tuple[Receiver, str]) -> None:
    hook, url = receiver
    await subscribe(wire, url)
    _, body = await create(wire)
    await wire.act("bob", "pagerduty.comment", incident=body["incident"]["id"], content="x" * 5000)
    await until(wire, lambda: bool(hook.received))
    data = json.loads(hook.received[0][0])["event"]["data"]
    assert data["trimmed"]
    assert len(data["content"]) < 5000
    assert len((await wire.state("pagerduty"))["incidents"][0]["notes"][0]["content"]) == 5000


async def test_a_failed_delivery_is_repeated_with_the_same_id_and_holds_back_what_follows(
    wire: Wire, receiver: tuple[Receiver, str]
) -> None:
    hook, url = receiver
    hook.answers = [503, 429]
    await subscribe(wire, url)
    _, body = await create(wire)
    for content in ("first", "second"):
        await wire.act("bob", "pagerduty.comment", incident=body["incident"]["id"], content=content)
    await until(wire, lambda: len(hook.received) == 4)
    assert [json.loads(raw)["event"]["data"]["content"] for raw, _ in hook.received] == [*["first"] * 3, "second"]
    assert len({headers["X-Webhook-Id"] for _, headers in hook.received[:3]}) == 1


async def test_three_drops_switch_a_subscription_off_until_it_is_enabled(
    wire: Wire, receiver: tuple[Receiver, str]
) -> None:
    hook, url = receiver
    hook.always = 403
    subscription = await subscribe(wire, url)
    _, body = await create(wire)
    for n in range(5):
        await wire.act("bob", "pagerduty.comment", incident=body["incident"]["id"], content=f"note {n}")
    account = wire.sandbox.stand_ins["pagerduty"]
    await until(wire, lambda: account.state()["subscriptions"][0]["delivery_method"]["temporarily_disabled"])
    assert len(hook.received) == 3
    hook.always = 202
    await wire.call("POST", f"/pagerduty/webhook_subscriptions/{subscription['id']}/enable", PAGERDUTY)
    await wire.act("bob", "pagerduty.comment", incident=body["incident"]["id"], content="again")
    await until(wire, lambda: len(hook.received) == 4)


async def test_a_deleted_subscription_is_sent_nothing_more(wire: Wire, receiver: tuple[Receiver, str]) -> None:
    hook, url = receiver
    subscription = await subscribe(wire, url)
    path = f"/pagerduty/webhook_subscriptions/{subscription['id']}"
    assert (await wire.call("DELETE", path, PAGERDUTY))[0] == 204
    _, body = await create(wire)
    await wire.act("bob", "pagerduty.comment", incident=body["incident"]["id"], content="anybody?")
    assert (await wire.state("pagerduty"))["subscriptions"] == []
    assert hook.received == []

"""Socket Mode on the wire: who gets a payload, what happens without an acknowledgement, and how connections end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from slack_bolt.async_app import AsyncApp

from connectors.sandbox.world import new_world
from tests.sandbox.slack_desk import Desk, button, buttons, modal, section


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    """An app that subscribes to no messages of channels: nothing is on the wire but what a test sends."""
    opened = Desk(new_world(), events=("app_home_opened", "app_mention", "message.im"))
    await opened.open()
    yield opened
    await opened.close()


async def test_hello_counts_the_connections(desk: Desk) -> None:
    first, second = await desk.raw_socket(), await desk.raw_socket()
    hellos = [await first.receive_json(), await second.receive_json()]
    assert [hello["num_connections"] for hello in hellos] == [1, 2]
    assert hellos[0]["debug_info"]["approximate_connection_time"] > 0


async def test_an_address_is_good_for_one_connection(desk: Desk) -> None:
    opened = await desk.client.apps_connections_open(app_token="xapp-sandbox-app")
    async with desk.http.ws_connect(opened["url"]):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await desk.http.ws_connect(opened["url"])


def counting_app(desk: Desk, name: str, heard: list[str]) -> AsyncApp:
    app = desk.app()

    @app.action("count")
    async def count(ack: Any) -> None:
        heard.append(name)
        await ack()

    return app


async def test_each_payload_goes_to_one_connection(desk: Desk) -> None:
    heard: list[str] = []
    for name in ("one", "two"):
        await desk.connect(counting_app(desk, name, heard))
    ts = await desk.post(buttons(button("count")))
    for _ in range(4):
        await desk.act("bob", "click", channel="C0ACCESS", ts=ts, action_id="count")
    assert sorted(heard) == ["one", "one", "two", "two"]


async def test_an_event_without_acknowledgement_comes_again_three_times(desk: Desk) -> None:
    socket = await desk.raw_socket()
    await socket.receive_json()
    await desk.act("alice", "say", text="hello")
    frames = [await socket.receive_json()]
    for seconds in (3, 60, 300):
        await desk.advance(seconds)
        frames.append(await socket.receive_json())
    assert [frame["retry_attempt"] for frame in frames] == [0, 1, 2, 3]
    assert [frame["retry_reason"] for frame in frames] == ["", "timeout", "timeout", "timeout"]
    assert len({frame["payload"]["event_id"] for frame in frames}) == 1
    assert len({frame["envelope_id"] for frame in frames}) == 4
    await desk.advance(3600)
    await desk.act("alice", "say", text="another")
    assert (await socket.receive_json())["payload"]["event"]["text"] == "another"


async def test_an_acknowledged_event_does_not_come_again(desk: Desk) -> None:
    socket = await desk.raw_socket()
    await socket.receive_json()
    await desk.act("alice", "say", text="first")
    await socket.send_json({"envelope_id": (await socket.receive_json())["envelope_id"]})
    await desk.act("alice", "say", text="second")
    await socket.send_json({"envelope_id": (await socket.receive_json())["envelope_id"]})
    await desk.advance(3)
    await desk.act("alice", "say", text="third")
    assert (await socket.receive_json())["payload"]["event"]["text"] == "third"


async def test_a_click_without_acknowledgement_is_lost_and_the_person_is_told(desk: Desk) -> None:
    desk.slack.socket.ack_seconds = 0.05
    socket = await desk.raw_socket()
    await socket.receive_json()
    ts = await desk.post(buttons(button("approve")))
    told = await desk.act("bob", "click", channel="C0ACCESS", ts=ts, action_id="approve")
    assert told == {"acknowledged": False, "error": "operation_timeout"}
    assert "operation_timeout" in (await desk.state())["notices"]["bob"][0]
    assert (await socket.receive_json())["payload"]["type"] == "block_actions"
    await desk.advance(600)
    await desk.act("alice", "say", text="next")
    assert (await socket.receive_json())["type"] == "events_api"


async def test_nobody_connected_means_the_person_is_told_at_once(desk: Desk) -> None:
    told = await desk.act("alice", "shortcut", callback_id="ask")
    assert told["error"] == "dispatch_failed"


@pytest.mark.parametrize("how", ["disconnect", "drop"])
async def test_a_bolt_app_comes_back_after_its_connection_ends(desk: Desk, how: str) -> None:
    app = desk.app()

    @app.command("/access")
    async def access(ack: Any) -> None:
        await ack("here")

    handler = await desk.connect(app)
    handler.client.ping_interval = 0.1
    before = handler.client.current_session
    await desk.act("alice", how)
    async with asyncio.timeout(10):
        while handler.client.current_session in (None, before) or not desk.slack.socket.connections:
            await desk.world.wait("version", desk.world.version, 0.1)
    assert (await desk.act("alice", "command", command="/access"))["acknowledged"]


async def test_a_frozen_connection_swallows_what_is_sent(desk: Desk) -> None:
    desk.slack.socket.ack_seconds = 0.05
    app = desk.app()

    @app.command("/access")
    async def access(ack: Any) -> None:
        await ack("here")

    await desk.connect(app)
    await desk.act("alice", "freeze")
    assert (await desk.act("alice", "command", command="/access"))["error"] == "operation_timeout"


async def test_the_eleventh_connection_is_turned_away(desk: Desk) -> None:
    for _ in range(10):
        assert (await (await desk.raw_socket()).receive_json())["type"] == "hello"
    assert (await (await desk.raw_socket()).receive_json())["reason"] == "too_many_websockets"


async def test_a_trigger_is_good_once_and_for_three_seconds(desk: Desk) -> None:
    socket = await desk.raw_socket()
    await socket.receive_json()
    triggers = []
    for _ in range(2):
        acting = asyncio.ensure_future(desk.act("alice", "shortcut", callback_id="ask"))
        frame = await socket.receive_json()
        await socket.send_json({"envelope_id": frame["envelope_id"]})
        await acting
        triggers.append(frame["payload"]["trigger_id"])
    view = modal(section("x"))
    assert (await desk.client.views_open(trigger_id=triggers[0], view=view))["ok"]
    assert await refused(desk, triggers[0]) == "exchanged_trigger_id"
    await desk.advance(4)
    assert await refused(desk, triggers[1]) == "expired_trigger_id"


async def refused(desk: Desk, trigger: str) -> str:
    async with desk.http.post(
        "/slack/api/views.open",
        json={"trigger_id": trigger, "view": modal(section("x"))},
        headers={"Authorization": "Bearer xoxb-sandbox-bot"},
    ) as response:
        return str((await response.json())["error"])


async def test_a_response_url_is_good_for_five_uses_and_half_an_hour(desk: Desk) -> None:
    socket = await desk.raw_socket()
    await socket.receive_json()
    urls = []
    for _ in range(2):
        acting = asyncio.ensure_future(desk.act("alice", "command", command="/access"))
        frame = await socket.receive_json()
        await socket.send_json({"envelope_id": frame["envelope_id"]})
        await acting
        urls.append(frame["payload"]["response_url"])
    statuses = []
    for _ in range(6):
        async with desk.http.post(urls[0], json={"text": "again"}) as response:
            statuses.append(response.status)
    assert statuses == [200] * 5 + [404]
    await desk.advance(1801)
    async with desk.http.post(urls[1], json={"text": "late"}) as response:
        assert (await response.json())["error"] == "expired_url"

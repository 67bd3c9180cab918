"""People and an app at the sandbox's Slack: acts over HTTP, a real Bolt app over a real WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import aiohttp
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from connectors.sandbox.server import Sandbox
from connectors.sandbox.slack import BOT_EVENTS, Slack
from connectors.sandbox.world import World

PATIENCE = 5.0


def words(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def button(action_id: str, value: str = "1") -> dict[str, Any]:
    return {"type": "button", "action_id": action_id, "text": words(action_id), "value": value}


def buttons(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "block_id": "buttons", "elements": list(elements)}


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def typing(label: str, block_id: str, **element: Any) -> dict[str, Any]:
    field = {"type": "plain_text_input", "action_id": block_id, **element}
    return {"type": "input", "block_id": block_id, "label": words(label), "element": field}


def modal(*blocks: dict[str, Any], callback_id: str = "form", **more: Any) -> dict[str, Any]:
    frame = {"type": "modal", "callback_id": callback_id, "title": words("Form"), "submit": words("Send")}
    return {**frame, "blocks": list(blocks), **more}


class Desk:
    """One running sandbox with Slack, and the means to act in it and look at it."""

    def __init__(self, world: World, *, events: Iterable[str] = BOT_EVENTS) -> None:
        self.world = world
        self.slack = Slack(world, events=events)
        self.sandbox = Sandbox([self.slack], world)
        self.handlers: list[AsyncSocketModeHandler] = []
        self.sockets: list[aiohttp.ClientWebSocketResponse] = []

    async def open(self) -> None:
        await self.sandbox.start()
        limits = aiohttp.ClientTimeout(total=2 * PATIENCE)
        self.http = aiohttp.ClientSession(base_url=self.world.base_url, timeout=limits)
        self.client = self.client_with("xoxb-sandbox-bot")

    async def close(self) -> None:
        for handler in self.handlers:
            await handler.close_async()  # type: ignore[no-untyped-call]
        await self.http.close()
        await self.sandbox.stop()

    def client_with(self, token: str) -> AsyncWebClient:
        return AsyncWebClient(token=token, base_url=f"{self.world.base_url}/slack/api/")

    def app(self) -> AsyncApp:
        return AsyncApp(client=self.client)

    async def connect(self, app: AsyncApp) -> AsyncSocketModeHandler:
        handler = AsyncSocketModeHandler(app, "xapp-sandbox-app")
        self.handlers.append(handler)
        await handler.connect_async()  # type: ignore[no-untyped-call]
        return handler

    async def raw_socket(self) -> aiohttp.ClientWebSocketResponse:
        """A connection that acknowledges nothing by itself; its hello is still to be read."""
        opened = await self.client.apps_connections_open(app_token="xapp-sandbox-app")
        waiting = aiohttp.ClientWSTimeout(ws_receive=PATIENCE, ws_close=PATIENCE)
        self.sockets.append(await self.http.ws_connect(opened["url"], timeout=waiting))
        return self.sockets[-1]

    async def act(self, who: str, do: str, **args: Any) -> dict[str, Any]:
        async with self.http.post("/_sandbox/act", json={"as": who, "do": f"slack.{do}", **args}) as response:
            told: dict[str, Any] = await response.json()
            assert response.status == 200, told
            return told

    async def refusal(self, who: str, do: str, **args: Any) -> str:
        async with self.http.post("/_sandbox/act", json={"as": who, "do": f"slack.{do}", **args}) as response:
            assert response.status == 400
            return str((await response.json())["error"])

    async def advance(self, seconds: float) -> None:
        async with self.http.post("/_sandbox/clock", json={"advance": seconds}) as response:
            assert response.status == 200

    async def state(self) -> dict[str, Any]:
        async with self.http.get("/_sandbox/state") as response:
            return dict((await response.json())["slack"])

    async def until(self, holds: Callable[[dict[str, Any]], Any]) -> Any:
        """The first true answer about the state, as it changes."""
        async with asyncio.timeout(PATIENCE):
            while True:
                version = self.world.version
                if found := holds(await self.state()):
                    return found
                await self.world.wait("version", version, PATIENCE)

    async def messages(self, channel: str = "C0ACCESS") -> list[dict[str, Any]]:
        return list((await self.state())["channels"][channel]["messages"])

    async def post(self, *blocks: dict[str, Any], channel: str = "C0ACCESS", text: str = "card") -> str:
        return str((await self.client.chat_postMessage(channel=channel, text=text, blocks=list(blocks)))["ts"])

"""One Socket Mode connection of slack_sdk's: whether it hears, what it is working on, and how it is closed in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from bot.errors import Fault, SettingsError

log = logging.getLogger(__name__)

PING_SECONDS = 5
DEAF_SECONDS = 4.0 * PING_SECONDS
OPEN_SECONDS = 15.0
FINISH_SECONDS = 3.0  # as long as Slack waits for an acknowledgement
CLOSE_SECONDS = 2.0
Greeted = Callable[[int], None]


class Line(AsyncSocketModeHandler):
    """A connection. `on_hello` is told at every hello how many connections Slack counts for this app."""

    def __init__(self, app: AsyncApp, token: str, on_hello: Greeted) -> None:
        super().__init__(app, token, web_client=app.client, ping_interval=PING_SECONDS)
        self._on_hello = on_hello
        self._working: set[asyncio.Task[Any]] = set()
        self._finishing = False
        self._greeted = asyncio.Event()
        self._greeted_session: Any = None
        self.client.message_listeners.append(self._heard)

    async def open(self) -> None:
        """Connect and wait for Slack's hello.

        An address is asked for here, because slack_sdk would try a refused token for ever. `SettingsError` when Slack
        refuses the token; a `Fault` that is `unknown` when an address was given and led nowhere.
        """
        self.client.wss_uri = await self._address()
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self.connect_async()  # type: ignore[no-untyped-call]
                await self._greeted.wait()
        except TimeoutError:
            raise Fault("slack", "gave an address, and no connection came about", unknown=True) from None

    async def _address(self) -> str:
        try:
            call = self.app.client.apps_connections_open(app_token=self.app_token)
            return str((await asyncio.wait_for(call, OPEN_SECONDS))["url"])
        except SlackApiError as error:
            code = error.response.get("error")
            if error.response.status_code == 200 and code not in ("ratelimited", "internal_error"):
                raise SettingsError(f"SLACK_APP_TOKEN: Slack refused it ({code}); it needs connections:write") from None
            raise Fault("slack", f"gives no address ({code or error.response.status_code})") from error
        except Exception as error:  # whatever the network or a half-dead server does to the call
            raise Fault("slack", f"gives no address ({type(error).__name__})") from error

    async def _heard(self, client: Any, message: Mapping[str, Any], _raw: str | None = None) -> None:
        if message.get("type") == "hello":
            self._greeted_session = client.current_session
            self._greeted.set()
            self._on_hello(int(message.get("num_connections") or 1))

    async def is_well(self, now: float) -> bool:
        """Open, greeted, and pings are answered. slack_sdk alone does not look at its own session."""
        client = self.client
        greeted = self._greeted_session is not None and self._greeted_session is client.current_session
        pong = client.last_ping_pong_time
        hears = pong is None or now - pong < DEAF_SECONDS
        return greeted and hears and not client.aiohttp_client_session.closed and await client.is_connected()

    def heard_at(self, now: float) -> float:
        """When Slack last answered a ping; `now` on a connection so new that none was sent."""
        pong = self.client.last_ping_pong_time
        return now if pong is None else float(pong)

    async def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]
        """One envelope; known as long as it is worked on, so that a stop can wait for its acknowledgement."""
        if self._finishing:
            return
        task = asyncio.current_task()
        assert task is not None
        self._working.add(task)
        try:
            if is_echo(req.payload):
                await client.send_socket_mode_response(SocketModeResponse(req.envelope_id))
            else:
                await super().handle(client, req)
        finally:
            self._working.discard(task)

    async def finish(self) -> None:
        """Take nothing more, acknowledge what was taken, and close."""
        self._finishing = True
        if self._working:
            await asyncio.wait(self._working, timeout=FINISH_SECONDS)
        await self.close()

    async def close(self) -> None:
        """Let go at once, also of a connection that does not answer."""
        client = self.client
        client.closed, client.auto_reconnect_enabled = True, False
        for task in (client.current_session_monitor, client.message_receiver, client.message_processor):
            if task is not None:
                task.cancel()
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await client.disconnect()  # type: ignore[no-untyped-call]
        await client.aiohttp_client_session.close()


def is_echo(payload: Mapping[str, Any]) -> bool:
    """A message that a bot posted or changed: nobody listens to it, and of our own there is one for each we write."""
    event = payload.get("event") or {}
    told = event.get("message") or event
    return event.get("type") == "message" and bool(told.get("bot_id"))

"""The connection to Slack: Bolt over Socket Mode, where nothing but our own commit delays an acknowledgement."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import SettingsError
from bot.slack.intake import Intake

log = logging.getLogger(__name__)

START_SECONDS = 15.0


def new_app(client: AsyncWebClient, *, token: str, team: str, user: str, bot_id: str) -> AsyncApp:
    """A Bolt app for one workspace.

    `process_before_response` returns the acknowledgement as soon as a handler ends: Bolt's default looks for it only
    every 10 ms. Who we are is known, so nothing is asked of Slack before a handler runs. What Bolt checks of requests
    over HTTP (signatures, handshakes) has no meaning over a socket.
    """
    who = AuthorizeResult(enterprise_id=None, team_id=team, bot_token=token, bot_id=bot_id, bot_user_id=user)

    async def authorize(**_: Any) -> AuthorizeResult:
        return who

    return AsyncApp(
        client=client,
        authorize=authorize,
        process_before_response=True,
        logger=logging.getLogger("slack"),
        ssl_check_enabled=False,
        request_verification_enabled=False,
        url_verification_enabled=False,
        attaching_function_token_enabled=False,
    )


class Socket:
    """One Socket Mode connection, and its orderly end."""

    def __init__(self, app: AsyncApp, intake: Intake, app_token: str) -> None:
        self._app = app
        self._intake = intake
        self._token = app_token
        self._handler: AsyncSocketModeHandler | None = None

    async def start(self) -> None:
        """Connect; a wrong app token is a `SettingsError` here, because the client would retry it for ever."""
        try:
            await asyncio.wait_for(self._app.client.apps_connections_open(app_token=self._token), START_SECONDS)
        except SlackApiError as error:
            code = error.response.get("error")
            raise SettingsError(f"SLACK_APP_TOKEN: Slack refused it ({code}); it needs connections:write") from None
        self._intake.register(self._app)
        self._handler = AsyncSocketModeHandler(self._app, self._token, web_client=self._app.client, ping_interval=5)
        await asyncio.wait_for(self._handler.connect_async(), START_SECONDS)  # type: ignore[no-untyped-call]

    async def is_connected(self) -> bool:
        return self._handler is not None and await self._handler.client.is_connected()

    async def stop(self) -> None:
        """Take nothing more, and finish what was taken."""
        if self._handler is not None:
            await self._handler.close_async()  # type: ignore[no-untyped-call]
        await self._intake.drain()

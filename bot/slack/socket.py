"""The connection to Slack: Bolt over Socket Mode, where nothing but our own commit delays an acknowledgement.

A watchdog replaces a connection that stays unwell: slack_sdk alone tries a spent address for ever, and does not notice
every socket that is open on one side only. https://docs.slack.dev/apis/events-api/using-socket-mode/
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import Fault, SettingsError, Unreachable
from bot.slack.intake import Intake
from bot.slack.line import Line

log = logging.getLogger(__name__)

UNWELL_SECONDS = 20.0  # slack_sdk gets one try of its own
TRIES = 3
MANY_CONNECTIONS = 5  # two replicas, each replacing its connection, are four; Slack allows ten


def new_app(client: AsyncWebClient, *, token: str, team: str, user: str, bot_id: str) -> AsyncApp:
    """A Bolt app for one workspace.

    `process_before_response` returns the acknowledgement as soon as a handler ends: Bolt's default looks for it only
    every 10 ms. Who we are is known, so nothing is asked of Slack before a handler runs. What Bolt checks of requests
    over HTTP (signatures, handshakes) has no meaning over a socket. Its client shares the session and has no token:
    Bolt takes that from `authorize`, and warns at every start of one that it will not use.
    """
    who = AuthorizeResult(enterprise_id=None, team_id=team, bot_token=token, bot_id=bot_id, bot_user_id=user)

    async def authorize(**_: Any) -> AuthorizeResult:
        return who

    bare = AsyncWebClient(base_url=client.base_url, timeout=client.timeout, session=client.session, retry_handlers=[])
    return AsyncApp(
        client=bare,
        authorize=authorize,
        process_before_response=True,
        logger=logging.getLogger("slack"),
        ssl_check_enabled=False,
        request_verification_enabled=False,
        url_verification_enabled=False,
        attaching_function_token_enabled=False,
    )


class Socket:
    """The connection that stands, its replacement when it stays unwell, and its orderly end.

    `on_back` is told after every hello for how many seconds nothing of Slack's had arrived (0: nobody ever connected).
    """

    def __init__(
        self,
        app: AsyncApp,
        intake: Intake,
        app_token: str,
        *,
        on_back: Callable[[float], None] = lambda _away: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._intake = intake
        self._token = app_token
        self._on_back = on_back
        self.now = now
        self._line: Line | None = None
        self._reached_at: float | None = None
        self._tried_at: float | None = None  # None while it is well
        self._failures = 0
        self.connections = 0
        """How many connections Slack counts for this app, as it last told."""
        self.replaced = 0

    async def start(self, *, reached_at: float | None = None) -> None:
        """Connect; a wrong app token is a `SettingsError` here, and a Slack that cannot be reached as well.

        `reached_at` is when Slack last reached a process like this one.
        """
        self._reached_at = reached_at
        self._intake.register(self._app)
        try:
            self._line = await self._open()
        except Fault as fault:
            raise Unreachable(f"SLACK_API_URL: {fault}; check the address, and that it is up") from fault

    async def _open(self) -> Line:
        line = Line(self._app, self._token, self._greeted)
        try:
            await line.open()
        except BaseException:
            await line.close()
            raise
        return line

    def _greeted(self, connections: int) -> None:
        """Connections that nobody holds any more take their share of the clicks: many of them are a warning."""
        self.connections = connections
        if connections > MANY_CONNECTIONS:
            log.warning("Slack counts %d connections of this app; stop all its processes for a minute", connections)
        now = self.now()
        away = now - self._reached_at if self._reached_at is not None else 0.0
        self._reached_at, self._tried_at = now, None
        self._on_back(away)

    def gauges(self) -> dict[str, float]:
        """For the metrics."""
        return {"slack_connections": self.connections, "slack_connections_replaced": self.replaced}

    async def look(self) -> bool:
        """Whether Slack reaches us. What stays unwell is replaced; call it every second or so.

        Raises a `Fault` when Slack gives addresses and none of several leads anywhere: a supervisor should start us
        anew. While Slack gives no address a restart would not help, and the rest of the program goes on.
        """
        now = self.now()
        if self._line is not None and await self._line.is_well(now):
            self._reached_at, self._tried_at, self._failures = self._line.heard_at(now), None, 0
            return True
        if self._tried_at is None:
            self._tried_at = now
        if now - self._tried_at >= UNWELL_SECONDS:
            self._tried_at = now
            await self._replace()
        return False

    async def _replace(self) -> None:
        """A new connection on a new address, then the old one is let go."""
        log.warning("the connection to Slack stays unwell: replacing it", extra={"step": "socket", "vendor": "slack"})
        try:
            fresh = await self._open()
        except SettingsError as problem:
            log.error("%s", problem)
        except Fault as fault:
            self._failures += fault.unknown
            log.warning("%s", fault, extra={"step": "socket", "vendor": "slack"})
            if self._failures >= TRIES:
                raise
        else:
            self.replaced += 1
            old, self._line = self._line, fresh
            if old is not None:
                await old.close()

    async def stop(self) -> None:
        """Take nothing more, and finish what was taken."""
        if self._line is not None:
            await self._line.finish()
        await self._intake.drain()

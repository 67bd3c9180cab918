"""The HTTP side: PagerDuty's signed webhook, health, readiness and metrics."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from bot.errors import SettingsError
from bot.hints import Hints
from bot.ledger import Ledger
from bot.webhooks import PATH, REFUSED
from connectors.pagerduty_webhook import WebhookEvent, parse_event, verify_signature

log = logging.getLogger(__name__)

BODY_LIMIT = 512 * 1024  # PagerDuty sends up to 256 KB
READ_SECONDS = 5.0  # for a whole body: whoever sends it slower is not PagerDuty, and holds up nothing but itself
REFUSED_EVERY = 5.0
Metrics = Callable[[], Awaitable[str]]


@dataclass(slots=True)
class Front:
    """What the HTTP side needs: the ledger, the webhook's secrets, and how ready the rest is."""

    ledger: Ledger
    secrets: tuple[str, ...]
    ready: Callable[[], dict[str, bool]]
    metrics: Metrics
    lives: Callable[[], dict[str, str]] = dict
    _runner: web.AppRunner | None = field(default=None)
    _refused: int = 0
    _refused_at: float = -REFUSED_EVERY
    _hints: Hints = field(init=False)

    def __post_init__(self) -> None:
        self._hints = Hints(self.ledger)

    async def start(self, host: str, port: int) -> str:
        """Listen; `SettingsError` when the address is taken. Returns the base address."""
        app = web.Application(client_max_size=BODY_LIMIT)
        app.add_routes(
            [
                web.get("/healthz", self._health),
                web.get("/readyz", self._readiness),
                web.get("/metrics", self._metrics),
                web.post(PATH, self._pagerduty),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as problem:
            await self._runner.cleanup()
            raise SettingsError(
                f"TINYAPPROVER_HTTP_PORT: cannot listen on {host}:{port} ({problem.strerror}); choose another port"
            ) from None
        bound = self._runner.addresses[0]
        return f"http://{bound[0]}:{bound[1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, _request: web.Request) -> web.Response:
        """Alive: the loop turns."""
        return web.json_response({"alive": True})

    async def _readiness(self, _request: web.Request) -> web.Response:
        """Ready: everything is connected and warm; says what is not.

        It also tells which role lives. That is not asked of us here: requests, pages and answers must come in while
        the executor is away.
        """
        parts = self.ready()
        return web.json_response({**parts, **self.lives()}, status=200 if all(parts.values()) else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(text=await self.metrics(), content_type="text/plain")

    async def _pagerduty(self, request: web.Request) -> web.Response:
        """A signed hint that something happened on an incident: stored once, then read back through the API."""
        if not self.secrets:
            return web.Response(status=503, text="PAGERDUTY_WEBHOOK_SECRETS is not set")
        if self.ledger.crowded:
            return web.Response(status=503, headers={"Retry-After": "30"}, text="busy, come again")
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await request.read()
        except TimeoutError:
            return web.Response(status=408, text="too slow")
        if not verify_signature(self.secrets, body, request.headers.get("X-PagerDuty-Signature")):
            await self._forged()
            return web.Response(status=401, text="wrong signature")
        try:
            event = parse_event(body)
        except (ValueError, RecursionError):
            return web.Response(status=202, text="not an event of ours")
        return await self._take(event)

    async def _take(self, event: WebhookEvent) -> web.Response:
        """One commit, then the answer; what cannot be stored in time is asked for again, and taken once."""
        try:
            await self._hints.take(event.id, event.incident_id)
        except Exception as problem:  # noqa: BLE001 - whatever holds the database up, PagerDuty keeps the event
            log.warning("an event could not be stored: %s", problem, extra={"step": "webhook", "vendor": "pagerduty"})
            return web.Response(status=503, text="try again")
        return web.Response(status=202)

    async def _forged(self) -> None:
        """Counted, but whoever sends many of them makes us write no oftener than every few seconds."""
        self._refused += 1
        if time.monotonic() - self._refused_at < REFUSED_EVERY:
            return
        log.warning("a webhook with a wrong signature was refused", extra={"step": "webhook", "vendor": "pagerduty"})
        count, self._refused, self._refused_at = self._refused, 0, time.monotonic()
        await self.ledger.see(REFUSED, count=count)

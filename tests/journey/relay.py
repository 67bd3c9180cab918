"""A webhook's way in: what PagerDuty delivers is kept, and passed on to wherever the program listens now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from tests.story import Story

SIGNATURE = "X-PagerDuty-Signature"


@dataclass(slots=True)
class Relay:
    """Like the reverse proxy in front of a real installation."""

    story: Story
    url: str = ""
    kept: list[tuple[bytes, str]] = field(default_factory=list)
    holding: bool = False
    """Whether what comes in stays here, taken and not passed on."""

    async def take(self, request: web.Request) -> web.Response:
        body, signature = await request.read(), request.headers.get(SIGNATURE, "")
        self.kept.append((body, signature))
        if self.holding:
            return web.Response(status=202)
        return web.Response(status=await self.deliver(body, signature))

    async def deliver(self, body: bytes, signature: str) -> int:
        """Hand a delivery to the program; its status."""
        if self.story.running is None:
            return 503
        address = f"{self.story.running.url}/webhooks/pagerduty"
        async with (
            aiohttp.ClientSession() as http,
            http.post(address, data=body, headers={SIGNATURE: signature}) as response,
        ):
            return response.status


@asynccontextmanager
async def relaying(story: Story) -> AsyncIterator[Relay]:
    """A relay that listens on a free port."""
    relay, app = Relay(story), web.Application()
    app.router.add_post("/hook", relay.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    relay.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield relay
    finally:
        await runner.cleanup()

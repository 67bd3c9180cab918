"""A sandbox with PagerDuty, Okta and the model, and a plain HTTP client: the vendors' wire without our connectors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from connectors.sandbox.okta import Okta
from connectors.sandbox.openai import OpenAI
from connectors.sandbox.pagerduty import PagerDuty
from connectors.sandbox.server import Sandbox, StandIn
from connectors.sandbox.world import new_world

PAGERDUTY = {"Authorization": "Token token=sandbox-pagerduty-key", "From": "tinyapprover@example.com"}
READER = {"Authorization": "SSWS sandbox-okta-reader"}
WRITER = {"Authorization": "SSWS sandbox-okta-writer"}
MODEL = {"Authorization": "Bearer sandbox-model-key"}


class Wire:
    """Calls, acts and state of a running sandbox."""

    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world
        self._http = http

    async def call(
        self, method: str, path: str, headers: Mapping[str, str], body: Any = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON (None when empty) and headers of an answer."""
        async with self._http.request(method, path, headers=headers, json=body) as response:
            return response.status, await response.json() if await response.read() else None, response.headers

    async def act(self, who: str, do: str, /, **args: Any) -> tuple[int, Any]:
        async with self._http.post("/_sandbox/act", json={"as": who, "do": do, **args}) as response:
            return response.status, await response.json()

    async def state(self, vendor: str) -> Any:
        async with self._http.get("/_sandbox/state") as response:
            return (await response.json())[vendor]


@asynccontextmanager
async def running(**pagerduty: Any) -> AsyncIterator[Wire]:
    """A fresh sandbox. Keyword arguments go to the PagerDuty stand-in."""
    world = new_world()
    stand_ins: list[StandIn] = [PagerDuty(world, **{"retry_seconds": 0.01, **pagerduty}), Okta(world), OpenAI(world)]
    sandbox = Sandbox(stand_ins, world)
    base = await sandbox.start()
    async with aiohttp.ClientSession(base) as http:
        yield Wire(sandbox, http)
    await sandbox.stop()


class Receiver:
    """A web server that is sent webhooks, answers as told, and keeps what came."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.always = 202
        self.received: list[tuple[bytes, Mapping[str, str]]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.received.append((await request.read(), request.headers))
        return web.Response(status=self.answers.pop(0) if self.answers else self.always)


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    """A receiver and its address."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield receiver, f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    await runner.cleanup()

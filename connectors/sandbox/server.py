"""One port for everything: the vendors' stand-ins, the control address `/_sandbox`, and the page."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Protocol

from aiohttp import web

from connectors.addresses import is_loopback
from connectors.sandbox.page import page_routes
from connectors.sandbox.world import FAULT_KINDS, Call, Fault, World

Act = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LONG_POLL_SECONDS = 20.0


class Refusal(Exception):
    """What a person asked the sandbox to do cannot be done; answered as 400 with the reason."""


class StandIn(Protocol):
    """One vendor: routes to mount under `/<name>`, its state for the page, and what people can do in it."""

    name: str

    def routes(self) -> list[web.RouteDef]: ...

    def state(self) -> dict[str, Any]:
        """JSON-ready state, judged by tests and drawn by the page."""
        ...

    def acts(self) -> dict[str, Act]:
        """Name (such as `comment`, called as `pagerduty.comment`) to coroutine function(person key, arguments)."""
        ...


class Sandbox:
    """The stand-ins over one world, served on one loopback port."""

    def __init__(self, stand_ins: list[StandIn], world: World) -> None:
        self.world = world
        self.stand_ins = {stand_in.name: stand_in for stand_in in stand_ins}
        self._runner: web.AppRunner | None = None

    async def start(self, *, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, and return the base address. Port 0 takes any free one."""
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound = self._runner.addresses[0]
        self.world.base_url = f"http://{bound[0]}:{bound[1]}"
        return self.world.base_url

    async def stop(self) -> None:
        await self.world.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=4 * 1024 * 1024, middlewares=[_only_from_here])
        for stand_in in self.stand_ins.values():
            vendor = web.Application(middlewares=[_play_faults(self.world, stand_in.name)])
            vendor.add_routes(stand_in.routes())
            app.add_subapp(f"/{stand_in.name}", vendor)
        app.add_routes(self._control_routes())
        app.add_routes(page_routes())
        return app

    def _control_routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_sandbox/people", self._people),
            web.get("/_sandbox/clock", self._clock),
            web.post("/_sandbox/clock", self._advance),
            web.get("/_sandbox/faults", self._faults),
            web.post("/_sandbox/faults", self._add_fault),
            web.delete("/_sandbox/faults", self._clear_faults),
            web.get("/_sandbox/state", self._state),
            web.get("/_sandbox/calls", self._calls),
            web.post("/_sandbox/act", self._act),
            web.get("/_sandbox/live", self._live),
        ]

    async def _people(self, _request: web.Request) -> web.Response:
        people = [asdict(person) for person in self.world.people.values()]
        return _json({"people": people, "workspace": self.world.seed["workspace"]})

    async def _clock(self, request: web.Request) -> web.Response:
        """The time; with `?after=<version>` answers when it was moved, or after a while."""
        if "after" in request.query:
            await self.world.wait("clock_version", int(request.query["after"]), LONG_POLL_SECONDS)
        return self._clock_now()

    async def _advance(self, request: web.Request) -> web.Response:
        seconds = (await request.json()).get("advance")
        if not isinstance(seconds, int | float) or not -86400 <= seconds <= 400 * 86400:
            return _json({"error": "advance takes seconds from -86400 (a clock set back) to 34560000"}, status=400)
        self.world.advance(timedelta(seconds=seconds))
        return self._clock_now()

    def _clock_now(self) -> web.Response:
        world = self.world
        return _json(
            {"now": world.now().isoformat(), "offset": world.offset.total_seconds(), "version": world.clock_version}
        )

    async def _faults(self, _request: web.Request) -> web.Response:
        return _json({"faults": [asdict(fault) for fault in self.world.faults], "kinds": FAULT_KINDS})

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            fault = Fault(**await request.json())
        except TypeError as problem:
            return _json(
                {"error": f"a fault has vendor, route, kind, times, seconds, status, chance: {problem}"}, status=400
            )
        if fault.kind not in FAULT_KINDS or fault.vendor not in self.stand_ins:
            known = f"kind is one of {', '.join(FAULT_KINDS)}; vendor one of {', '.join(self.stand_ins)}"
            return _json({"error": known}, status=400)
        self.world.faults.append(fault)
        return await self._faults(request)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self.world.faults.clear()
        self.world.touch()
        return await self._faults(request)

    async def _state(self, _request: web.Request) -> web.Response:
        state = {name: stand_in.state() for name, stand_in in self.stand_ins.items()}
        return _json({"version": self.world.version, **state})

    async def _calls(self, request: web.Request) -> web.Response:
        """What was asked, in order; `?vendor=` and `?since=<index>` narrow it."""
        since = int(request.query.get("since", 0))
        vendor = request.query.get("vendor")
        chosen = [call for call in self.world.calls[since:] if vendor in (None, call.vendor)]
        return _json({"next": len(self.world.calls), "calls": [asdict(call) for call in chosen]})

    async def _act(self, request: web.Request) -> web.Response:
        """Do something as a person: `{"as": "alice", "do": "slack.shortcut", ...}`."""
        body = await request.json()
        vendor, _, verb = str(body.get("do", "")).partition(".")
        stand_in = self.stand_ins.get(vendor)
        act = stand_in.acts().get(verb) if stand_in else None
        if act is None or body.get("as") not in self.world.people:
            return _json({"error": f"nobody can do {body.get('do')!r} as {body.get('as')!r}"}, status=400)
        try:
            return _json(await act(body["as"], {k: v for k, v in body.items() if k not in ("as", "do")}))
        except Refusal as refusal:
            return _json({"error": str(refusal)}, status=400)

    async def _live(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: the version, whenever anything changed."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        with suppress(ConnectionResetError):  # the page was closed
            await self._tell_changes(response)
        return response

    async def _tell_changes(self, response: web.StreamResponse) -> None:
        seen = -1
        while True:
            if self.world.version != seen:
                seen = self.world.version
                await response.write(f"data: {seen}\n\n".encode())
            await self.world.wait("version", seen, LONG_POLL_SECONDS)
            await response.write(b": still here\n\n")


@web.middleware
async def _only_from_here(request: web.Request, handler: Handler) -> web.StreamResponse:
    """No other website that is open in the same browser may press anything here, nor under another host name."""
    origin = request.headers.get("Origin")
    here = f"{request.scheme}://{request.host}"
    if not is_loopback(here) or origin not in (None, here):
        raise web.HTTPForbidden(text="the sandbox answers this machine and its own page only")
    return await handler(request)


def _json(data: Any, *, status: int = 200) -> web.Response:
    return web.json_response(data, status=status, dumps=lambda value: json.dumps(value, default=str))


def _play_faults(world: World, vendor: str) -> Any:
    """Middleware: records each call and plays the fault that was asked for, if one applies."""

    @web.middleware
    async def play(request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path.removeprefix(f"/{vendor}").removeprefix("/api/v1")
        route = f"{request.method} {path}"
        body, port = await _body(request), _port(request)
        call = Call(at=world.now(), started=time.monotonic(), vendor=vendor, route=route, body=body, port=port)
        world.record(call)
        await world.watch(call, "before")
        fault = world.pick_fault(vendor, route)
        call.fault = fault.kind if fault else ""
        try:
            response = await _answer(request, handler, fault, call.started, world)
            call.status = response.status
            await world.watch(call, "after")
        finally:
            call.ms = (time.monotonic() - call.started) * 1000
        return response

    return play


def _port(request: web.Request) -> int:
    """Where it comes from: by it one can find out which process asked."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return int(peer[1]) if peer else 0


async def _body(request: web.Request) -> Any:
    text = await request.text()
    if not request.content_type.endswith("json"):
        return dict(await request.post()) if request.content_type.startswith("application/x-www-form") else text
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


async def _answer(
    request: web.Request, handler: Handler, fault: Fault | None, began: float, world: World
) -> web.StreamResponse:
    if fault is None:
        return await handler(request)
    if fault.kind == "held":
        await world.until_cleared(fault)
        return await handler(request)
    if fault.kind == "latency":
        await asyncio.sleep(fault.seconds / 2)  # half of it is the way there
        response = await handler(request)
        await asyncio.sleep(began + fault.seconds - time.monotonic())
        return response
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
        return await handler(request)
    if fault.kind == "lost_answer":
        await handler(request)
    if fault.kind == "late":
        world.spawn(_later(request, handler, fault.seconds))
    if fault.kind in ("cut", "lost_answer", "late"):
        _cut(request)
    return _broken(fault)


async def _later(request: web.Request, handler: Handler, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await handler(request)


def _cut(request: web.Request) -> None:
    """Close the connection under the client, without an answer."""
    if request.transport is not None:
        request.transport.abort()
    raise web.HTTPServiceUnavailable


def _broken(fault: Fault) -> web.Response:
    match fault.kind:
        case "rate_limit":
            return web.Response(status=429, headers={"Retry-After": f"{fault.seconds:.0f}"}, text="slow down")
        case "maintenance":
            return web.Response(status=503, headers={"Retry-After": f"{fault.seconds:.0f}"}, text="back soon")
        case "rate_limit_bare":
            return web.Response(status=429)
        case "empty":
            return web.Response(status=200)
        case "html":
            return web.Response(status=200, content_type="text/html", text="<html><h1>Bad gateway</h1></html>")
        case _:
            return web.Response(status=fault.status, text="unavailable")

"""A stand-in for whoever watches from outside: it is called while all is well, and counts the calls of each check."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aiohttp import web

from connectors.sandbox.server import Act
from connectors.sandbox.world import World


class Watcher:
    """Mounted under `/watcher`; a check is called by GET at its own address."""

    name = "watcher"

    def __init__(self, world: World) -> None:
        self._world = world
        self._calls: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/{check}", self._called)]

    def acts(self) -> dict[str, Act]:
        return {}

    def state(self) -> dict[str, Any]:
        return {"calls": dict(self._calls)}

    async def _called(self, request: web.Request) -> web.Response:
        self._calls[request.match_info["check"]] += 1
        self._world.touch()
        return web.Response(text="OK")

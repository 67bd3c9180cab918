"""Socket Mode: tickets, connections, envelopes, acknowledgements and redelivery over a real WebSocket.

https://docs.slack.dev/apis/events-api/using-socket-mode/: each payload goes to one connection; events that are
not acknowledged come again, interactive payloads never do.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aiohttp import WSMsgType, web

from connectors.sandbox.slack_store import APP_ID, Json
from connectors.sandbox.world import World

ACK_SECONDS = 3.0
EVENT_PATIENCE = (ACK_SECONDS, 60.0, 300.0, ACK_SECONDS)  # until the next delivery; the last one ends it
MOST_CONNECTIONS = 10
CONNECTION_SECONDS = 18_060


@dataclass(slots=True)
class Connection:
    """One open socket. A frozen one takes payloads and neither reads nor answers, like a half-open TCP connection."""

    request: web.Request
    ws: web.WebSocketResponse
    leaving: bool = False
    frozen: bool = False


@dataclass(slots=True)
class Envelope:
    """One delivery and the acknowledgement it waits for: the payload that came with it, or None."""

    kind: str
    payload: Json
    accepts_response: bool
    attempt: int = 0
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    answer: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def frame(self) -> Json:
        base: Json = {"envelope_id": self.id, "type": self.kind, "payload": self.payload}
        base["accepts_response_payload"] = self.accepts_response
        if self.kind == "events_api":
            base |= {"retry_attempt": self.attempt, "retry_reason": "timeout" if self.attempt else ""}
        return base


@dataclass(frozen=True, slots=True)
class Ack:
    """How an interactive payload ended: `error` is what Slack tells the person when nobody acknowledged."""

    payload: Any = None
    error: str = ""


class Socket:
    """All connections of the app."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ack_seconds = ACK_SECONDS
        self.connections: list[Connection] = []
        self.latest: Envelope | None = None
        self._tickets: set[str] = set()
        self._waiting: dict[str, Envelope] = {}
        self._turn = 0
        self._guarded = False

    def open_ticket(self) -> str:
        """The address of one connection, good once."""
        ticket = secrets.token_hex(16)
        self._tickets.add(ticket)
        return f"{self.world.base_url.replace('http', 'ws', 1)}/slack/socket?ticket={ticket}"

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=403, text="this address was used or never given")
        self._tickets.discard(ticket)
        connection = Connection(request, web.WebSocketResponse(autoping=False))
        await connection.ws.prepare(request)
        if len(self.connections) >= MOST_CONNECTIONS:
            await connection.ws.send_json(_disconnect("too_many_websockets"))
            return connection.ws
        await connection.ws.send_json(self._hello())
        self._keep(connection)
        try:
            await self._read(connection)
        finally:
            self.connections.remove(connection)
            self.world.touch()
        return connection.ws

    def _keep(self, connection: Connection) -> None:
        if not self._guarded:
            self._guarded = True
            self.world.spawn(self._until_the_end())
        self.connections.append(connection)
        self.world.touch()

    async def _until_the_end(self) -> None:
        """Cut the connections when the world closes, so that the server need not wait for them."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.drop()

    def _hello(self) -> Json:
        debug = {"host": "applink-sandbox", "build_number": 1, "approximate_connection_time": CONNECTION_SECONDS}
        return {
            "type": "hello",
            "num_connections": len(self.connections) + 1,
            "debug_info": debug,
            "connection_info": {"app_id": APP_ID},
        }

    async def _read(self, connection: Connection) -> None:
        async for frame in connection.ws:
            if connection.frozen:
                continue
            if frame.type is WSMsgType.PING:
                await connection.ws.pong(frame.data)
            elif frame.type is WSMsgType.TEXT:
                self._acknowledged(frame.data)

    def _acknowledged(self, text: str) -> None:
        try:
            answer = json.loads(text)
        except ValueError:
            return
        envelope = self._waiting.get(answer.get("envelope_id", "")) if isinstance(answer, dict) else None
        if envelope is not None and not envelope.answer.done():
            envelope.answer.set_result(answer.get("payload"))

    async def _send(self, envelope: Envelope) -> bool:
        """Give it to the next connection in turn; False when there is none."""
        candidates = [one for one in self.connections if not one.leaving] or self.connections
        if not candidates:
            return False
        self._turn += 1
        self._waiting[envelope.id] = envelope
        try:
            await candidates[self._turn % len(candidates)].ws.send_json(envelope.frame())
        except (ConnectionError, RuntimeError):
            return False
        return True

    async def ask(self, kind: str, payload: Json) -> Ack:
        """Deliver an interactive payload once and wait for its acknowledgement."""
        envelope = self.latest = Envelope(kind, payload, accepts_response=True)
        if not await self._send(envelope):
            return Ack(error="dispatch_failed")
        try:
            return Ack(payload=await asyncio.wait_for(envelope.answer, self.ack_seconds))
        except TimeoutError:
            return Ack(error="operation_timeout")
        finally:
            self._waiting.pop(envelope.id, None)

    async def repeat(self) -> Ack:
        """Deliver the latest interactive payload once more, as if its acknowledgement had been lost on the way."""
        if self.latest is None:
            return Ack(error="nothing was delivered yet")
        return await self.ask(self.latest.kind, self.latest.payload)

    async def notify(self, payload: Json) -> None:
        """Deliver an event until it is acknowledged, at most four times in all."""
        for attempt, patience in enumerate(EVENT_PATIENCE):
            envelope = Envelope("events_api", payload, accepts_response=False, attempt=attempt)
            await self._send(envelope)
            acknowledged = await self._acknowledged_within(envelope, patience)
            self._waiting.pop(envelope.id, None)
            if acknowledged:
                return

    async def _acknowledged_within(self, envelope: Envelope, seconds: float) -> bool:
        """Wait by the world's clock, so that moving it ends the wait."""
        until = self.world.now() + timedelta(seconds=seconds)
        while (left := (until - self.world.now()).total_seconds()) > 0:
            moved = asyncio.ensure_future(self.world.wait("clock_version", self.world.clock_version, left))
            try:
                await asyncio.wait({moved, envelope.answer}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                moved.cancel()
            if envelope.answer.done():
                return True
        return False

    async def disconnect(self, reason: str) -> int:
        """Tell every connection that it will be closed, as Slack does when it recycles them."""
        for connection in list(self.connections):
            connection.leaving = reason != "warning"
            await connection.ws.send_json(_disconnect(reason))
        return len(self.connections)

    def drop(self, *, count: int | None = None) -> int:
        """Cut connections without a word, all of them or the oldest few."""
        chosen = self.connections[:count]
        for connection in chosen:
            if connection.request.transport is not None:
                connection.request.transport.abort()
        return len(chosen)

    def freeze(self, *, frozen: bool = True) -> int:
        """Make every present connection half-open: payloads vanish in it, pings stay without answer."""
        for connection in self.connections:
            connection.frozen = frozen
        return len(self.connections)


def _disconnect(reason: str) -> Mapping[str, Any]:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-sandbox"}}

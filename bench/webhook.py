"""PagerDuty's webhook: signature, parsing and the commit that takes an event once, beside an empty handler."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web

import policies
from bench.figures import Figure
from bench.waiting import used_ms
from bot.app import TURN_SECONDS
from bot.core.request import Draft, Person
from bot.ledger import Ledger
from bot.ports import Incident
from bot.web import Front
from connectors.sandbox.pagerduty_webhooks import sign
from policies.load import load

SECRET = "bench-webhook-secret"
INCIDENT = "QBENCH0000001"
CONNECTIONS, EVENTS, ROUNDS = 32, 640, 9
BODY_SIZE = 4000
OURS = "/webhooks/pagerduty"

Measured = tuple[float, float]


def webhook() -> Figure:
    """Milliseconds a delivery at full load, in turns with the empty handler."""
    with _server() as (pid, ours, empty):
        rounds = [(_round(pid, empty, n), _round(pid, ours, n)) for n in range(ROUNDS)]
    (bare, bare_cpu), (full, full_cpu) = ([*zip(*column, strict=True)] for column in zip(*rounds, strict=True))
    limit, made_of = statistics.median(bare), "an empty aiohttp handler that answers the same deliveries"
    notes = (
        f"{1000 / statistics.median(full):,.0f} a second beside {1000 / limit:,.0f}, over {CONNECTIONS} connections",
        f"processor time {statistics.median(full_cpu):.2f} ms beside {statistics.median(bare_cpu):.2f}",
    )
    return Figure("webhook", limit, made_of, full, aim=4.0, notes=notes)


def _round(pid: int, port: int, number: int) -> Measured:
    """Wall and processor time of each delivery."""
    deliveries = [_delivery(f"{number}-{event}") for event in range(EVENTS)]
    begun, used = time.monotonic(), used_ms(pid)
    asyncio.run(_deliver(port, deliveries))
    return (time.monotonic() - begun) * 1000 / EVENTS, (used_ms(pid) - used) / EVENTS


def _delivery(event_id: str) -> bytes:
    """One signed POST as it goes over the wire."""
    data = {"type": "incident_note", "id": "PNOTE1", "incident": {"id": INCIDENT}, "content": "x" * BODY_SIZE}
    event = {"id": event_id, "event_type": "incident.annotated", "occurred_at": "2026-11-25T12:00:00Z", "data": data}
    body = json.dumps({"event": event}).encode()
    head = (
        f"POST {OURS} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"X-PagerDuty-Signature: {sign([SECRET], body)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _deliver(port: int, deliveries: Sequence[bytes]) -> None:
    """Over a few connections at once, each sending the next when the last was answered."""
    left = deque(deliveries)

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left:
            writer.write(left.popleft())
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 202 " in head, head
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
        writer.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))


# --- the server's process --------------------------------------------------------------------------------------------


@contextmanager
def _server() -> Iterator[tuple[int, int, int]]:
    """Its pid, the port of our front and that of the empty handler."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        front, empty = ours.recv()
        yield process.pid or 0, front, empty
    finally:
        ours.close()
        process.join(timeout=10)


def serve(pipe: Connection) -> None:
    """The process: our front on a ledger that knows one incident, and an empty handler, until the pipe is closed."""
    sys.setswitchinterval(TURN_SECONDS)  # as the program does
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_serve(Path(directory), pipe))


async def _serve(directory: Path, pipe: Connection) -> None:
    ledger = await Ledger.open(f"sqlite:///{directory / 'ledger.db'}", kind="sandbox", now=lambda: datetime.now(UTC))
    await _one_page(ledger)
    front = Front(ledger, (SECRET,), ready=dict, metrics=_nothing)
    url, runner = await front.start("127.0.0.1", 0), await _empty()
    pipe.send((int(url.rpartition(":")[2]), runner.addresses[0][1]))
    try:
        await asyncio.to_thread(pipe.recv)
    except EOFError:
        await front.stop()
        await runner.cleanup()
        await ledger.close()


async def _one_page(ledger: Ledger) -> None:
    entitlement = next(iter(load(Path(str(policies.__file__)).parent).entitlements.values()))
    person, now = Person("00u1", "alice@example.com", "Alice"), datetime.now(UTC)
    draft = Draft("bench/webhook", entitlement.id, person, person, 60, "to measure a webhook")
    request = await ledger.receive(draft, entitlement, deadline=now + timedelta(hours=8), jobs=())
    await ledger.record_incident(request, Incident(INCIDENT, "", "triggered", now), digest="", jobs=())


async def _nothing() -> str:
    return ""


async def _empty() -> web.AppRunner:
    async def accepted(_request: web.Request) -> web.Response:
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post(OURS, accepted)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner

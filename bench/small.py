"""Small figures: starting, helping, committing."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp

import policies
from bench.figures import Figure
from bench.outside import crowded_world
from bench.stage import outside, until_ready
from bot.config import setting_names
from bot.core.lifecycle import Event
from bot.core.request import Draft, Person
from bot.demo import sandbox_settings
from bot.ledger import Audit, Due, Ledger
from policies.load import load

CHANGES = 300
HELPED = 5
IMPORTS = "import slack_bolt.async_app, slack_sdk.socket_mode.aiohttp, sqlalchemy, pydantic, aiohttp, cedarpy, typer"


# --- starting --------------------------------------------------------------------------------------------------------


def cold() -> Figure:
    """From the command to `/readyz`: settings checked, vendors asked, Slack connected, documents indexed."""
    with tempfile.TemporaryDirectory() as directory, outside(0) as base:
        data = Path(directory)
        first, second = (asyncio.run(_until_ready(environment(base, data))) for _ in range(2))
    imports = _wall(sys.executable, "-c", IMPORTS)
    made_of = "importing Bolt, its socket client, SQLAlchemy, pydantic, aiohttp, cedarpy and typer, and nothing else"
    notes = (f"the first start, which also embeds the documents, took {first:.0f} ms",)
    return Figure("cold", imports, made_of, [second], notes=notes)


def environment(base: str, data: Path, **more: str) -> dict[str, str]:
    """A production run's settings, with every vendor address on loopback."""
    own = {"TINYAPPROVER_POLICIES": str(Path(str(policies.__file__)).parent), "TINYAPPROVER_CLOCK_URL": "", **more}
    settings = sandbox_settings(base, crowded_world(0), data, TINYAPPROVER_HTTP_PORT=_free_port())
    values = {name: getattr(settings, field) for field, name in setting_names().items()}
    texts = {name: _text(value) for name, value in values.items() if value is not None}
    return {**os.environ, **texts, **own}


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    secret = getattr(value, "get_secret_value", None)
    return str(secret() if secret else value)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _until_ready(environment: dict[str, str]) -> float:
    async with running(environment) as (_, ms):
        return ms


@asynccontextmanager
async def running(environment: dict[str, str]) -> AsyncIterator[tuple[int, float]]:
    """`tinyapprover run` in a process of its own: its pid, and how many milliseconds it took until `/readyz`."""
    begun = time.monotonic()
    quiet = asyncio.subprocess.DEVNULL
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "run", env=environment, stdout=quiet, stderr=quiet
    )
    try:
        async with aiohttp.ClientSession() as http:
            await until_ready(http, f"http://127.0.0.1:{environment['TINYAPPROVER_HTTP_PORT']}")
        yield program.pid, (time.monotonic() - begun) * 1000
    finally:
        program.terminate()
        await program.wait()


def _wall(*command: str) -> float:
    begun = time.monotonic()
    subprocess.run(command, check=True)
    return (time.monotonic() - begun) * 1000


def help_text() -> Figure:
    """`tinyapprover --help`, in processor time, in turns with what it cannot do without."""
    pairs = [(_cpu("-m", "bot", "--help"), _cpu("-c", "import typer")) for _ in range(HELPED)]
    ours, typer_alone = zip(*pairs, strict=True)
    return Figure("help", statistics.median(typer_alone), "`import typer` (processor time)", ours, aim=1.5)


def _cpu(*arguments: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


# --- committing ------------------------------------------------------------------------------------------------------

HASH = "0" * 64
BARE = (
    ("UPDATE requests SET state = 'withdrawn', closed_at = ? WHERE number = ? AND state = 'received'", "at number"),
    ("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1", ""),
    (
        "INSERT INTO events (seq, at, request_id, actor, what, detail, prev, hash) "
        "VALUES ((SELECT max(seq) + 1 FROM events), ?, ?, 'bench', 'request.withdrawn', '{}', ?, ?)",
        "at request hash hash",
    ),
    ("UPDATE jobs SET wanted = wanted + 1 WHERE subject = ? AND kind = 'card'", "request"),
    (
        "INSERT INTO jobs "
        "(subject, kind, role, lane, due, not_before, wanted, attempts, claim, leased_until, payload, trouble) "
        "VALUES (?, 'card', 'front', 'slack', 0, 0, 1, 0, 0, 0, '{}', '')",
        "request",
    ),
)


def commit() -> Figure:
    """One durable change of state with its audit event and its job, beside the same statements in bare sqlite3."""
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "ledger.db"
        ours = asyncio.run(_changes(database))
        bare = _bare_changes(database)
    made_of = "the same statements in bare sqlite3, WAL, synchronous=FULL (processor time)"
    return Figure("commit", statistics.median(bare), made_of, ours, aim=5.0)


async def _changes(database: Path) -> list[float]:
    """Processor time of each withdrawal; as many requests again are left for the bare ones."""
    ledger = await Ledger.open(f"sqlite:///{database}", kind="sandbox", now=lambda: datetime.now(UTC))
    entitlement = next(iter(load(Path(str(policies.__file__)).parent).entitlements.values()))
    person, deadline = Person("00u1", "alice@example.com", "Alice"), datetime.now(UTC) + timedelta(hours=8)
    try:
        for number in range(2 * CHANGES):
            draft = Draft(f"bench/{number}", entitlement.id, person, person, 60, "to measure a commit")
            await ledger.receive(draft, entitlement, deadline=deadline, jobs=())
        return [await _change(ledger, f"TA-{number + 1}") for number in range(CHANGES)]
    finally:
        await ledger.close()


async def _change(ledger: Ledger, request: str) -> float:
    audit, values = Audit("bench", "request.withdrawn"), {"closed_at": datetime.now(UTC)}
    begun = time.process_time()
    moved = await ledger.move(request, Event.WITHDRAWN, audit=audit, values=values, jobs=(Due("card"),))
    taken = time.process_time() - begun
    assert moved, request
    return taken * 1000


def _bare_changes(database: Path) -> list[float]:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        return [_bare_change(connection, number) for number in range(CHANGES + 1, 2 * CHANGES + 1)]


def _bare_change(connection: sqlite3.Connection, number: int) -> float:
    values = {"at": "2026-11-22 09:00:00", "number": number, "request": f"TA-{number}", "hash": HASH}
    begun = time.process_time()
    connection.execute("BEGIN IMMEDIATE")
    for statement, names in BARE:
        connection.execute(statement, [values[name] for name in names.split()]).fetchall()
    connection.execute("COMMIT")
    return (time.process_time() - begun) * 1000

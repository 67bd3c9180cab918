"""The shipped program as its user starts it: a process of its own, with settings in its environment."""

from __future__ import annotations

import asyncio
import os
import pty
import random
import socket
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.config import setting_names
from bot.demo import sandbox_settings
from connectors.sandbox import new_sandbox
from connectors.sandbox.server import Sandbox

PATIENCE = 60.0
ROOT = Path(__file__).parent.parent.parent
PROGRAM = Path(sys.executable).parent / "tinyapprover"


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass
class Terminal:
    """Runs commands with settings that point at a sandbox; a test changes or removes some of them."""

    sandbox: Sandbox
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    given: bytes = b""  # what comes through the pipe

    @property
    def data(self) -> Path:
        return Path(self.settings["TINYAPPROVER_DATA_DIR"])

    @property
    def port(self) -> int:
        return int(self.settings["TINYAPPROVER_HTTP_PORT"])

    async def start(self, *words: str, at: int = PIPE) -> Process:
        """Begin a command, at a terminal if one is given; nothing of this machine's own settings reaches it."""
        home = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "COLUMNS": "200", "NO_COLOR": "1"}
        return await asyncio.create_subprocess_exec(
            str(PROGRAM), *words, cwd=self.folder, env={**home, **self.settings}, stdin=at, stdout=at, stderr=PIPE
        )

    async def run(self, *words: str, **changed: str | None) -> Answer:
        """A command from beginning to end, with settings changed (None removes one)."""
        self.settings = {name: value for name, value in {**self.settings, **changed}.items() if value is not None}
        process = await self.start(*words)
        try:
            async with asyncio.timeout(PATIENCE):
                out, err = await process.communicate(self.given)
        finally:
            await self.end(process)
        return Answer(process.returncode or 0, out.decode(), err.decode())

    async def typed(self, keys: str, *words: str) -> Answer:
        """A command at a terminal, at which somebody types."""
        ours, theirs = pty.openpty()
        os.write(ours, keys.encode())
        process = await self.start(*words, at=theirs)
        os.close(theirs)
        try:
            async with asyncio.timeout(PATIENCE):
                shown = await asyncio.to_thread(_all_of, ours)
                _, err = await process.communicate()
        finally:
            await self.end(process)
            os.close(ours)
        return Answer(process.returncode or 0, shown, err.decode())

    async def end(self, process: Process) -> None:
        """Leave nothing running, whatever a test came to."""
        if process.returncode is None:
            process.kill()
            await process.wait()

    def listens(self) -> bool:
        """Whether anything answers at the program's port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def rows(self) -> dict[str, int]:
        """How many rows each table holds; nothing when there is no database."""
        file = self.data / "tinyapprover.db"
        if not file.is_file():
            return {}
        disk = sqlite3.connect(file)
        try:
            return {
                table: disk.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("requests", "decisions", "jobs", "events", "messages", "incidents")
            }
        finally:
            disk.close()

    def asked(self, vendor: str = "") -> set[str]:
        """The routes that vendors were asked."""
        return {call.route for call in self.sandbox.world.calls if vendor in ("", call.vendor)}


def _all_of(terminal: int) -> str:
    """What is shown at a terminal until nobody holds its other end."""
    shown = b""
    with suppress(OSError):
        while some := os.read(terminal, 4096):
            shown += some
    return shown.decode()


def a_free_port() -> int:
    """Below those that the system hands out by itself, perhaps to another test before this one uses it."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    """A production run's settings, except that the vendors are the sandbox on this machine."""
    sandbox = new_sandbox()
    base = await sandbox.start()
    filled = sandbox_settings(base, sandbox.world, tmp_path / "data")
    plain = {name: getattr(filled, attribute) for attribute, name in setting_names().items()}
    settings = {name: _as_text(value) for name, value in plain.items() if value}
    settings |= {
        "TINYAPPROVER_POLICIES": str(ROOT / "policies"),
        "TINYAPPROVER_EMBEDDER": "none",
        "TINYAPPROVER_HTTP_PORT": str(a_free_port()),
    }
    del settings["TINYAPPROVER_CLOCK_URL"]
    yield Terminal(sandbox, tmp_path, settings)
    await sandbox.stop()


def _as_text(value: object) -> str:
    reveal = getattr(value, "get_secret_value", None)
    if reveal is not None:
        return str(reveal())
    return ",".join(value) if isinstance(value, tuple) else str(value)

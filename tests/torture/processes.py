"""The program under test: processes on one database, each of which may be killed and is started again."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from bot.app import SANDBOX
from bot.commands import serve
from bot.config import read_settings
from bot.errors import SettingsError
from bot.logs import set_up

WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(["tests.warm", "tests.torture.processes"])
GLANCE = 0.005
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG: an interrupted run leaves nothing behind
GIVEN = "TORTURE_GIVEN"

Values = dict[str, Any]


def live(values: Values, roles: Sequence[str], log: str) -> None:
    """One run of the shipped program in these roles, in a process of its own; what it says goes to a file."""
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    said = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(said, sys.stdout.fileno())
    os.dup2(said, sys.stderr.fileno())
    set_up("warning")
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    settings = read_settings(roles=roles, _env_file=None, **values)
    try:
        asyncio.run(serve(settings, kind=SANDBOX, roles=roles))
    except SettingsError as problem:
        sys.exit(f"it cannot start: {problem}")


@dataclass(slots=True, eq=False)
class Program:
    """One process of it. `cold` starts a fresh interpreter, otherwise it is forked from a warm parent."""

    values: Values
    roles: tuple[str, ...]
    log: Path
    _warm: BaseProcess | None = None
    _cold: subprocess.Popen[bytes] | None = None

    def start(self, *, cold: bool = False) -> None:
        self._warm = self._cold = None
        if cold:
            environment = {**os.environ, GIVEN: json.dumps([self.values, self.roles, str(self.log)])}
            self._cold = subprocess.Popen([sys.executable, "-m", "tests.torture.processes"], env=environment)
        else:
            self._warm = WARM.Process(target=live, args=(self.values, self.roles, str(self.log)), daemon=True)
            self._warm.start()

    @property
    def pid(self) -> int:
        """Its process; 0 before it was started."""
        running = self._warm or self._cold
        return (running.pid or 0) if running else 0

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._warm.exitcode if self._warm else self._cold.poll() if self._cold else 0

    async def kill(self) -> None:
        """`kill -9`; on return it is dead."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> int:
        """SIGTERM; its exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, how: signal.Signals) -> int:
        with suppress(ProcessLookupError):
            os.kill(self.pid, how)
        while True:
            if (code := self.exit_code) is not None:
                return code
            await asyncio.sleep(GLANCE)


def asked_from(port: int, pids: list[int]) -> int | None:
    """Which of these processes holds the connection that comes from a port of this machine."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    return next((pid for pid in pids if sockets & _open_files(pid)), None)


def _inodes(port: int) -> list[str]:
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[9] for row in rows if int(row[1].partition(":")[2], 16) == port]


def _open_files(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.add(os.readlink(entry.path))
    return found


if __name__ == "__main__":
    live(*json.loads(os.environ.pop(GIVEN)))

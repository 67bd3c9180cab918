"""The story with the shipped program as its user starts it: `tinyapprover run`, a supervisor of two processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

import policies
from bot.app import PRODUCTION
from bot.config import EXECUTOR, FRONT
from bot.demo import sandbox_settings
from bot.supervisor import SUPERVISED, environment
from connectors.sandbox.world import new_world
from tests.responders import link_in
from tests.story import Story

PROGRAM = Path(sys.executable).parent / "tinyapprover"
PATIENCE = 60.0


class SupervisedStory(Story):
    """Runs against the sandbox with settings in the environment, or in a file; time is the machine's own."""

    world = staticmethod(new_world)
    process: Process | None = None

    async def open(self) -> None:
        self.base = await self.sandbox.start()
        self._http = aiohttp.ClientSession()
        self.data_dir.mkdir(parents=True)
        await link_in(self.database, self.sandbox.world, kind=PRODUCTION)
        await self.start()

    @property
    def database(self) -> str:
        return f"sqlite:///{self.data_dir / 'tinyapprover.db'}"

    def variables(self) -> dict[str, str]:
        """Its settings, as in an environment."""
        shipped = Path(str(policies.__file__)).parent
        ours = {"TINYAPPROVER_POLICIES": shipped, "TINYAPPROVER_CLOCK_URL": "", **self.settings}
        settings = sandbox_settings(self.base, self.sandbox.world, self.data_dir, **ours)
        both = {**environment(settings, FRONT, {}), **environment(settings, EXECUTOR, {})}
        return {name: value for name, value in both.items() if name != SUPERVISED}

    async def _begin(self, *words: str, **more: Any) -> Process:
        home = {"PATH": os.environ["PATH"], "HOME": str(self.data_dir), "NO_COLOR": "1", "COLUMNS": "200"}
        variables = {**home, **self.variables(), **more.pop("changed", {})}
        return await asyncio.create_subprocess_exec(
            str(PROGRAM), *words, cwd=self.data_dir, env=variables, stdin=DEVNULL, stdout=PIPE, **more
        )

    async def command(self, *words: str, **changed: str) -> tuple[int, str]:
        """Another command beside it, with settings changed: its exit code, and what it said."""
        process = await self._begin(*words, changed=changed, stderr=STDOUT)
        async with asyncio.timeout(PATIENCE):
            said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    async def start(self) -> None:
        self.process = await self._begin("run")
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            assert b"TinyApprover runs" in await self.process.stdout.readline()

    async def stop(self) -> None:
        """SIGTERM, as systemd does it."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            async with asyncio.timeout(PATIENCE):
                await self.process.wait()

    async def until(self, holds: Callable[[], Any], *, what: str = "", seconds: float = PATIENCE) -> Any:
        """Processes begin from cold here."""
        return await super().until(holds, what=what, seconds=seconds)

    def pid(self, role: str) -> int:
        """The process that plays a role now; 0 while it is being written down."""
        return int((self.data_dir / f"tinyapprover.db.{role}.lock").read_text() or 0)

    async def kill(self, role: str) -> None:
        """`kill -9`, and wait until another process plays the role."""
        dead = self.pid(role)
        os.kill(dead, signal.SIGKILL)
        await self.until(lambda: self.pid(role) not in (dead, 0), what=f"no new {role}", seconds=PATIENCE)

    async def insists(self, who: str, do: str, /, **arguments: Any) -> None:
        """Do it, and again for as long as Slack says that nobody answered, as a person would."""
        deadline = time.monotonic() + PATIENCE
        while (await self.act(who, do, **arguments)).get("error"):
            assert time.monotonic() < deadline, "nobody answered"
            await asyncio.sleep(0.1)

    async def page_is_out(self, request: str) -> None:
        """Nothing is asked here while PagerDuty is away, or that could wait."""
        await self.until(lambda: request in str(self.incidents()), what="no page", seconds=PATIENCE)

    def environ(self, role: str) -> dict[str, str]:
        """The environment of a role's process, as the system shows it."""
        lines = Path(f"/proc/{self.pid(role)}/environ").read_bytes().decode().split("\0")
        return dict(line.split("=", 1) for line in lines if "=" in line)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"

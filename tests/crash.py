"""A story whose program is a process of its own, so that it can be killed with SIGKILL at any of its commits.

Every run is forked from a warm parent: starting costs milliseconds instead of seconds of imports.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import Pool

from bot.app import SANDBOX
from bot.audit import AuditEvent
from bot.commands import serve
from bot.config import Settings
from bot.demo import sandbox_settings
from bot.ledger import Ledger
from connectors.sandbox.slack import Slack
from tests.story import CHANNEL, PATIENCE, Json, Story

WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(["tests.warm", "tests.crash"])
LOST_CLICK_SECONDS = 0.6
TRIES = 30


@dataclass(slots=True)
class Death:
    """When a run dies: at its n-th writing commit, just before or just after it. It counts them in any case."""

    at: int = 0
    before: bool = False
    count: int = 0
    _seen: int = 0

    def listen(self) -> None:
        event.listen(Engine, "commit", self._about_to_commit)
        event.listen(Pool, "checkin", self._committed)

    def _about_to_commit(self, connection: Connection) -> None:
        raw: Any = connection.connection.dbapi_connection
        if raw.total_changes == self._seen:
            return
        self._seen = raw.total_changes
        self.count += 1
        if self.before and self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _committed(self, *_: Any) -> None:
        if not self.before and self.count == self.at > 0:
            os.kill(os.getpid(), signal.SIGKILL)


def live(settings: Settings, death: Death) -> None:
    """One run of the shipped program, in its own process."""
    death.listen()
    asyncio.run(serve(settings, kind=SANDBOX))
    (settings.data_dir / "commits").write_text(str(death.count))


class MortalStory(Story):
    """The story with a program that may die. Whoever waits for it starts it again; people repeat what was lost."""

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        super().__init__(data_dir, **settings)
        self.process: BaseProcess | None = None
        self.deaths = 0
        slack = self.sandbox.stand_ins["slack"]
        assert isinstance(slack, Slack)
        self.socket = slack.socket
        self.socket.ack_seconds = LOST_CLICK_SECONDS

    async def open(self, death: Death | None = None) -> None:
        self.base = await self.sandbox.start()
        self._http = aiohttp.ClientSession()
        await self.start(death)

    async def start(self, death: Death | None = None) -> None:
        """Fork a run; on return it is connected, or dead already."""
        settings = sandbox_settings(self.base, self.sandbox.world, self.data_dir, **self.settings)
        process = WARM.Process(target=live, args=(settings, death or Death()), daemon=True)
        process.start()
        self.process = process
        deadline = time.monotonic() + PATIENCE
        while process.exitcode is None and not self.socket.connections:
            assert time.monotonic() < deadline, "the program does not connect"
            await asyncio.sleep(0.01)

    async def terminate(self) -> int:
        """SIGTERM, as a supervisor stops it; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return await self.ending()

    async def ending(self) -> int:
        """Its exit code, once it has one; -9 after a SIGKILL."""
        assert self.process is not None
        deadline = time.monotonic() + PATIENCE
        while (code := self.process.exitcode) is None:
            assert time.monotonic() < deadline, "it does not end"
            await asyncio.sleep(0.01)
        return code

    async def stop(self) -> None:
        if self.process is not None and self.process.exitcode is None:
            self.process.kill()
            await self.ending()
        self.process = None

    async def revive(self) -> None:
        """What a supervisor does: a dead program is started again, on the same data."""
        assert self.process is not None
        if (code := self.process.exitcode) is not None:
            assert code == -signal.SIGKILL, f"it ended with {code}"
            self.deaths += 1
            await self.until_gone()
            await self.start()

    async def until_gone(self) -> None:
        """Slack has noticed that the connection of the dead is closed."""
        world = self.sandbox.world
        while self.socket.connections:
            await world.wait("version", world.version, PATIENCE)

    async def until(self, holds: Callable[[], Any], *, what: str = "", seconds: float = PATIENCE) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := self._look(holds)):
            assert time.monotonic() < deadline, what or "it never happened"
            await self.revive()
            await asyncio.sleep(0.02)
        return found

    async def _busy(self) -> object:
        await self.revive()
        now = self.sandbox.world.now().timestamp()
        query = "SELECT subject, kind FROM jobs WHERE due <= ? OR leased_until > 0"
        with closing(sqlite3.connect(f"file:{self.data_dir / 'tinyapprover.db'}?mode=ro", uri=True)) as database:
            return database.execute(query, (now,)).fetchall()

    # --- people who do not give up ----------------------------------------------------------------------------------

    async def submits(
        self,
        who: str = "alice",
        access: str = "Production, read only",
        why: str = "Look at yesterday's error logs",
        **fields: Any,
    ) -> Json:
        """Press *Request* until it is acknowledged: in the form that is open, or in a new one if none opened."""
        values = {"Access": access, "Justification": why, **fields}
        view = ""
        for _ in range(TRIES):
            await self.revive()
            if not view:
                opened = await self.act(who, "slack.shortcut", callback_id="request_access", await_view=True)
                view = (opened.get("view") or {}).get("id", "")
                continue
            _, answer = await self.try_to(who, "slack.submit", view_id=view, values=values)
            if answer.get("closed"):
                return answer
        raise AssertionError("the request was never acknowledged")

    async def presses(self, who: str, action_id: str, *, card: Json | None = None, **more: Any) -> Json:
        """Press until it is acknowledged, or until there is nothing to press any more."""
        for _ in range(TRIES):
            await self.revive()
            ts = (card or self.card())["ts"]
            status, answer = await self.try_to(who, "slack.click", channel=CHANNEL, ts=ts, action_id=action_id, **more)
            if status != 200 or answer.get("acknowledged"):
                return answer
        raise AssertionError("the press was never acknowledged")

    async def events(self) -> list[AuditEvent]:
        """The audit trail, read when the program is not running."""
        url = f"sqlite:///{self.data_dir / 'tinyapprover.db'}"
        ledger = await Ledger.open(url, kind=SANDBOX, now=self.sandbox.world.now)
        try:
            return await ledger.events()
        finally:
            await ledger.close()

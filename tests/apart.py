"""The story with front and executor apart: two programs that share the ledger and nothing else."""

from __future__ import annotations

from datetime import timedelta

from bot.app import SANDBOX, Running, start
from bot.config import EXECUTOR, FRONT
from bot.demo import sandbox_settings
from tests.story import Story


class ApartStory(Story):
    """Either half can be stopped and started by itself; `running` is the front."""

    executor: Running | None = None

    async def start(self) -> None:
        await self.start_front()
        await self.start_executor()

    async def start_front(self) -> None:
        self.running = await self._start(FRONT)
        await self.running.warm.wait()

    async def start_executor(self) -> None:
        self.executor = await self._start(EXECUTOR)

    async def _start(self, role: str) -> Running:
        settings = sandbox_settings(self.base, self.sandbox.world, self.data_dir, **self.settings)
        return await start(settings, kind=SANDBOX, roles=[role])

    async def stop_front(self) -> None:
        await super().stop()

    async def stop_executor(self) -> None:
        if self.executor is not None:
            await self.executor.stop()
            self.executor = None

    async def stop(self) -> None:
        await self.stop_front()
        await self.stop_executor()

    def _halves(self) -> list[Running]:
        return [half for half in (self.running, self.executor) if half is not None]

    def _follows(self) -> bool:
        now, near = self.sandbox.world.now(), timedelta(milliseconds=50)
        return all(now - half.clock.now() < near for half in self._halves())

    async def _busy(self) -> object:
        halves = self._halves()
        due = await halves[0].ledger.next_due(("front", "executor"))
        return any(half.worker.running for half in halves) or (due is not None and due <= halves[0].clock.now())

"""A story told by two replicas of the program on one PostgreSQL, each with its own Slack connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bot.app import SANDBOX, Running, start
from bot.demo import sandbox_settings
from tests.story import Story


class TwoReplicas(Story):
    """`running` is the first of them; `other` the second."""

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        super().__init__(data_dir, **settings)
        self.other: Running | None = None

    async def start(self) -> None:
        await super().start()
        beside = self.data_dir.with_name("beside")
        settings = sandbox_settings(self.base, self.sandbox.world, beside, **self.settings)
        self.other = await start(settings, kind=SANDBOX)
        await self.other.warm.wait()

    async def stop(self) -> None:
        await super().stop()
        if self.other is not None:
            await self.other.stop()
            self.other = None

    def _both(self) -> list[Running]:
        return [one for one in (self.running, self.other) if one is not None]

    def _follows(self) -> bool:
        now = self.sandbox.world.now()
        return all((now - one.journey.clock.now()).total_seconds() < 0.05 for one in self._both())

    async def _busy(self) -> object:
        return await super()._busy() or any(one.worker.running for one in self._both())

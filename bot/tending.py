"""What keeps failing, and what was found gone, is told in the responder channel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.errors import Fault
from bot.journey import Journey
from bot.ledger import Job
from bot.ledger.kinds import kind_of
from bot.slack import troubles
from bot.stuck import STUCK


@dataclass(frozen=True, slots=True)
class Tending:
    """Over the same ports as the story."""

    journey: Journey

    async def stuck(self, job: Job) -> datetime | None:
        """Tell the responder channel, once, what the program cannot put right by itself; not what is right by now.

        That the chat itself is away cannot be told there: what waits for it speaks for itself when it is back.
        """
        request, about = await self.journey.ledger.find(job.subject), str(job.payload.get("kind", ""))
        if about and request is not None and about not in request.trouble:
            return None
        try:
            await self._post_once(job, (request and request.entitlement.channel) or self._channel)
        except Fault:
            if kind_of(about).lane != kind_of(STUCK).lane:
                raise
        return None

    @property
    def _channel(self) -> str:
        return self.journey.limits.responder_channel

    async def _post_once(self, job: Job, channel: str) -> None:
        chat, key = self.journey.chat, f"{job.subject}/{job.kind}"
        if await chat.find(channel, key=key, since=datetime.fromisoformat(job.payload["since"])) is None:
            await chat.post(channel, troubles.message(job.subject, job.payload), key=key)

"""What keeps failing, and what was found gone, is told in the responder channel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.journey import Journey
from bot.ledger import Job
from bot.slack import troubles


@dataclass(frozen=True, slots=True)
class Tending:
    """Over the same ports as the story."""

    journey: Journey

    async def stuck(self, job: Job) -> datetime | None:
        """Tell the responder channel what the program cannot put right by itself, once."""
        chat, channel, key = self.journey.chat, await self._channel(job.subject), f"{job.subject}/{job.kind}"
        since = datetime.fromisoformat(job.payload["since"])
        if job.attempts == 1 or await chat.find(channel, key=key, since=since) is None:
            await chat.post(channel, troubles.message(job.subject, job.payload), key=key)
        return None

    async def _channel(self, subject: str) -> str:
        request = await self.journey.ledger.find(subject)
        return (request and request.entitlement.channel) or self.journey.limits.responder_channel

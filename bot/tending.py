"""A job that keeps failing is told to the people who can look why, and goes on trying."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.follows import STUCK, telling
from bot.jobs import STUCK_TRIES
from bot.ledger import Job, Ledger
from bot.ledger.kinds import kind_of
from bot.ports import Chat, Clock
from bot.slack import troubles


async def tell_if_stuck(job: Job, trouble: str, *, ledger: Ledger, clock: Clock) -> None:
    """A job that has failed too often is told in the channel, once; whichever role it is of."""
    if job.attempts < STUCK_TRIES or kind_of(job.kind) is kind_of(STUCK):
        return
    words = troubles.stuck(job.subject, job.kind, trouble=trouble, tries=job.attempts)
    follow = telling(job, job.subject, words, since=clock.now())
    await ledger.accept("job.stuck", str(job.id), jobs=[follow])


@dataclass(frozen=True, slots=True)
class Tending:
    """The step that tells."""

    ledger: Ledger
    chat: Chat
    responder_channel: str

    async def stuck(self, job: Job) -> datetime | None:
        """Tell the responder channel what the program cannot put right by itself, once."""
        channel, key = await self._channel(job.subject), f"{job.subject}/{job.kind}"
        since = datetime.fromisoformat(job.payload["since"])
        if job.attempts == 1 or await self.chat.find(channel, key=key, since=since) is None:
            await self.chat.post(channel, troubles.message(job.payload["words"]), key=key)
        return None

    async def _channel(self, subject: str) -> str:
        request = await self.ledger.find(subject)
        return (request and request.entitlement.channel) or self.responder_channel

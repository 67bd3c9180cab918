"""Our chat messages: one of each kind for each request, posted once and drawn anew as the record changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from bot.core.request import Request
from bot.errors import Fault
from bot.ledger import Due, Job, Ledger, Shown
from bot.ports import Chat, Clock, Message, Sent

LATE_POST = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Showing:
    """Makes a message say what the record says, in the responder channel or in the requester's own.

    `shown` is the message as the ledger knows it, `kind` names it among those of the request.
    """

    ledger: Ledger
    chat: Chat
    responder_channel: str
    clock: Clock

    async def to_responders(self, job: Job, request: Request, kind: str, message: Message, shown: Shown | None) -> None:
        """In the channel of those who decide it."""
        channel = request.entitlement.channel or self.responder_channel
        await self._show(job, request, kind, channel, message, shown)

    async def to_requester(self, job: Job, request: Request, kind: str, message: Message, shown: Shown | None) -> None:
        """As a direct message to whoever asked, if they are in Slack."""
        if request.requester.slack_user is not None:
            await self.to_person(job, request, kind, message, shown, user=request.requester.slack_user)

    async def to_person(
        self, job: Job, request: Request, kind: str, message: Message, shown: Shown | None = None, *, user: str
    ) -> None:
        """As a direct message."""
        await self._show(job, request, kind, await self.chat.dm_channel(user), message, shown)

    async def look_later(self, channel: str) -> None:
        """An earlier attempt may still arrive, after it was looked for in vain: then there are two, until we look."""
        await self.ledger.schedule(channel, [Due("compare", at=self.clock.now() + LATE_POST)])

    def link(self, shown: Shown | None) -> str | None:
        """Where a message stands, for people."""
        return self.chat.link(shown.sent) if shown else None

    async def _show(
        self, job: Job, request: Request, kind: str, channel: str, message: Message, shown: Shown | None
    ) -> None:
        """Post it, find it again after a lost answer, or draw it anew; nothing to do if it says that already."""
        fingerprint = message.fingerprint
        if shown is not None and shown.fingerprint == fingerprint:
            return
        key = f"{request.id}/{kind}"
        sent = shown.sent if shown else await self._find(job, request, channel, key)
        if sent is None:
            sent = await self.chat.post(channel, message, key=key)
            if job.attempts > 1:
                await self.look_later(channel)
        else:
            await self._redraw(request, kind, sent, message)
        await self.ledger.show(
            request.id,
            kind,
            sent,
            digest=request.decidable_digest,
            fingerprint=fingerprint,
            evidence=request.evidence.digest if request.evidence else "",
        )

    async def _find(self, job: Job, request: Request, channel: str, key: str) -> Sent | None:
        """What an earlier attempt may have posted before its answer was lost."""
        return await self.chat.find(channel, key=key, since=request.created_at) if job.attempts > 1 else None

    async def _redraw(self, request: Request, kind: str, sent: Sent, message: Message) -> None:
        """A message that somebody deleted is forgotten, so that the next attempt posts it again."""
        try:
            await self.chat.update(sent, message, key=f"{request.id}/{kind}")
        except Fault as fault:
            if fault.what == "message_not_found":
                await self.ledger.forget_message(request.id, kind)
            raise


def occasion(request: Request, kind: str) -> str:
    """What is told once: an outcome once for each state, a new question to responders once for each round."""
    match kind.partition(":")[2]:
        case "outcome":
            return f"{kind}:{request.state.value}"
        case "again":
            return f"{kind}:{request.round}"
        case "progress":
            return f"{kind}:{request.round}:{len(request.decisions)}"
        case _:
            return kind

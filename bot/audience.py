"""Who reads along in a channel, and so what may be quoted there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.core.request import Request
from bot.errors import Fault
from bot.ports import Chat, Clock
from knowledge.sources import EVERYBODY, RESPONDERS

FRESH, QUICK_SECONDS = timedelta(seconds=20), 1.0


@dataclass(frozen=True, slots=True)
class Audiences:
    """Asks Slack whether a channel is for its members alone; an answer is good for a moment."""

    chat: Chat
    responder_channel: str
    clock: Clock
    _closed: dict[str, tuple[bool, datetime]] = field(default_factory=dict)

    def channel_of(self, request: Request) -> str:
        """Where a request is decided."""
        return request.entitlement.channel or self.responder_channel

    async def of(self, channel: str, *, max_age: timedelta = FRESH) -> frozenset[str]:
        """What everybody in a channel may see; `Fault` when Slack does not say so quickly.

        What is only looked up may rest on an older word than what is shown, which is checked again then.
        """
        if not await self._is_closed(channel, max_age):
            return EVERYBODY
        return members_see(channel, self.responder_channel)

    def turned(self, channel: str) -> None:
        """Something was done to a channel: it is asked about anew."""
        self._closed.pop(channel, None)

    async def _is_closed(self, channel: str, max_age: timedelta) -> bool:
        told, at = self._closed.get(channel, (False, None))
        if at is not None and timedelta() <= self.clock.now() - at < max_age:
            return told
        try:
            async with asyncio.timeout(QUICK_SECONDS):
                told = await self.chat.is_closed(channel)
        except TimeoutError:
            raise Fault("slack", f"does not say who may see {channel}") from None
        self._closed[channel] = told, self.clock.now()
        return told


def members_see(channel: str, responder_channel: str) -> frozenset[str]:
    """What everybody may see in a channel that is for its members alone."""
    return EVERYBODY | {channel} | ({RESPONDERS} if channel == responder_channel else set())

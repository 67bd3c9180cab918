"""Anchors of the audit trail in a Slack channel: the copy that people see."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.audit import Anchor, read_anchor
from bot.ports import Message, Sent
from bot.slack.blocks import escape

KEY = "anchor/"


class Noticeboard(Protocol):
    """A chat channel, as far as anchors need it."""

    async def post(self, channel: str, message: Message, *, key: str) -> Sent: ...

    def keys(self, channel: str) -> AsyncIterator[tuple[str, datetime]]:
        """The keys of our own messages there, newest first, and when each was posted."""
        ...


@dataclass(frozen=True, slots=True)
class ChannelAnchors:
    """The copy that people see: a message for each anchor, found again by the key that it carries."""

    board: Noticeboard
    channel: str

    @property
    def name(self) -> str:
        return f"Slack channel {self.channel}"

    @property
    def reads_apart(self) -> bool:
        """With the bot's own token: this copy is for people, and the bucket's is the one that cannot be changed."""
        return True

    async def put(self, anchor: Anchor, *, at: datetime) -> None:
        async for key, _ in self.board.keys(self.channel):
            if key == f"{KEY}{anchor.key}":
                return
            if key.startswith(KEY):
                break
        await self.board.post(self.channel, _notice(anchor), key=f"{KEY}{anchor.key}")

    async def read(self, *, since: int = 0) -> Sequence[Anchor]:
        found = []
        async for key, posted_at in self.board.keys(self.channel):
            anchor = read_anchor(key.removeprefix(KEY), at=posted_at.isoformat(timespec="seconds"))
            if anchor is not None and anchor.seq >= since:
                found.append(anchor)
            if anchor is not None and anchor.seq < since:
                break
        return found


def _notice(anchor: Anchor) -> Message:
    words = f"Audit trail: event {anchor.seq} of {anchor.at}\n`{anchor.hash}`"
    return Message(text=escape(words), blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": escape(words)}}])

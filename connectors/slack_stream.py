"""Slack's streams: a reply that grows while it is written, as the `Streams` port.

https://docs.slack.dev/reference/methods/chat.startStream. Least permission: chat:write. While a stream is open Slack
takes neither `chat.update` nor `chat.delete` of its message; some minutes after it began Slack closes it by itself.
Only the reader that is named sees every step; everybody else sees its beginning and its end. Everything is sent as
blocks, in which nothing is parsed as markup.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bot.errors import Fault
from bot.ports import Clock, Sent
from connectors.slack_call import answered

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

log = logging.getLogger(__name__)

START_SECONDS, APPEND_SECONDS, STOP_SECONDS = 10.0, 2.0, 10.0
REFUSED_FOR = timedelta(hours=1)
EVERYWHERE = ""
LOCKED = frozenset(["streaming_state_conflict", "cant_delete_message"])
OVER = "message_not_in_streaming_state"
LONGEST = 250


class SlackStreams:
    """Implements `bot.ports.Streams`. Where Slack refuses a stream, it is not asked for one again for a while.

    `before_write` is asked right before each call, and stops it by raising.
    """

    def __init__(
        self, client: AsyncWebClient, clock: Clock, *, before_write: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._client = client
        self._clock = clock
        self._before_write = before_write
        self._pauses: dict[str, datetime] = {}

    async def start(self, channel: str, thread: str, task: str, *, key: str, reader: tuple[str, str]) -> Sent | None:
        if not thread or self._pauses_in(channel):
            return None
        team, user = reader
        to = {} if channel.startswith("D") else {"recipient_team_id": team, "recipient_user_id": user}
        chunks = [_task(key, task)]
        await self._ask_first()
        call = self._client.chat_startStream(channel=channel, thread_ts=thread, chunks=chunks, **to)
        try:
            answer = await answered(call, START_SECONDS)
        except Fault as fault:
            if fault.unknown:
                raise
            self._pause(channel, fault)
            return None
        return Sent(answer["channel"], answer["ts"])

    def _pauses_in(self, channel: str) -> bool:
        now = self._clock.now()
        self._pauses = {place: until for place, until in self._pauses.items() if until > now}
        return channel in self._pauses or EVERYWHERE in self._pauses

    def _pause(self, channel: str, fault: Fault) -> None:
        """A pace that is too fast is too fast everywhere; anything else may be the place's."""
        log.warning("answered without a stream: %s", fault, extra={"step": "answer", "vendor": "slack"})
        pause = timedelta(seconds=fault.retry_after) if fault.retry_after else REFUSED_FOR
        self._pauses[EVERYWHERE if fault.retry_after else channel] = self._clock.now() + pause

    async def append(self, sent: Sent, task: str, blocks: Sequence[dict[str, Any]] = (), *, key: str) -> None:
        chunks = [_task(key, task), *([{"type": "blocks", "blocks": list(blocks)}] if blocks else [])]
        await self._ask_first()
        call = self._client.chat_appendStream(channel=sent.channel, ts=sent.ts, chunks=chunks)
        await answered(call, APPEND_SECONDS)

    async def stop(self, sent: Sent) -> None:
        await self._ask_first()
        await stop(self._client, sent)

    async def _ask_first(self) -> None:
        if self._before_write is not None:
            await self._before_write()


async def stop(client: AsyncWebClient, sent: Sent) -> None:
    """The message is an ordinary one from here on."""
    try:
        await answered(client.chat_stopStream(channel=sent.channel, ts=sent.ts), STOP_SECONDS)
    except Fault as fault:
        if fault.what != OVER:
            raise


def key_of(message: Mapping[str, Any]) -> str:
    """The key of a message that was streamed and is not updated yet, which stands in its task."""
    tasks = (one for one in message.get("blocks") or () if one.get("type") == "task_card")
    return next((str(one.get("task_id", "")) for one in tasks), "")


def _task(key: str, title: str) -> dict[str, Any]:
    return {"type": "task_update", "id": key, "title": title[:LONGEST], "status": "in_progress"}

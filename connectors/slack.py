"""Slack's Web API, as the `Chat` port.

Least permissions: chat:write, commands, app_mentions:read, im:write, im:history, users:read, users:read.email, and
groups:history or channels:history of the responder channel (to find a card again after a lost answer). Never writes
as anybody else, never unfurls, never reads files.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bot.core.words import whole
from bot.errors import Fault
from bot.ports import Clock, Mark, Member, Message, Sent
from connectors.slack_call import answered
from connectors.slack_stream import LOCKED, key_of, stop

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

EVENT_TYPE = "tinyapprover"
TIMEOUT_SECONDS = 10
DM_CACHE = 10_000
PAGE, MOST_PAGES = 200, 10
OUT_OF_SIGHT = frozenset(["user_not_in_channel", "not_in_channel", "channel_not_found", "is_archived"])
UNREACHABLE = frozenset(["cannot_dm_bot", "user_disabled", "user_not_found", "user_not_visible"])


EPOCH = datetime.fromtimestamp(0, UTC)


class Slack:
    """One workspace, one bot user. `connect` must be awaited before anything else.

    `before_write` is asked right before each message is written or deleted, and stops that by raising.
    """

    def __init__(
        self, client: AsyncWebClient, clock: Clock, *, before_write: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._client = client
        self._clock = clock
        self._before_write = before_write
        self._paused: dict[str, datetime] = {}
        self._dms: OrderedDict[str, str] = OrderedDict()
        self.team = ""
        self.user = ""
        self.bot_id = ""
        self.url = ""
        self.scopes: frozenset[str] = frozenset()

    async def connect(self) -> None:
        """Learn who we are; a wrong token is a `Fault` here."""
        who = await self._call(self._client.auth_test())
        self.team, self.user, self.bot_id = who["team_id"], who["user_id"], who.get("bot_id", "")
        self.url = str(who["url"]).rstrip("/")
        scopes = who.headers.get("x-oauth-scopes", "") if hasattr(who, "headers") else ""
        self.scopes = frozenset(scope.strip() for scope in scopes.split(",") if scope.strip())

    async def close(self) -> None:
        if self._client.session is not None:
            await self._client.session.close()

    async def ping(self) -> str:
        """A sentence about the connection, for `check`."""
        await self.connect()
        return f"bot user {self.user} in {self.url}"

    async def post(self, channel: str, message: Message, *, key: str, thread: str = "") -> Sent:
        into = {"thread_ts": thread} if thread else {}
        answer = await self._paced(channel, "post", message, metadata=_metadata(key, message), **into)
        return Sent(channel=answer["channel"], ts=answer["ts"])

    async def find(self, channel: str, *, key: str, since: datetime) -> Sent | None:
        found = None
        async for messages in self._history(channel, since):
            found = next((one for one in reversed(messages) if self._mark(one).key == key), found)
        return Sent(channel=channel, ts=found["ts"]) if found else None

    async def find_replies(self, channel: str, thread: str, *, key: str) -> Sequence[Sent]:
        found: list[Sent] = []
        cursor = ""
        while True:
            answer = await self._call(
                self._client.conversations_replies(
                    channel=channel, ts=thread, include_all_metadata=True, limit=PAGE, cursor=cursor or None
                )
            )
            found += [Sent(channel, one["ts"]) for one in answer["messages"] if self._mark(one).key == key]
            cursor = (answer.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                return found

    async def is_closed(self, channel: str) -> bool:
        about = (await self._call(self._client.conversations_info(channel=channel)))["channel"]
        shared = about.get("is_ext_shared") or about.get("is_pending_ext_shared")
        return about.get("is_private") is True and not shared

    async def marks(self, channel: str, *, since: datetime) -> tuple[Sequence[Mark], datetime]:
        marks: list[Mark] = []
        pages = 0
        async for messages in self._history(channel, since):
            marks += [mark for mark in map(self._mark, messages) if mark.key]
            pages += 1
            if pages == MOST_PAGES and messages:
                return marks, datetime.fromtimestamp(float(messages[-1]["ts"]), UTC)
        return marks, since

    async def keys(self, channel: str) -> AsyncIterator[tuple[str, datetime]]:
        """The keys of our own messages in a channel, newest first, and when each was posted."""
        if not self.bot_id:
            await self.connect()
        async for messages in self._history(channel, EPOCH):
            for one in map(self._mark, messages):
                if one.key:
                    yield one.key, datetime.fromtimestamp(float(one.ts), UTC)

    async def _history(self, channel: str, since: datetime) -> AsyncIterator[list[Any]]:
        """What was written in a channel since then, page by page, newest first."""
        cursor = ""
        while True:
            answer = await self._call(
                self._client.conversations_history(
                    channel=channel,
                    oldest=f"{since.timestamp():.6f}",
                    inclusive=True,
                    include_all_metadata=True,
                    limit=PAGE,
                    cursor=cursor or None,
                )
            )
            yield answer["messages"]
            cursor = (answer.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                return

    def _mark(self, message: Mapping[str, Any]) -> Mark:
        """What a message tells of itself; without a key when it is not ours."""
        metadata = message.get("metadata") or {}
        if message.get("bot_id") != self.bot_id:
            return Mark(str(message["ts"]), "", "")
        payload = (metadata.get("event_payload") or {}) if metadata.get("event_type") == EVENT_TYPE else {}
        key = str(payload.get("key") or key_of(message))
        return Mark(str(message["ts"]), key, str(payload.get("fingerprint") or ""))

    async def update(self, sent: Sent, message: Message, *, key: str) -> None:
        told = {"ts": sent.ts, "metadata": _metadata(key, message)}
        await self._unlocked(sent, lambda: self._paced(sent.channel, "update", message, **told))

    async def delete(self, sent: Sent) -> None:
        await self._unlocked(sent, lambda: self._write(self._client.chat_delete, channel=sent.channel, ts=sent.ts))

    async def _unlocked(self, sent: Sent, write: Callable[[], Awaitable[Any]]) -> None:
        """Change a message of ours. One that is still a stream, left behind by a crash, is stopped first."""
        try:
            await write()
        except Fault as fault:
            if fault.what not in LOCKED:
                raise
            await self._ask_first()
            await stop(self._client, sent)
            await write()

    async def whisper(self, channel: str, user: str, text: str, *, thread: str = "") -> None:
        if not channel:  # they are at home, where nothing can be whispered
            await self._whisper_directly(user, text)
            return
        there = {"channel": channel, "user": user, "thread_ts": thread or None}
        try:
            await self._write(self._client.chat_postEphemeral, **there, text=text, link_names=False)
        except Fault as fault:
            if fault.what not in OUT_OF_SIGHT:
                raise
            await self._whisper_directly(user, text)

    async def _whisper_directly(self, user: str, text: str) -> None:
        """For somebody who is not in a channel; an account that takes no direct messages cannot be told."""
        try:
            channel = await self.dm_channel(user)
        except Fault as fault:
            if fault.what in UNREACHABLE:
                return
            raise
        await self._write(self._client.chat_postMessage, channel=channel, text=text, link_names=False)

    async def dm_channel(self, user: str) -> str:
        if user not in self._dms:
            answer = await self._call(self._client.conversations_open(users=user))
            self._dms[user] = answer["channel"]["id"]
            while len(self._dms) > DM_CACHE:
                self._dms.popitem(last=False)
        return self._dms[user]

    async def open_modal(self, trigger_id: str, view: dict[str, Any]) -> str:
        answer = await self._call(self._client.views_open(trigger_id=trigger_id, view=view))
        return str(answer["view"]["id"])

    async def update_modal(self, view_id: str, view: dict[str, Any]) -> bool:
        try:
            await self._call(self._client.views_update(view_id=view_id, view=view))
        except Fault as fault:
            if fault.what != "not_found":
                raise
            return False
        return True

    async def publish_home(self, user: str, view: dict[str, Any]) -> None:
        await self._write(self._client.views_publish, user_id=user, view=view)

    async def member(self, user: str) -> Member:
        answer = await self._call(self._client.users_info(user=user))
        return _member(answer["user"])

    async def is_in_channel(self, channel: str, user: str) -> bool:
        cursor = ""
        while True:
            answer = await self._call(
                self._client.conversations_members(channel=channel, limit=200, cursor=cursor or None)
            )
            if user in answer["members"]:
                return True
            cursor = (answer.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                return False

    def link(self, sent: Sent) -> str:
        return f"{self.url}/archives/{sent.channel}/p{sent.ts.replace('.', '')}"

    async def _paced(self, channel: str, verb: str, message: Message, **extra: Any) -> Any:
        """One write into a channel; after a 429 the whole channel waits as long as Slack said."""
        now = self._clock.now()
        if (until := self._paused.get(channel, now)) > now:
            raise Fault("slack", "ratelimited", status=429, retry_after=(until - now).total_seconds())
        call = self._client.chat_postMessage if verb == "post" else self._client.chat_update
        try:
            return await self._write(
                call,
                channel=channel,
                text=message.text,
                blocks=message.blocks,
                unfurl_links=False,
                unfurl_media=False,
                link_names=False,
                **extra,
            )
        except Fault as fault:
            if fault.retry_after:
                self._paused[channel] = now + timedelta(seconds=fault.retry_after)
            raise

    async def _write(self, method: Callable[..., Awaitable[Any]], **what: Any) -> Any:
        """A call that leaves something behind which people see."""
        await self._ask_first()
        return await self._call(method(**what))

    async def _ask_first(self) -> None:
        if self._before_write is not None:
            await self._before_write()

    async def _call(self, call: Awaitable[Any]) -> Any:
        return await answered(call, TIMEOUT_SECONDS)


def new_client(url: str, token: str) -> AsyncWebClient:
    """A Web API client that surfaces every failure at once; the job loop repeats.

    Its one session keeps connections open: slack_sdk alone connects anew, with a TLS handshake, for every call.
    """
    from aiohttp import ClientSession, ClientTimeout
    from slack_sdk.web.async_client import AsyncWebClient

    session = ClientSession(timeout=ClientTimeout(total=TIMEOUT_SECONDS))
    return AsyncWebClient(token=token, base_url=url, timeout=TIMEOUT_SECONDS, session=session, retry_handlers=[])


def _metadata(key: str, message: Message) -> dict[str, Any]:
    return {"event_type": EVENT_TYPE, "event_payload": {"key": key, "fingerprint": message.fingerprint}}


def _member(user: Mapping[str, Any]) -> Member:
    profile = user.get("profile") or {}
    outside = user.get("is_restricted") or user.get("is_ultra_restricted") or user.get("is_stranger")
    return Member(
        team=str(user.get("team_id", "")),
        user=str(user["id"]),
        email=str(profile.get("email", "")),
        email_confirmed=bool(user.get("is_email_confirmed")),
        name=whole(str(user.get("real_name") or profile.get("real_name") or user.get("name", ""))),
        full_member=not outside,
        bot=bool(user.get("is_bot")) or user.get("id") == "USLACKBOT",
        deleted=bool(user.get("deleted")),
        timezone=str(user.get("tz") or "UTC"),
    )

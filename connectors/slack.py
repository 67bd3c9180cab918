"""Slack's Web API, as the `Chat` port.

Least permissions: chat:write, commands, app_mentions:read, im:write, im:history, users:read, users:read.email, and
groups:history or channels:history of the responder channel (to find a card again after a lost answer). Never writes
as anybody else, never unfurls, never reads files.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot.errors import Fault
from bot.ports import Member, Message, Sent

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

EVENT_TYPE = "tinyapprover"
TIMEOUT_SECONDS = 10
DM_CACHE = 10_000
OUT_OF_SIGHT = frozenset(["user_not_in_channel", "not_in_channel", "channel_not_found", "is_archived"])
UNREACHABLE = frozenset(["cannot_dm_bot", "user_disabled", "user_not_found", "user_not_visible"])
LOST_FOR_GOOD = frozenset(
    [
        "account_inactive",
        "invalid_auth",
        "invalid_blocks",
        "missing_scope",
        "not_authed",
        "token_revoked",
        "user_not_found",
    ]
)


class Slack:
    """One workspace, one bot user. `connect` must be awaited before anything else."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._paused: dict[str, float] = {}
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

    async def post(self, channel: str, message: Message, *, key: str) -> Sent:
        answer = await self._paced(channel, "post", message, metadata=_metadata(key))
        return Sent(channel=answer["channel"], ts=answer["ts"])

    async def find(self, channel: str, *, key: str, since: datetime) -> Sent | None:
        async for message in self._ours(channel, oldest=f"{since.timestamp():.6f}"):
            if _key_of(message) == key:
                return Sent(channel=channel, ts=message["ts"])
        return None

    async def keys(self, channel: str) -> AsyncIterator[tuple[str, datetime]]:
        """The keys of our own messages in a channel, newest first, and when each was posted."""
        async for message in self._ours(channel):
            if key := _key_of(message):
                yield key, datetime.fromtimestamp(float(message["ts"]), UTC)

    async def _ours(self, channel: str, *, oldest: str | None = None) -> AsyncIterator[Mapping[str, Any]]:
        """Our messages in a channel, newest first, page by page."""
        if not self.bot_id:
            await self.connect()
        cursor: str | None = None
        while cursor != "":
            answer = await self._call(
                self._client.conversations_history(
                    channel=channel, oldest=oldest, include_all_metadata=True, limit=200, cursor=cursor
                )
            )
            for message in answer["messages"]:
                if message.get("bot_id") == self.bot_id:
                    yield message
            cursor = (answer.get("response_metadata") or {}).get("next_cursor", "")

    async def update(self, sent: Sent, message: Message) -> None:
        await self._paced(sent.channel, "update", message, ts=sent.ts)

    async def whisper(self, channel: str, user: str, text: str) -> None:
        if not channel:  # they are at home, where nothing can be whispered
            await self._whisper_directly(user, text)
            return
        try:
            await self._call(self._client.chat_postEphemeral(channel=channel, user=user, text=text, link_names=False))
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
        await self._call(self._client.chat_postMessage(channel=channel, text=text, link_names=False))

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

    async def update_modal(self, view_id: str, view: dict[str, Any]) -> None:
        await self._call(self._client.views_update(view_id=view_id, view=view))

    async def publish_home(self, user: str, view: dict[str, Any]) -> None:
        await self._call(self._client.views_publish(user_id=user, view=view))

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
        wait = self._paused.get(channel, 0.0) - time.monotonic()
        if wait > 0:
            raise Fault("slack", "ratelimited", status=429, retry_after=wait)
        call = self._client.chat_postMessage if verb == "post" else self._client.chat_update
        try:
            return await self._call(
                call(
                    channel=channel,
                    text=message.text,
                    blocks=message.blocks,
                    unfurl_links=False,
                    unfurl_media=False,
                    link_names=False,
                    **extra,
                )
            )
        except Fault as fault:
            if fault.retry_after:
                self._paused[channel] = time.monotonic() + fault.retry_after
            raise

    async def _call(self, call: Awaitable[Any]) -> Any:
        """The one translation of errors. Anything without an answer may have been done."""
        from aiohttp import ClientError
        from slack_sdk.errors import SlackApiError, SlackClientError

        try:
            return await asyncio.wait_for(call, TIMEOUT_SECONDS)
        except SlackApiError as error:
            raise _fault(error.response) from error
        except (SlackClientError, ClientError, TimeoutError, OSError, ValueError) as error:
            raise Fault("slack", f"no usable answer ({type(error).__name__})", unknown=True) from error


def new_client(url: str, token: str) -> AsyncWebClient:
    """A Web API client that surfaces every failure at once; the job loop repeats.

    Its one session keeps connections open: slack_sdk alone connects anew, with a TLS handshake, for every call.
    """
    from aiohttp import ClientSession, ClientTimeout
    from slack_sdk.web.async_client import AsyncWebClient

    session = ClientSession(timeout=ClientTimeout(total=TIMEOUT_SECONDS))
    return AsyncWebClient(token=token, base_url=url, timeout=TIMEOUT_SECONDS, session=session, retry_handlers=[])


def _fault(response: Any) -> Fault:
    data = response.data if isinstance(response.data, Mapping) else {}
    code = str(data.get("error") or f"http {response.status_code}")
    if response.status_code == 429 or code == "ratelimited":
        seconds = float(response.headers.get("Retry-After", 1) or 1)
        return Fault("slack", "ratelimited", status=429, retry_after=seconds)
    unknown = not data or response.status_code >= 500
    return Fault("slack", code, status=response.status_code, unknown=unknown, permanent=code in LOST_FOR_GOOD)


def _metadata(key: str) -> dict[str, Any]:
    return {"event_type": EVENT_TYPE, "event_payload": {"key": key}}


def _key_of(message: Mapping[str, Any]) -> str | None:
    metadata = message.get("metadata") or {}
    return (metadata.get("event_payload") or {}).get("key") if metadata.get("event_type") == EVENT_TYPE else None


def _member(user: Mapping[str, Any]) -> Member:
    profile = user.get("profile") or {}
    outside = user.get("is_restricted") or user.get("is_ultra_restricted") or user.get("is_stranger")
    return Member(
        team=str(user.get("team_id", "")),
        user=str(user["id"]),
        email=str(profile.get("email", "")),
        email_confirmed=bool(user.get("is_email_confirmed")),
        name=str(user.get("real_name") or profile.get("real_name") or user.get("name", "")),
        full_member=not outside,
        bot=bool(user.get("is_bot")) or user.get("id") == "USLACKBOT",
        deleted=bool(user.get("deleted")),
        timezone=str(user.get("tz") or "UTC"),
    )

"""What people wrote in Slack, read only: channels, messages, threads and names, as values of our own.

https://docs.slack.dev/reference/methods/conversations.history/ and its siblings. Least permissions: users:read,
channels:read and channels:history for public channels, groups:read and groups:history for private ones, and being
invited. Never writes, never joins, never reads files or direct messages. Waits as long as Slack asks; a reading that is
cut can be gone on with at the time of the last message that was kept.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.errors import Fault
from connectors.slack_call import answered

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

TIMEOUT_SECONDS = 10.0
PAGE = 100
MOST_PAGES = 100  # of one thread or list: a loop of cursors ends
TRIES, FIRST_PAUSE = 3, 1.0
LONGEST_PAUSE = 120.0
NAMES_KEPT = 20_000
KINDS = "public_channel,private_channel"
GONE = frozenset(["thread_not_found", "message_not_found"])
NOBODY = frozenset(["user_not_found", "user_not_visible", "users_not_found"])
_TS = re.compile(r"\d{1,11}\.\d{6}", re.ASCII)

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A channel as it is now. `barred` says why nothing in it may be quoted, whoever read it; empty when it may."""

    id: str
    name: str
    private: bool
    barred: str
    joined: bool

    @property
    def closed(self) -> str:
        """Why the bot may not read it; empty when it may."""
        return self.barred or ("" if self.joined else "the bot is not in it; invite it there")


@dataclass(frozen=True, slots=True)
class Root:
    """A message that is no reply, as Slack tells it. `state` changes with its words and with the replies to it."""

    ts: str
    has_replies: bool
    state: str
    message: Message


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a channel, newest first; `earliest` is the time of the last message, whatever that was."""

    roots: tuple[Root, ...]
    earliest: str
    more: bool


class SlackHistory:
    """One workspace, read with the bot's token. `connect` must be awaited first."""

    def __init__(
        self,
        client: AsyncWebClient,
        *,
        timeout: float = TIMEOUT_SECONDS,
        pause: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._timeout = timeout
        self._pause = pause
        self._names: OrderedDict[str, str] = OrderedDict()
        self.url = ""
        self.scopes: frozenset[str] = frozenset()

    async def connect(self) -> None:
        """Learn where we are and what we may do; a wrong token is a `Fault` here."""
        who = await self._asked(self._client.auth_test)
        self.url = str(who.get("url") or "").rstrip("/")
        scopes = str(who.headers.get("x-oauth-scopes", "")).split(",")
        self.scopes = frozenset(scope.strip() for scope in scopes if scope.strip())

    async def ping(self) -> str:
        """A sentence about the connection, for `check`."""
        await self.connect()
        return f"reads {self.url}"

    async def joined(self) -> list[Place]:
        """The channels that the bot is in, private ones too."""
        pages = self._pages("channels", self._client.users_conversations, types=KINDS, exclude_archived=True)
        return [_place(channel) async for channel in pages if isinstance(channel, Mapping)]

    async def place(self, channel: str, *, patient: bool = True) -> Place:
        """A channel as it is now; without patience one quick try, for somebody who waits."""
        ask = self._asked if patient else self._once
        answer = await ask(self._client.conversations_info, channel=channel)
        if not isinstance(answer.get("channel"), Mapping):
            raise Fault("slack", "conversations.info says nothing of the channel")
        return _place(answer["channel"])

    async def page(self, channel: str, *, oldest: str, latest: str) -> Page:
        """The newest messages after `oldest` and before `latest`, both left out; replies are in their threads."""
        answer = await self._asked(
            self._client.conversations_history, channel=channel, oldest=oldest, latest=latest, limit=PAGE
        )
        messages = _messages(answer.get("messages"))
        earliest = min((str(one["ts"]) for one in messages), key=float, default=oldest)
        moves = float(oldest) < float(earliest) < float(latest)
        roots = tuple(_root(one) for one in messages if one.get("thread_ts") in (None, one["ts"]))
        return Page(roots, earliest, bool(answer.get("has_more")) and moves)

    async def thread(self, channel: str, ts: str) -> list[Message]:
        """A thread from its first message on, as Slack tells them; nothing when it is gone."""
        try:
            pages = self._pages("messages", self._client.conversations_replies, channel=channel, ts=ts)
            found = _messages([message async for message in pages])
        except Fault as fault:
            if fault.what in GONE:
                return []
            raise
        return list({one["ts"]: one for one in found}.values())

    async def name(self, user: str) -> str:
        """How people call somebody; what was asked once is known."""
        if user not in self._names:
            self._names[user] = await self._called(user)
            while len(self._names) > NAMES_KEPT:
                self._names.popitem(last=False)
        return self._names[user]

    async def _called(self, user: str) -> str:
        try:
            answer = await self._asked(self._client.users_info, user=user)
        except Fault as fault:
            if fault.what in NOBODY:
                return "somebody"
            raise
        person = answer.get("user") or {}
        profile = person.get("profile") or {}
        return str(profile.get("real_name") or person.get("real_name") or person.get("name") or "somebody")

    async def _pages(self, what: str, call: Callable[..., Awaitable[Any]], **args: Any) -> AsyncIterator[Any]:
        """Every item of an answer that comes page by page."""
        cursor = ""
        for _ in range(MOST_PAGES):
            answer = await self._asked(call, limit=PAGE, cursor=cursor or None, **args)
            items = answer.get(what)
            if not isinstance(items, list):
                raise Fault("slack", f"an answer without {what}")
            for item in items:
                yield item
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return

    async def _asked(self, call: Callable[..., Awaitable[Any]], **args: Any) -> Any:
        """One answer, waited for: as long as Slack says, and a little when it gives none."""
        for lost in range(TRIES):
            try:
                return await self._unhurried(call, **args)
            except Fault as fault:
                if not fault.unknown or lost == TRIES - 1:
                    raise
                await self._pause(FIRST_PAUSE * 4**lost)
        raise AssertionError("unreachable")

    async def _unhurried(self, call: Callable[..., Awaitable[Any]], **args: Any) -> Any:
        while True:
            try:
                return await self._once(call, **args)
            except Fault as fault:
                if fault.retry_after is None or fault.retry_after > LONGEST_PAUSE:
                    raise
                await self._pause(fault.retry_after)

    async def _once(self, call: Callable[..., Awaitable[Any]], **args: Any) -> Any:
        return await answered(call(**args), self._timeout)


def new_reader(url: str, token: str) -> SlackHistory:
    """A reader with a client of its own, which holds no session open: nobody has to close it."""
    from slack_sdk.web.async_client import AsyncWebClient

    return SlackHistory(AsyncWebClient(token=token, base_url=url, timeout=int(TIMEOUT_SECONDS), retry_handlers=[]))


def _place(channel: Mapping[str, Any]) -> Place:
    """What is not said plainly counts as private, and as closed."""
    name = str(channel.get("name") or channel.get("id"))
    private, joined = channel.get("is_private") is not False, channel.get("is_member") is True
    return Place(str(channel.get("id")), name, private, _barred(channel), joined)


def _barred(channel: Mapping[str, Any]) -> str:
    if channel.get("is_im") or channel.get("is_mpim"):
        return "it holds direct messages"
    if any(channel.get(name) for name in ("is_shared", "is_ext_shared", "is_org_shared", "is_pending_ext_shared")):
        return "it is shared with somebody outside this workspace"
    return "it is archived" if channel.get("is_archived") is not False else ""


def _messages(given: Any) -> list[Message]:
    """Those of the messages that have a time."""
    if not isinstance(given, list):
        raise Fault("slack", "an answer without messages")
    return [one for one in given if isinstance(one, Mapping) and _TS.fullmatch(str(one.get("ts")))]


def _root(message: Message) -> Root:
    state = [message.get(name) for name in ("edited", "subtype", "reply_count", "latest_reply")]
    return Root(str(message["ts"]), bool(message.get("reply_count")), repr(state), message)

"""What the workspace holds: channels with messages, ephemerals, modals, Homes, triggers and response addresses."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from connectors.sandbox.world import SandboxPerson, World

APP_ID = "A0TINYAPP"
TRIGGER_LIFE = timedelta(seconds=3)
RESPONSE_LIFE = timedelta(minutes=30)
RESPONSE_USES = 5
STREAM_LIFE = timedelta(minutes=5)

Json = dict[str, Any]


class ApiError(Exception):
    """A Web API refusal: Slack's error word and whatever else stands in the answer."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.answer: Json = {"ok": False, "error": error, **more}


@dataclass(slots=True)
class Message:
    """A message; `versions` keeps the blocks it showed before, for people whose client still shows them."""

    ts: str
    user: str
    text: str
    bot: bool = False
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    metadata: Json | None = None
    thread_ts: str | None = None
    broadcast: bool = False
    edited: Json | None = None
    subtype: str = ""
    streamed_since: datetime | None = None
    versions: list[list[Json]] = field(default_factory=list)


@dataclass(slots=True)
class Channel:
    """A public or private channel, or the direct messages of one person and the app (`im_with`)."""

    id: str
    name: str
    private: bool
    members: set[str]
    im_with: str | None = None
    archived: bool = False
    shared: bool = False
    messages: dict[str, Message] = field(default_factory=dict)

    @property
    def scope_family(self) -> str:
        """The word that Slack's scopes use for this kind of conversation."""
        if self.im_with:
            return "im"
        return "groups" if self.private else "channels"


@dataclass(slots=True)
class Ephemeral:
    """A message that one person alone sees, until they reload."""

    user: str
    channel: str
    ts: str
    text: str
    blocks: list[Json]
    thread_ts: str | None = None


@dataclass(slots=True)
class View:
    """A modal or Home as one person has it open: the app's definition and what the person filled in."""

    id: str
    user: str
    body: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    values: dict[str, dict[str, Json]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    notice: str = ""


@dataclass(slots=True)
class Trigger:
    """The right to open one modal for a person, for three seconds."""

    user: str
    expires: datetime
    used: bool = False
    opened: asyncio.Future[View] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(slots=True)
class ResponseAddress:
    """A response_url: where it answers, to whom, and about which message."""

    user: str
    channel: str
    expires: datetime
    message_ts: str | None = None
    ephemeral: bool = False
    uses: int = 0


class Workspace:
    """All of it, with the few questions that both the Web API and the people's acts ask."""

    def __init__(self, world: World, scopes: Iterable[str]) -> None:
        self.world = world
        self.scopes = tuple(scopes)
        self.team_id: str = world.seed["workspace"]["id"]
        self.bot_user: str = world.seed["bot"]["slack_user"]
        self.bot_id: str = world.seed["bot"]["slack_bot"]
        self.bot_name: str = world.seed["bot"]["name"]
        self.channels = {entry["id"]: self._seeded(entry) for entry in world.seed["channels"]}
        self.ephemerals: list[Ephemeral] = []
        self.stacks: defaultdict[str, list[View]] = defaultdict(list)
        self.homes: dict[str, View] = {}
        self.triggers: dict[str, Trigger] = {}
        self.addresses: dict[str, ResponseAddress] = {}
        self.notices: defaultdict[str, list[str]] = defaultdict(list)
        self.emit: Callable[[Json], None] = lambda _event: None
        self._last_tick = 0
        for thread in world.seed.get("said", ()):
            self._say(thread)

    def _say(self, thread: Mapping[str, Any]) -> None:
        """A thread that stands there from the beginning."""
        channel = next(one for one in self.channels.values() if one.name == thread["channel"])
        began, root = self.world.now() - timedelta(days=thread["days_ago"]), None
        for one in thread["words"]:
            at = began + timedelta(minutes=one.get("minutes", 0))
            ts = f"{at.timestamp():.6f}"
            user = self.world.people[one["who"]].slack
            channel.messages[ts] = Message(ts=ts, user=user, text=one["text"], thread_ts=root)
            root = root or ts

    def _seeded(self, entry: Mapping[str, Any]) -> Channel:
        members = {self.world.people[key].slack for key in entry["members"]}
        if entry.get("bot", True):
            members.add(self.bot_user)
        return Channel(id=entry["id"], name=entry["name"], private=entry["private"], members=members)

    def next_ts(self) -> str:
        """A message time: the world's, unique and increasing."""
        self._last_tick = max(self._last_tick + 1, int(self.world.now().timestamp() * 1_000_000))
        return f"{self._last_tick // 1_000_000}.{self._last_tick % 1_000_000:06d}"

    def new_id(self, prefix: str) -> str:
        return prefix + secrets.token_hex(5).upper()

    def person(self, user_id: str) -> SandboxPerson | None:
        """Who has this Slack id, if anybody."""
        return next((person for person in self.world.people.values() if person.slack == user_id), None)

    def im(self, user_id: str) -> Channel:
        """The direct messages with a person, begun if need be."""
        channel_id = "D" + user_id[1:]
        fresh = Channel(channel_id, "directmessage", True, {user_id, self.bot_user}, im_with=user_id)
        return self.channels.setdefault(channel_id, fresh)

    def trigger(self, user_id: str) -> str:
        """A new trigger_id for something this person just did."""
        trigger_id = f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**13)}.{secrets.token_hex(16)}"
        self.triggers[trigger_id] = Trigger(user_id, self.world.now() + TRIGGER_LIFE)
        return trigger_id

    def spend_trigger(self, trigger_id: Any) -> Trigger:
        """Use a trigger once, in time."""
        trigger = self.triggers.get(str(trigger_id))
        if trigger is None:
            raise ApiError("invalid_trigger_id")
        if trigger.used:
            raise ApiError("exchanged_trigger_id")
        if self.world.now() > trigger.expires:
            raise ApiError("expired_trigger_id")
        trigger.used = True
        return trigger

    def response_url(
        self, user_id: str, channel: str, *, message_ts: str | None = None, ephemeral: bool = False
    ) -> str:
        """A new response_url for something this person did in a channel."""
        key = secrets.token_hex(12)
        expires = self.world.now() + RESPONSE_LIFE
        self.addresses[key] = ResponseAddress(user_id, channel, expires, message_ts, ephemeral)
        return f"{self.world.base_url}/slack/response/{key}"

    def tell(self, user_id: str, words: str) -> None:
        """What Slack itself shows a person, such as that the app did not answer."""
        self.notices[user_id].append(words)
        self.world.touch()

    def whisper(self, user_id: str, channel: str, content: Mapping[str, Any]) -> Ephemeral:
        """Show a message to one person only."""
        seen = Ephemeral(
            user=user_id,
            channel=channel,
            ts=self.next_ts(),
            text=str(content.get("text") or ""),
            blocks=list(content.get("blocks") or []),
            thread_ts=content.get("thread_ts"),
        )
        self.ephemerals.append(seen)
        self.world.touch()
        return seen

    def post(self, channel: Channel, message: Message) -> Message:
        """Put a message into a channel and tell the app about it where it listens."""
        channel.messages[message.ts] = message
        self.world.touch()
        self.emit({**self.message_json(message), "channel": channel.id, "event_ts": message.ts, **_kind(channel)})
        return message

    def note(self, channel: Channel, user_id: str, subtype: str, words: str) -> Message:
        """What Slack itself writes into a channel when something happens to it."""
        return self.post(channel, Message(ts=self.next_ts(), user=user_id, text=words, subtype=subtype))

    def thread(self, channel: Channel, ts: str) -> list[Message]:
        """A message and the replies to it."""
        return [message for message in channel.messages.values() if ts in (message.ts, message.thread_ts)]

    def rewrite(self, channel: Channel, message: Message, content: Mapping[str, Any]) -> None:
        """Change what a message shows, and tell the app where it listens."""
        before = self.message_json(message)
        self.revise(message, content)
        self._tell_change(channel, message, before)

    def remove(self, channel: Channel, message: Message) -> None:
        """Delete a message. The first of a thread leaves a gravestone behind, on which the replies hang."""
        before = self.message_json(message)
        if len(self.thread(channel, message.ts)) > 1:
            message.user, message.bot, message.subtype = "USLACKBOT", False, "tombstone"
            message.text, message.blocks, message.metadata = "This message was deleted.", [], None
            self._tell_change(channel, message, before)
        else:
            del channel.messages[message.ts]
            self._tell_hidden(channel, {"subtype": "message_deleted", "deleted_ts": message.ts}, before)
        self.world.touch()

    def _tell_change(self, channel: Channel, message: Message, before: Json) -> None:
        self._tell_hidden(channel, {"subtype": "message_changed", "message": self.message_json(message)}, before)

    def _tell_hidden(self, channel: Channel, what: Json, before: Json) -> None:
        ts = self.next_ts()
        event = {"type": "message", **what, "previous_message": before, "hidden": True, "channel": channel.id}
        self.emit({**event, "ts": ts, "event_ts": ts, **_kind(channel)})

    def revise(self, message: Message, content: Mapping[str, Any]) -> None:
        """Change what a message shows; what `content` leaves out stays as it was."""
        message.versions.append(message.blocks)
        message.text = str(content["text"]) if content.get("text") is not None else message.text
        message.blocks = content["blocks"] if content.get("blocks") is not None else message.blocks
        message.attachments = content["attachments"] if content.get("attachments") is not None else message.attachments
        message.metadata = content.get("metadata") or message.metadata
        message.edited = {"user": message.user, "ts": self.next_ts()}
        self.world.touch()

    def is_streaming(self, message: Message) -> bool:
        """Whether a stream is open: not stopped yet, and not closed by Slack for its age."""
        began = message.streamed_since
        return began is not None and self.world.now() - began < STREAM_LIFE

    def message_json(self, message: Message, *, metadata: bool = True) -> Json:
        """A message as the Web API and the payloads give it."""
        shown: Json = {
            "type": "message",
            "user": message.user,
            "ts": message.ts,
            "text": message.text,
            "team": self.team_id,
        }
        if message.bot:
            shown |= {
                "bot_id": self.bot_id,
                "app_id": APP_ID,
                "bot_profile": {"id": self.bot_id, "name": self.bot_name},
            }
        optional = {
            "blocks": message.blocks,
            "attachments": message.attachments,
            "thread_ts": message.thread_ts,
            "edited": message.edited,
            "subtype": message.subtype,
            "hidden": message.subtype == "tombstone",
            "metadata": message.metadata if metadata else None,
        }
        return shown | {name: value for name, value in optional.items() if value}


def _kind(channel: Channel) -> Json:
    return {"channel_type": {"im": "im", "groups": "group", "channels": "channel"}[channel.scope_family]}

"""Slack's stand-in: the Web API under `/slack/api/`, Socket Mode, response_url, and what people do in the client.

It keeps what the app uses of Slack and refuses what Slack refuses, in Slack's words. It is not Slack.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from connectors.sandbox import slack_payloads as payloads
from connectors.sandbox.server import Act
from connectors.sandbox.slack_acts import Acts, AdminActs
from connectors.sandbox.slack_replies import answer_response_url
from connectors.sandbox.slack_socket import Socket
from connectors.sandbox.slack_store import Channel, Json, Message, View, Workspace
from connectors.sandbox.slack_views import view_json
from connectors.sandbox.slack_web import WebApi
from connectors.sandbox.world import World

BOT_SCOPES = (
    "app_mentions:read",
    "assistant:write",
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "groups:history",
    "groups:read",
    "im:history",
    "im:write",
    "users:read",
    "users:read.email",
)
BOT_EVENTS = (
    "app_home_opened",
    "app_mention",
    "channel_archive",
    "channel_deleted",
    "channel_left",
    "channel_shared",
    "channel_unarchive",
    "channel_unshared",
    "group_archive",
    "group_deleted",
    "group_left",
    "group_unarchive",
    "message.channels",
    "message.groups",
    "message.im",
)


class Slack:
    """One workspace with the app installed. `scopes` and `events` are what its manifest asks for."""

    name = "slack"

    def __init__(self, world: World, *, scopes: Iterable[str] = BOT_SCOPES, events: Iterable[str] = BOT_EVENTS) -> None:
        self.world = world
        self.workspace = Workspace(world, scopes)
        self.socket = Socket(world)
        self.web_api = WebApi(self.workspace, self.socket)
        self._events = frozenset(events)
        self._acts = Acts(self.workspace, self.socket)
        self._admin = AdminActs(self._acts, self.set_pace)
        self.workspace.emit = self._emit

    def set_pace(self, on: bool) -> None:
        """Keep the app to about one message a second and channel, as Slack does."""
        self.web_api.paced = on

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/{method}", self.web_api.answer),
            web.get("/api/{method}", self.web_api.answer),
            web.get("/socket", self.socket.connect),
            web.post("/response/{key}", self._respond),
        ]

    async def _respond(self, request: web.Request) -> web.Response:
        return await answer_response_url(self.workspace, request)

    def acts(self) -> dict[str, Act]:
        return {**self._acts.table(), **self._admin.table()}

    def _emit(self, event: Json) -> None:
        """Deliver an event if the app subscribed to its kind and is where it happens."""
        channel = self.workspace.channels.get(str(event.get("channel")))
        present = channel is None or self.workspace.bot_user in channel.members
        if present and _subscription(event) in self._events:
            self.world.spawn(self.socket.notify(payloads.event(self.workspace, event)))

    def state(self) -> dict[str, Any]:
        workspace = self.workspace
        everybody = workspace.world.people.items()
        return {
            "bot": {"user": workspace.bot_user, "name": workspace.bot_name},
            "connections": len(self.socket.connections),
            "channels": {one.id: self._channel(one) for one in workspace.channels.values() if not one.im_with},
            "dms": {key: self._dm(person.slack) for key, person in everybody},
            "ephemerals": {
                key: [_ephemeral(one) for one in workspace.ephemerals if one.user == person.slack]
                for key, person in everybody
            },
            "views": {key: [self._view(view) for view in workspace.stacks[person.slack]] for key, person in everybody},
            "homes": {
                key: self._view(workspace.homes[one.slack]) for key, one in everybody if one.slack in workspace.homes
            },
            "notices": {key: list(workspace.notices[person.slack]) for key, person in everybody},
        }

    def _dm(self, user_id: str) -> Json:
        """The direct messages with a person; without an id while nobody has begun them."""
        channel = next((one for one in self.workspace.channels.values() if one.im_with == user_id), None)
        return self._channel(channel) if channel else {"id": None, "messages": []}

    def _channel(self, channel: Channel) -> Json:
        return {
            "id": channel.id,
            "name": channel.name,
            "private": channel.private,
            "archived": channel.archived,
            "shared": channel.shared,
            "members": sorted(channel.members),
            "messages": [self._message(message) for message in channel.messages.values()],
        }

    def _message(self, message: Message) -> Json:
        usual: Json = {"blocks": [], "metadata": None, "thread_ts": None, "edited": None}
        ours: Json = {"bot": message.bot, "streaming": self.workspace.is_streaming(message)}
        return usual | self.workspace.message_json(message) | ours

    def _view(self, view: View) -> Json:
        return view_json(self.workspace, view) | {"errors": view.errors, "notice": view.notice}


def _ephemeral(seen: Any) -> Json:
    names = ("channel", "ts", "text", "blocks", "thread_ts")
    return {name: getattr(seen, name) for name in names}


def _subscription(event: Json) -> str:
    """The name under which a manifest subscribes to an event."""
    if event["type"] != "message":
        return str(event["type"])
    return f"message.{ {'im': 'im', 'group': 'groups', 'channel': 'channels'}[event['channel_type']] }"

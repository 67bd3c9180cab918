"""The payloads that Slack sends, built from what the workspace holds. Each function makes one kind."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.slack_store import APP_ID, Channel, Ephemeral, Json, Message, View, Workspace
from connectors.sandbox.slack_views import state_values, view_json
from connectors.sandbox.world import SandboxPerson

LEGACY_TOKEN = "sandbox-verification"  # noqa: S105


def _base(workspace: Workspace, person: SandboxPerson, kind: str) -> Json:
    user = {"id": person.slack, "username": person.key, "name": person.key, "team_id": workspace.team_id}
    return {
        "type": kind,
        "token": LEGACY_TOKEN,
        "api_app_id": APP_ID,
        "team": {"id": workspace.team_id, "domain": _domain(workspace)},
        "user": user,
        "enterprise": None,
        "is_enterprise_install": False,
    }


def _domain(workspace: Workspace) -> str:
    return str(workspace.world.seed["workspace"]["url"]).removeprefix("https://").split(".")[0]


def _channel(channel: Channel) -> Json:
    return {"id": channel.id, "name": "privategroup" if channel.private and not channel.im_with else channel.name}


def event(workspace: Workspace, inner: Json) -> Json:
    """The outer envelope of an Events API delivery."""
    authorization = {
        "enterprise_id": None,
        "team_id": workspace.team_id,
        "user_id": workspace.bot_user,
        "is_bot": True,
        "is_enterprise_install": False,
    }
    return {
        "type": "event_callback",
        "token": LEGACY_TOKEN,
        "team_id": workspace.team_id,
        "api_app_id": APP_ID,
        "event": inner,
        "event_id": workspace.new_id("Ev"),
        "event_time": int(workspace.world.now().timestamp()),
        "authorizations": [authorization],
        "is_ext_shared_channel": False,
        "event_context": workspace.new_id("4-"),
    }


def shortcut(workspace: Workspace, person: SandboxPerson, callback_id: str) -> Json:
    """A global shortcut."""
    more = {"callback_id": callback_id, "trigger_id": workspace.trigger(person.slack), "action_ts": workspace.next_ts()}
    return _base(workspace, person, "shortcut") | more


def message_shortcut(
    workspace: Workspace, person: SandboxPerson, callback_id: str, channel: Channel, message: Message
) -> Json:
    """A shortcut from a message's menu."""
    return _base(workspace, person, "message_action") | {
        "callback_id": callback_id,
        "trigger_id": workspace.trigger(person.slack),
        "action_ts": workspace.next_ts(),
        "message_ts": message.ts,
        "channel": _channel(channel),
        "message": workspace.message_json(message),
        "response_url": workspace.response_url(person.slack, channel.id, message_ts=message.ts),
    }


def command(workspace: Workspace, person: SandboxPerson, channel: Channel, name: str, text: str) -> Json:
    """A slash command."""
    return {
        "token": LEGACY_TOKEN,
        "team_id": workspace.team_id,
        "team_domain": _domain(workspace),
        "channel_id": channel.id,
        "channel_name": _channel(channel)["name"],
        "user_id": person.slack,
        "user_name": person.key,
        "command": name,
        "text": text,
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
        "response_url": workspace.response_url(person.slack, channel.id),
        "trigger_id": workspace.trigger(person.slack),
    }


def message_place(workspace: Workspace, channel: Channel, message: Message, typed: dict[str, dict[str, Json]]) -> Json:
    """What a payload says about the message that was used."""
    container = {"type": "message", "message_ts": message.ts, "channel_id": channel.id, "is_ephemeral": False}
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    return {
        "container": container,
        "channel": _channel(channel),
        "message": workspace.message_json(message),
        "state": {"values": state_values(message.blocks, typed)},
    }


def ephemeral_place(channel: Channel, seen: Ephemeral, typed: dict[str, dict[str, Json]]) -> Json:
    """The same for an ephemeral message, whose content Slack does not repeat."""
    container = {"type": "message", "message_ts": seen.ts, "channel_id": channel.id, "is_ephemeral": True}
    return {
        "container": container,
        "channel": _channel(channel),
        "state": {"values": state_values(seen.blocks, typed)},
    }


def view_place(workspace: Workspace, view: View) -> Json:
    """The same for a modal or Home."""
    return {"container": {"type": "view", "view_id": view.id}, "view": view_json(workspace, view)}


def block_actions(workspace: Workspace, person: SandboxPerson, place: Json, action: Json) -> Json:
    """Somebody used an element."""
    payload = _base(workspace, person, "block_actions") | place
    payload["trigger_id"] = workspace.trigger(person.slack)
    payload["actions"] = [{**action, "action_ts": workspace.next_ts()}]
    container = place["container"]
    if container["type"] == "message":
        payload["response_url"] = workspace.response_url(
            person.slack,
            container["channel_id"],
            message_ts=container["message_ts"],
            ephemeral=container["is_ephemeral"],
        )
    return payload


def block_suggestion(
    workspace: Workspace, person: SandboxPerson, place: Json, block_id: str, action_id: str, value: str
) -> Json:
    """Somebody typed into a menu whose options come from the app."""
    asked: dict[str, Any] = {"block_id": block_id, "action_id": action_id, "value": value}
    return _base(workspace, person, "block_suggestion") | place | asked


def view_submission(workspace: Workspace, person: SandboxPerson, view: View) -> Json:
    """Somebody submitted a modal."""
    more = {"trigger_id": workspace.trigger(person.slack), "view": view_json(workspace, view), "response_urls": []}
    return _base(workspace, person, "view_submission") | more


def view_closed(workspace: Workspace, person: SandboxPerson, view: View, *, cleared: bool) -> Json:
    """Somebody closed a modal whose definition asks to be told."""
    return _base(workspace, person, "view_closed") | {"view": view_json(workspace, view), "is_cleared": cleared}

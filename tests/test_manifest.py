"""The app's manifest asks for what the program uses, names what it listens to, and is one that Slack accepts."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from bot.checks import MANIFEST
from bot.slack import answers, following, intake, line, socket
from connectors import slack, slack_history

# What Slack's method pages name; of several scopes, one for each kind of conversation that we are in.
NEEDS = {
    "auth_test": set(),
    "apps_connections_open": set(),  # the app-level token's connections:write
    "chat_postMessage": {"chat:write"},
    "chat_postEphemeral": {"chat:write"},
    "chat_delete": {"chat:write"},
    "chat_update": {"chat:write"},
    "conversations_history": {"channels:history", "groups:history", "im:history"},
    "conversations_info": {"channels:read", "groups:read"},
    "conversations_members": {"channels:read", "groups:read"},
    "conversations_open": {"im:write"},
    "conversations_replies": {"channels:history", "groups:history", "im:history"},
    "users_conversations": {"channels:read", "groups:read"},
    "users_info": {"users:read", "users:read.email"},
    "views_open": set(),
    "views_update": set(),
    "views_publish": set(),
}
FAMILIES = "api|apps|auth|bookmarks|chat|conversations|files|pins|reactions|team|usergroups|users|views"
# Under what name a manifest subscribes to an event, and the scopes that needs.
EVENTS: dict[str, set[str]] = {
    "app_home_opened": set(),
    "app_mention": {"app_mentions:read"},
    "channel_archive": {"channels:read"},
    "channel_deleted": {"channels:read"},
    "channel_left": {"channels:read"},
    "channel_shared": {"channels:read", "groups:read"},
    "channel_unarchive": {"channels:read"},
    "channel_unshared": {"channels:read", "groups:read"},
    "group_archive": {"groups:read"},
    "group_deleted": {"groups:read"},
    "group_left": {"groups:read"},
    "group_unarchive": {"groups:read"},
    "message.channels": {"channels:history"},
    "message.groups": {"groups:history"},
    "message.im": {"im:history"},
}


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return dict(yaml.safe_load(MANIFEST.read_text("utf-8")))


def called() -> set[str]:
    """The Web API methods that the program's source calls."""
    sources = [source(module) for module in (slack, slack_history, line, socket, intake)]
    return set(re.findall(rf"client\.((?:{FAMILIES})_\w+)", "\n".join(sources)))


def source(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text("utf-8")


def test_every_method_that_is_called_is_in_the_table() -> None:
    assert called() == set(NEEDS)


def test_the_scopes_are_those_that_the_methods_need_and_no_more(manifest: dict[str, Any]) -> None:
    scopes = manifest["oauth_config"]["scopes"]
    needed = {scope for method in called() for scope in NEEDS[method]} | {"commands"}
    needed |= {scope for event in EVENTS.values() for scope in event}
    assert set(scopes["bot"]) == needed
    assert scopes.get("user", []) == []
    assert scopes["bot"] == sorted(scopes["bot"])


def test_the_shortcuts_and_the_command_are_those_that_are_listened_to(manifest: dict[str, Any]) -> None:
    features = manifest["features"]
    listened = {("global", intake.SHORTCUT), ("message", intake.MESSAGE_SHORTCUT)}
    assert {(one["type"], one["callback_id"]) for one in features["shortcuts"]} == listened
    assert [one["command"] for one in features["slash_commands"]] == [intake.COMMAND, answers.COMMAND]


def test_the_events_are_those_that_are_listened_to(manifest: dict[str, Any]) -> None:
    assert set(manifest["settings"]["event_subscriptions"]["bot_events"]) == set(EVENTS)
    listened = re.findall(r'app\.event\("(\w+)"', source(intake) + source(following))
    assert {*listened, *following.CHANNEL_EVENTS} == {name.partition(".")[0] for name in EVENTS}


def test_it_connects_by_socket_mode_with_buttons_and_a_home(manifest: dict[str, Any]) -> None:
    settings = manifest["settings"]
    assert settings["socket_mode_enabled"] is True
    assert settings["interactivity"]["is_enabled"] is True
    assert "request_url" not in settings["interactivity"]
    assert manifest["features"]["app_home"]["home_tab_enabled"] is True
    assert settings["token_rotation_enabled"] is False
    assert settings["org_deploy_enabled"] is False


def test_no_text_is_longer_than_slack_takes(manifest: dict[str, Any]) -> None:
    information, features = manifest["display_information"], manifest["features"]
    assert len(information["name"]) <= 35
    assert len(information["description"]) <= 140
    assert 175 <= len(information.get("long_description", "x" * 175)) <= 4000
    assert re.fullmatch(r"#[0-9a-f]{6}", information["background_color"])
    assert len(features["bot_user"]["display_name"]) <= 80
    assert len(features["shortcuts"]) <= 10
    for shortcut in features["shortcuts"]:
        assert len(shortcut["name"]) <= 24
        assert len(shortcut["description"]) <= 150
        assert len(shortcut["callback_id"]) <= 255
    for command in features["slash_commands"]:
        assert re.fullmatch(r"/[a-z0-9_-]{1,31}", command["command"])
        assert len(command["description"]) <= 2000
        assert len(command.get("usage_hint", "")) <= 1000


def test_nothing_unknown_stands_in_it(manifest: dict[str, Any]) -> None:
    assert set(manifest) == {"_metadata", "display_information", "features", "oauth_config", "settings"}
    assert set(manifest["features"]) <= {"app_home", "bot_user", "shortcuts", "slash_commands", "agent_view"}
    assert manifest["_metadata"] == {"major_version": 2}

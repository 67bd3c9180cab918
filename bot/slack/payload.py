"""What all of Slack's payloads have in common, wherever each kind of them holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Body = Mapping[str, Any]


def user_of(body: Body) -> str:
    """The id of whoever did it."""
    user = body.get("user") or body.get("user_id") or ""
    return str(user["id"] if isinstance(user, Mapping) else user)


def team_of(body: Body) -> str:
    """The workspace of whoever did it: in a shared channel not always ours. Empty when it is not told."""
    user = body.get("user")
    return str((user if isinstance(user, Mapping) else body).get("team_id") or "")


def thread_of(body: Body) -> str:
    """The thread in which a button was pressed; empty elsewhere."""
    return str((body.get("container") or {}).get("thread_ts") or "")


def place_of(body: Body) -> tuple[str, str]:
    """Channel and timestamp of the message on which a button was pressed; empty elsewhere."""
    container = body.get("container") or {}
    return str(container.get("channel_id") or ""), str(container.get("message_ts") or "")

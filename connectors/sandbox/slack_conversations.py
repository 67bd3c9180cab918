"""The Web API's `conversations.*`: channels, members, history and threads, page by page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from connectors.sandbox.slack_chat import flag, visible_channel
from connectors.sandbox.slack_store import ApiError, Channel, Json, Message, Workspace

Item = TypeVar("Item")
MOST_ITEMS, USUAL_ITEMS = 999, 100
FAMILIES = {"public_channel": "channels", "private_channel": "groups", "im": "im"}


def _page(items: Sequence[Item], args: Json, *, usual: int = USUAL_ITEMS) -> tuple[Sequence[Item], Json]:
    """The asked-for page and Slack's note of what comes next."""
    start = _position(args.get("cursor"))
    try:
        limit = int(args.get("limit") or usual)
    except ValueError:
        raise ApiError("invalid_limit") from None
    if not 1 <= limit <= MOST_ITEMS:
        raise ApiError("invalid_limit")
    end = start + limit
    cursor = base64.b64encode(f"next:{end}".encode()).decode() if end < len(items) else ""
    return items[start:end], {"next_cursor": cursor}


def _position(cursor: Any) -> int:
    if not cursor:
        return 0
    try:
        word, _, number = base64.b64decode(str(cursor), validate=True).decode().partition(":")
        if word != "next":
            raise ValueError(word)
        return int(number)
    except (ValueError, binascii.Error):
        raise ApiError("invalid_cursor") from None


def _readable(workspace: Workspace, args: Json) -> Channel:
    """A channel whose messages the app may read: it is a member and has the scope for its kind."""
    channel = visible_channel(workspace, args.get("channel"))
    _need(workspace, f"{channel.scope_family}:history")
    if workspace.bot_user not in channel.members:
        raise ApiError("not_in_channel")
    return channel


def _within(args: Json) -> Callable[[Message], bool]:
    """Whether a message lies between `oldest` and `latest`, the ends only with `inclusive`."""
    inclusive = flag(args, "inclusive")
    try:
        oldest = float(args.get("oldest") or 0)
        latest = float(args.get("latest") or "inf")
    except ValueError:
        raise ApiError("invalid_ts_oldest") from None

    def lies_between(message: Message) -> bool:
        at = float(message.ts)
        return oldest <= at <= latest if inclusive else oldest < at < latest

    return lies_between


def _shown(workspace: Workspace, channel: Channel, message: Message, args: Json) -> Json:
    shown = workspace.message_json(message, metadata=flag(args, "include_all_metadata"))
    replies = workspace.thread(channel, message.ts)[1:]
    if replies:
        writers = sorted({reply.user for reply in replies})
        shown |= {"thread_ts": message.ts, "reply_count": len(replies), "reply_users": writers}
        shown |= {"latest_reply": replies[-1].ts}
    return shown


def _history(workspace: Workspace, args: Json) -> Json:
    channel = _readable(workspace, args)
    tops = [one for one in channel.messages.values() if one.thread_ts in (None, one.ts) or one.broadcast]
    chosen = [one for one in reversed(tops) if _within(args)(one)]
    page, following = _page(chosen, args)
    messages = [_shown(workspace, channel, one, args) for one in page]
    return {"messages": messages, "has_more": bool(following["next_cursor"]), "response_metadata": following}


def _replies(workspace: Workspace, args: Json) -> Json:
    """A thread, its first message always with it; `ts` names any message of the thread."""
    channel = _readable(workspace, args)
    asked = channel.messages.get(str(args.get("ts")))
    if asked is None:
        raise ApiError("thread_not_found")
    root = asked.thread_ts or asked.ts
    chosen = [one for one in workspace.thread(channel, root) if one.ts == root or _within(args)(one)]
    page, following = _page(chosen, args, usual=MOST_ITEMS)
    messages = [_shown(workspace, channel, one, args) for one in page]
    return {"messages": messages, "has_more": bool(following["next_cursor"]), "response_metadata": following}


def channel_json(workspace: Workspace, channel: Channel) -> Json:
    """A conversation as `conversations.info` gives it."""
    shown: Json = {"id": channel.id, "is_archived": channel.archived, "context_team_id": workspace.team_id}
    if channel.im_with:
        return shown | {"is_im": True, "user": channel.im_with, "is_channel": False, "is_private": True}
    return shown | {
        "name": channel.name,
        "is_im": False,
        "is_mpim": False,
        "is_channel": not channel.private,
        "is_group": channel.private,
        "is_private": channel.private,
        "is_member": workspace.bot_user in channel.members,
        "is_shared": channel.shared,
        "is_ext_shared": channel.shared,
        "is_org_shared": False,
        "is_pending_ext_shared": False,
    }


def _info(workspace: Workspace, args: Json) -> Json:
    channel = visible_channel(workspace, args.get("channel"))
    _need_read(workspace, channel)
    return {"channel": channel_json(workspace, channel)}


def _joined(workspace: Workspace, args: Json) -> Json:
    """The conversations that the app is a member of, of the kinds that are asked for."""
    types = [name.strip() for name in str(args.get("types") or "public_channel").split(",")]
    if unknown := [name for name in types if name not in FAMILIES]:
        raise ApiError("invalid_types", types=unknown)
    wanted = {FAMILIES[name] for name in types}
    for family in sorted(wanted):
        _need(workspace, f"{family}:read")
    chosen = [
        channel
        for channel in workspace.channels.values()
        if channel.scope_family in wanted
        and workspace.bot_user in channel.members
        and not (channel.archived and flag(args, "exclude_archived"))
    ]
    page, following = _page(chosen, args)
    return {"channels": [channel_json(workspace, one) for one in page], "response_metadata": following}


def _need(workspace: Workspace, scope: str) -> None:
    if scope not in workspace.scopes:
        raise ApiError("missing_scope", needed=scope, provided=",".join(workspace.scopes))


def _need_read(workspace: Workspace, channel: Channel) -> None:
    if channel.im_with is None:
        _need(workspace, f"{channel.scope_family}:read")


def _members(workspace: Workspace, args: Json) -> Json:
    channel = visible_channel(workspace, args.get("channel"))
    _need_read(workspace, channel)
    page, following = _page(sorted(channel.members), args)
    return {"members": list(page), "response_metadata": following}


def _open(workspace: Workspace, args: Json) -> Json:
    given = args.get("users") or ""
    users = given if isinstance(given, list) else [user for user in str(given).split(",") if user]
    if not users:
        raise ApiError("users_list_not_supplied")
    if len(users) > 1:
        raise ApiError("too_many_users")
    if users[0] == workspace.bot_user:
        raise ApiError("cannot_dm_bot")
    person = workspace.person(users[0])
    if person is None:
        raise ApiError("user_not_found")
    if person.deactivated:
        raise ApiError("user_disabled")
    fresh = "D" + person.slack[1:] not in workspace.channels
    return {"channel": {"id": workspace.im(person.slack).id}, "no_op": not fresh, "already_open": not fresh}


CONVERSATION_METHODS = {
    "conversations.history": (_history, ""),
    "conversations.info": (_info, ""),
    "conversations.members": (_members, ""),
    "conversations.open": (_open, "im:write"),
    "conversations.replies": (_replies, ""),
    "users.conversations": (_joined, ""),
}

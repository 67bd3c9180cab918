"""The Web API's `chat.*`: posting and changing messages, with Slack's refusals."""

from __future__ import annotations

import json
from typing import Any

from connectors.sandbox.slack_blocks import (
    MOST_CHARACTERS,
    MOST_MARKDOWN,
    characters,
    markdown_characters,
    message_problems,
    with_ids,
)
from connectors.sandbox.slack_store import ApiError, Channel, Json, Message, Workspace

MOST_TEXT = 40_000
MOST_METADATA = 16_000


def content_of(args: Json) -> Json:
    """The text, blocks, attachments and metadata of a call, checked; those not given are None."""
    text = args.get("text")
    if text is not None and len(str(text)) > MOST_TEXT:
        raise ApiError("msg_too_long")
    return {
        "text": text,
        "blocks": _checked_blocks(_from_json(args.get("blocks"), "invalid_blocks_format")),
        "attachments": _from_json(args.get("attachments"), "invalid_attachments"),
        "metadata": _checked_metadata(_from_json(args.get("metadata"), "invalid_metadata_format")),
    }


def _from_json(value: Any, error: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value else None
    except ValueError:
        raise ApiError(error) from None


def _checked_blocks(blocks: Any) -> list[Json] | None:
    if blocks is None:
        return None
    problems = message_problems(blocks)
    if problems:
        messages = [f"[ERROR] {words}" for words in problems]
        raise ApiError("invalid_blocks", errors=problems, response_metadata={"messages": messages})
    if characters(blocks) > MOST_CHARACTERS or markdown_characters(blocks) > MOST_MARKDOWN:
        raise ApiError("msg_blocks_too_long")
    return with_ids(blocks)


def _checked_metadata(metadata: Any) -> Json | None:
    if metadata is None:
        return None
    shaped = isinstance(metadata, dict) and isinstance(metadata.get("event_type"), str)
    if not shaped or not isinstance(metadata.get("event_payload"), dict):
        raise ApiError("invalid_metadata_format")
    if len(json.dumps(metadata)) > MOST_METADATA:
        raise ApiError("metadata_too_large")
    return dict(metadata)


def writable_channel(workspace: Workspace, wanted: Any) -> Channel:
    """The channel the app may post to; a user id means the direct messages with that person."""
    person = workspace.person(str(wanted))
    if person is not None:
        if person.deactivated:
            raise ApiError("channel_not_found")
        return workspace.im(person.slack)
    channel = visible_channel(workspace, wanted)
    if workspace.bot_user not in channel.members:
        raise ApiError("not_in_channel")
    if channel.archived:
        raise ApiError("is_archived")
    return channel


def visible_channel(workspace: Workspace, wanted: Any) -> Channel:
    """A channel that the app can see: public ones, and private ones it is a member of."""
    name = str(wanted).removeprefix("#")
    for channel in workspace.channels.values():
        known = channel.id == name or (channel.name == name and not channel.im_with)
        if known and (not channel.private or workspace.bot_user in channel.members):
            return channel
    raise ApiError("channel_not_found")


def own_message(workspace: Workspace, args: Json, refusal: str) -> tuple[Channel, Message]:
    channel = visible_channel(workspace, args.get("channel"))
    message = channel.messages.get(str(args.get("ts")))
    if message is None:
        raise ApiError("message_not_found")
    if message.user != workspace.bot_user:
        raise ApiError(refusal)
    return channel, message


def _post(workspace: Workspace, args: Json) -> Json:
    content = content_of(args)
    if not (content["text"] or content["blocks"] or content["attachments"]):
        raise ApiError("no_text")
    channel = writable_channel(workspace, args.get("channel"))
    message = post_as_app(workspace, channel, content, args)
    return {"channel": channel.id, "ts": message.ts, "message": workspace.message_json(message)}


def post_as_app(workspace: Workspace, channel: Channel, content: Json, args: Json) -> Message:
    """Put checked content into a channel as the app's own message."""
    message = Message(
        ts=workspace.next_ts(),
        user=workspace.bot_user,
        bot=True,
        text=str(content["text"] or ""),
        blocks=content["blocks"] or [],
        attachments=content["attachments"] or [],
        metadata=content["metadata"],
        thread_ts=str(args["thread_ts"]) if args.get("thread_ts") else None,
        broadcast=flag(args, "reply_broadcast"),
    )
    return workspace.post(channel, message)


def flag(args: Json, name: str) -> bool:
    """A yes or no in any of the forms that clients send."""
    return str(args.get(name, "")).lower() in ("1", "true")


def _update(workspace: Workspace, args: Json) -> Json:
    content = content_of(args)
    if all(content[name] is None for name in ("text", "blocks", "attachments")):
        raise ApiError("no_text")
    channel, message = own_message(workspace, args, "cant_update_message")
    if workspace.is_streaming(message):
        raise ApiError("streaming_state_conflict")
    if channel.archived:
        raise ApiError("is_archived")
    workspace.rewrite(channel, message, content)
    shown = workspace.message_json(message)
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": shown}


def _delete(workspace: Workspace, args: Json) -> Json:
    channel, message = own_message(workspace, args, "cant_delete_message")
    if workspace.is_streaming(message):
        raise ApiError("cant_delete_message")
    workspace.remove(channel, message)
    return {"channel": channel.id, "ts": message.ts}


def _post_ephemeral(workspace: Workspace, args: Json) -> Json:
    content = content_of(args)
    if not (content["text"] or content["blocks"] or content["attachments"]):
        raise ApiError("no_text")
    channel = writable_channel(workspace, args.get("channel"))
    if str(args.get("user")) not in channel.members:
        raise ApiError("user_not_in_channel")
    seen = workspace.whisper(str(args["user"]), channel.id, {**content, "thread_ts": args.get("thread_ts")})
    return {"message_ts": seen.ts}


CHAT_METHODS = {
    "chat.postMessage": (_post, "chat:write"),
    "chat.update": (_update, "chat:write"),
    "chat.delete": (_delete, "chat:write"),
    "chat.postEphemeral": (_post_ephemeral, "chat:write"),
}

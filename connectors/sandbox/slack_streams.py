"""The Web API's streams: a reply that grows by chunks while it is written, and is locked until it is stopped.

https://docs.slack.dev/reference/methods/chat.startStream and its siblings name arguments and refusals. That an open
stream takes neither `chat.update` nor `chat.delete`, and that Slack closes it after about five minutes, is not written
there: apps have seen it.
"""

from __future__ import annotations

from typing import Any

from connectors.sandbox.slack_blocks import message_problems, with_ids
from connectors.sandbox.slack_chat import content_of, own_message, post_as_app, writable_channel
from connectors.sandbox.slack_shapes import Shape, items, one_of, string, typed
from connectors.sandbox.slack_store import ApiError, Channel, Json, Message, Workspace

MOST_WORDS = 256
_SOURCE = Shape({"url": string(3000), "text": string(MOST_WORDS)})
_TASK = Shape(
    {"id": string(), "title": string(MOST_WORDS), "status": one_of("pending", "in_progress", "complete", "error")},
    {"details": string(MOST_WORDS), "output": string(MOST_WORDS), "sources": items(_SOURCE, 10)},
)


def _blocks(value: Any, _pointer: str) -> Any:
    return iter(message_problems(value.get("blocks") if isinstance(value, dict) else None))


_CHUNKS = items(typed({"task_update": _TASK, "blocks": _blocks}), 50)


def _start(workspace: Workspace, args: Json) -> Json:
    channel = writable_channel(workspace, args.get("channel"))
    if not channel.im_with:
        for name in ("recipient_user_id", "recipient_team_id"):
            if not args.get(name):
                raise ApiError(f"missing_{name}")
    if str(args.get("thread_ts")) not in channel.messages:
        raise ApiError("invalid_thread_ts")
    grown = _grown([], _checked(args))
    message = post_as_app(workspace, channel, {"text": "", "blocks": grown, "attachments": [], "metadata": None}, args)
    message.streamed_since = workspace.world.now()
    return {"channel": channel.id, "ts": message.ts}


def _append(workspace: Workspace, args: Json) -> Json:
    channel, message = _open(workspace, args)
    message.blocks = _grown(message.blocks, _checked(args))
    workspace.world.touch()
    return {"channel": channel.id, "ts": message.ts}


def _stop(workspace: Workspace, args: Json) -> Json:
    """The end of it: what was streamed stays, `blocks` come below it, and the message is an ordinary one."""
    channel, message = _open(workspace, args)
    content = content_of({"blocks": args.get("blocks"), "metadata": args.get("metadata")})
    message.streamed_since = None
    whole = _grown(message.blocks, _checked(args)) + (content["blocks"] or [])
    workspace.rewrite(channel, message, {**content, "blocks": whole})
    return {"channel": channel.id, "ts": message.ts, "message": workspace.message_json(message)}


def _open(workspace: Workspace, args: Json) -> tuple[Channel, Message]:
    channel, message = own_message(workspace, args, "message_not_owned_by_app")
    if not workspace.is_streaming(message):
        raise ApiError("message_not_in_streaming_state")
    return channel, message


def _checked(args: Json) -> list[Json]:
    chunks = args.get("chunks") or []
    if chunks and (problems := list(_CHUNKS(chunks, "/chunks"))):
        raise ApiError("invalid_chunks", errors=problems)
    return list(chunks)


def _grown(blocks: list[Json], chunks: list[Json]) -> list[Json]:
    """The message's blocks with what came: a task is drawn where it stood before, anything else at the end."""
    for chunk in chunks:
        blocks = [*blocks, *chunk["blocks"]] if chunk["type"] == "blocks" else _with_task(blocks, chunk)
    return with_ids(blocks)


def _with_task(blocks: list[Json], chunk: Json) -> list[Json]:
    card = {"type": "task_card", "task_id": chunk["id"], "title": chunk["title"], "status": chunk["status"]}
    known = [one.get("task_id") for one in blocks]
    at = known.index(chunk["id"]) if chunk["id"] in known else len(blocks)
    return [*blocks[:at], card, *blocks[at + 1 :]]


STREAM_METHODS = {
    "chat.startStream": (_start, "chat:write"),
    "chat.appendStream": (_append, "chat:write"),
    "chat.stopStream": (_stop, "chat:write"),
}

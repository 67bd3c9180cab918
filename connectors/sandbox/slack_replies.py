"""Answers that need no token: response_url, and the text that acknowledges a slash command."""

from __future__ import annotations

from aiohttp import web

from connectors.sandbox.slack_chat import content_of, flag, post_as_app
from connectors.sandbox.slack_store import RESPONSE_USES, ApiError, Json, ResponseAddress, Workspace


async def answer_response_url(workspace: Workspace, request: web.Request) -> web.Response:
    """One POST to a response_url: five uses within half an hour."""
    address = workspace.addresses.get(request.match_info["key"])
    if address is None or workspace.world.now() > address.expires:
        return web.json_response({"ok": False, "error": "expired_url"}, status=404)
    if address.uses >= RESPONSE_USES:
        return web.json_response({"ok": False, "error": "used_url"}, status=404)
    address.uses += 1
    try:
        reply(workspace, address, await request.json())
    except ApiError as refusal:
        return web.json_response(refusal.answer, status=400)
    return web.Response(text="ok")


def reply(workspace: Workspace, address: ResponseAddress, body: Json) -> None:
    """Answer where the person acted: replace or delete what they used, or say something new."""
    if flag(body, "delete_original"):
        _delete_original(workspace, address)
        return
    content = content_of(body)
    if not (content["text"] or content["blocks"] or content["attachments"]):
        raise ApiError("no_text")
    if flag(body, "replace_original") and address.message_ts:
        _replace_original(workspace, address, content)
    elif body.get("response_type") == "in_channel":
        post_as_app(workspace, workspace.channels[address.channel], content, body)
    else:
        workspace.whisper(address.user, address.channel, {**content, "thread_ts": body.get("thread_ts")})


def _delete_original(workspace: Workspace, address: ResponseAddress) -> None:
    if address.ephemeral:
        workspace.ephemerals = [seen for seen in workspace.ephemerals if seen.ts != address.message_ts]
    else:
        workspace.channels[address.channel].messages.pop(str(address.message_ts), None)
    workspace.world.touch()


def _replace_original(workspace: Workspace, address: ResponseAddress, content: Json) -> None:
    if address.ephemeral:
        for seen in workspace.ephemerals:
            if seen.ts == address.message_ts:
                seen.text, seen.blocks = str(content["text"] or ""), content["blocks"] or []
        workspace.world.touch()
        return
    message = workspace.channels[address.channel].messages.get(str(address.message_ts))
    if message is None:
        raise ApiError("message_not_found")
    workspace.revise(message, content)

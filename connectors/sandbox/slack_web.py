"""The Web API's front: tokens, arguments in every form slack_sdk sends them, scopes, pace, and the table of methods.

https://docs.slack.dev/apis/web-api/: answers are 200 with `ok` and an error word, except 429.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable

from aiohttp import web

from connectors.sandbox.slack_chat import CHAT_METHODS
from connectors.sandbox.slack_conversations import CONVERSATION_METHODS
from connectors.sandbox.slack_modals import VIEW_METHODS
from connectors.sandbox.slack_people import PEOPLE_METHODS
from connectors.sandbox.slack_socket import Socket
from connectors.sandbox.slack_store import ApiError, Json, Workspace
from connectors.sandbox.slack_streams import STREAM_METHODS

Method = Callable[[Workspace, Json], Json]

METHODS: dict[str, tuple[Method, str]] = {
    **CHAT_METHODS,
    **STREAM_METHODS,
    **CONVERSATION_METHODS,
    **PEOPLE_METHODS,
    **VIEW_METHODS,
}
BURST = 4


class WebApi:
    """Answers `/api/<method>`."""

    def __init__(self, workspace: Workspace, socket: Socket) -> None:
        self.workspace = workspace
        self.socket = socket
        self.paced = False
        self._posted: defaultdict[str, list[float]] = defaultdict(list)

    async def answer(self, request: web.Request) -> web.Response:
        """One call of one method."""
        name = request.match_info["method"]
        try:
            args = await _arguments(request)
            body = self._run(name, args, _token(request, args))
        except ApiError as refusal:
            body = refusal.answer
        if body.get("error") == "ratelimited":
            return web.json_response(body, status=429, headers={"Retry-After": "1"})
        return web.json_response(body, headers=self._scope_headers(name))

    def _scope_headers(self, name: str) -> dict[str, str]:
        accepted = METHODS[name][1] if name in METHODS else ""
        headers = {"x-oauth-scopes": ",".join(self.workspace.scopes), "x-accepted-oauth-scopes": accepted}
        return {header: value for header, value in headers.items() if value}

    def _run(self, name: str, args: Json, token: str) -> Json:
        self._check_token(name, token)
        if name == "apps.connections.open":
            return {"ok": True, "url": self.socket.open_ticket()}
        if name not in METHODS:
            raise ApiError("unknown_method", req_method=name)
        method, scope = METHODS[name]
        self._check_scope(scope)
        if name == "chat.postMessage":
            self._check_pace(str(args.get("channel")))
        return {"ok": True, **method(self.workspace, args)}

    def _check_token(self, name: str, token: str) -> None:
        world = self.workspace.world
        bot, app = world.token("slack_bot"), world.token("slack_app")
        if not token:
            raise ApiError("not_authed")
        if token not in (bot, app):
            raise ApiError("invalid_auth")
        if token != (app if name == "apps.connections.open" else bot):
            raise ApiError("not_allowed_token_type")

    def _check_scope(self, scope: str) -> None:
        if scope and scope not in self.workspace.scopes:
            raise ApiError("missing_scope", needed=scope, provided=",".join(self.workspace.scopes))

    def _check_pace(self, channel: str) -> None:
        """One message a second and channel, with a short burst, when switched on."""
        now = self.workspace.world.now().timestamp()
        recent = [at for at in self._posted[channel] if now - at < BURST]
        if self.paced and len(recent) >= BURST:
            raise ApiError("ratelimited")
        self._posted[channel] = [*recent, now]


async def _arguments(request: web.Request) -> Json:
    """Query, form or JSON, as one table."""
    args: Json = dict(request.query)
    if request.content_type.endswith("json"):
        try:
            body = json.loads(await request.text() or "{}")
        except ValueError:
            raise ApiError("invalid_json") from None
        if not isinstance(body, dict):
            raise ApiError("json_not_object")
        return args | body
    return args | dict(await request.post())


def _token(request: web.Request, args: Json) -> str:
    header = request.headers.get("Authorization", "")
    return header.removeprefix("Bearer ") if header else str(args.pop("token", ""))

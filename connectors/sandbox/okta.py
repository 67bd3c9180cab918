"""Okta's other end: users, groups, memberships, factors, sign-ins and sessions, as the connector reads and writes them.

Answers and refuses in Okta's forms (https://developer.okta.com/docs/reference/error-codes/): the reader token may
only GET, a membership PUT answers 204 whether or not anything changed, lists page by Link headers.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from connectors.sandbox.okta_records import Group, OktaDirectory, User, event_json, group_json, user_json
from connectors.sandbox.server import Act, Refusal
from connectors.sandbox.world import World

Answer = Callable[[web.Request], Awaitable[Any]]
API = "/api/v1"
PAGE = 200
WRITER = "TinyApprover writer"
"""How the System Log names the one token that may write."""
SEARCH = re.compile(r'^(?P<field>[\w.]+) eq "(?P<value>(?:[^"\\]|\\.)*)"$')


class Problem(Exception):
    """A refusal in Okta's words."""

    def __init__(self, status: int, code: str, summary: str) -> None:
        super().__init__(summary)
        self.status = status
        error_id = f"oae{secrets.token_urlsafe(12)}"
        self.body = {
            "errorCode": code,
            "errorSummary": summary,
            "errorLink": code,
            "errorId": error_id,
            "errorCauses": [],
        }


class Okta:
    """The stand-in, mounted under `/okta`."""

    name = "okta"

    def __init__(self, world: World, *, page: int = PAGE) -> None:
        self._world = world
        self._page = page
        self._directory = OktaDirectory(world)

    def routes(self) -> list[web.RouteDef]:
        answers: list[tuple[str, str, Answer]] = [
            ("GET", "/users", self._list_users),
            ("GET", "/users/{user}", self._get_user),
            ("GET", "/users/{user}/groups", self._list_user_groups),
            ("GET", "/users/{user}/factors", self._list_factors),
            ("DELETE", "/users/{user}/sessions", self._end_sessions),
            ("POST", "/users/{user}/lifecycle/suspend", self._suspend),
            ("POST", "/users/{user}/lifecycle/unsuspend", self._unsuspend),
            ("GET", "/groups", self._list_groups),
            ("GET", "/groups/{group}", self._get_group),
            ("GET", "/groups/{group}/users", self._list_members),
            ("PUT", "/groups/{group}/users/{user}", self._join),
            ("DELETE", "/groups/{group}/users/{user}", self._leave),
            ("GET", "/apps", self._list_apps),
            ("GET", "/logs", self._list_events),
        ]
        return [web.route(method, API + path, self._guarded(answer)) for method, path, answer in answers]

    def _guarded(self, answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        """The answer behind the token, with refusals in Okta's form and its rate headers."""

        async def handle(request: web.Request) -> web.Response:
            reset = int(time.time()) + 60
            headers = {
                "X-Okta-Request-Id": secrets.token_hex(8),
                "X-Rate-Limit-Limit": "600",
                "X-Rate-Limit-Remaining": "599",
                "X-Rate-Limit-Reset": str(reset),
            }
            try:
                self._check_token(request)
                body = await answer(request)
            except Problem as problem:
                return web.json_response(problem.body, status=problem.status, headers=headers)
            if isinstance(body, list):
                body, link = self._cut(request, body)
                headers["Link"] = link
            return web.Response(status=204, headers=headers) if body is None else _json(body, headers)

        return handle

    def _check_token(self, request: web.Request) -> None:
        given = request.headers.get("Authorization")
        if given == f"SSWS {self._world.token('okta_writer')}":
            return
        if given != f"SSWS {self._world.token('okta_reader')}":
            raise Problem(401, "E0000011", "Invalid token provided")
        if request.method != "GET":
            raise Problem(403, "E0000006", "You do not have permission to perform the requested action")

    def _cut(self, request: web.Request, items: list[Any]) -> tuple[list[Any], str]:
        """One page and its Link header."""
        limit = min(int(request.query.get("limit", self._page)), self._page)
        after = int(request.query.get("after", 0))
        here = request.url.with_query({**request.query})
        links = [f'<{here}>; rel="self"']
        if after + limit < len(items):
            links.append(f'<{here.update_query(after=str(after + limit), limit=str(limit))}>; rel="next"')
        return items[after : after + limit], ", ".join(links)

    # --- users

    async def _list_users(self, request: web.Request) -> Any:
        wanted = [_search(part) for part in request.query.get("search", "").split(" and ") if part]
        found = [
            user
            for user in self._directory.users.values()
            if all(_profile_field(user, field).casefold() == value.casefold() for field, value in wanted)
        ]
        q = request.query.get("q", "").casefold()
        return [user_json(user) for user in found if f"{user.name} {user.login}".casefold().find(q) >= 0]

    async def _get_user(self, request: web.Request) -> Any:
        return user_json(self._user(request))

    async def _list_user_groups(self, request: web.Request) -> Any:
        user = self._user(request)
        return [group_json(group) for group in self._directory.groups.values() if user.id in group.members]

    async def _list_factors(self, request: web.Request) -> Any:
        user = self._user(request)
        return [
            {"id": f"{user.id}f{n}", "factorType": kind, "provider": "OKTA", "status": "ACTIVE"}
            for n, kind in enumerate(user.factors)
        ]

    async def _end_sessions(self, request: web.Request) -> Any:
        user = self._user(request)
        self._directory.log("user.session.clear", WRITER, user)

    async def _suspend(self, request: web.Request) -> Any:
        return self._switch(request, "ACTIVE", "SUSPENDED", "user.lifecycle.suspend")

    async def _unsuspend(self, request: web.Request) -> Any:
        return self._switch(request, "SUSPENDED", "ACTIVE", "user.lifecycle.unsuspend")

    def _switch(self, request: web.Request, before: str, after: str, event: str) -> dict[str, Any]:
        user = self._user(request)
        if user.status != before:
            raise Problem(400, "E0000001", f"Api validation failed: the user is {user.status}, not {before}")
        user.status = after
        self._directory.log(event, WRITER, user)
        return {}

    def _user(self, request: web.Request) -> User:
        """By id or login, as Okta's `{userId}`."""
        wanted = request.match_info["user"]
        for user in self._directory.users.values():
            if user.id == wanted or user.login.casefold() == wanted.casefold():
                return user
        raise Problem(404, "E0000007", f"Not found: Resource not found: {wanted} (User)")

    # --- groups

    async def _list_groups(self, request: web.Request) -> Any:
        found = list(self._directory.groups.values())
        if "search" in request.query:
            field, value = _search(request.query["search"])
            if field != "profile.name":
                raise Problem(400, "E0000031", "Invalid search criteria.")
            found = [group for group in found if group.name == value]
        q = request.query.get("q", "").casefold()
        return [group_json(group) for group in found if group.name.casefold().startswith(q)]

    async def _get_group(self, request: web.Request) -> Any:
        return group_json(self._group(request))

    async def _list_members(self, request: web.Request) -> Any:
        members = self._group(request).members
        return [user_json(user) for user in self._directory.users.values() if user.id in members]

    async def _join(self, request: web.Request) -> Any:
        self._directory.join(self._editable(request), self._user(request), by=WRITER)

    async def _leave(self, request: web.Request) -> Any:
        self._directory.leave(self._editable(request), self._user(request), by=WRITER)

    def _editable(self, request: web.Request) -> Group:
        """Memberships of app groups come from their app; the API refuses to edit them."""
        group = self._group(request)
        if group.type != "OKTA_GROUP":
            raise Problem(403, "E0000038", "This operation is not allowed in the current status of this group.")
        return group

    def _group(self, request: web.Request) -> Group:
        wanted = request.match_info["group"]
        if wanted not in self._directory.groups:
            raise Problem(404, "E0000007", f"Not found: Resource not found: {wanted} (UserGroup)")
        return self._directory.groups[wanted]

    # --- the rest

    async def _list_apps(self, _request: web.Request) -> Any:
        return [{"id": "0oa000sandboxpayroll", "name": "payroll", "label": "Payroll", "status": "ACTIVE"}]

    async def _list_events(self, request: web.Request) -> Any:
        conditions = [_search(part) for part in request.query.get("filter", "").split(" and ") if part]
        events = [event_json(event) for event in self._directory.events]
        since = request.query.get("since", "")
        found = [e for e in events if e["published"] >= since and all(_holds(e, *c) for c in conditions)]
        newest_first = request.query.get("sortOrder") == "DESCENDING"
        return sorted(found, key=lambda event: event["published"], reverse=newest_first)

    # --- people

    def acts(self) -> dict[str, Act]:
        return {
            "deactivate": self._act_deactivate,
            "rename": self._act_rename,
            "add_member": self._act_add_member,
            "remove_member": self._act_remove_member,
        }

    async def _act_deactivate(self, who: str, args: Mapping[str, Any]) -> Any:
        user = self._user_of(args)
        user.status = "DEPROVISIONED"
        self._directory.log("user.lifecycle.deactivate", self._name(who), user)
        return {"status": user.status}

    async def _act_rename(self, who: str, args: Mapping[str, Any]) -> Any:
        user = self._user_of(args)
        user.name = str(args.get("name") or user.name)
        self._directory.log("user.account.update_profile", self._name(who), user)
        return {"name": user.name}

    async def _act_add_member(self, who: str, args: Mapping[str, Any]) -> Any:
        return {"changed": self._directory.join(self._group_of(args), self._user_of(args), by=self._name(who))}

    async def _act_remove_member(self, who: str, args: Mapping[str, Any]) -> Any:
        return {"changed": self._directory.leave(self._group_of(args), self._user_of(args), by=self._name(who))}

    def _name(self, who: str) -> str:
        return self._world.people[who].name

    def _user_of(self, args: Mapping[str, Any]) -> User:
        person = self._world.people.get(str(args.get("who")))
        if person is None or person.okta is None:
            raise Refusal(f"{args.get('who')!r} has no Okta account")
        return self._directory.users[person.okta]

    def _group_of(self, args: Mapping[str, Any]) -> Group:
        for group in self._directory.groups.values():
            if group.name == args.get("group"):
                return group
        raise Refusal(f"there is no group {args.get('group')!r}")

    def state(self) -> dict[str, Any]:
        return self._directory.state()


def _search(expression: str) -> tuple[str, str]:
    """The one comparison that a search or filter consists of here: `field eq "value"`."""
    match = SEARCH.match(expression.strip())
    if match is None:
        raise Problem(400, "E0000031", "Invalid search criteria.")
    return match["field"], re.sub(r"\\(.)", r"\1", match["value"])


def _profile_field(user: User, field: str) -> str:
    values = {
        "profile.login": user.login,
        "profile.email": user.login,
        "profile.department": user.department,
        "id": user.id,
        "status": user.status,
    }
    if field not in values:
        raise Problem(400, "E0000031", "Invalid search criteria.")
    return values[field]


def _holds(event: dict[str, Any], field: str, value: str) -> bool:
    """Whether a log event has the value at a dotted path."""
    found: Any = event
    for key in field.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return bool(found == value)


def _json(body: Any, headers: dict[str, str]) -> web.Response:
    return web.Response(text=json.dumps(body), content_type="application/json", headers=headers)

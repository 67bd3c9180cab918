"""PagerDuty's other end: the part of REST API v2 that our connector calls, and what people do on an incident.

Refuses what PagerDuty documents to refuse (https://developer.pagerduty.com/api-reference): a wrong token, a write
without a valid `From`, a second open incident with the same key, resolving twice, unknown ids, too many calls.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from connectors.sandbox.pagerduty_account import Account
from connectors.sandbox.pagerduty_records import Incident, User, note_json, user_json, user_reference
from connectors.sandbox.pagerduty_webhooks import Subscription, event, new_secret
from connectors.sandbox.server import Act, Refusal
from connectors.sandbox.world import World

Answer = Callable[[web.Request], Awaitable[Any]]
MAX_NOTES = 2000
INCIDENT_EVENTS = (
    *("triggered", "annotated", "acknowledged", "unacknowledged", "resolved", "reopened", "reassigned", "escalated"),
    *("delegated", "priority_updated", "responder.added", "responder.replied", "service_updated"),
)
EVENTS = frozenset({"pagey.ping", *(f"incident.{verb}" for verb in INCIDENT_EVENTS)})


class Problem(Exception):
    """A refusal in PagerDuty's words."""

    def __init__(self, status: int, code: int, message: str, *errors: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "code": code, "errors": list(errors)}}


class PagerDuty:
    """The stand-in, mounted under `/pagerduty`."""

    name = "pagerduty"

    def __init__(self, world: World, *, per_minute: int = 960, retry_seconds: float = 1.0) -> None:
        self._world = world
        self._per_minute = per_minute
        self._window = (0, 0)
        self._account = Account(world, retry_seconds=retry_seconds)

    def acts(self) -> dict[str, Act]:
        return {
            "comment": self._act_comment,
            "edit_note": self._act_edit_note,
            "acknowledge": self._act_acknowledge,
            "resolve": self._act_resolve,
            "reassign": self._act_reassign,
            "snooze": self._act_acknowledge,
            "rotate_secret": self._act_rotate_secret,
        }

    def state(self) -> dict[str, Any]:
        return self._account.state()

    # --- the API --------------------------------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        answers: list[tuple[str, str, Answer]] = [
            ("GET", "/users", self._list_users),
            ("GET", "/users/{id}", self._get_user),
            ("GET", "/services/{id}", self._get_service),
            ("GET", "/oncalls", self._list_oncalls),
            ("GET", "/incidents", self._list_incidents),
            ("POST", "/incidents", self._create_incident),
            ("GET", "/incidents/{id}", self._get_incident),
            ("PUT", "/incidents/{id}", self._update_incident),
            ("GET", "/incidents/{id}/notes", self._list_notes),
            ("POST", "/incidents/{id}/notes", self._create_note),
            ("GET", "/webhook_subscriptions", self._list_subscriptions),
            ("POST", "/webhook_subscriptions", self._create_subscription),
            ("PUT", "/webhook_subscriptions/{id}", self._update_subscription),
            ("DELETE", "/webhook_subscriptions/{id}", self._delete_subscription),
            ("POST", "/webhook_subscriptions/{id}/enable", self._enable_subscription),
            ("POST", "/webhook_subscriptions/{id}/ping", self._ping_subscription),
        ]
        return [web.route(method, path, self._guarded(answer)) for method, path, answer in answers]

    def _guarded(self, answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        """The answer behind token and rate limit, with refusals in PagerDuty's form."""

        async def handle(request: web.Request) -> web.Response:
            remaining, reset = self._count()
            try:
                self._check_token(request)
                if remaining < 0:
                    raise Problem(429, 2020, "Rate Limit Exceeded")
                status, body = await answer(request)
            except Problem as problem:
                status, body = problem.status, problem.body
            headers = {
                "ratelimit-limit": str(self._per_minute),
                "ratelimit-remaining": str(max(remaining, 0)),
                "ratelimit-reset": str(reset),
            }
            return web.json_response(body, status=status, headers=headers) if body else _empty(status, headers)

        return handle

    def _count(self) -> tuple[int, int]:
        """Count a call: how many are left in this minute, and seconds until it is over."""
        now = int(time.monotonic())
        minute, used = self._window
        used = used + 1 if minute == now // 60 else 1
        self._window = (now // 60, used)
        return self._per_minute - used, 60 - now % 60

    def _check_token(self, request: web.Request) -> None:
        token = self._world.token("pagerduty")
        if request.headers.get("Authorization") not in (f"Token token={token}", f"Bearer {token}"):
            raise Problem(401, 2006, "Unauthorized")

    def _author(self, request: web.Request) -> User:
        """Who writes: the user that `From` names."""
        email = request.headers.get("From", "").casefold()
        if not email:
            raise Problem(400, 2001, "Invalid Input Provided", "From header is required")
        for user in self._account.users.values():
            if user.email.casefold() == email:
                return user
        raise Problem(400, 2001, "Invalid Input Provided", "Requester User Not Found")

    async def _list_users(self, request: web.Request) -> Any:
        query = request.query.get("query", "").casefold()
        found = [user for user in self._account.users.values() if query in f"{user.name} {user.email}".casefold()]
        return 200, _page(request, "users", [user_json(user) for user in found])

    async def _get_user(self, request: web.Request) -> Any:
        return 200, {"user": user_json(_known(self._account.users, request))}

    async def _get_service(self, request: web.Request) -> Any:
        _known({self._account.service["id"]: True}, request)
        service = {
            **self._account.service,
            "type": "service",
            "name": self._account.service["summary"],
            "status": "active",
        }
        return 200, {"service": {**service, "escalation_policy": self._account.policy}}

    async def _list_oncalls(self, request: web.Request) -> Any:
        wanted = request.query.getall("escalation_policy_ids[]", [self._account.policy["id"]])
        oncalls = [
            {
                "escalation_policy": policy,
                "start": None,
                "end": None,
                "user": user_reference(user),
                "escalation_level": n,
            }
            for policy in self._account.policies.values()
            if policy["id"] in wanted
            for n, level in enumerate(self._account.levels[policy["id"]], start=1)
            for user in level
        ]
        return 200, _page(request, "oncalls", oncalls)

    # --- incidents ------------------------------------------------------------------------------------------------

    async def _list_incidents(self, request: web.Request) -> Any:
        key = request.query.get("incident_key")
        statuses = request.query.getall("statuses[]", ["triggered", "acknowledged", "resolved"])
        services = request.query.getall("service_ids[]", [self._account.service["id"]])
        found = [
            self._account.json(incident)
            for incident in self._account.incidents.values()
            if key in (None, incident.key) and incident.status in statuses and self._account.service["id"] in services
        ]
        return 200, _page(request, "incidents", found)

    async def _get_incident(self, request: web.Request) -> Any:
        return 200, {"incident": self._account.json(_known(self._account.incidents, request))}

    async def _create_incident(self, request: web.Request) -> Any:
        author = self._author(request)
        asked = await _object(request, "incident")
        incident = self._new_incident(asked)
        self._account.open(incident, author)
        return 201, {"incident": self._account.json(incident)}

    def _new_incident(self, asked: dict[str, Any]) -> Incident:
        title = asked.get("title")
        if not isinstance(title, str) or not title.strip():
            raise Problem(400, 2001, "Invalid Input Provided", "Title cannot be empty")
        if asked.get("service", {}).get("id") != self._account.service["id"]:
            raise Problem(400, 2001, "Invalid Input Provided", "Service not found")
        policy = asked.get("escalation_policy", self._account.policy).get("id")
        if policy not in self._account.policies:
            raise Problem(400, 2001, "Invalid Input Provided", "Escalation policy not found")
        details = (asked.get("body") or {}).get("details", "")
        if not isinstance(details, str):
            raise Problem(400, 2001, "Invalid Input Provided", "Body details must be a string")
        urgency = asked.get("urgency", "high")
        if urgency not in ("high", "low"):
            raise Problem(400, 2001, "Invalid Input Provided", "Urgency must be high or low")
        now, number = self._world.now(), next(self._account.numbers)
        key = asked.get("incident_key") or f"sandbox-{number}"
        if any(old.key == key and old.status != "resolved" for old in self._account.incidents.values()):
            message = "Open incident with matching dedup key already exists on this service"
            raise Problem(400, 2002, "Arguments Caused Error", message)
        return Incident(f"Q0SANDBOX{number:05d}", number, title, details, urgency, key, now, now, policy)

    async def _update_incident(self, request: web.Request) -> Any:
        author = self._author(request)
        incident = _known(self._account.incidents, request)
        asked = await _object(request, "incident")
        if incident.status == "resolved":
            raise Problem(400, 1001, "Incident Already Resolved")
        status = asked.get("status")
        if status not in (None, "resolved", "acknowledged"):
            raise Problem(400, 2001, "Invalid Input Provided", "Status is not included in the list")
        if status:
            self._account.set_status(incident, status, author)
        if "escalation_level" in asked:
            self._escalate(incident, asked["escalation_level"], author)
        return 200, {"incident": self._account.json(incident)}

    def _escalate(self, incident: Incident, level: Any, by: User) -> None:
        levels = self._account.levels[incident.policy]
        if not isinstance(level, int) or not 1 <= level <= len(levels):
            raise Problem(400, 2001, "Invalid Input Provided", "Escalation level is out of range")
        incident.level = level
        self._account.assign(incident, levels[level - 1], by, "incident.escalated")

    # --- notes ----------------------------------------------------------------------------------------------------

    async def _list_notes(self, request: web.Request) -> Any:
        """Newest first, without pages, as PagerDuty's example shows them."""
        return 200, {"notes": [note_json(note) for note in reversed(_known(self._account.incidents, request).notes)]}

    async def _create_note(self, request: web.Request) -> Any:
        author = self._author(request)
        incident = _known(self._account.incidents, request)
        content = (await _object(request, "note")).get("content")
        if not isinstance(content, str) or not content.strip():
            raise Problem(400, 2001, "Invalid Input Provided", "Content cannot be empty")
        if len(incident.notes) >= MAX_NOTES:
            raise Problem(400, 2001, "Invalid Input Provided", f"An incident holds {MAX_NOTES} notes")
        return 200, {"note": note_json(self._account.annotate(incident, content, author))}

    # --- subscriptions --------------------------------------------------------------------------------------------

    async def _list_subscriptions(self, request: web.Request) -> Any:
        now = self._world.now()
        found = [subscription.json(now) for subscription in self._account.webhooks.subscriptions.values()]
        return 200, _page(request, "webhook_subscriptions", found)

    async def _create_subscription(self, request: web.Request) -> Any:
        asked = await _object(request, "webhook_subscription")
        method = asked.get("delivery_method") or {}
        events = _events(asked.get("events"))
        if method.get("type") != "http_delivery_method" or not str(method.get("url", "")).startswith("http"):
            raise Problem(400, 2001, "Invalid Input Provided", "Delivery method needs a type and a url")
        subscription = Subscription(
            id=f"PWHK{next(self._account.numbers):04d}",
            url=method["url"],
            events=tuple(events),
            filter=asked.get("filter") or {},
            description=asked.get("description") or "",
            custom_headers=tuple(method.get("custom_headers") or ()),
            secrets=[new_secret()],
        )
        self._account.webhooks.subscriptions[subscription.id] = subscription
        self._world.touch()
        return 200, {"webhook_subscription": subscription.json(self._world.now(), with_secret=True)}

    async def _update_subscription(self, request: web.Request) -> Any:
        """Everything but the delivery method can be changed."""
        subscription = _known(self._account.webhooks.subscriptions, request)
        asked = await _object(request, "webhook_subscription")
        if "events" in asked:
            subscription.events = tuple(_events(asked["events"]))
        subscription.active = bool(asked.get("active", subscription.active))
        self._world.touch()
        return 200, {"webhook_subscription": subscription.json(self._world.now())}

    async def _delete_subscription(self, request: web.Request) -> Any:
        subscription = _known(self._account.webhooks.subscriptions, request)
        subscription.active = False
        del self._account.webhooks.subscriptions[subscription.id]
        return 204, None

    async def _enable_subscription(self, request: web.Request) -> Any:
        subscription = _known(self._account.webhooks.subscriptions, request)
        subscription.enable()
        return 200, {"webhook_subscription": subscription.json(self._world.now())}

    async def _ping_subscription(self, request: web.Request) -> Any:
        subscription = _known(self._account.webhooks.subscriptions, request)
        data = {"message": "Hello from your friend Pagey!", "type": "ping"}
        message = event("pagey.ping", data, agent=None, at=self._world.now())
        self._account.webhooks.enqueue(subscription, "", message)
        return 202, None

    # --- people ---------------------------------------------------------------------------------------------------

    async def _act_comment(self, who: str, args: Mapping[str, Any]) -> Any:
        """A note by a person; with `by_service`, by a workflow or service that acts for them."""
        content = str(args.get("content", ""))
        if not content.strip():
            raise Refusal("a note needs content")
        incident, author = self._account.incident_of(args), self._account.user_of(who)
        return note_json(self._account.annotate(incident, content, author, by_service=bool(args.get("by_service"))))

    async def _act_edit_note(self, who: str, args: Mapping[str, Any]) -> Any:
        """PagerDuty lets a note be edited later; whether it sends an event is not documented, so none is sent."""
        self._account.user_of(who)
        for note in self._account.incident_of(args).notes:
            if note.id == args.get("note"):
                note.content, note.updated_at = str(args.get("content", "")), self._world.now()
                self._world.touch()
                return note_json(note)
        raise Refusal(f"there is no note {args.get('note')!r} on this incident")

    async def _act_acknowledge(self, who: str, args: Mapping[str, Any]) -> Any:
        self._account.set_status(self._account.incident_of(args), "acknowledged", self._account.user_of(who))
        return {"ok": True}

    async def _act_resolve(self, who: str, args: Mapping[str, Any]) -> Any:
        self._account.set_status(self._account.incident_of(args), "resolved", self._account.user_of(who))
        return {"ok": True}

    async def _act_reassign(self, who: str, args: Mapping[str, Any]) -> Any:
        incident = self._account.incident_of(args)
        if incident.status == "resolved":
            raise Refusal("this incident is resolved already")
        self._account.assign(
            incident, [self._account.user_of(str(args.get("to")))], self._account.user_of(who), "incident.reassigned"
        )
        return {"ok": True}

    async def _act_rotate_secret(self, _who: str, args: Mapping[str, Any]) -> Any:
        subscription = self._account.webhooks.subscriptions.get(str(args.get("subscription")))
        if subscription is None:
            raise Refusal("there is no such webhook subscription")
        return {"secret": subscription.rotate()}


def _events(asked: Any) -> list[str]:
    events = list(asked or [])
    if not events or len(set(events)) < len(events) or not EVENTS.issuperset(events):
        raise Problem(400, 2001, "Invalid Input Provided", "Events must be known, unique and at least one")
    return events


def _known(records: Mapping[str, Any], request: web.Request) -> Any:
    try:
        return records[request.match_info["id"]]
    except KeyError:
        raise Problem(404, 2100, "Not Found") from None


async def _object(request: web.Request, wrapper: str) -> dict[str, Any]:
    """The object inside the body's wrapper, such as `{"incident": {...}}`."""
    try:
        body = await request.json()
    except json.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get(wrapper), dict):
        raise Problem(400, 2001, "Invalid Input Provided", f"{wrapper} is required")
    found: dict[str, Any] = body[wrapper]
    return found


def _page(request: web.Request, wrapper: str, items: list[Any]) -> dict[str, Any]:
    """One page of PagerDuty's classic pagination."""
    limit = min(int(request.query.get("limit", 25)), 100)
    offset = int(request.query.get("offset", 0))
    more = offset + limit < len(items)
    return {wrapper: items[offset : offset + limit], "limit": limit, "offset": offset, "more": more, "total": None}


def _empty(status: int, headers: dict[str, str]) -> web.Response:
    return web.Response(status=status, headers=headers)

"""PagerDuty through its REST API v2: opens incidents, reads and writes notes, resolves, and says who is on call.

Least permission: an account key with write access, or scoped OAuth with `incidents.write`, `users.read`,
`oncalls.read`, `services.read` (and `webhook_subscriptions.write` for `setup` alone). Writes are made as the user
of the `From` address, who should be a user of the bot's own: an incident assigned to its author pages nobody.

It never deletes, never edits a note, and repeats no write by itself: every failure surfaces at once as a `Fault`,
and whoever repeats does so knowing whether the write may have happened. This is the only importer of pdpyras.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

from bot.errors import Fault
from bot.ports import Incident, Note, OnCall, Page, PagerUser
from connectors.addresses import is_loopback

VENDOR = "pagerduty"
DESCRIPTION = "TinyApprover"
MAX_TITLE = 255
MAX_BODY = 20_000
USER_CACHE_SECONDS = 300.0
THREADS = 16  # 960 calls a minute of a quarter of a second each keep four busy; a page waits behind nothing
IDENTIFIER = re.compile(r"[A-Za-z0-9]{1,64}")
T = TypeVar("T")
IMPORTING = threading.Lock()
WEBHOOK_EVENTS = (
    "incident.annotated",
    "incident.acknowledged",
    "incident.resolved",
    "incident.reopened",
    "incident.reassigned",
    "incident.escalated",
    "incident.delegated",
    "incident.service_updated",
)


class PagerDuty:
    """Implements `bot.ports.Pager`. pdpyras is synchronous: it runs in a few threads, each with its own session."""

    def __init__(self, url: str, api_key: str, from_email: str, service_id: str, *, timeout: float = 8.0) -> None:
        self._url = url.rstrip("/")
        self._api_key = api_key
        self._from_email = from_email
        self._service_id = service_id
        self._timeout = timeout
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=VENDOR)
        self._local = threading.local()
        self._sessions: list[Any] = []
        self._users: dict[str, tuple[float, PagerUser]] = {}
        self._own_user = ""
        self.calls_left: int | None = None
        """PagerDuty's last `ratelimit-remaining`: how many calls this minute still holds."""

    async def connect(self) -> None:
        """Find the user that our notes are written as."""
        user = await self.user_by_email(self._from_email)
        if user is None:
            raise Fault(VENDOR, f"no user has the From address {self._from_email}", permanent=True)
        self._own_user = user.id

    async def close(self) -> None:
        """Let the threads and their connections go."""
        await asyncio.to_thread(self._pool.shutdown)
        for session in self._sessions:
            session.close()

    async def ping(self) -> str:
        """One read, as a sentence for a health page."""
        user = await self.user_by_email(self._from_email)
        return f"PagerDuty answers; notes are written as {user.name if user else 'nobody'}"

    async def check_service(self) -> str:
        """The name of the service incidents are opened on, or a Fault that says what is wrong."""
        answer = await self._call("GET", f"/services/{_id(self._service_id)}")
        return str(_field(answer, "service", "name"))

    @property
    def own_user(self) -> str:
        return self._own_user

    # --- incidents

    async def open_incident(self, page: Page, *, look_first: bool = False) -> Incident:
        """Open. Only a repeat looks first and adopts what has the key, because anybody may have opened that.

        Whoever repeats knows that what was adopted may say something else than `page`.
        """
        if look_first and (found := await self.find(page.key)):
            return found
        try:
            answer = await self._call("POST", "/incidents", {"incident": self._draft(page)})
            return _written(_incident, answer, "incident")
        except Fault as fault:
            if fault.status == 400 and not look_first:  # perhaps the key is taken: the repeat sees
                raise Fault(VENDOR, fault.what, status=400) from fault
            raise

    def _draft(self, page: Page) -> dict[str, Any]:
        draft = {
            "type": "incident",
            "title": _cut(page.title, MAX_TITLE),
            "service": {"id": self._service_id, "type": "service_reference"},
            "urgency": page.urgency,
            "incident_key": page.key,
            "body": {"type": "incident_body", "details": _cut(page.body, MAX_BODY)},
        }
        if page.escalation_policy:
            draft["escalation_policy"] = {"id": page.escalation_policy, "type": "escalation_policy_reference"}
        if page.link:
            draft["conference_bridge"] = {"conference_url": page.link}
        return draft

    async def find(self, key: str) -> Incident | None:
        """The incident with the key: an open one before a resolved one, then the newest."""
        query = {"incident_key": key, "service_ids[]": [self._service_id], "date_range": "all", "limit": 100}
        answer = await self._call("GET", "/incidents", params=query)
        found = [_incident(item) for item in _list(answer, "incidents") if item.get("incident_key") == key]
        return max(found, key=lambda item: (item.status != "resolved", item.created_at), default=None)

    async def incident(self, incident_id: str) -> Incident:
        return _incident(_field(await self._call("GET", f"/incidents/{_id(incident_id)}"), "incident"))

    async def resolve(self, incident_id: str) -> None:
        """Resolve. When refused or unanswered, what counts is whether it reads resolved."""
        try:
            await self._update(incident_id, {"status": "resolved"})
        except Fault as fault:
            if not (fault.unknown or fault.status == 400) or (await self.incident(incident_id)).status != "resolved":
                raise

    async def escalate(self, incident_id: str, level: int, *, look_first: bool = False) -> None:
        """Page a level. Told twice it would ring twice, so a repeat looks who has it already."""
        if look_first and await self._is_at(incident_id, level):
            return
        try:
            await self._update(incident_id, {"escalation_level": level})
        except Fault as fault:
            if not fault.unknown or not await self._is_at(incident_id, level):
                raise

    async def _is_at(self, incident_id: str, level: int) -> bool:
        """Whether an incident is assigned to just those who are on call at a level of its policy."""
        incident = _field(await self._call("GET", f"/incidents/{_id(incident_id)}"), "incident")
        assigned = {str(_field(one, "assignee", "id")) for one in _list(incident, "assignments")}
        on_call = await self.on_call(str(_field(incident, "escalation_policy", "id")))
        return bool(assigned) and assigned == {one.user for one in on_call if one.level == level}

    async def _update(self, incident_id: str, changes: Mapping[str, Any]) -> None:
        body = {"incident": {"type": "incident_reference", **changes}}
        await self._call("PUT", f"/incidents/{_id(incident_id)}", body)

    # --- notes

    async def notes(self, incident_id: str) -> Sequence[Note]:
        if not self._own_user:  # PagerDuty was down when we started
            await self.connect()
        answer = await self._call("GET", f"/incidents/{_id(incident_id)}/notes")
        return sorted(map(_note, _list(answer, "notes")), key=lambda note: (note.created_at, note.id))

    async def add_note(self, incident_id: str, content: str) -> Note:
        """PagerDuty has no key for notes, so the incident is read before, and after a lost answer."""
        content = _cut(content, MAX_BODY)
        if there := await self._own_note(incident_id, content):
            return there
        try:
            answer = await self._call("POST", f"/incidents/{_id(incident_id)}/notes", {"note": {"content": content}})
            return _written(_note, answer, "note")
        except Fault as fault:
            if not fault.unknown:
                raise
            there = await self._own_note(incident_id, content)
            if there is None:
                raise
            return there

    async def _own_note(self, incident_id: str, content: str) -> Note | None:
        for note in await self.notes(incident_id):
            if note.author == self._own_user and note.content.strip() == content.strip():
                return note
        return None

    # --- people

    async def user(self, user_id: str) -> PagerUser:
        """A user, read at most every five minutes."""
        at, known = self._users.get(user_id, (0.0, None))
        if known is not None and time.monotonic() - at < USER_CACHE_SECONDS:
            return known
        return self._remember(_user(_field(await self._call("GET", f"/users/{_id(user_id)}"), "user")))

    async def user_by_email(self, email: str) -> PagerUser | None:
        """The search is a loose one; only an equal address (ignoring case) counts, and only one such user."""
        found = [_user(item) for item in await self._pages("/users", "users", {"query": email})]
        equal = [user for user in found if user.email.casefold() == email.casefold()]
        return self._remember(equal[0]) if len(equal) == 1 else None

    def _remember(self, user: PagerUser) -> PagerUser:
        self._users[user.id] = (time.monotonic(), user)
        return user

    async def on_call(self, escalation_policy: str) -> Sequence[OnCall]:
        entries = await self._pages("/oncalls", "oncalls", {"escalation_policy_ids[]": [escalation_policy]})
        found = {OnCall(str(_field(entry, "user", "id")), int(_field(entry, "escalation_level"))) for entry in entries}
        return sorted(found, key=lambda entry: (entry.level, entry.user))

    # --- webhook subscriptions

    async def subscriptions(self) -> Sequence[Mapping[str, Any]]:
        """The account's webhook subscriptions, without secrets."""
        return await self._pages("/webhook_subscriptions", "webhook_subscriptions", {})

    async def subscribe(self, url: str) -> tuple[str, str]:
        """Have the service's incident events sent to `url`; returns the subscription's id and its signing secret."""
        wanted = {
            "type": "webhook_subscription",
            "delivery_method": {"type": "http_delivery_method", "url": url},
            "events": list(WEBHOOK_EVENTS),
            "filter": {"type": "service_reference", "id": self._service_id},
            "description": DESCRIPTION,
        }
        made = await self._call("POST", "/webhook_subscriptions", {"webhook_subscription": wanted})
        subscription = _field(made, "webhook_subscription")
        return str(_field(subscription, "id")), str(_field(subscription, "delivery_method", "secret"))

    async def own_subscriptions(self) -> list[Mapping[str, Any]]:
        """Those that `subscribe` made for this service."""
        return [
            one for one in await self.subscriptions() if one.get("description") == DESCRIPTION and self._for_us(one)
        ]

    def _for_us(self, subscription: Mapping[str, Any]) -> bool:
        chosen = subscription.get("filter") or {}
        return (chosen.get("type"), chosen.get("id")) == ("service_reference", self._service_id)

    async def revive(self, subscription: str) -> None:
        """Have it deliver, and everything that we want: also after it was switched off, by us or by PagerDuty."""
        wanted = {"active": True, "events": list(WEBHOOK_EVENTS)}
        await self._call("PUT", f"/webhook_subscriptions/{_id(subscription)}", {"webhook_subscription": wanted})
        await self._call("POST", f"/webhook_subscriptions/{_id(subscription)}/enable")

    async def unsubscribe(self, subscription: str) -> None:
        await self._call("DELETE", f"/webhook_subscriptions/{_id(subscription)}")

    # --- the wire

    async def _pages(self, path: str, wrapper: str, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All pages of a list."""
        items: list[dict[str, Any]] = []
        while True:
            answer = await self._call("GET", path, params={**query, "limit": 100, "offset": len(items)})
            page = _list(answer, wrapper)
            items.extend(page)
            if not (page and answer.get("more")):
                return items

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """One call, off the loop; the answer's JSON object, or a Fault."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._blocking_call, method, path, body, params)

    def _blocking_call(
        self, method: str, path: str, body: Mapping[str, Any] | None, params: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        session = self._session()
        writes = method != "GET"
        try:
            response = session.request(method, path, json=body, params=params, allow_redirects=False)
        except _pdpyras().PDClientError as error:
            response = error.response
            if response is None:
                raise _no_answer(error, writes=writes) from error
        self._count(response)
        return _answer(response, writes=writes)

    def _count(self, response: Any) -> None:
        left = response.headers.get("ratelimit-remaining", "")
        self.calls_left = int(left) if left.isdigit() else self.calls_left

    def _session(self) -> Any:
        """This thread's session, set so that nothing is repeated and nothing sleeps inside pdpyras."""
        if not hasattr(self._local, "session"):
            session = _pdpyras().APISession(self._api_key, default_from=self._from_email)
            session.url = self._url
            session.timeout = self._timeout
            session.max_network_attempts = 0
            session.retry = {429: 1}
            session.max_http_attempts = -1
            session.trust_env = not is_loopback(self._url)
            self._local.session = session
            self._sessions.append(session)
        return self._local.session


def _pdpyras() -> Any:
    """The package, which announces the end of its maintenance as a warning when it is imported."""
    with IMPORTING, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        import pdpyras  # type: ignore[import-untyped]
    return pdpyras


def _no_answer(error: Exception, *, writes: bool) -> Fault:
    """A write is unknown unless the connection was never made."""
    from requests.exceptions import ConnectTimeout
    from urllib3.exceptions import NewConnectionError

    cause = error.__cause__ or error
    reason = getattr(cause.args[0], "reason", None) if cause.args else None
    never_sent = isinstance(cause, ConnectTimeout) or isinstance(reason, NewConnectionError)
    return Fault(VENDOR, f"no answer ({type(cause).__name__})", unknown=writes and not never_sent)


def _answer(response: Any, *, writes: bool) -> dict[str, Any]:
    """The JSON object of a 2xx; everything else is a Fault. An unreadable answer to a write is unknown."""
    status = response.status_code
    try:
        body = response.json() if response.content else None
    except ValueError:
        body = None
    if status == 204:
        return {}
    if 200 <= status < 300 and isinstance(body, dict):
        return body
    if status < 400:
        raise Fault(VENDOR, f"unreadable answer ({status})", status=status, unknown=writes)
    raise Fault(
        VENDOR,
        f"{status} {_words(body)}".strip(),
        status=status,
        retry_after=_retry_after(response.headers) if status == 429 else None,
        unknown=writes and status >= 500,
        permanent=400 <= status < 500 and status not in (408, 429),
    )


def _words(body: Any) -> str:
    """PagerDuty's own words for an error, bounded."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return ""
    details = error.get("errors")
    parts = [error.get("message"), *(details if isinstance(details, list) else [])]
    return "; ".join(str(part) for part in parts if part)[:300]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name in ("ratelimit-reset", "retry-after"):
        if headers.get(name, "").isdigit():
            return float(headers[name])
    return None


# --- parsing at the door


def _field(data: Any, *path: str) -> Any:
    """What stands at a path of keys, or a Fault: an answer without it is not PagerDuty's."""
    for key in path:
        if not isinstance(data, dict) or data.get(key) is None:
            raise Fault(VENDOR, f"an answer without {'.'.join(path)}")
        data = data[key]
    return data


def _written(parse: Callable[[Any], T], answer: Any, key: str) -> T:
    """What a write answered. When it cannot be read the write may still have happened."""
    try:
        return parse(_field(answer, key))
    except Fault as fault:
        raise Fault(VENDOR, fault.what, unknown=True) from fault


def _list(data: Any, key: str) -> list[dict[str, Any]]:
    items = _field(data, key)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Fault(VENDOR, f"an answer whose {key} is not a list of objects")
    return items


def _incident(data: Any) -> Incident:
    created_at = _time(_field(data, "created_at"))
    return Incident(str(_field(data, "id")), str(data.get("html_url") or ""), str(_field(data, "status")), created_at)


def _note(data: Any) -> Note:
    user = data.get("user")
    is_person = isinstance(user, dict) and user.get("type") in ("user_reference", "user")
    return Note(
        id=str(_field(data, "id")),
        content=str(_field(data, "content")),
        author=str(_field(user, "id")) if is_person else None,
        created_at=_time(_field(data, "created_at")),
        updated_at=_time(data["updated_at"]) if data.get("updated_at") else None,
    )


def _user(data: Any) -> PagerUser:
    return PagerUser(str(_field(data, "id")), str(_field(data, "email")), str(data.get("name") or ""))


def _time(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError as error:
        raise Fault(VENDOR, "a time that cannot be read") from error


def _id(text: str) -> str:
    """An id that may stand in a path, or a Fault: nothing else ever becomes part of an address."""
    if not IDENTIFIER.fullmatch(text):
        raise Fault(VENDOR, "not a PagerDuty id", permanent=True)
    return text


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"

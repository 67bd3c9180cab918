"""PagerDuty's wire: one call, its answer or a Fault, and what an answer must hold. The only importer of pdpyras.

No call is repeated here: every failure surfaces at once, and says whether a write may have happened.
"""

from __future__ import annotations

import asyncio
import re
import threading
import warnings
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from bot.errors import Fault
from connectors.addresses import is_loopback

VENDOR = "pagerduty"
THREADS = 16  # 960 calls a minute of a quarter of a second each keep four busy; a page waits behind nothing
IDENTIFIER = re.compile(r"[A-Za-z0-9]{1,64}")
T = TypeVar("T")
ANNOUNCED = 'The package "pdpyras" is deprecated'


class PagerDutyApi:
    """One key's view of an account. pdpyras is synchronous: it runs in a few threads, each with its own session.

    `before_write` is asked right before each write, and stops it by raising.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        from_email: str,
        *,
        timeout: float,
        before_write: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._api_key = api_key
        self._from_email = from_email
        self._timeout = timeout
        self._before_write = before_write
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=VENDOR)
        self._local = threading.local()
        self._sessions: list[Any] = []
        self.calls_left: int | None = None
        """PagerDuty's last `ratelimit-remaining`: how many calls this minute still holds."""

    async def close(self) -> None:
        """Let the threads and their connections go."""
        await asyncio.to_thread(self._pool.shutdown)
        for session in self._sessions:
            session.close()

    async def pages(self, path: str, wrapper: str, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All pages of a list."""
        items: list[dict[str, Any]] = []
        while True:
            answer = await self.call("GET", path, params={**query, "limit": 100, "offset": len(items)})
            page = list_of(answer, wrapper)
            items.extend(page)
            if not (page and answer.get("more")):
                return items

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """One call, off the loop; the answer's JSON object, or a Fault."""
        if method != "GET" and self._before_write is not None:
            await self._before_write()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._blocking_call, method, path, body, params)

    def _blocking_call(
        self, method: str, path: str, body: Mapping[str, Any] | None, params: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        session = self._session()
        writes = method != "GET"
        try:
            response = session.request(method, path, json=body, params=params, allow_redirects=False)
        except pdpyras_package().PDClientError as error:
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
            session = pdpyras_package().APISession(self._api_key, default_from=self._from_email)
            session.url = self._url
            session.timeout = self._timeout
            session.max_network_attempts = 0
            session.retry = {429: 1}
            session.max_http_attempts = -1
            session.trust_env = not is_loopback(self._url)
            self._local.session = session
            self._sessions.append(session)
        return self._local.session


@cache
def pdpyras_package() -> Any:
    """The package, which announces the end of its maintenance as a warning when it is imported.

    It is muted for good: to restore what was muted before would undo what a package that is imported on another thread
    at this moment mutes for itself.
    """
    warnings.filterwarnings("ignore", message=ANNOUNCED, category=UserWarning)
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
        retry_after=_retry_after(response.headers, status),
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


def _retry_after(headers: Mapping[str, str], status: int) -> float | None:
    """`ratelimit-reset` stands on every answer, and means a wait only where the limit was reached."""
    for name in ("ratelimit-reset", "retry-after") if status == 429 else ("retry-after",):
        if headers.get(name, "").isdigit():
            return float(headers[name])
    return None


def field(data: Any, *path: str) -> Any:
    """What stands at a path of keys, or a Fault: an answer without it is not PagerDuty's."""
    for key in path:
        if not isinstance(data, dict) or data.get(key) is None:
            raise Fault(VENDOR, f"an answer without {'.'.join(path)}")
        data = data[key]
    return data


def written(parse: Callable[[Any], T], answer: Any, key: str) -> T:
    """What a write answered. When it cannot be read the write may still have happened."""
    try:
        return parse(field(answer, key))
    except Fault as fault:
        raise Fault(VENDOR, fault.what, unknown=True) from fault


def list_of(data: Any, key: str) -> list[dict[str, Any]]:
    items = field(data, key)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Fault(VENDOR, f"an answer whose {key} is not a list of objects")
    return items


def identifier(text: str) -> str:
    """An id that may stand in a path, or a Fault: nothing else ever becomes part of an address."""
    if not IDENTIFIER.fullmatch(text):
        raise Fault(VENDOR, "not a PagerDuty id", permanent=True)
    return text

"""Okta's management API through the request executor of the okta package: paths in, JSON out, or a Fault.

The package's generated methods are not used: they read an empty 403 as success, fail on unknown enum values and stop
paging silently. The executor alone answers honestly; importing only it also takes a fifth of the time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp

from bot.errors import Fault, SettingsError
from connectors.addresses import is_loopback

VENDOR = "okta"
API = "/api/v1"
PAGE = 200
IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")
LONGEST_WAIT = 3600.0
LONGEST_ID = 100


class OktaApi:
    """One token's view of an org. Every failure surfaces at once, nothing is retried or slept over here.

    (aiohttp itself sends a GET, PUT or DELETE once more when a kept connection turns out to be closed; Okta's PUT and
    DELETE of a membership may be repeated.)

    `before_write` is asked right before each write, and stops it by raising.
    """

    def __init__(
        self,
        org_url: str,
        token: str,
        *,
        timeout: float = 8.0,
        before_write: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        if not (org_url.startswith("https://") or is_loopback(org_url)):
            raise SettingsError(f"OKTA_ORG_URL is {org_url!r}; Okta is reached by https only")
        self._org_url = org_url.rstrip("/")
        self._token = token
        self._timeout = timeout
        self._before_write = before_write
        self._session: aiohttp.ClientSession | None = None
        self._executor: Any = None
        self._connecting = asyncio.Lock()

    async def connect(self) -> None:
        """Load the package beside the loop and open the one session. The proxy is the environment's, NO_PROXY kept."""
        async with self._connecting:
            if self._executor is not None:
                return
            executor = await asyncio.to_thread(_new_executor, self._org_url, self._token, self._timeout)
            self._session = aiohttp.ClientSession(trust_env=not is_loopback(self._org_url))
            executor.set_session(self._session)
            self._executor = executor

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The JSON that stands at a path."""
        _, text = await self._call("GET", _with_query(path, query))
        return _parsed(text)

    async def pages(self, path: str, query: Mapping[str, Any] | None = None, *, limit: int = PAGE) -> list[Any]:
        """All items of a list; any error fails the whole."""
        return [item async for page in self.each_page(path, query, limit=limit) for item in page]

    async def each_page(
        self, path: str, query: Mapping[str, Any] | None = None, *, limit: int = PAGE
    ) -> AsyncIterator[list[Any]]:
        """A list page by page, following Okta's Link headers."""
        target: str | None = _with_query(path, {**(query or {}), "limit": limit})
        while target:
            response, text = await self._call("GET", target)
            yield _objects(_parsed(text))
            target = self._next(response)

    async def write(self, method: str, path: str) -> str:
        """A write that Okta answers with 204, and Okta's id of it; any other success is not an answer to rely on."""
        if self._executor is None:
            await self.connect()
        if self._before_write is not None:
            await self._before_write()
        response, _ = await self._call(method, f"{API}{path}")
        if response.status != 204:
            raise Fault(VENDOR, f"unexpected answer ({response.status})", status=response.status, unknown=True)
        return str(response.headers.get("X-Okta-Request-Id", ""))[:LONGEST_ID]

    def _next(self, response: Any) -> str | None:
        """The next page's address, which must be in our own org: it is asked with our token."""
        link = response.links.get("next")
        if not link:
            return None
        url = str(link["url"])
        if not url.startswith(f"{self._org_url}/"):
            raise Fault(VENDOR, "a next page outside the org", permanent=True)
        return url.removeprefix(self._org_url)

    async def _call(self, method: str, target: str) -> tuple[Any, str]:
        if self._executor is None:
            await self.connect()
        writes = method != "GET"
        try:
            request, error = await self._executor.create_request(method, target)
            response, text, error = (None, None, error) if error else await self._executor.execute(request)
        except Exception as problem:
            raise Fault(VENDOR, f"unreadable answer ({type(problem).__name__})", unknown=writes) from problem
        if response is None:
            never_sent = isinstance(error, aiohttp.ClientConnectorError)
            raise Fault(VENDOR, f"no answer ({type(error).__name__})", unknown=writes and not never_sent)
        if error is not None:
            raise _refused(response, error, writes=writes)
        return response, text or ""


def identifier(text: str) -> str:
    """An id that may stand in a path, or a Fault: nothing else ever becomes part of an address."""
    if not IDENTIFIER.fullmatch(text):
        raise Fault(VENDOR, "not an Okta id", permanent=True)
    return text


def equals(name: str, value: str) -> str:
    """A search or filter expression, the value quoted."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name} eq "{escaped}"'


def _with_query(path: str, query: Mapping[str, Any] | None) -> str:
    return f"{API}{path}?{urlencode(query)}" if query else f"{API}{path}"


def _new_executor(org_url: str, token: str, timeout: float) -> Any:
    """The package's executor: one token, no cache, no retries, no log, no proxy of its own choosing."""
    from okta.cache.no_op_cache import NoOpCache
    from okta.http_client import HTTPClient
    from okta.request_executor import RequestExecutor

    class Direct(HTTPClient):
        def _setup_proxy(self, proxy: Any) -> None:
            """Left to the session: the package would ignore NO_PROXY."""

    logging.getLogger("okta-sdk-python").disabled = True  # at DEBUG it writes the token
    untyped: Any = (RequestExecutor, NoOpCache)
    executor, no_cache = untyped
    client = {
        "orgUrl": org_url,
        "token": token,
        "authorizationMode": "SSWS",
        "requestTimeout": timeout,
        "rateLimit": {"maxRetries": 0},
    }
    return executor({"client": client}, no_cache(), Direct)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as problem:
        raise Fault(VENDOR, "an answer that is not JSON") from problem


def _objects(data: Any) -> list[Any]:
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise Fault(VENDOR, "an answer that is not a list of objects")
    return data


def _refused(response: Any, error: Any, *, writes: bool) -> Fault:
    status = response.status
    words = f"{getattr(error, 'error_code', '')} {getattr(error, 'error_summary', '')}".strip()
    return Fault(
        VENDOR,
        f"{status} {words}".strip()[:300],
        status=status,
        retry_after=_retry_after(response.headers, status),
        unknown=writes and not 400 <= status < 500,
        permanent=400 <= status < 500 and status not in (408, 429),
    )


def _retry_after(headers: Mapping[str, str], status: int) -> float | None:
    """Okta says when the limit resets as an epoch second of its own clock, which `Date` shows.

    That stands on every answer, and means a wait only where the limit was reached.
    """
    reset, date = headers.get("X-Rate-Limit-Reset", ""), headers.get("Date")
    if status == 429 and reset.isdigit() and date:
        wait = float(reset) - parsedate_to_datetime(date).timestamp()
        return min(max(wait, 1.0), LONGEST_WAIT)
    retry_after = headers.get("Retry-After", "")
    return float(retry_after) if retry_after.isdigit() else None

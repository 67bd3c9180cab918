"""Atlassian Cloud, read only: Confluence's spaces, pages and who may see them, and a service desk's knowledge base.

https://developer.atlassian.com/cloud/confluence/rest/v2/ for spaces and pages, /cloud/confluence/rest/v1/ for
restrictions, which v2 does not tell, and /cloud/jira/service-desk/rest/ for knowledge bases. Least permission: an
account of its own that may view the chosen spaces, nothing more. Never writes (its one POST asks for names), never
reads attachments, comments, drafts or archived pages, and never follows a redirect or a link to another host with its
token.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

import aiohttp

from bot.errors import Fault, SettingsError
from connectors.addresses import is_loopback

VENDOR = "atlassian"
V2, V1, DESK = "/wiki/api/v2", "/wiki/rest/api", "/rest/servicedeskapi"
PAGE, VERSIONS = 250, 50
AT_ONCE = 6
TRIES, FIRST_PAUSE, LONGEST_PAUSE = 3, 1.0, 120.0
MOST_BYTES = 20_000_000
IDENTIFIER = re.compile(r"[0-9]{1,20}", re.ASCII)
KEY = re.compile(r"~?[A-Za-z0-9_]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Space:
    """A space by its number and by the key that people know."""

    id: str
    key: str


@dataclass(frozen=True, slots=True)
class Person:
    """An account. Whoever keeps their address to themselves has none here."""

    id: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A page in a list: everything but its words. `parent` is the page right above it, or nothing."""

    id: str
    title: str
    version: int
    updated_at: datetime
    parent: str


class Atlassian:
    """One account's view of a site, entered as a context. At most `AT_ONCE` calls run side by side.

    A limit is waited out as long as the site asks, up to `LONGEST_PAUSE` seconds; what still fails is a `Fault`.
    """

    def __init__(
        self,
        url: str,
        email: str,
        token: str,
        *,
        timeout: float = 20.0,
        pause: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        if not (url.startswith("https://") or is_loopback(url)):
            raise SettingsError(f"{url!r} must start with https://; Atlassian is reached by https only")
        self.url = url.rstrip("/").removesuffix("/wiki")
        self._headers = {"Authorization": aiohttp.encode_basic_auth(email, token, encoding="utf-8")}
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._pause = pause
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def connect(self) -> None:
        """Open the one session. The proxy is the environment's, NO_PROXY kept."""
        self._session = aiohttp.ClientSession(
            headers=self._headers, timeout=self._timeout, trust_env=not is_loopback(self.url)
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def __aenter__(self) -> Atlassian:
        await self.connect()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, what: Any, trace: TracebackType | None) -> None:
        await self.close()

    async def ping(self) -> str:
        """One read, as a sentence for `check`."""
        await self._get(f"{V2}/spaces?limit=1")
        return f"reads {self.url}"

    # --- Confluence --------------------------------------------------------------------------------------------------

    async def spaces(self, keys: tuple[str, ...]) -> list[Space]:
        """Those of the spaces that there are and the account may view."""
        query = urlencode({"keys": ",".join(keys), "limit": PAGE})
        found = [item async for item in self._items(f"{V2}/spaces?{query}", "results")]
        return [Space(_id(item, "id"), _text(item, "key")) for item in found if item.get("key") in keys]

    async def readers(self, space: Space) -> frozenset[str]:
        """The ids of the groups that may view a space."""
        items = self._items(f"{V2}/spaces/{_checked(space.id)}/permissions?limit={PAGE}", "results")
        held = [(_object(item, "operation"), _object(item, "principal")) async for item in items]
        return frozenset(
            _text(principal, "id")
            for operation, principal in held
            if (operation.get("key"), operation.get("targetType")) == ("read", "space")
            and principal.get("type") == "group"
        )

    async def pages(self, space: Space) -> list[Entry]:
        """Every current page of a space, without the words."""
        query = urlencode({"depth": "all", "status": "current", "limit": PAGE})
        items = self._items(f"{V2}/spaces/{_checked(space.id)}/pages?{query}", "results")
        return [_entry(item) async for item in items if item.get("status") == "current"]

    async def above(self, page: str) -> list[str]:
        """The ids of everything above a page: pages, folders and the rest."""
        items = self._items(f"{V2}/pages/{_checked(page)}/ancestors?limit={PAGE}", "results")
        return [_id(item, "id") async for item in items]

    async def is_restricted(self, content: str) -> bool:
        """Whether not everybody who may view the space may view this; what is above it is not looked at."""
        items = self._items(f"{V1}/content/{_checked(content)}/restriction", "results")
        return any([_closes(item) async for item in items])

    async def words(self, page: str) -> tuple[int, str] | None:
        """A page's version and words in the storage format; None when it is not there any more."""
        try:
            answer = await self._get(f"{V2}/pages/{_checked(page)}?body-format=storage")
        except Fault as fault:
            if fault.status == 404:
                return None
            raise
        if answer.get("status") != "current" or _id(answer, "id") != page:
            return None
        storage = _object(_object(answer, "body"), "storage").get("value")
        if not isinstance(storage, str):
            raise Fault(VENDOR, f"page {page} without its words")
        return _entry(answer).version, storage

    async def versions(self, page: str) -> AsyncGenerator[tuple[str, datetime], None]:
        """Who made each version of a page (an account's id) and when, newest first."""
        query = urlencode({"limit": VERSIONS, "sort": "-modified-date"})
        async for version in self._items(f"{V2}/pages/{_checked(page)}/versions?{query}", "results"):
            yield _text(version, "authorId"), _time(version)

    async def people(self, accounts: Iterable[str]) -> dict[str, Person]:
        """Accounts by their ids, as far as Atlassian tells of them."""
        found: dict[str, Person] = {}
        wanted = iter(dict.fromkeys(accounts))
        while some := list(islice(wanted, PAGE)):
            answer = await self._get(f"{V2}/users-bulk", {"accountIds": some})
            if not isinstance(answer.get("results"), list):
                raise Fault(VENDOR, "an answer without a list of results")
            found |= {one.id: one for one in map(_person, answer["results"])}
        return found

    # --- Jira Service Management -------------------------------------------------------------------------------------

    async def desks(self) -> dict[str, str]:
        """Project key to number of every service desk that the account may see."""
        items = [item async for item in self._items(f"{DESK}/servicedesk?limit=50", "values")]
        return {_text(item, "projectKey"): _id(item, "id") for item in items}

    async def article_spaces(self, desk: str, words: str) -> set[str]:
        """The keys of the spaces in which a desk's knowledge base finds articles for some words."""
        query = urlencode({"query": words, "limit": 50})
        items = self._items(f"{DESK}/servicedesk/{_checked(desk)}/knowledgebase/article?{query}", "values")
        sources = [_object(item, "source") async for item in items]
        return {_text(source, "spaceKey") for source in sources if source.get("type") == "confluence"}

    # --- the wire ----------------------------------------------------------------------------------------------------

    async def _items(self, target: str, name: str) -> AsyncIterator[dict[str, Any]]:
        """All items of a list, page after page. Pages that lead back to where we were are a `Fault`."""
        seen: set[str] = set()
        while target:
            if target in seen:
                raise Fault(VENDOR, "a list without an end", permanent=True)
            seen.add(target)
            answer = await self._get(target)
            items = answer.get(name)
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise Fault(VENDOR, f"an answer without a list of {name}")
            for item in items:
                yield item
            target = self._next(answer)

    def _next(self, answer: Mapping[str, Any]) -> str:
        """Where the next page is, which must be on our own site: it is asked with our token."""
        links = answer.get("_links")
        following = links.get("next") if isinstance(links, dict) else None
        if not following:
            return ""
        target = str(following).removeprefix(self.url)
        if not target.startswith((f"{V2}/", f"{V1}/", f"{DESK}/")):
            raise Fault(VENDOR, "a next page outside the site", permanent=True)
        return target

    async def _get(self, target: str, asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object at a path, or what it answers to a question. What may pass by itself is tried again."""
        for attempt in range(1, TRIES):
            try:
                return await self._once(target, asked)
            except Fault as fault:
                if fault.permanent:
                    raise
                await self._pause(min(fault.retry_after or FIRST_PAUSE * attempt, LONGEST_PAUSE))
        return await self._once(target, asked)

    async def _once(self, target: str, asked: Mapping[str, Any] | None) -> dict[str, Any]:
        if self._session is None:
            raise Fault(VENDOR, "is not connected", permanent=True)
        try:
            async with (
                self._turns,
                self._session.request(
                    "GET" if asked is None else "POST", f"{self.url}{target}", json=asked, allow_redirects=False
                ) as response,
            ):
                return _answer(response, await _body(response))
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise Fault(VENDOR, f"no answer ({type(problem).__name__})") from problem


async def _body(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for part in response.content.iter_chunked(65_536):
        data += part
        if len(data) > MOST_BYTES:
            raise Fault(VENDOR, f"an answer of more than {MOST_BYTES} bytes", permanent=True)
    return bytes(data)


def _answer(response: aiohttp.ClientResponse, data: bytes) -> dict[str, Any]:
    """The answer's object, or the one translation of everything else."""
    status = response.status
    if status != 200:
        raise _refused(status, response.headers)
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        raise Fault(VENDOR, "an answer that is not JSON") from None
    if not isinstance(answer, dict):
        raise Fault(VENDOR, "an answer that is not an object")
    return answer


_CURES = {
    401: "the e-mail or the API token is refused; make a new token for this account",
    403: "the account lacks a permission; let it use the product and view what is chosen",
    404: "is not there, or the account may not view it",
}


def _refused(status: int, headers: Mapping[str, str]) -> Fault:
    waits = headers.get("Retry-After", "")
    return Fault(
        VENDOR,
        f"{status}: {_CURES.get(status, 'no answer to rely on')}",
        status=status,
        retry_after=float(waits) if waits.isdigit() else None,
        permanent=300 <= status < 500 and status not in (408, 429),
    )


# --- what an answer must hold ----------------------------------------------------------------------------------------


def _checked(identifier: str) -> str:
    """An id that may stand in a path: nothing else ever becomes part of an address."""
    if not IDENTIFIER.fullmatch(identifier):
        raise Fault(VENDOR, "not an id of Atlassian's", permanent=True)
    return identifier


def _id(data: Mapping[str, Any], name: str) -> str:
    return _checked(str(data.get(name)))


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise Fault(VENDOR, f"an answer without {name}")
    return value


def _object(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name)
    if not isinstance(value, dict):
        raise Fault(VENDOR, f"an answer without {name}")
    return value


def _entry(item: Mapping[str, Any]) -> Entry:
    version = _object(item, "version")
    number = version.get("number")
    if not isinstance(number, int):
        raise Fault(VENDOR, "a page without a version")
    return Entry(
        id=_id(item, "id"),
        title=_text(item, "title"),
        version=number,
        updated_at=_time(version),
        parent=_id(item, "parentId") if item.get("parentId") else "",
    )


def _time(version: Mapping[str, Any]) -> datetime:
    try:
        at = datetime.fromisoformat(_text(version, "createdAt"))
    except ValueError:
        raise Fault(VENDOR, "a version without a readable time") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def _person(user: Mapping[str, Any]) -> Person:
    name = user.get("displayName") or user.get("publicName") or ""
    return Person(_text(user, "accountId"), str(name), str(user.get("email") or ""))


def _closes(item: Mapping[str, Any]) -> bool:
    """Whether a restriction is one on reading, held by anybody. What cannot be understood is a `Fault`."""
    if _text(item, "operation") != "read":
        return False
    holders = _object(item, "restrictions")
    lists = [_object(holders, kind).get("results") for kind in ("user", "group")]
    if not all(isinstance(some, list) for some in lists):
        raise Fault(VENDOR, "a restriction that does not say for whom", permanent=True)
    return any(lists)

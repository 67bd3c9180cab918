"""Atlassian's other end: Confluence's spaces and pages and a service desk's articles, as the connector reads them.

Answers and refuses as Atlassian documents it: basic authentication with an e-mail and an API token, lists that page by
`_links.next` and a `Link` header, 404 for what is not there or may not be seen.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from aiohttp import web

from connectors.sandbox.atlassian_records import Page, Space, new_site, page_json, user_json, versions_json
from connectors.sandbox.server import Act, Refusal
from connectors.sandbox.world import World

T = TypeVar("T")
Answer = Callable[[web.Request], Awaitable[Any]]
V2, V1, DESK = "/wiki/api/v2", "/wiki/rest/api", "/rest/servicedeskapi"
MOST_USERS = 250


class Problem(Exception):
    """A refusal: a status and its title."""

    def __init__(self, status: int, title: str) -> None:
        super().__init__(title)
        self.status = status
        self.body = {"errors": [{"status": status, "code": title.upper().replace(" ", "_"), "title": title}]}


class Atlassian:
    """The stand-in, mounted under `/atlassian`. `page` is how much of a list an answer holds at most."""

    name = "atlassian"

    def __init__(self, world: World, *, page: int = 250) -> None:
        self._world = world
        self._page = page
        self.site = new_site(world)

    def routes(self) -> list[web.RouteDef]:
        answers: list[tuple[str, Answer]] = [
            (f"{V2}/spaces", self._spaces),
            (f"{V2}/spaces/{{space}}/permissions", self._permissions),
            (f"{V2}/spaces/{{space}}/pages", self._pages),
            (f"{V2}/pages/{{page}}", self._one_page),
            (f"{V2}/pages/{{page}}/ancestors", self._ancestors),
            (f"{V2}/pages/{{page}}/versions", self._versions),
            (f"{V1}/content/{{page}}/restriction", self._restrictions),
            (f"{DESK}/servicedesk", self._desks),
            (f"{DESK}/servicedesk/{{desk}}/knowledgebase/article", self._articles),
        ]
        asked = web.post(f"{V2}/users-bulk", self._guarded(self._users))
        return [asked, *(web.get(path, self._guarded(answer)) for path, answer in answers)]

    def _guarded(self, answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        """The answer behind the account, lists cut into pages."""

        async def handle(request: web.Request) -> web.Response:
            try:
                self._check_account(request)
                body = await answer(request)
            except Problem as problem:
                return web.json_response(problem.body, status=problem.status)
            return web.json_response(body) if isinstance(body, dict) else self._cut(request, body)

        return handle

    def _check_account(self, request: web.Request) -> None:
        pair = f"{self.site.email}:{self._world.token('atlassian')}".encode()
        if request.headers.get("Authorization") != f"Basic {base64.b64encode(pair).decode()}":
            raise Problem(401, "Unauthorized")

    def _cut(self, request: web.Request, items: list[Any]) -> web.Response:
        """One page of a list, and where the next one is."""
        limit = min(int(request.query.get("limit", 25)), self._page)
        at = int(request.query.get("cursor", 0))
        path = request.path.removeprefix(f"/{self.name}")
        links, headers = {"base": f"{self._world.base_url}/{self.name}/wiki"}, {}
        if at + limit < len(items):
            links["next"] = str(request.rel_url.with_path(path).update_query(cursor=str(at + limit)))
            headers["Link"] = f'<{links["next"]}>; rel="next"'
        name = "values" if path.startswith(DESK) else "results"
        shown = [page_json(item) if isinstance(item, Page) else item for item in items[at : at + limit]]
        return web.json_response({name: shown, "_links": links}, headers=headers)

    # --- Confluence

    async def _spaces(self, request: web.Request) -> Any:
        keys = request.query.get("keys", "").split(",")
        spaces = self.site.spaces.values()
        return [self.site.space_json(space) for space in spaces if keys == [""] or space.key in keys]

    async def _permissions(self, request: web.Request) -> Any:
        return self.site.permissions_json(self._space(request))

    async def _pages(self, request: web.Request) -> Any:
        space = self._space(request)
        wanted = request.query.get("status", "current,archived").split(",")
        pages = self.site.pages.values()
        return [page for page in pages if page.space == space.id and page.status in wanted]

    async def _one_page(self, request: web.Request) -> Any:
        page = self._page_of(request)
        if page.status == "draft":
            raise Problem(404, "Not Found")
        shown = request.query.get("body-format") == "storage"
        body = {"storage": {"representation": "storage", "value": page.body}} if shown else {}
        return {**page_json(page), "body": body}

    async def _ancestors(self, request: web.Request) -> Any:
        return [{"id": page.id, "type": "page"} for page in self.site.above(self._page_of(request))]

    async def _versions(self, request: web.Request) -> Any:
        if request.query.get("sort") != "-modified-date":
            raise Problem(400, "Bad Request")
        return versions_json(self._page_of(request))

    async def _users(self, request: web.Request) -> Any:
        accounts = (await request.json()).get("accountIds")
        if not isinstance(accounts, list) or not 1 <= len(accounts) <= MOST_USERS:
            raise Problem(400, "Bad Request")
        hidden = self.site.without_email
        return {"results": [user_json(account, shows_email=account not in hidden) for account in accounts]}

    async def _restrictions(self, request: web.Request) -> Any:
        return self.site.restrictions_json(self._page_of(request))

    def _space(self, request: web.Request) -> Space:
        return _found(self.site.spaces, request.match_info["space"])

    def _page_of(self, request: web.Request) -> Page:
        return _found(self.site.pages, request.match_info["page"])

    # --- Jira Service Management

    async def _desks(self, _request: web.Request) -> Any:
        return [{"id": number, "projectKey": desk["key"]} for number, desk in self.site.desks.items()]

    async def _articles(self, request: web.Request) -> Any:
        """What a desk's spaces hold of the words of the query, which the API wants."""
        words = set(re.findall(r"\w+", request.query.get("query", "").casefold()))
        if not words:
            raise Problem(400, "Bad Request")
        desk = _found(self.site.desks, request.match_info["desk"])
        keys = {space.id: space.key for space in self.site.spaces.values() if space.key in desk["spaces"]}
        pages = [page for page in self.site.pages.values() if page.space in keys and page.status == "current"]
        return [_article(page, keys[page.space]) for page in pages if words & _words(page)]

    # --- people

    def acts(self) -> dict[str, Act]:
        return {"edit": self._act_edit, "restrict": self._act_restrict, "delete": self._act_delete}

    async def _act_edit(self, who: str, args: Mapping[str, Any]) -> Any:
        page = self._page_named(args)
        page.earlier.append((page.author, page.changed))
        page.author = who
        page.body, page.version, page.changed = str(args.get("body")), page.version + 1, self._world.now()
        return {"version": page.version}

    async def _act_restrict(self, _who: str, args: Mapping[str, Any]) -> Any:
        """Restricting a page makes no new version of it."""
        page = self._page_named(args)
        page.restricted = list(args.get("to", []))
        return {"restricted": page.restricted}

    async def _act_delete(self, _who: str, args: Mapping[str, Any]) -> Any:
        del self.site.pages[self._page_named(args).id]
        return {}

    def _page_named(self, args: Mapping[str, Any]) -> Page:
        page = self.site.pages.get(str(args.get("page")))
        if page is None:
            raise Refusal(f"there is no page {args.get('page')!r}")
        return page

    def state(self) -> dict[str, Any]:
        return {"pages": {page.id: {"title": page.title, "version": page.version} for page in self.site.pages.values()}}


def _found(things: Mapping[str, T], name: str) -> T:
    if name not in things:
        raise Problem(404, "Not Found")
    return things[name]


def _words(page: Page) -> set[str]:
    return set(re.findall(r"\w+", f"{page.title} {page.body}".casefold()))


def _article(page: Page, key: str) -> dict[str, Any]:
    return {"title": page.title, "source": {"type": "confluence", "pageId": page.id, "spaceKey": key}}

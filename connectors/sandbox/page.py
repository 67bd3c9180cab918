"""The sandbox's web page: `/` and the files it is made of, under a policy that lets nothing else run."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from aiohttp import web

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
CONTENT_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def page_routes() -> list[web.RouteDef]:
    """`/` and `/page/<file>`: what a browser needs, and nothing that is not one of the page's own files."""
    return [web.get("/", _index), web.get("/page/{file}", _file)]


async def _index(_request: web.Request) -> web.Response:
    return _serve("index.html")


async def _file(request: web.Request) -> web.Response:
    return _serve(request.match_info["file"])


def _serve(name: str) -> web.Response:
    """The file of exactly that name; anything else, a path included, is not found."""
    file = _files().get(name)
    if file is None:
        raise web.HTTPNotFound
    return web.Response(
        body=file.read_bytes(), content_type=CONTENT_TYPES[_suffix(name)], charset="utf-8", headers=HEADERS
    )


def _files() -> dict[str, Traversable]:
    folder = resources.files("connectors.sandbox") / "page"
    return {file.name: file for file in folder.iterdir() if _suffix(file.name) in CONTENT_TYPES}


def _suffix(name: str) -> str:
    return name[name.rfind(".") :] if "." in name else ""

"""The vector index on a Chroma server, for companies whose index outgrows one machine. Only ids and vectors go there.

https://docs.trychroma.com/docs/run-chroma/client-server. A build is a set of collections whose names begin with its id;
the file that names the one in use stays here, and so do the words. The ids of our builds begin alike, so that several
programs share a server and each clears up after itself alone. While the server does not answer in time, words serve.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bot.errors import Fault
from knowledge.sources import PUBLIC
from knowledge.vectors import Build, Shelf, VectorIndex, collection_name, faults

SEARCH_SECONDS, WORK_SECONDS, CONNECT_SECONDS = 3.0, 30.0, 2.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is, and what it wants to see as a bearer token."""

    url: str
    token: str = field(default="", repr=False)

    def ping(self) -> str:
        """One line when it answers; `Fault` when not."""
        with faults(), contextlib.closing(_Client(self)) as client:
            held = len(client.list_collections())
        return f"the Chroma server {urlsplit(self.url).netloc} answers and holds {held} collections"


class ServerShelf(Shelf):
    """The builds on a server. Vectors that stood here before are removed: nobody would keep them up to date."""

    is_far = True

    def __init__(self, root: Path, server: Server) -> None:
        super().__init__(root)
        self._pointer = root / "server.json"
        self._server = server
        self.where = f"on the Chroma server {urlsplit(server.url).netloc}"

    def begin(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        super().sweep()

    def current(self) -> Build | None:
        return self._pointed()

    def fresh(self, fingerprint: str) -> Build:
        return Build(directory=f"{self._ours()}{secrets.token_hex(8)}", fingerprint=fingerprint)

    def _ours(self) -> str:
        """What the ids of all our builds begin with."""
        file = self._root / "owner"
        if not file.exists():
            file.write_text(secrets.token_hex(8))
        return file.read_text()

    def open(self, build: Build) -> VectorIndex:
        client = _Client(self._server)
        try:
            return VectorIndex(client, build.fingerprint, prefix=f"{build.directory}-", hurry=client.hurrying)
        except Fault:
            client.close()
            raise

    async def is_healthy(self, build: Build) -> bool:
        """Whether it is there; a server that was set up anew does not have it. `Fault` when nobody answers."""
        return f"{build.directory}-{collection_name(PUBLIC, build.fingerprint)}" in await asyncio.to_thread(self._names)

    def ping(self) -> str:
        return self._server.ping()

    def remove(self, build: Build) -> None:
        """Delete a build's collections; when the server does not answer, the next sweep does."""
        with contextlib.suppress(Fault):
            self._delete(build.directory)

    def sweep(self) -> None:
        """Delete our collections but those of the build in use."""
        current = self.current()
        with contextlib.suppress(Fault):
            self._delete(self._ours(), but=current.directory if current else "")

    def _names(self) -> list[str]:
        with faults(), contextlib.closing(_Client(self._server)) as client:
            return [str(found.name) for found in client.list_collections()]

    def _delete(self, prefix: str, but: str = "") -> None:
        with faults(), contextlib.closing(_Client(self._server)) as client:
            for name in [str(found.name) for found in client.list_collections()]:
                if name.startswith(prefix) and not (but and name.startswith(f"{but}-")):
                    client.delete_collection(name)


class _Client:
    """What an index needs of Chroma's client. Theirs waits for ever, also while it is being made."""

    def __init__(self, server: Server) -> None:
        import chromadb.config
        from chromadb.api import ServerAPI

        headers = {"Authorization": f"Bearer {server.token}"} if server.token else {}
        self._system = chromadb.config.System(
            chromadb.config.Settings(
                anonymized_telemetry=False,
                chroma_api_impl="chromadb.api.fastapi.FastAPI",
                chroma_server_host=server.url.rstrip("/"),
                chroma_server_http_port=urlsplit(server.url).port or 443,
                chroma_server_ssl_enabled=server.url.startswith("https:"),
                chroma_server_ssl_verify=None if server.url.startswith("https:") else False,  # loads no certificates
                chroma_server_headers=headers,
            )
        )
        self._api: Any = self._system.instance(ServerAPI)  # type: ignore[type-abstract]  # of which it makes one
        self._wait(WORK_SECONDS)

    def _wait(self, seconds: float) -> None:
        import httpx

        self._api._session.timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)

    @contextlib.contextmanager
    def hurrying(self) -> Iterator[None]:
        """What is asked inside is a search that somebody waits for."""
        self._wait(SEARCH_SECONDS)
        try:
            yield
        finally:
            self._wait(WORK_SECONDS)

    def list_collections(self) -> list[Any]:
        return list(self._api.list_collections())

    def get_or_create_collection(self, name: str, **more: Any) -> Any:
        from chromadb.api.models.Collection import Collection

        more.pop("embedding_function")
        model = self._api.create_collection(name, get_or_create=True, **more)
        return Collection(client=self._api, model=model, embedding_function=None)

    def delete_collection(self, name: str) -> None:
        self._api.delete_collection(name)

    def close(self) -> None:
        self._api._session.close()
        self._system.stop()

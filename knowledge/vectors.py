"""The vector index: Chroma, embedded. It holds ids and vectors only and is made from the catalogue at any time.

Each build has a directory of its own; a small file names the one in use, so that a new build is switched to at once
or not at all. Chroma may crash the process on damaged files, so they are looked at from another process first.
Used from one thread only, and by one process only (the data directory's lock sees to that).
`knowledge.chroma_server` has the same on a server.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bot.errors import Fault
from knowledge.sources import PUBLIC

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_PAGE = 1000  # rows a call; Chroma fails above 32,766
_PROBE_SECONDS = 60
_ITSELF = 0.01  # cosine distance
_PLAIN = re.compile(r"[A-Za-z0-9]{1,40}")


@dataclass(frozen=True, slots=True)
class Build:
    """Which directory holds the index, and in which space its vectors are."""

    directory: str
    fingerprint: str


class Shelf:
    """The directory with the builds and the file that names the one in use."""

    is_far = False
    where = "here"

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pointer = root / "current.json"

    def current(self) -> Build | None:
        """The build in use; None when there is none or the file is damaged."""
        build = self._pointed()
        return build if build and self.path(build).is_dir() else None

    def _pointed(self) -> Build | None:
        try:
            build = Build(**json.loads(self._pointer.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return build if build.directory.isalnum() else None

    def fresh(self, fingerprint: str) -> Build:
        """A new, empty build beside the one in use."""
        build = Build(directory=secrets.token_hex(8), fingerprint=fingerprint)
        self.path(build).mkdir(parents=True)
        return build

    def switch(self, build: Build) -> None:
        """Use `build` from now on."""
        half = self._pointer.with_suffix(".half")
        half.write_text(json.dumps(asdict(build)))
        half.replace(self._pointer)

    def begin(self) -> None:
        """Before any is open: make order."""
        self.sweep()

    def remove(self, build: Build) -> None:
        """Remove a build that is closed: Chroma fails when its files go away under it."""
        shutil.rmtree(self.path(build), ignore_errors=True)

    def clear(self) -> None:
        """Remove every build. Only when none is open."""
        self._pointer.unlink(missing_ok=True)
        self.sweep()

    def sweep(self) -> None:
        """Remove every build but the one in use. Only when no other is open."""
        current = self.current()
        for path in self._root.glob("*/") if self._root.is_dir() else ():
            if current is None or path.name != current.directory:
                shutil.rmtree(path, ignore_errors=True)

    def path(self, build: Build) -> Path:
        return self._root / build.directory

    def open(self, build: Build) -> VectorIndex:
        """A build that is fresh or was found healthy."""
        import chromadb
        from chromadb.config import Settings

        with faults():
            settings = Settings(anonymized_telemetry=False)
            client = chromadb.PersistentClient(path=str(self.path(build)), settings=settings)
        return VectorIndex(client, build.fingerprint)

    def ping(self) -> str:
        """A line when wherever they are answers; else a `Fault`."""
        return self.where

    async def is_healthy(self, build: Build) -> bool:
        """Whether it can be read, tried in another process: damaged files may crash the one that opens them."""
        env = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME", "LANG") if name in os.environ}
        silent = asyncio.subprocess.DEVNULL
        command = [sys.executable, "-m", "knowledge.vectors", str(self._root), build.directory, build.fingerprint]
        child = await asyncio.create_subprocess_exec(*command, stdin=silent, stdout=silent, stderr=silent, env=env)
        try:
            return await asyncio.wait_for(child.wait(), _PROBE_SECONDS) == 0
        except TimeoutError:
            return False
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()


class Place(NamedTuple):
    """Where a passage's vector stands: one collection for each visibility, so that none is searched for another's."""

    visibility: str
    id: str


class VectorIndex:
    """One build, open. A public answer never touches a vector that is not public: it is in another collection.

    `prefix` begins the names of its collections where builds stand beside others; `hurry` is how to search in time.
    """

    def __init__(
        self,
        client: Any,
        fingerprint: str,
        *,
        prefix: str = "",
        hurry: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
    ) -> None:
        self._client = client
        self._fingerprint = fingerprint
        self._prefix = prefix
        self._hurry = hurry
        with faults():
            ours = (found for found in client.list_collections() if found.name.startswith(prefix))
            held = [found for found in ours if found.name.endswith(f"-{fingerprint}")]
            self._collections = {
                found.metadata["visibility"]: self._open(found.metadata["visibility"]) for found in held
            }
            self._collection(PUBLIC)

    def close(self) -> None:
        self._client.close()

    def _collection(self, visibility: str) -> Any:
        if visibility not in self._collections:
            self._collections[visibility] = self._open(visibility)
        return self._collections[visibility]

    def _open(self, visibility: str) -> Any:
        return self._client.get_or_create_collection(
            self._prefix + collection_name(visibility, self._fingerprint),
            metadata={"visibility": visibility},
            embedding_function=None,
            configuration={"hnsw": {"space": "cosine"}},
        )

    def places(self) -> set[Place]:
        """Everything in the index, read page by page."""
        with faults():
            return {Place(name, one) for name, held in self._collections.items() for one in _ids(held)}

    def add(self, places: Sequence[Place], vectors: Vectors) -> None:
        with faults():
            for name, numbers in _by_visibility(places).items():
                ids = [places[n].id for n in numbers]
                self._collection(name).add(ids=ids, embeddings=vectors[numbers])

    def remove(self, places: Iterable[Place]) -> None:
        gone = sorted(places)
        with faults():
            for name, numbers in _by_visibility(gone).items():
                for start in range(0, len(numbers), _PAGE):
                    ids = [gone[n].id for n in numbers[start : start + _PAGE]]
                    self._collection(name).delete(ids=ids)

    def nearest(self, vectors: Vectors, limit: int, audience: frozenset[str]) -> list[list[str]]:
        """For each vector the ids nearest to it among what the audience may see, best first."""
        found: list[list[tuple[float, str]]] = [[] for _ in vectors]
        with faults(), self._hurry():
            for held in (self._collections[name] for name in sorted(audience & self._collections.keys())):
                for ranked, more in zip(found, _nearest(held, vectors, limit), strict=True):
                    ranked += ((float(distance), str(name)) for distance, name in more)
        return [[name for _, name in sorted(ranked)[:limit]] for ranked in found]

    def answers(self) -> bool:
        """Whether its rows can be read and a row's own vector finds something."""
        with faults():
            return all(_answers(held) for held in self._collections.values())


def collection_name(visibility: str, fingerprint: str) -> str:
    """`public-...` and `restricted-<channel>-...`; a name that Chroma would not take stands as its hash."""
    if visibility == PUBLIC:
        return f"{PUBLIC}-{fingerprint}"
    plain = _PLAIN.fullmatch(visibility)
    return f"restricted-{visibility if plain else hashlib.sha256(visibility.encode()).hexdigest()}-{fingerprint}"


def _by_visibility(places: Sequence[Place]) -> dict[str, list[int]]:
    """Which of the places stand in which collection."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for number, place in enumerate(places):
        found[place.visibility].append(number)
    return found


def _ids(collection: Any) -> Iterator[str]:
    for start in range(0, collection.count(), _PAGE):
        yield from collection.get(limit=_PAGE, offset=start, include=[])["ids"]


def _nearest(collection: Any, vectors: Vectors, limit: int) -> list[list[tuple[float, str]]]:
    """(distance, id) of the nearest rows for each vector."""
    found = collection.query(query_embeddings=vectors, n_results=limit, include=["distances"])
    return [list(zip(*pair, strict=True)) for pair in zip(found["distances"], found["ids"], strict=True)]


def _answers(collection: Any) -> bool:
    """Every row can be read, and some of each page find themselves, which leads through much of the graph."""
    import numpy as np

    rows = sum(1 for _ in _ids(collection))
    for start in range(0, rows, _PAGE):
        some = collection.get(limit=10, offset=start, include=["embeddings"])["embeddings"]
        for nearest in _nearest(collection, np.asarray(some, dtype=np.float32), 10):
            if len(nearest) != min(rows, 10) or nearest[0][0] > _ITSELF:
                return False
    return bool(rows == collection.count())


@contextlib.contextmanager
def faults() -> Iterator[None]:
    """Whatever Chroma raises over its files or its server, as a `Fault`: the caller goes on without, or builds anew."""
    try:
        yield
    except Exception as error:
        raise Fault("chroma", f"the vector index does not answer: {type(error).__name__}") from error


def _probe(root: str, directory: str, fingerprint: str) -> int:
    """Exit code 0 when a build answers."""
    index = Shelf(Path(root)).open(Build(directory, fingerprint))
    healthy = index.answers()
    index.close()
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(_probe(*sys.argv[1:]))

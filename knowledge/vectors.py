"""The vector index: Chroma, embedded. It holds ids and vectors only and is made from the catalogue at any time.

Each build has a directory of its own; a small file names the one in use, so that a new build is switched to at once
or not at all. Chroma may crash the process on damaged files, so `probe` looks at them from another process first.
Used from one thread only, and by one process only (the data directory's lock sees to that).
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.errors import Fault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_PAGE = 1000  # rows a call; Chroma fails above 32,766


@dataclass(frozen=True, slots=True)
class Build:
    """Which directory holds the index, and in which space its vectors are."""

    directory: str
    fingerprint: str


class Shelf:
    """The directory with the builds and the file that names the one in use."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pointer = root / "current.json"

    def current(self) -> Build | None:
        """The build in use; None when there is none or the file is damaged."""
        try:
            build = Build(**json.loads(self._pointer.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return build if build.directory.isalnum() and self.path(build).is_dir() else None

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

    def sweep(self) -> None:
        """Remove every build but the one in use. Only before any is open: Chroma fails when its files go away."""
        current = self.current()
        for path in self._root.glob("*/") if self._root.is_dir() else ():
            if current is None or path.name != current.directory:
                shutil.rmtree(path, ignore_errors=True)

    def path(self, build: Build) -> Path:
        return self._root / build.directory


class VectorIndex:
    """One build, open. `visibility` has its own collection: a public answer never touches another's vectors."""

    def __init__(self, path: Path, fingerprint: str, visibility: str = "public") -> None:
        import chromadb
        from chromadb.config import Settings

        with _faults():
            settings = Settings(anonymized_telemetry=False)
            self._client: Any = chromadb.PersistentClient(path=str(path), settings=settings)
            self._collection = self._client.get_or_create_collection(
                f"{visibility}-{fingerprint}", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
            )

    def close(self) -> None:
        self._client.close()

    def ids(self) -> set[str]:
        """Every id in the index, read page by page."""
        found: set[str] = set()
        with _faults():
            for start in range(0, self._collection.count(), _PAGE):
                found.update(self._collection.get(limit=_PAGE, offset=start, include=[])["ids"])
        return found

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        with _faults():
            self._collection.add(ids=list(ids), embeddings=vectors)

    def remove(self, ids: Iterable[str]) -> None:
        gone = sorted(ids)
        with _faults():
            for start in range(0, len(gone), _PAGE):
                self._collection.delete(ids=gone[start : start + _PAGE])

    def nearest(self, vectors: Vectors, limit: int) -> list[list[str]]:
        """For each vector the ids nearest to it, best first."""
        with _faults():
            limit = min(limit, self._collection.count())
            if not limit:
                return [[] for _ in vectors]
            found = self._collection.query(query_embeddings=vectors, n_results=limit, include=[])
        return [list(ids) for ids in found["ids"]]

    def answers(self) -> bool:
        """Whether its rows can be read and a row's own vector finds something."""
        import numpy as np

        with _faults():
            first = self._collection.get(limit=1, include=["embeddings"])
        if not first["ids"]:
            return self._collection.count() == 0
        found = self.nearest(np.asarray(first["embeddings"], dtype=np.float32), 10)[0]
        return len(found) == min(len(self.ids()), 10)


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    """Whatever Chroma raises over its files, as a `Fault`: the caller goes on without, and builds anew."""
    from chromadb.errors import ChromaError

    try:
        yield
    except (ChromaError, RuntimeError, ValueError, OSError) as error:
        raise Fault("chroma", f"the vector index does not answer: {type(error).__name__}") from error


def probe_command(path: Path, fingerprint: str) -> list[str]:
    """The command line that opens a build in a process of its own and exits 0 when it answers."""
    return [sys.executable, "-m", "knowledge.vectors", str(path), fingerprint]


def _probe(path: str, fingerprint: str) -> int:
    index = VectorIndex(Path(path), fingerprint)
    healthy = index.answers()
    index.close()
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(_probe(*sys.argv[1:]))

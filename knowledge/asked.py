"""The vectors of what was asked lately: most queries about an entitlement are the same from request to request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_MOST = 256


class Embedder(Protocol):
    def embed(self, texts: Sequence[str]) -> Vectors: ...


class Asked:
    """Remembers so many, the least used forgotten first. Of one embedder alone."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._known: OrderedDict[str, Vectors] = OrderedDict()

    def vectors(self, embedder: Embedder, queries: Sequence[str]) -> Vectors:
        """One row a query."""
        import numpy as np

        if missing := [query for query in dict.fromkeys(queries) if query not in self._known]:
            self._known.update(zip(missing, embedder.embed(missing), strict=True))
        rows = np.stack([self._known[query] for query in queries])
        for query in queries:
            self._known.move_to_end(query)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return rows

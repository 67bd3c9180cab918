"""Every vector ever computed, by text and embedder, in the catalogue's database: what a vector index is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from knowledge.statements import marks, portions
from knowledge.vectors import Place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlite_utils import Database

    Vectors = NDArray[np.float32]


class Embeddings:
    """Vectors of texts by the embedder's fingerprint, so that no text is embedded twice."""

    def __init__(self, db: Database) -> None:
        self._db = db
        db.table("embeddings").create(
            {"fingerprint": str, "text_hash": str, "vector": bytes, "parts": bytes},
            pk=("fingerprint", "text_hash"),
            if_not_exists=True,
        )

    def missing(self, fingerprint: str) -> list[tuple[str, str]]:
        """(text hash, text to embed) of the passages that have no vector in this space, short ones first."""
        sql = """
            SELECT DISTINCT c.text_hash, c.prefix || char(10) || c.text AS indexed
            FROM chunks c LEFT JOIN embeddings e ON e.fingerprint = ? AND e.text_hash = c.text_hash
            WHERE e.text_hash IS NULL ORDER BY length(indexed)"""
        return [(row[0], row[1]) for row in self._db.execute(sql, [fingerprint])]

    def keep(
        self, fingerprint: str, text_hashes: Sequence[str], vectors: Vectors, parts: Sequence[Vectors] = ()
    ) -> None:
        """Cache vectors for good, and those of each text's parts (in half precision: they only rank)."""
        rows = (
            {
                "fingerprint": fingerprint,
                "text_hash": name,
                "vector": vector.astype("<f4").tobytes(),
                "parts": b"" if some is None else some.astype("<f2").tobytes(),
            }
            for name, vector, some in zip_longest(text_hashes, vectors, parts)
        )
        self._db.table("embeddings").insert_all(rows, pk=("fingerprint", "text_hash"), replace=True)

    def vectors(self, fingerprint: str, text_hashes: Sequence[str]) -> dict[str, Vectors]:
        """The cached vectors of these texts."""
        import numpy as np

        found = {}
        for some in portions(text_hashes):
            sql = f"SELECT text_hash, vector FROM embeddings WHERE fingerprint = ? AND text_hash IN ({marks(some)})"  # noqa: S608
            for name, vector in self._db.execute(sql, [fingerprint, *some]):
                found[name] = np.frombuffer(vector, dtype="<f4")
        return found

    def looks(self, fingerprint: str, text_hashes: Sequence[str]) -> dict[str, Vectors]:
        """The cached vectors of these texts, a row each: the whole's first, then those of its parts."""
        import numpy as np

        found = {}
        for some in portions(text_hashes):
            sql = f"""
                SELECT text_hash, vector, parts FROM embeddings
                WHERE fingerprint = ? AND text_hash IN ({marks(some)})"""  # noqa: S608 - question marks only
            for name, vector, parts in self._db.execute(sql, [fingerprint, *some]):
                whole = np.frombuffer(vector, dtype="<f4")
                found[name] = np.vstack([whole, np.frombuffer(parts, dtype="<f2").reshape(-1, len(whole))])
        return found

    def indexed(self, fingerprint: str) -> Mapping[Place, str]:
        """Place to text hash, for every passage that has a vector in this space: what a vector index holds."""
        sql = """
            SELECT d.visibility, c.chunk_id, c.text_hash FROM chunks c JOIN documents d ON d.doc_id = c.doc_id
            JOIN embeddings e ON e.fingerprint = ? AND e.text_hash = c.text_hash"""
        return {Place(*row): text_hash for *row, text_hash in self._db.execute(sql, [fingerprint])}

    def drop_unused(self) -> None:
        """Forget the vectors of texts that no document holds any more."""
        with self._db.atomic():
            self._db.execute("DELETE FROM embeddings WHERE text_hash NOT IN (SELECT text_hash FROM chunks)")

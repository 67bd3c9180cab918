"""What was asked lately is not embedded again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from knowledge.asked import Asked


class Counting:
    """An embedder that remembers what it was given: a text's vector is its length."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.given += texts
        return np.array([[len(text)] for text in texts], dtype=np.float32)


def test_only_new_queries_are_embedded_and_each_once() -> None:
    asked, embedder = Asked(), Counting()
    first = asked.vectors(embedder, ["a", "bb", "a"])
    again = asked.vectors(embedder, ["ccc", "bb"])
    assert embedder.given == ["a", "bb", "ccc"]
    assert (first.tolist(), again.tolist()) == ([[1], [2], [1]], [[3], [2]])


def test_the_least_used_is_forgotten_first_and_a_long_list_is_answered_whole() -> None:
    asked, embedder = Asked(most=2), Counting()
    assert asked.vectors(embedder, ["a", "bb", "ccc"]).tolist() == [[1], [2], [3]]
    asked.vectors(embedder, ["ccc"])
    assert embedder.given == ["a", "bb", "ccc"]
    asked.vectors(embedder, ["a"])
    assert embedder.given == ["a", "bb", "ccc", "a"]

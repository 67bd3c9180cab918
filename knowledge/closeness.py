"""How close a passage comes to what is asked, looked at as a whole and in parts of a sentence or two.

A passage of a thousand characters says several things, and its one vector their mean; the sentence that answers is
lost in it. So each part has a vector as well, which only ranks what was found and is in no index: the closeness is
the mean of the whole's cosine and the best part's. On the labelled questions that were tuned on, parts of about 120
characters found more than longer ones, or than single sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from knowledge.prose import prose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

PART_CHARACTERS = 120
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+|\n")


def parts(text: str) -> list[str]:
    """A passage's sentences, short neighbours together; nothing for a passage that is one part by itself."""
    packed = list(_packed(prose(text)))
    return packed if len(packed) > 1 else []


def _packed(text: str) -> Iterator[str]:
    part = ""
    for sentence in filter(None, (one.strip() for one in _SENTENCE_END.split(text))):
        if part and len(part) + len(sentence) >= PART_CHARACTERS:
            yield part
            part = sentence
        else:
            part = f"{part} {sentence}".lstrip()
    if part:
        yield part


@dataclass(frozen=True, slots=True)
class Likeness:
    """A passage and each query: the cosine of the whole, and the closeness."""

    cosines: NDArray[np.float32]
    closeness: NDArray[np.float32]


def likeness(queries: Vectors, looks: Mapping[str, Vectors]) -> dict[str, Likeness]:
    """How like the queries the texts are. A text's vectors are the whole's, then those of its parts."""
    return {name: _likeness(vectors @ queries.T) for name, vectors in looks.items()}


def _likeness(cosines: Vectors) -> Likeness:
    whole, in_parts = cosines[0], cosines[1:]
    return Likeness(whole, (whole + in_parts.max(axis=0)) / 2 if len(in_parts) else whole)

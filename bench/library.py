"""Documents of any number that look like a company's to the index: words with a long tail, passages in clusters.

The words are those of this repository's own pages, most frequent first, and made-up ones behind them; the n-th is used
as often as Zipf's law says. Vectors are drawn around centres, not computed: embedding so much would take an hour.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from knowledge.catalogue import Catalogue
from knowledge.closeness import parts
from knowledge.sources import CHAT, PUBLIC, Document, Skipped

ROOT = Path(__file__).parent.parent
KEPT = ROOT / ".bench"
WORDS_KEPT = KEPT / "words.txt"  # pages change, and an index that is kept would not fit any more
SEED, VERSION = 20260101, "2"
TAIL, PARTS, WORDS = 30_000, 5, 105  # made-up words; passages a document; words a passage
CENTRES, SPREAD = 400, 0.6
IN_CHANNELS, CHANNELS = 10, 20  # one document in so many is of one of so many private channels
_WORD = re.compile(r"[a-z]{2,20}")


class Library:
    """A source of about `passages` passages; the same ones every time."""

    name = "library"

    def __init__(self, passages: int) -> None:
        self._documents = passages // PARTS

    def read(self) -> Iterator[Document | Skipped]:
        words, weights = vocabulary()
        for number in range(self._documents):
            chance = random.Random(SEED + number)
            said = iter(chance.choices(words, cum_weights=weights, k=PARTS * WORDS + 10))
            title = " ".join(itertools.islice(said, 4)).capitalize()
            parts = (f"## Part {n}\n\n{_prose(said)}" for n in range(PARTS))
            private = number % IN_CHANNELS == 0
            yield Document(
                id=f"library/{number}",
                title=title,
                text="\n\n".join(parts),
                url=f"https://handbook.example.com/{number}",
                file=f"{number}.md",
                updated_at=None,
                visibility=f"C0BENCH{number // IN_CHANNELS % CHANNELS:02d}" if private else PUBLIC,
                kind=CHAT if private else "document",
            )


def _prose(said: Iterator[str]) -> str:
    words = list(itertools.islice(said, WORDS))
    sentences = (" ".join(words[n : n + 15]).capitalize() for n in range(0, len(words), 15))
    return ". ".join(sentences) + "."


def vocabulary() -> tuple[list[str], list[float]]:
    """Words, most frequent first, and how often each is used, added up; as they were when they were first wanted."""
    if not WORDS_KEPT.exists():
        WORDS_KEPT.parent.mkdir(exist_ok=True)
        WORDS_KEPT.write_text("\n".join(_words()), "utf-8")
    words = WORDS_KEPT.read_text("utf-8").split()
    return words, list(itertools.accumulate(1 / rank for rank in range(1, len(words) + 1)))


def _words() -> list[str]:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("connectors/sandbox/documents/*.md")]
    counted = Counter(word for page in sorted(pages) for word in _WORD.findall(page.read_text("utf-8").lower()))
    chance = random.Random(SEED)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    made_up = ("".join(chance.choices(syllables, k=chance.randint(2, 4))) for _ in range(TAIL))
    return list(dict.fromkeys([*(word for word, _ in counted.most_common()), *made_up]))


def questions(count: int, length: int) -> list[str]:
    """As people ask: words by Zipf's law too, in which the frequent ones are the search's real work."""
    words, weights = vocabulary()
    chance = random.Random(SEED - 1)
    return [" ".join(chance.choices(words, cum_weights=weights, k=length)) for _ in range(count)]


def keep_vectors(catalogue: Catalogue, fingerprint: str, dimension: int) -> int:
    """Give every passage that lacks one a vector drawn around one of the centres, and each of its parts one near it."""
    import numpy as np

    chance = np.random.default_rng(SEED)
    centres = _unit(chance.standard_normal((CENTRES, dimension)))
    missing = catalogue.embeddings.missing(fingerprint)
    for start in range(0, len(missing), 1000):
        names, texts = zip(*missing[start : start + 1000], strict=True)
        whole = _near(centres[chance.integers(CENTRES, size=len(names))], chance)
        counts = [len(parts(text.partition("\n")[2])) for text in texts]
        closer = np.split(_near(np.repeat(whole, counts, axis=0), chance), np.cumsum(counts)[:-1])
        catalogue.embeddings.keep(fingerprint, names, whole, closer)
    return len(missing)


def _near(places: Any, chance: Any) -> Any:
    """A vector near each of these."""
    import numpy as np

    noise = _unit(chance.standard_normal(places.shape))
    return _unit(places + SPREAD * noise).astype(np.float32)


def _unit(rows: Any) -> Any:
    import numpy as np

    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def page_texts(count: int) -> Sequence[str]:
    """Passages for the embedder alone."""
    documents = Library(count * PARTS).read()
    return [document.text[:1000] for document in documents if isinstance(document, Document)]

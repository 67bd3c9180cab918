"""Texts to vectors: an OpenAI-compatible server, the local MiniLM, or nothing (BM25 alone)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from bot.errors import Fault, SettingsError
from knowledge import minilm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

KINDS = ("auto", "openai", "local", "none")
OPENAI_MODEL = "text-embedding-3-small"
CHUNKER = "3"  # raise it when chunks.py or closeness.py cut differently
_OPENAI_MAX_TOKENS = 8191
_OPENAI_TIMEOUT = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which embedder the settings ask for. `auto`: OpenAI when a key is set, else local when it is installed."""

    kind: str = "auto"
    api_key: str = field(default="", repr=False)
    base_url: str = ""
    model: str = OPENAI_MODEL

    def resolve(self) -> str:
        """The one of `openai`, `local` and `none` that this asks for; never changed later by a failure."""
        if self.kind not in KINDS:
            raise SettingsError(f"TINYAPPROVER_EMBEDDER is {self.kind!r}; allowed are {', '.join(KINDS)}")
        if self.kind == "openai" and not self.api_key:
            raise SettingsError("TINYAPPROVER_EMBEDDER is openai, which needs OPENAI_API_KEY")
        if self.kind == "local" and minilm.model_dir() is None:
            raise SettingsError(f"TINYAPPROVER_EMBEDDER is local, which needs the package {minilm.PACKAGE}")
        if self.kind != "auto":
            return self.kind
        if self.api_key:
            return "openai"
        return "local" if minilm.model_dir() else "none"


class Embedder(Protocol):
    """Makes unit-length vectors. `fingerprint` names their space: vectors of different ones never meet.

    `floor` is the support below which a passage is not taken for an answer in this space (0: not measured, so that
    everything is); `looks_closer` says whether the parts of a passage are embedded too.
    """

    name: str
    fingerprint: str
    floor: float
    looks_closer: bool
    batch: int

    def embed(self, texts: Sequence[str]) -> Vectors: ...


def fingerprint(**parts: str | int) -> str:
    """A short hash over everything that shapes the vectors or the texts they are made from."""
    return hashlib.sha256(json.dumps({**parts, "chunker": CHUNKER}, sort_keys=True).encode()).hexdigest()[:16]


def build(wanted: Wanted, cache: Path) -> Embedder | None:
    """The embedder that `wanted` resolves to, ready to use; None means BM25 alone. Slow: call it in a worker."""
    kind = wanted.resolve()
    if kind == "openai":
        return OpenAIEmbedder(wanted)
    return LocalEmbedder(cache) if kind == "local" else None


def count_tokens() -> tuple[str, Callable[[str], int]]:
    """How long a text is for the local model; without its tokenizer, an estimate that rather says too much.

    The first of the pair names the way of counting: texts cut by another one are cut anew.
    """
    folder = minilm.model_dir()
    if folder is None:
        return "estimate", lambda text: len(text) // 3 + 2
    tokens = minilm.tokenizer(folder)
    return "minilm", lambda text: len(tokens.encode(text).ids)


class LocalEmbedder:
    """all-MiniLM-L6-v2 on one thread of this machine."""

    name = f"local {minilm.MODEL}"
    floor = 0.27  # of the questions tuned on that have an answer, it refuses one in ten
    looks_closer = True
    batch = 8

    def __init__(self, cache: Path) -> None:
        folder = minilm.model_dir()
        if folder is None:
            raise SettingsError(f"the package {minilm.PACKAGE} is not installed")
        if (digest := minilm.weights_sha256(folder)) != minilm.WEIGHTS_SHA256:
            raise SettingsError(f"{folder}/model.safetensors is not the file this release was made for: {digest}")
        self._tokens = minilm.tokenizer(folder)
        self._tokens.enable_truncation(minilm.MAX_TOKENS)
        self._tokens.enable_padding()
        self._session = _session(folder, cache)
        self.fingerprint = fingerprint(
            provider="local", model=minilm.MODEL, dim=minilm.DIMENSION, weights=digest, tokens=minilm.MAX_TOKENS
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, in order. Texts of like length run together, so that little is spent on padding."""
        import numpy as np

        vectors = np.empty((len(texts), minilm.DIMENSION), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        for start in range(0, len(order), self.batch):
            some = order[start : start + self.batch]
            encoded = self._tokens.encode_batch([texts[n] for n in some])
            ids = np.array([e.ids for e in encoded], dtype=np.int32)
            mask = np.array([e.attention_mask for e in encoded], dtype=np.int32)
            vectors[some] = self._session.run(None, {"ids": ids, "mask": mask})[0]
        return vectors


def _session(folder: Path, cache: Path) -> Any:
    """The graph opened on one thread; a cached file that does not open is built again."""
    import onnxruntime  # type: ignore[import-untyped]  # it ships no types

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    path = minilm.graph_file(folder, cache)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - onnxruntime has a class of error for every kind of damage
        path.unlink()
    rebuilt = minilm.graph_file(folder, cache)
    return onnxruntime.InferenceSession(str(rebuilt), options, providers=["CPUExecutionProvider"])


class OpenAIEmbedder:
    """Any server with OpenAI's `/embeddings`. The documents' text leaves this machine."""

    floor = 0.0
    looks_closer = False  # three times as much to send and to pay, and not measured
    batch = 64

    def __init__(self, wanted: Wanted) -> None:
        import openai

        self._model = wanted.model
        self._client = openai.OpenAI(
            api_key=wanted.api_key, base_url=wanted.base_url or None, timeout=_OPENAI_TIMEOUT, max_retries=2
        )
        host = urlsplit(str(self._client.base_url)).netloc
        self.name = f"{wanted.model} at {host}"
        dimension = self.embed(["dimension"]).shape[1]
        self.fingerprint = fingerprint(
            provider="openai", host=host, model=wanted.model, dim=dimension, tokens=_OPENAI_MAX_TOKENS
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit-length vector a text, in order; a `Fault` when the server does not give them."""
        import numpy as np
        import openai

        try:
            answer = self._client.embeddings.create(model=self._model, input=list(texts), encoding_format="float")
        except openai.OpenAIError as error:
            raise Fault("openai", f"no embeddings: {type(error).__name__}") from error
        rows = sorted(answer.data or (), key=lambda row: row.index)
        vectors = np.array([row.embedding for row in rows], dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise Fault("openai", "the embeddings do not fit the texts")
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), dtype=np.float32)

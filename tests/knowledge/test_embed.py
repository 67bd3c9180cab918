"""Vectors: the local model against its definition, and a server over real HTTP."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from bot.errors import Fault, SettingsError
from knowledge import Wanted, minilm
from knowledge.embed import LocalEmbedder, OpenAIEmbedder
from tests.knowledge.conftest import HANDBOOK, Open

TEXTS = [
    "access",
    "How do I get read-only access to production?",
    "Zugriff für Élise, 数据库, 🔑 and prod-readonly",
    (HANDBOOK / "production-access.md").read_text(),
    "Payment runs go out on Tuesdays and Thursdays.",
]


@pytest.fixture(scope="module")
def local(models: Path) -> LocalEmbedder:
    return LocalEmbedder(models)


def _norm(x: Any, weights: dict[str, Any], name: str) -> Any:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-12) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _dense(x: Any, weights: dict[str, Any], name: str) -> Any:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _bert(text: str, weights: dict[str, Any], tokens: Any) -> Any:
    """BERT as its paper says, one text, in double precision."""
    ids = tokens.encode(text).ids
    e = "embeddings"
    x = weights[f"{e}.word_embeddings.weight"][ids].astype(float)
    x = x + weights[f"{e}.position_embeddings.weight"][: len(ids)] + weights[f"{e}.token_type_embeddings.weight"][0]
    x = _norm(x, weights, f"{e}.LayerNorm")
    for n in range(6):
        at = f"encoder.layer.{n}"
        q, k, v = (_heads(_dense(x, weights, f"{at}.attention.self.{p}")) for p in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(32)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        seen = (shares / shares.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(ids), 384)
        x = _norm(
            x + _dense(seen, weights, f"{at}.attention.output.dense"), weights, f"{at}.attention.output.LayerNorm"
        )
        wide = _dense(x, weights, f"{at}.intermediate.dense")
        wide = wide * 0.5 * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
        x = _norm(x + _dense(wide, weights, f"{at}.output.dense"), weights, f"{at}.output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def _heads(x: Any) -> Any:
    return x.reshape(len(x), 12, 32).transpose(1, 0, 2)


def test_the_graph_computes_what_the_model_is_defined_to_compute(local: LocalEmbedder) -> None:
    folder = minilm.model_dir()
    assert folder
    weights = minilm.read_safetensors(folder / "model.safetensors")
    tokens = minilm.tokenizer(folder)
    tokens.enable_truncation(minilm.MAX_TOKENS)
    expected = np.stack([_bert(text, weights, tokens) for text in TEXTS])
    cosines = (local.embed(TEXTS) * expected).sum(-1)
    assert cosines.min() >= 0.9999


def test_a_text_has_the_same_vector_whatever_it_is_batched_with(local: LocalEmbedder) -> None:
    alone = np.concatenate([local.embed([text]) for text in TEXTS])
    assert np.abs(alone - local.embed(TEXTS)).max() < 1e-4
    assert np.linalg.norm(alone, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-4)
    assert local.embed([]).shape == (0, 384)


def test_a_damaged_graph_is_built_again(tmp_path: Path) -> None:
    (tmp_path / f"minilm-{minilm.WEIGHTS_SHA256[:12]}-1.onnx").write_bytes(b"half of a gra")
    assert LocalEmbedder(tmp_path).embed(["text"]).shape == (1, 384)
    assert [path.suffix for path in tmp_path.iterdir()] == [".onnx"]


def test_other_weights_than_the_pinned_ones_are_refused(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(SettingsError, match="not the file this release was made for"):
        LocalEmbedder(models)


def test_auto_takes_a_key_first_then_the_local_weights() -> None:
    assert Wanted("auto", api_key="sandbox-openai").resolve() == "openai"
    assert Wanted("auto").resolve() == "local"
    assert Wanted("none", api_key="sandbox-openai").resolve() == "none"
    assert "sandbox-openai" not in repr(Wanted(api_key="sandbox-openai"))


# --- a server --------------------------------------------------------------------------------------------------------


class Server:
    """An OpenAI-compatible `/embeddings` that counts letters."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[list[str]] = []
        self.broken = ""

    async def answer(self, request: web.Request) -> web.Response:
        texts = json.loads(await request.text())["input"]
        self.asked.append(texts)
        if self.broken:
            return web.json_response(json.loads(self.broken), status=200 if "data" in self.broken else 401)
        rows = [[text.lower().count(letter) + 0.01 for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]
        data = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return web.json_response({"object": "list", "data": data[::-1], "model": "letters", "usage": usage})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    one = Server()
    app = web.Application()
    app.router.add_post("/v1/embeddings", one.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield one
    await runner.cleanup()


def _wanted(server: Server) -> Wanted:
    return Wanted("openai", api_key="sandbox-openai", base_url=server.url, model="letters")


async def test_a_compatible_server_embeds_documents_and_queries(opened: Open, server: Server, folder: Path) -> None:
    (folder / "z.md").write_text("# Zzz\n\nzzz zzzz zzzzz")
    (folder / "q.md").write_text("# Qqq\n\nqqq qqqq qqqqq")
    async with opened(folder, wanted=_wanted(server)) as knowledge:
        summary = await knowledge.index()
        results = await knowledge.search(["qqqqqqqqqq"])
    assert (summary.embedded, summary.embedder.startswith("letters at 127.0.0.1")) == (2, True)
    assert results[0].title == "Qqq"
    assert results[0].cosine == pytest.approx(1, abs=0.01)


async def test_when_the_server_fails_words_serve_and_it_is_said(opened: Open, server: Server, folder: Path) -> None:
    (folder / "q.md").write_text("# Queues\n\nqueues are long")
    async with opened(folder, wanted=_wanted(server)) as knowledge:
        await knowledge.index()
        server.broken = '{"error": {"message": "bad key"}}'
        results = await knowledge.search(["queues"])
        assert (results[0].title, results[0].cosine) == ("Queues", None)
        assert "openai: no embeddings: AuthenticationError" in knowledge.describe()
        (folder / "r.md").write_text("# Rest\n\nrest")
        assert "1 passages are found by words alone until the next run" in (await knowledge.index()).trouble[-1]
        server.broken = ""
        assert (await knowledge.index()).embedded == 1
        assert (await knowledge.search(["queues"]))[0].cosine is not None
        assert knowledge.describe()[1].startswith("search by words and meaning")
        assert len(knowledge.describe()) == 2


@pytest.mark.parametrize("answer", ['{"data": []}', '{"data": [{"index": 0, "embedding": [1e999]}]}'])
async def test_an_answer_that_does_not_fit_is_a_fault(server: Server, answer: str) -> None:
    import asyncio

    server.broken = answer
    with pytest.raises(Fault, match="openai"):
        await asyncio.to_thread(OpenAIEmbedder, _wanted(server))

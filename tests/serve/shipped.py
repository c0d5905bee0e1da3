"""A real artifact in a tenth of a second: words to vectors to two labels, as ONNX, with a tokenizer of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from kft.deploy.referring import Referred, write_reference
from kft.records.shipped import read_about, read_claims
from tests import tiny
from tests.deploy.made import vouch

LABELS = ("negative", "positive")
OUTPUTS = ("label", "confidence", "abstain", "foreign", "probabilities")


def write_shipped(folder: Path, seed: int = 0, *, width: int = 0, **changes: Any) -> Path:
    """Writes an artifact that tells praise from blame, and withholds what is neither.

    Args:
        folder: Where to.
        seed: Of a little noise, so that another seed is another version.
        width: Of a product that changes nothing and takes time: what a larger model computes; 0: none.
        changes: Of artifact.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = ["[UNK]", *tiny.PLAIN, *tiny.GOOD, *tiny.BAD]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    onnx.save(_graph(words, seed, width), folder / "model.onnx")
    settings = {"name": "reviews", "labels": LABELS, "inputs": ("token_ids",), "outputs": OUTPUTS, **changes}
    return vouch(folder, **settings)


def _graph(words: list[str], seed: int, width: int) -> onnx.ModelProto:
    rng = np.random.default_rng(seed)
    sides = np.array([(word in tiny.GOOD) - (word in tiny.BAD) for word in words], np.float32)
    table = np.stack([-2 * sides, 2 * sides], axis=1) + rng.normal(0, 1e-4, (len(words), 2)).astype(np.float32)
    arrays = {
        "table": table.astype(np.float32),
        "axis": np.array([1], np.int64),
        "least": np.array(0.7, np.float32),
        "never": np.array(2.0, np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "token_ids"], ["vectors"]),
        helper.make_node("ReduceSum", ["vectors", "axis"], ["sums"], keepdims=0),
    ]
    logits = "sums"
    if width:
        arrays |= {"up": np.zeros((2, width), np.float32), "across": np.zeros((width, width), np.float32)}
        arrays["down"] = np.zeros((width, 2), np.float32)
        nodes += [
            helper.make_node("MatMul", ["vectors", "up"], ["wide0"]),
            *(helper.make_node("MatMul", [f"wide{at}", "across"], [f"wide{at + 1}"]) for at in range(8)),
            helper.make_node("MatMul", ["wide8", "down"], ["nothing"]),
            helper.make_node("ReduceSum", ["nothing", "axis"], ["zeros"], keepdims=0),
            helper.make_node("Add", ["sums", "zeros"], ["logits"]),
        ]
        logits = "logits"
    nodes += [
        helper.make_node("Softmax", [logits], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
        helper.make_node("ReduceMax", ["probabilities", "axis"], ["confidence"], keepdims=0),
        helper.make_node("Less", ["confidence", "least"], ["abstain"]),
        helper.make_node("Greater", ["confidence", "never"], ["foreign"]),
    ]
    kinds = {"label": TensorProto.INT64, "abstain": TensorProto.BOOL, "foreign": TensorProto.BOOL}
    graph = helper.make_graph(
        nodes,
        "reviews",
        [helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["n", "tokens"])],
        [
            helper.make_tensor_value_info(
                name, kinds.get(name, TensorProto.FLOAT), ["n", 2] if name == "probabilities" else ["n"]
            )
            for name in OUTPUTS
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def write_watched(folder: Path, **changes: Any) -> Path:
    """Writes the same artifact with what new rows are held against."""
    write_shipped(folder, **changes)
    texts, labels = tiny.texts_and_labels(80)
    truth = np.array([LABELS.index(label) for label in labels], np.int32)
    write_reference(folder, read_about(folder), Referred(texts[:50], [], truth[:50]), texts[50:])
    return vouch(folder, **vars(read_claims(folder)))

"""A small model of texts as a real artifact: the mean of what its words point at, computed by ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import tokenizers
from onnx import TensorProto, helper, numpy_helper

from kft.records.shipped import Preprocessing, write_about
from tests.deploy.made import ABOUT

TOPICS = {
    "money": ("invoice", "refund", "payment", "price", "euro"),
    "parcel": ("parcel", "courier", "delivery", "tracking", "customs"),
    "login": ("password", "login", "account", "token", "session"),
    "music": ("guitar", "melody", "song", "choir", "violin"),
}
PLAIN = ("the", "a", "is", "of", "and", "in", "my", "for", "to", "with")
WIDTH = 16
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def write_model(folder: Path, seed: int = 0, *, max_tokens: int = 24, outputs: tuple[str, ...] = ("vectors",)) -> Path:
    """Writes an artifact whose words of one topic point the same way; another seed is another model."""
    folder.mkdir(parents=True)
    words = [*SPECIAL, ".", *PLAIN, *(word for several in TOPICS.values() for word in several)]
    vocabulary = {word: place for place, word in enumerate(words)}
    built = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, "[UNK]"))
    built.normalizer = tokenizers.normalizers.Lowercase()
    built.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    built.post_processor = tokenizers.processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    built.save(str(folder / "tokenizer.json"))
    rng = np.random.default_rng(seed)
    table = rng.normal(0, 0.3, (len(words), WIDTH)).astype(np.float32)
    for number, several in enumerate(TOPICS.values()):
        table[[vocabulary[word] for word in several], number] += 3
    onnx.save(_mean_of_words(table), str(folder / "model.onnx"))
    inputs = ("padding_mask", "segment_ids", "token_ids")
    about = replace(
        ABOUT, checkpoint=f"of seed {seed}", inputs=inputs, outputs=outputs, reader=Preprocessing("text", max_tokens)
    )
    write_about(folder, about)
    return folder


def _mean_of_words(table: np.ndarray) -> onnx.ModelProto:
    names = ("padding_mask", "segment_ids", "token_ids")
    given = [helper.make_tensor_value_info(name, TensorProto.INT32, ["n", "m"]) for name in names]
    nodes = [
        helper.make_node("Gather", ["table", "token_ids"], ["words"]),
        helper.make_node("Cast", ["padding_mask"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["real", "last"], ["weights"]),
        helper.make_node("Mul", ["words", "weights"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "middle"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["weights", "middle"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["vectors"]),
    ]
    constants = {"table": table, "last": np.array([2]), "middle": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "mean of words",
        given,
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", WIDTH])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def rows(n: int = 40, seed: int = 0) -> tuple[list[str], list[str]]:
    """Returns ids and texts; a text has a topic and a number of its own."""
    rng = np.random.default_rng(seed)
    topics = list(TOPICS)
    texts = []
    for row in range(n):
        several = rng.choice(TOPICS[topics[row % len(topics)]], 3)
        plain = rng.choice(PLAIN, 4)
        texts.append(f"{plain[0]} {several[0]} {plain[1]} {several[1]} {plain[2]} {several[2]} number{row}.")
    return [f"d{row}" for row in range(n)], texts

"""A config.json of sizes that nobody means is refused by name, before anything is built."""

import json
import math

import pytest

import kft
from kft.errors import ModelError
from tests import tiny

ABSURD = [
    ("num_hidden_layers", 10**6),
    ("hidden_size", 10**9),
    ("vocab_size", 10**10),
    ("num_hidden_layers", 0),
    ("hidden_size", -32),
    ("num_attention_heads", 0),
    ("num_attention_heads", 3),
    ("hidden_size", 32.0),
    ("vocab_size", "32"),
    ("intermediate_size", None),
    ("max_position_embeddings", math.nan),
    ("max_position_embeddings", 10**12),
    ("type_vocab_size", [[2]]),
    ("hidden_size", True),
    ("layer_norm_eps", math.nan),
    ("layer_norm_eps", -1.0),
    ("layer_norm_eps", "small"),
    ("layer_norm_eps", math.inf),
]


@pytest.mark.parametrize(("key", "value"), ABSURD)
def test_the_key_is_named_with_its_limits(tmp_path, key, value):
    folder = tiny.write_backbone(tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, key: value}))
    with pytest.raises(ModelError) as caught:
        kft.load_backbone(str(folder))
    assert key in str(caught.value) and caught.value.expected and repr(value)[:80] in caught.value.received


def test_a_model_larger_than_its_weights_is_refused(tmp_path):
    folder = tiny.write_backbone(tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_size": 32_768, "num_hidden_layers": 900}))
    with pytest.raises(ModelError, match="larger than its weights"):
        kft.load_backbone(str(folder))
    with pytest.raises(ModelError, match="from scratch"):
        kft.load_backbone(str(folder), weights="random")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[]", '{"vocab_size": ' + "9" * 5000 + "}", "\x00"])
def test_what_is_no_configuration_is_refused(tmp_path, text):
    folder = tiny.write_backbone(tmp_path / "bert")
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        kft.load_backbone(str(folder))


def test_a_tokenizer_larger_than_the_embeddings_is_refused(tmp_path):
    folder = tiny.write_backbone(tmp_path / "bert")
    with (folder / "vocab.txt").open("a") as file:
        file.write("another\nlast\n")
    with pytest.raises(ModelError, match="tokenizer is larger than the model's embeddings") as caught:
        kft.load_backbone(str(folder))
    assert "'another'" in str(caught.value) and "ids below 32" in str(caught.value)


def test_an_own_file_s_tokenizer_is_compared_too(tmp_path):
    import keras

    folder = tiny.write_backbone(tmp_path / "bert")
    kft.load_backbone(str(folder)).tokenizer.tokenizer.save(str(tmp_path / "tokenizer.json"))
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    seen = keras.layers.Embedding(20, 8)(ids) * keras.ops.cast(mask, "float32")[..., None]
    keras.Model([ids, mask], keras.layers.Dense(8)(seen)).save(tmp_path / "own.keras")
    with pytest.raises(ModelError, match="tokenizer is larger than the model's embeddings"):
        kft.load_backbone(str(tmp_path / "own.keras"))

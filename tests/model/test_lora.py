"""Adapters: exact before training, merged without a difference, never lost in silence."""

import keras
import numpy as np
import pytest

import kft
from kft.errors import ModelError
from kft.model.lora import add_lora, merge_lora
from kft.recipe.training import LoraSpec
from kft.train.checkpoint import restore, snapshot
from tests.model import hub

FAMILIES = ("bert", "albert", "gemma 3", "qwen 2", "gpt2", "vit", "efficientnet")
TARGETS = {"efficientnet": ("*",)}


def adapted(family, **changes):
    backbone = hub.build(family)
    model = hub.with_head(backbone)
    spec = LoraSpec(rank=2, targets=TARGETS.get(family, ("*query*", "*value*")), **changes)
    return model, spec, hub.inputs(backbone)


def shake(model, seed=0):
    """Gives the adapters and the head what training might have given them."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.3, variable.shape).astype(np.float32))


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "efficientnet"])
def test_merged_and_unmerged_answers_agree(family):
    model, spec, given = adapted(family)
    before = np.asarray(model(given, training=False))
    names = add_lora(model, spec)
    assert names and all(name.startswith("block_") for name in names)
    np.testing.assert_allclose(np.asarray(model(given, training=False)), before, atol=1e-6)  # B starts at zero
    table = kft.freeze(model, {"lora": {}})
    paths = [variable.path for variable in model.trainable_variables]
    assert len(set(paths)) == len(paths) == 2 + 2 * len(names)
    assert table.trainable < table.parameters / 4
    shake(model)
    tuned = np.asarray(model(given, training=False))
    assert np.abs(tuned - before).max() > 1e-3
    assert merge_lora(model) == len(names)
    np.testing.assert_allclose(np.asarray(model(given, training=False)), tuned, atol=1e-5)
    assert not any("lora" in variable.path for variable in model.weights)


def test_an_adapter_is_alpha_over_rank_times_a_b():
    model, spec, _ = adapted("bert", alpha=6)
    add_lora(model, spec)
    query = model.get_layer("transformer_layer_0")._self_attention_layer.query_dense
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(16, 2)), rng.normal(size=(2, 2, 8))
    query.lora_a.assign(a)
    query.lora_b.assign(b)
    x = rng.normal(size=(3, 5, 16)).astype(np.float32)
    kernel, bias = np.asarray(query.kernel), np.asarray(query.bias)
    expected = np.einsum("btd,dhe->bthe", x, kernel + 6 / 2 * np.einsum("dr,rhe->dhe", a, b)) + bias
    np.testing.assert_allclose(np.asarray(query(x)), expected, atol=1e-4)


def test_save_load_merge_save_with_the_head(tmp_path):
    model, spec, given = adapted("bert")
    add_lora(model, spec)
    kft.freeze(model, {"lora": {}})
    shake(model)
    tuned = np.asarray(model(given, training=False))
    kept = snapshot(model.trainable_variables)
    assert any("head_logits" in name for name in kept)
    again, spec, _ = adapted("bert")
    add_lora(again, spec)
    kft.freeze(again, {"lora": {}})
    restore(again.trainable_variables, kept)
    np.testing.assert_array_equal(np.asarray(again(given, training=False)), tuned)
    with pytest.raises(ModelError, match="without its adapter") as caught:
        again.save(tmp_path / "model.keras")
    assert "kft.merge_lora(model)" in str(caught.value)
    merge_lora(again)
    again.get_layer("head_pool")
    plain = keras.Model(again.input, again.get_layer("head_pool").input)
    expected = np.asarray(plain(given, training=False))
    plain.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.asarray(loaded(given, training=False)), expected, atol=1e-6)


def test_dropout_falls_on_the_adapters_while_they_train_and_never_else():
    model, spec, _given = adapted("bert", dropout=0.5)
    add_lora(model, spec)
    kft.freeze(model, {"lora": {}})
    shake(model)
    layer = model.get_layer("transformer_layer_0")._self_attention_layer.query_dense
    x = np.random.default_rng(0).normal(size=(2, 4, 16)).astype(np.float32)
    still = np.asarray(layer(x, training=False))
    assert not np.array_equal(np.asarray(layer(x, training=True)), still)
    kft.freeze(model, "none")
    np.testing.assert_array_equal(np.asarray(layer(x, training=True)), still)


def test_targets_are_addressed_by_block_and_name():
    model, _, _ = adapted("bert")
    names = add_lora(model, LoraSpec(targets=("block_02/*", "block_01/*query*")))
    assert {name.split("/")[0] for name in names} == {"block_01", "block_02"}
    assert sum(name.startswith("block_02/") for name in names) == 6
    kft.freeze(model, {"lora": {}})
    split = kft.split_at_boundary(model)
    assert split.names[0] == "transformer_layer_0"  # what lies below the lowest adapter is computed once


def test_targets_that_match_nothing_are_refused_with_what_there_is():
    model, _, _ = adapted("bert")
    with pytest.raises(ModelError, match=r"'\*qurey\*' matches no layer") as caught:
        add_lora(model, LoraSpec(targets=("*query*", "*qurey*")))
    assert "block_00/transformer_layer_0/self_attention_layer/query" in str(caught.value)
    assert not any("lora" in variable.path for variable in model.weights)
    with pytest.raises(ModelError, match="fits no block of this model") as caught:
        kft.freeze(model, {"lora": {}})
    assert "built with adapters" in str(caught.value)


def test_a_layer_takes_adapters_once():
    model, spec, _ = adapted("bert")
    add_lora(model, spec)
    with pytest.raises(ModelError, match="has adapters already"):
        add_lora(model, spec)


def test_other_rules_leave_the_adapters_as_they_are():
    model, spec, _ = adapted("bert")
    add_lora(model, spec)
    for rule in ("all", "top-2", {"only": ["block_00"]}):
        kft.freeze(model, rule)
        assert not any("lora" in variable.path for variable in model.trainable_variables)
        assert any("query/kernel" in variable.path for variable in model.trainable_variables)

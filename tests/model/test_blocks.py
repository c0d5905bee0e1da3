"""Blocks of every family: each variable in one of them, in order, and a boundary that is exact above and below."""

import keras
import numpy as np
import pytest

import kft
from kft.errors import ModelError
from kft.model.blocks import count_blocks, find_blocks
from kft.model.freeze import freeze
from tests.model import hub

COUNTS = {"albert": 1, "resnet": 3, "resnet v2": 3, "efficientnet": 3, "mobilenet": 4}


@pytest.fixture(scope="module", params=hub.CLASSES)
def family(request):
    backbone = hub.build(request.param)
    given = hub.inputs(backbone)
    before = backbone(given, training=False)
    before = before["sequence_output"] if isinstance(before, dict) else before
    return request.param, hub.with_head(backbone), given, np.asarray(before)


def test_every_variable_lies_in_one_block_and_the_blocks_follow_the_graph(family):
    name, model, _, _ = family
    blocks = find_blocks(model)
    count = COUNTS.get(name, 3)
    assert [block.name for block in blocks] == ["stem", *(f"block_{i:02d}" for i in range(count)), "head"]
    layers = [layer for block in blocks for layer in block.layers]
    assert len(layers) == len(set(map(id, layers))) == len(model.layers)
    owners = [id(variable) for block in blocks for variable in block.variables]
    assert sorted(owners) == sorted(id(variable) for variable in model.weights)
    assert all(block.variables for block in blocks)
    assert [layer.name for layer in blocks[-1].layers] == ["head_pool", "head_logits"]
    assert count_blocks(model) == count
    # No block takes anything from a later one.
    at = {id(layer): number for number, block in enumerate(blocks) for layer in block.layers}
    for node in (node for nodes in model._nodes_by_depth.values() for node in nodes if not node.is_input):
        for parent in node.parent_nodes:
            pair = at.get(id(parent.operation)), at.get(id(node.operation))
            assert None in pair or pair[0] <= pair[1]


def test_what_follows_the_last_block_trains_with_it_and_freezes_with_it(family):
    _, model, _, _ = family
    kft.freeze(model, "none")
    assert [variable.path.split("/")[0] for variable in model.trainable_variables] == ["head_logits"] * 2
    kft.freeze(model, "top-1")
    trains = {id(variable) for variable in model.trainable_variables}
    last = find_blocks(model)[-2]
    assert {id(variable) for layer in last.layers for variable in layer.trainable_variables} < trains


def test_the_boundary_below_the_top_block_is_exact_and_the_flat_graph_computes_the_same(family):
    name, model, given, before = family
    kft.freeze(model, "top-1")
    whole = np.asarray(model(given, training=False))
    split = kft.split_at_boundary(model)
    tensors = [given] if len(model.inputs) == 1 else [given[tensor.name] for tensor in model.inputs]
    np.testing.assert_array_equal(split.back(split.front(tensors, training=False), training=False), whole)
    if name != "albert":  # its one block is all of it
        assert len(split.front.weights) > 2
        assert not split.front.trainable_variables
    features = keras.Model(model.input, model.get_layer("head_pool").input)(given, training=False)
    np.testing.assert_array_equal(np.asarray(features), before)


def test_a_shared_block_says_that_it_is_shared():
    model = hub.with_head(hub.build("albert"))
    assert "(runs 3 times, with the same weights)" in str(freeze(model, "all"))
    blocks = find_blocks(model)
    assert blocks[1].calls == 3 and blocks[1].note == "runs 3 times, with the same weights"
    assert [block.note for block in blocks if block.name != "block_00"] == ["", ""]


def test_layers_after_the_last_block_are_the_head_where_no_layer_is_called_head():
    backbone = hub.build("gpt2")
    assert [layer.name for layer in find_blocks(backbone)[-1].layers] == ["layer_norm"]


def residual_network() -> keras.Model:
    given = keras.Input((8, 8, 3), name="images")
    x = keras.layers.Conv2D(4, 3, padding="same")(given)
    x = keras.layers.BatchNormalization()(x)
    for _ in range(2):
        y = keras.layers.BatchNormalization()(x)
        y = keras.layers.ReLU()(y)
        y = keras.layers.Conv2D(4, 3, padding="same")(y)
        y = keras.layers.Conv2D(4, 3, padding="same")(y)
        x = keras.layers.Add()([x, y])
    x = keras.layers.Conv2D(4, 3)(x)
    x = keras.layers.BatchNormalization()(x)
    return keras.Model(given, x)


def test_a_network_that_nobody_described_gets_its_blocks_from_its_graph():
    blocks = find_blocks(residual_network())
    kinds = [[type(layer).__name__ for layer in block.layers if layer.weights] for block in blocks]
    unit = ["BatchNormalization", "Conv2D", "Conv2D"]
    stem = ["Conv2D", "BatchNormalization"]
    assert kinds == [stem, unit, unit, stem, []]


def test_a_transformer_that_nobody_described_gets_its_blocks_from_its_names():
    import keras_hub

    given = keras.Input((None,), dtype="int32", name="token_ids")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    x = keras.layers.Embedding(20, 8)(given)
    for number in (3, 4):
        layer = keras_hub.layers.TransformerEncoder(16, 2, name=f"mine{number}_encoder")
        x = layer(x, padding_mask=mask)
    blocks = find_blocks(keras.Model([given, mask], keras.layers.Dense(2, name="head_out")(x)))
    assert [[layer.name for layer in block.layers if layer.weights] for block in blocks[1:-1]] == [
        ["mine3_encoder"],
        ["mine4_encoder"],
    ]


def test_a_graph_without_blocks_is_refused_and_told_how_to_name_its_layers():
    given = keras.Input((4,), name="numbers")
    model = keras.Model(given, keras.layers.Dense(2)(given))
    with pytest.raises(ModelError, match="fit no backbone family") as caught:
        find_blocks(model)
    assert "stem_" in str(caught.value) and "block_00_" in str(caught.value)


def test_a_layer_with_weights_between_named_blocks_is_refused():
    given = keras.Input((4,), name="numbers")
    x = keras.layers.Dense(3, name="block_0_dense")(given)
    x = keras.layers.Dense(3, name="bridge")(x)
    model = keras.Model(given, keras.layers.Dense(3, name="block_1_dense")(x))
    with pytest.raises(ModelError, match="belong to no block") as caught:
        find_blocks(model)
    assert "bridge" in str(caught.value)

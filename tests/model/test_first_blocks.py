"""A backbone's first blocks alone: the numbers that they had inside the whole, and refusals by name."""

import keras
import numpy as np
import pytest

import kft
from kft.errors import ModelError
from kft.model.backbones import Backbone, load_plain
from kft.model.blocks import count_blocks, find_blocks
from kft.model.files import BackboneFiles
from kft.model.first_blocks import first_blocks
from tests import tiny
from tests.model import hub

STANDS = ("bert", "resnet")
FOLLOWED = ("gpt2", "vit", "efficientnet")


def backbone_of(name: str) -> Backbone:
    from kft.model.flat import flatten

    model, features = flatten(hub.build(name), name)
    return Backbone(name, "text", model, features, None, None, None, BackboneFiles({}, ()), 16, "mean")


@pytest.mark.parametrize("name", STANDS)
def test_the_first_blocks_compute_what_they_computed_inside_the_whole(name):
    whole = backbone_of(name)
    part = first_blocks(whole, 2)
    assert count_blocks(part.model) == 2 and count_blocks(whole.model) == 3
    given = hub.inputs(whole.model)
    (last,) = (layer for layer in find_blocks(whole.model)[2].layers if layer.output is part.features)
    inside = keras.Model(whole.model.input, last.output)(given, training=False)
    np.testing.assert_array_equal(np.asarray(part.model(given, training=False)), np.asarray(inside))
    kept = {variable.path for variable in part.model.weights}
    gone = {variable.path for block in find_blocks(whole.model)[3:] for variable in block.variables}
    assert kept and not kept & gone
    assert kept | gone == {variable.path for variable in whole.model.weights}


def test_all_blocks_are_the_backbone_itself():
    whole = backbone_of("bert")
    assert first_blocks(whole, 3) is whole


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_follows_the_last_block_is_named(name):
    with pytest.raises(ModelError, match="no first 1 block that could stand alone") as stop:
        first_blocks(backbone_of(name), 1)
    assert "which follows block_02" in stop.value.received
    assert stop.value.where == "model.blocks"


def test_more_blocks_than_there_are_and_a_block_that_runs_again_are_refused():
    with pytest.raises(ModelError, match="no first 4 blocks") as stop:
        first_blocks(backbone_of("bert"), 4)
    assert (stop.value.received, stop.value.expected) == ("3 blocks", "at most 3")
    with pytest.raises(ModelError) as stop:
        first_blocks(backbone_of("albert"), 2)
    assert stop.value.received == "block_00, which runs 3 times"


def test_a_recipe_asks_for_them_and_a_model_of_them_is_smaller(tmp_path):
    folder = tiny.write_backbone(tmp_path / "backbone")
    values = {"task": "text-classification", "data": {"train": "reviews.csv"}, "model": {"backbone": str(folder)}}
    recipe = kft.load_recipe(values, ["model.blocks=1"])
    assert "blocks: 1" in recipe.as_yaml()
    found, whole = load_plain(recipe.spec), kft.load_backbone(str(folder))
    assert found.weights_hash == whole.weights_hash
    assert found.model.count_params() < whole.model.count_params()
    blocks = find_blocks(kft.build_model(found, classes=2))
    assert [block.name for block in blocks] == ["stem", "block_00", "head"]

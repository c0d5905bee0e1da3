"""A decoder in 8 bits with adapters: trained, saved, loaded and merged with the same answers (keras-hub #1705)."""

import keras
import numpy as np
import pytest

import kft
from kft.answer.load import load_artifact, read_run
from kft.errors import ModelError
from kft.features.store import make_front
from kft.model.language import next_token_logits
from kft.model.lora import merge_lora
from kft.model.quantize import float_kernel, in_int8, is_rounded
from kft.records.run_folder import open_run
from tests import decoder

pytestmark = pytest.mark.slow

IDS = np.array([[5, 80, 9, 44, 3, 3, 60, 7]], np.int32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rounded")


@pytest.fixture(scope="module")
def run(folder):
    recipe = decoder.recipe(folder, decoder.write_backbone(folder / "backbone"))
    given = ["model.quantize=int8"]
    return kft.train(recipe, run=folder / "run", overrides=given, quiet=True)


def logits(model):
    given = {"token_ids": IDS, "padding_mask": np.ones_like(IDS)}
    return np.asarray(next_token_logits(model, model(given, training=False)))


def test_matrices_are_rounded_by_one_scale_an_output_and_products_stay_near(folder):
    path = decoder.write_backbone(folder / "plain")
    plain, rounded = kft.load_backbone(str(path)), in_int8(kft.load_backbone(str(path)))
    inner = [layer for layer in rounded.model._flatten_layers() if is_rounded(layer)]
    assert len(inner) == 1 + 2 * 6  # the token embedding; query, key, value, output and two of the feed-forward a block
    held = {str(each.dtype) for layer in inner for each in layer.weights if each.name in ("kernel", "embeddings")}
    assert held == {"int8"}
    kinds = keras.layers.Dense | keras.layers.EinsumDense
    both = [[each for each in found.model._flatten_layers() if isinstance(each, kinds)] for found in (plain, rounded)]
    for one, other in zip(*both, strict=True):
        step = np.abs(np.asarray(one.kernel)).max() / 127
        np.testing.assert_allclose(np.asarray(float_kernel(other)), np.asarray(one.kernel), atol=step)
    near, far = logits(plain.model), logits(rounded.model)
    assert 1e-4 < np.abs(near - far).max() < 0.1 * np.abs(near).max()


def test_it_learns_and_what_is_loaded_or_merged_answers_alike(run, folder):
    history = [run.phases[0].metrics["valid_token_log_loss"], run.evaluation.metrics["token_log_loss"].value]
    assert all(np.isfinite(history)) and run.phases[0].best_epoch == 2  # it got better from epoch to epoch
    artifact, again = (load_artifact(read_run(open_run(run.run))) for _ in range(2))
    model = artifact.backbone.model
    assert {str(each.dtype) for each in model.weights if "lora" in each.name} == {"float32"}
    adapted = logits(model)
    np.testing.assert_array_equal(logits(again.backbone.model), adapted)
    assert np.abs(adapted - logits(in_int8(kft.load_backbone(str(folder / "backbone"))).model)).max() > 1e-3
    assert merge_lora(again.graph) == 4
    np.testing.assert_allclose(logits(again.backbone.model), adapted, atol=1e-5)
    again.backbone.model.save(folder / "merged.keras")
    loaded = keras.models.load_model(folder / "merged.keras")
    np.testing.assert_allclose(logits(loaded), adapted, atol=1e-5)
    said = kft.generate(run.run, ["red old", "new"], max_tokens=8)
    assert [each.text for each in said] == [
        each.text for each in kft.generate(run.run, ["red old", "new"], max_tokens=8)
    ]


def test_what_is_stored_of_it_is_stored_apart(folder):
    def fingerprint(backbone):
        model = kft.build_model(backbone, classes=2)
        kft.freeze(model, "none")
        return make_front(kft.split_at_boundary(model)).fingerprint

    path = str(decoder.write_backbone(folder / "plain"))
    assert fingerprint(kft.load_backbone(path)) != fingerprint(in_int8(kft.load_backbone(path)))


@pytest.mark.parametrize("rule", ["all", "top-1", {"only": ["block_01/*kernel"]}])
def test_rules_that_would_train_rounded_weights_are_refused_by_name(folder, rule):
    backbone = in_int8(kft.load_backbone(str(decoder.write_backbone(folder / "plain"))))
    model = kft.build_model(backbone, head="language", classes=0)
    with pytest.raises(ModelError, match="weights in 8 bits do not train") as caught:
        kft.freeze(model, rule)
    assert "/kernel" in str(caught.value) or "embeddings" in str(caught.value)
    assert "unfreeze: {lora: {rank: 8}}" in str(caught.value) and "model.quantize=none" in str(caught.value)

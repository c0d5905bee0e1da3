"""bfloat16: the backbone computes in it; weights, head, loss and what is kept stay float32."""

import json

import keras
import ml_dtypes
import numpy as np
import pytest

import kft
from kft.errors import ModelError
from kft.features.boundary import split_at_boundary
from kft.features.cache import features_root
from kft.features.store import compute_features, make_front, store_features
from kft.feed.batches import Ragged
from kft.feed.source import text_source
from kft.model import backbones
from kft.train.checkpoint import load_checkpoint
from tests import tiny
from tests.ended import events_of

pytestmark = pytest.mark.slow

PHASES = [{**tiny.TOP, "epochs": 3}]


def losses(run):
    events = events_of(run)
    return np.array([[event.get("loss", 0), event["valid_loss"]] for event in events if event["event"] == "epoch"])


@pytest.fixture(scope="module")
def trained(tiny_folder, tmp_path_factory):
    """The same recipe in both precisions."""
    folder = tmp_path_factory.mktemp("precision")
    path = tiny.recipe(folder, tiny_folder, phases=PHASES)
    return {precision: run_in(precision, path, folder / precision) for precision in ("float32", "bfloat16")}


def run_in(precision, path, folder, *settings):
    overrides = [f"train.precision={precision}", "model.dropout=0", *settings]
    return kft.train(path, run=folder, overrides=overrides, quiet=True).run


def test_the_loss_follows_that_of_float32(trained):
    np.testing.assert_allclose(losses(trained["bfloat16"]), losses(trained["float32"]), rtol=0.02)


@pytest.mark.slow
def test_stored_features_train_as_those_that_are_recomputed(trained, tmp_path):
    path = trained["bfloat16"].parent / "recipe.yaml"
    unstored = run_in("bfloat16", path, tmp_path / "unstored", "features.store=off")
    np.testing.assert_allclose(losses(trained["bfloat16"]), losses(unstored), rtol=0.01)


def test_checkpoints_hold_float32_and_answers_come_from_them(trained):
    arrays = load_checkpoint(trained["bfloat16"] / "checkpoints", "best").weights
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    measured = json.loads((trained["bfloat16"] / "metrics.json").read_text())["metrics"]["log_loss"]["value"]
    assert kft.evaluate(trained["bfloat16"], quiet=True).metrics["log_loss"].value == measured


def test_what_is_stored_is_bfloat16_under_a_key_of_its_own(tiny_folder, tmp_path):
    recipe = kft.load_recipe(tiny.recipe(tmp_path, tiny_folder), ["train.precision=bfloat16"])
    rng = np.random.default_rng(0)
    tokens = Ragged.from_rows([rng.integers(5, 20, rng.integers(2, 12)) for _ in range(40)])
    source, fronts = text_source(tokens), []
    for backbone in (backbones.load_plain(recipe.spec), kft.load_backbone(str(tiny_folder))):
        model = kft.build_model(backbone, classes=2)
        kft.freeze(model, "top-1")
        fronts.append(make_front(split_at_boundary(model)))
        assert {variable.dtype for variable in model.weights} == {"float32"}
    assert fronts[0].fingerprint != fronts[1].fingerprint
    (name,) = fronts[0].tensors
    given = source.select(fronts[0].inputs)
    computed = compute_features(fronts[0], given).columns[name]
    store_features(fronts[0], given, features_root())
    stored = store_features(fronts[0], given, features_root()).columns[name]  # read from the disk
    assert stored.row(0).dtype == computed.row(0).dtype == ml_dtypes.bfloat16
    for index in range(len(given)):
        np.testing.assert_array_equal(stored.row(index), computed.row(index))


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(trained, tiny_folder, tmp_path):
    path = tiny.recipe(tmp_path, tiny_folder, phases=PHASES)

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    overrides = ["train.precision=bfloat16", "model.dropout=0"]
    with pytest.raises(KeyboardInterrupt):
        kft.train(path, run=tmp_path / "run", overrides=overrides, callbacks=[Stop()], quiet=True)
    kft.train(path, run=tmp_path / "run", overrides=overrides, resume=True, quiet=True)
    whole, resumed = (
        load_checkpoint(run / "checkpoints", "best").weights for run in (trained["bfloat16"], tmp_path / "run")
    )
    for key in whole:
        np.testing.assert_array_equal(whole[key], resumed[key])


def test_a_file_that_brings_its_own_types_is_refused(tmp_path):
    inputs = keras.Input((8, 8, 3), name="images")
    x = keras.layers.Conv2D(4, 3, name="block_00_conv")(keras.layers.Conv2D(4, 3, name="stem_conv")(inputs))
    keras.Model(inputs, keras.layers.Conv2D(4, 3, name="block_01_conv")(x)).save(tmp_path / "own.keras")
    data = {"train": "images"}
    spec = {"task": "image-classification", "data": data, "model": {"backbone": str(tmp_path / "own.keras")}}
    recipe = kft.load_recipe({**spec, "train": {"precision": "bfloat16"}}, base=tmp_path)
    with pytest.raises(ModelError, match="does not compute in bfloat16") as caught:
        backbones.load_plain(recipe.spec)
    assert "stem_conv" in str(caught.value)

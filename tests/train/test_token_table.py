"""Token embeddings that train: rows that occur in train alone, to the same end as if all of the table did."""

import shutil

import keras
import numpy as np
import pytest

import kft
from kft.train import token_table
from kft.train.checkpoint import load_checkpoint
from tests import tiny

pytestmark = pytest.mark.slow

UNUSED = 60
TRAIN = {
    "phases": [{"name": "all", "unfreeze": "all", "epochs": 3, "lr": 1e-3, "layer_decay": 0.8}],
    "weight_decay": 0.3,
    "clip_norm": 0.5,
    "early_stopping": None,
    "checkpoints": {"every": "1 step"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_backbone(tmp_path_factory.mktemp("backbone") / "tiny", unused=UNUSED)


def write_recipe(place, folder, **train):
    place.mkdir()
    return tiny.recipe(place, folder, rows=80, **TRAIN | train)


class StopsAt(keras.callbacks.Callback):
    """Stands for whatever ends a process without a word, in the middle of an epoch."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise OSError("the power went")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, folder):
    place = tmp_path_factory.mktemp("table") / "whole"
    kft.train(write_recipe(place, folder), run=place / "run", quiet=True)
    return place / "run"


def stop(recipe, run, batches):
    with pytest.raises(OSError, match="the power went"):
        kft.train(recipe, run=run, callbacks=[StopsAt(batches)], quiet=True)


def last(run):
    return load_checkpoint(run / "checkpoints", "last")


def table_of(weights):
    return next(array for path, array in weights.items() if path.endswith("token_embedding/embeddings"))


def test_the_weights_are_those_of_a_table_that_trains_as_a_whole(whole, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(token_table, "WORTH", 0.0)
    kft.train(write_recipe(tmp_path / "other", folder), run=tmp_path / "run", quiet=True)
    ours, theirs = last(whole).weights, last(tmp_path / "run").weights
    assert ours.keys() == theirs.keys()
    for path, array in theirs.items():
        # The gradient of a key's bias is zero but for rounding, which Adam makes much of.
        if not path.endswith("key/bias"):
            np.testing.assert_allclose(ours[path], array, atol=5e-6, rtol=0, err_msg=path)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, folder):
    """A run that ended within its second epoch."""
    place = tmp_path_factory.mktemp("table") / "stopped"
    stop(write_recipe(place, folder), place / "run", batches=5)
    return place / "recipe.yaml", place / "run"


def test_moments_are_kept_of_the_rows_that_occur_alone(stopped, folder):
    words = len((folder / "vocab.txt").read_text().split("\n")) - 1
    state = last(stopped[1]).more["training"]
    rows = state["optimizer/token_rows"]
    assert rows.shape[0] <= words - UNUSED + 1
    assert sum(array.shape == rows.shape for array in state.values()) == 3  # with two moments
    assert not any(array.shape == (words, tiny.WIDTH) for array in state.values())


def test_words_that_no_text_has_decay_and_nothing_else(whole, folder):
    before = kft.load_backbone(str(folder)).model.get_layer("token_embedding").embeddings.numpy()[-UNUSED:]
    after = table_of(last(whole).weights)[-UNUSED:]
    ratio = after / before
    assert 0.9 < ratio.mean() < 0.9999
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-5)


def test_a_kill_within_an_epoch_changes_no_bit(stopped, whole, tmp_path):
    recipe, run = stopped
    shutil.copytree(run, tmp_path / "run")
    kft.train(recipe, run=tmp_path / "run", resume=True, quiet=True)
    ours, theirs = last(tmp_path / "run").weights, last(whole).weights
    for path, array in theirs.items():
        np.testing.assert_array_equal(ours[path], array, err_msg=path)


def test_another_optimizer_moves_the_whole_table(folder, tmp_path):
    stop(write_recipe(tmp_path / "other", folder, optimizer="sgd"), tmp_path / "run", batches=2)
    assert "optimizer/token_rows" not in last(tmp_path / "run").more["training"]

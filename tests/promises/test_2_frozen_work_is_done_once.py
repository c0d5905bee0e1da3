"""Promise 2: what lies below the deepest trainable layer is computed once, and the result is the same."""

import numpy as np
import pytest

import kft
from kft.features import store
from kft.train import loop
from kft.train.checkpoint import load_checkpoint
from tests import tiny


@pytest.mark.parametrize(
    "phase",
    [
        {"name": "head", "unfreeze": "none", "epochs": 3, "lr": 1e-2},
        {"name": "top", "unfreeze": "top-1", "epochs": 3, "lr": 1e-3},
        {"name": "top-two", "unfreeze": "top-2", "epochs": 3, "lr": 1e-3, "layer_decay": 0.5},
    ],
)
def test_stored_and_recomputed_training_give_the_same_weights(phase, tiny_folder, tmp_path, monkeypatch):
    weights = []
    for name, limit in (("stored", store.MEMORY_LIMIT_BYTES), ("recomputed", 0)):
        monkeypatch.setattr(loop, "MEMORY_LIMIT_BYTES", limit)
        folder = tmp_path / name
        folder.mkdir()
        path = tiny.recipe(folder, tiny_folder, rows=90, phases=[phase])
        result = kft.train(path, run=folder / "run", overrides=["model.dropout=0"], quiet=True)
        weights.append(load_checkpoint(result.run / "checkpoints", "last").arrays)
    assert weights[0].keys() == weights[1].keys()
    for name in weights[0]:
        np.testing.assert_allclose(weights[0][name], weights[1][name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize("rule", ["none", "top-1", "top-2", "top-3", "all"])
def test_front_then_back_is_the_model(rule, tiny_folder):
    backbone = kft.load_backbone(str(tiny_folder))
    model = kft.build_model(backbone, classes=3)
    kft.freeze(model, rule)
    split = kft.split_at_boundary(model)
    rng = np.random.default_rng(0)
    inputs = {
        "token_ids": rng.integers(5, 30, (4, 9)).astype("int32"),
        "segment_ids": np.zeros((4, 9), "int32"),
        "padding_mask": (np.arange(9) < rng.integers(3, 10, (4, 1))).astype("int32"),
    }
    whole = model(inputs, training=False).numpy()
    front = split.front([inputs[tensor.name] for tensor in model.inputs], training=False)
    np.testing.assert_array_equal(split.back(front, training=False).numpy(), whole)
    trainable = {variable.path for variable in model.trainable_variables}
    assert {variable.path for variable in split.back.trainable_variables} == trainable
    assert not split.front.trainable_variables

"""Promise 2: what lies below the deepest trainable layer is computed once, and the result is the same."""

import numpy as np
import pytest

import kft
from kft.feed.source import image_source
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import PhaseSpec
from kft.tasks.registry import TASKS
from kft.tasks.task import AnswerSpace
from kft.train.callbacks import CallbackDriver
from kft.train.checkpoint import load_checkpoint, snapshot
from kft.train.job import Job, Labelled, LoopState, TrainData
from kft.train.loop import train_phases
from kft.train.progress import Progress
from tests import tiny
from tests.image_network import image_model


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param({"name": "head", "unfreeze": "none", "epochs": 3, "lr": 1e-2}, marks=pytest.mark.slow),
        pytest.param({"name": "top", "unfreeze": "top-1", "epochs": 3, "lr": 1e-3}, marks=pytest.mark.slow),
        {"name": "top-two", "unfreeze": "top-2", "epochs": 3, "lr": 1e-3, "layer_decay": 0.5},
        pytest.param(
            {
                "name": "lora",
                "unfreeze": {"lora": {"rank": 2, "targets": ["block_02/*query*", "block_02/*output_dense"]}},
                "epochs": 3,
                "lr": 1e-2,
            },
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda phase: phase["name"],
)
def test_stored_and_recomputed_training_give_the_same_weights(phase, tiny_folder, tmp_path, monkeypatch):
    weights = []
    for name, store in (("stored", "auto"), ("recomputed", "off")):
        cache, folder = tmp_path / f"cache-{name}", tmp_path / name
        monkeypatch.setenv("KFT_CACHE", str(cache))
        folder.mkdir()
        path = tiny.recipe(folder, tiny_folder, rows=90, phases=[phase])
        overrides = ["model.dropout=0", f"features.store={store}"]
        result = kft.train(path, run=folder / "run", overrides=overrides, quiet=True)
        assert bool(list(cache.rglob("*.safetensors"))) == (name == "stored")
        weights.append(load_checkpoint(result.run / "checkpoints", "last").weights)
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


@pytest.mark.parametrize("phases", [("none", "lbfgs"), ("none", "adamw"), ("top-2", "adamw")])
def test_images_too(phases, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 90).astype("int32")
    images = (rng.normal(size=(90, 8, 8, 3)) + targets[:, None, None, None]).astype("float32")
    rule, solver = phases
    fit = {"epochs": 3, "lr": 1e-3} if solver == "adamw" else {}
    kind, space = TASKS.get("image-classification").kind, AnswerSpace(("dark", "bright"))

    def part(rows):
        return Labelled(image_source(images[rows]), targets[rows], targets[rows])

    weights = []
    for store in ("auto", "off"):
        monkeypatch.setenv("KFT_CACHE", str(tmp_path / store))
        model = image_model()
        job = Job(
            model=model,
            name="images",
            data=TrainData(part(slice(60)), part(slice(60, None)), kind, space, np.ones(60, np.float32)),
            phases=(PhaseSpec(name="only", unfreeze=rule, solver=solver, **fit),),
            spec=RecipeSpec.model_validate(
                {
                    "task": "image-classification",
                    "data": {"train": "images"},
                    "train": {"batch_size": 16, "best": "valid_accuracy"},
                    "features": {"store": store},
                }
            ),
            callbacks=CallbackDriver(model, []),
            watch=Progress(quiet=True),
        )
        state = LoopState()
        assert list(train_phases(job, state))
        assert bool(list((tmp_path / store).rglob("*.safetensors"))) == (store == "auto")
        weights.append(snapshot(state.moving))
    for name in weights[0]:
        np.testing.assert_allclose(weights[0][name], weights[1][name], atol=1e-5, err_msg=name)

"""How updates run: several in one call, or compiled, they are the updates that they are one by one."""

import json
import re

import keras
import numpy as np
import pytest

import kft
from kft.recipe.training import PhaseSpec, TrainSpec
from kft.tasks.classes import CLASSES
from kft.train.checkpoint import load_checkpoint
from kft.train.execution import BLOCK_BYTES, UPDATES, is_compiled, refusal, require_compilable, updates_a_call
from kft.train.feeding import Execution
from kft.train.step import make_train_step
from tests import forked, tiny
from tests.ended import timeless
from tests.train.steps import OBJECTIVE, batch, one_call, optimizer_for

ALL = {"name": "all", "unfreeze": "all", "epochs": 2, "lr": 1e-3, "layer_decay": 0.8}
TRAIN = {"phases": [ALL], "gradient_accumulation": 2, "clip_norm": 0.5, "weight_decay": 0.3, "early_stopping": None}


class StopsAt(keras.callbacks.Callback):
    """Stands for whatever ends a process without a word, after so many updates of the run."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if batch >= self.step:
            raise OSError("the power went")


def weights_of(run, name="last"):
    return load_checkpoint(run / "checkpoints", name).weights


def require_close(first, second, atol):
    assert first.keys() == second.keys()
    for path, array in first.items():
        # The gradient of a key's bias is zero but for rounding, which Adam makes much of.
        if not path.endswith("key/bias"):
            np.testing.assert_allclose(second[path], array, atol=atol, rtol=0, err_msg=path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run whose updates are made one by one: texts of many lengths, dropout, a batch in parts, a table of tokens."""
    place = tmp_path_factory.mktemp("whole")
    backbone = tiny.write_backbone(place / "tiny", unused=40)
    recipe = tiny.recipe(place, backbone, rows=150, **TRAIN)
    kft.train(recipe, run=place / "run", quiet=True)
    return recipe, place / "run"


@pytest.mark.slow
def test_several_updates_a_call_change_no_bit_also_where_the_run_was_killed(whole, tmp_path, capsys):
    """A checkpoint is made where it is due, within what would have been a group; the rest goes on in other groups."""
    recipe, run = whole
    every = "train.checkpoints.every=5 steps"
    with pytest.raises(OSError, match="the power went"):
        kft.train(
            recipe,
            run=tmp_path / "run",
            callbacks=[StopsAt(5)],
            overrides=[every, "train.steps_per_call=4"],
            quiet=True,
        )
    assert load_checkpoint(tmp_path / "run" / "checkpoints", "last").state["steps_done"] == 5
    kft.train(recipe, run=tmp_path / "run", resume=True, overrides=[every, "train.steps_per_call=3"])
    assert "steps      3 in one call of the device" in capsys.readouterr().err
    for name in ("last", "best"):
        ours, theirs = weights_of(tmp_path / "run", name), weights_of(run, name)
        for path, array in theirs.items():
            np.testing.assert_array_equal(ours[path], array, err_msg=path)
    assert timeless(tmp_path / "run") == timeless(run)


def trained(execution, **spec):
    """Returns a small network after two updates, its statistics moved, and what the updates summed up."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,), name="x")
    norm = keras.layers.BatchNormalization(momentum=0.5, name="norm")
    hidden = keras.layers.Dense(4, activation="tanh", name="low")(norm(inputs))
    model = keras.Model([inputs], keras.layers.Dense(2, name="top")(hidden))
    optimizer = optimizer_for(model, lr=0.1, decay=0.1)
    step = make_train_step(model, model, optimizer, TrainSpec(batch_size=8, **spec), OBJECTIVE, execution)
    calls = [batch(8, 8), batch(5, 8, seed=1)]
    sums = [one_call(step, *calls)] if execution.updates == 2 else [one_call(step, call) for call in calls]
    return [variable.numpy() for variable in model.weights], np.sum(sums, axis=0)


def test_compiled_updates_are_the_same_updates():
    """With a batch in parts, statistics that move, padding, and clipping."""
    plain, sums = trained(Execution(), gradient_accumulation=2, clip_norm=0.05)
    found, found_sums = trained(Execution(2, compiled=True), gradient_accumulation=2, clip_norm=0.05)
    np.testing.assert_allclose(found_sums, sums, atol=1e-5)
    for first, second in zip(plain, found, strict=True):
        np.testing.assert_allclose(second, first, atol=1e-5)


def test_compiled_on_two_replicas_they_are_those_of_one_device():
    found = []
    for arguments in (("one", "soft"), ("cpu:2", "soft", "compiled")):
        done = forked.run("tests.step_on", *arguments)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-6)
    for mine, other in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(other, mine, atol=1e-6)


def compare_compiled(place, *settings):
    """Trains top-1 of the tiny backbone on texts of like length, compiled and not; returns both results."""
    backbone = tiny.write_backbone(place / "tiny", unused=40)
    recipe = tiny.recipe(place, backbone, rows=60, phases=[{**ALL, "unfreeze": "top-1"}], early_stopping=None)
    table = place / "reviews.csv"
    table.write_text(re.sub(r"(?m)^((?:\S+ ?){4})[^,\n]*", r"\1", table.read_text()))
    return [
        kft.train(
            recipe, run=place / asked, overrides=["model.dropout=0", f"train.compile={asked}", *settings], quiet=True
        )
        for asked in ("off", "on")
    ]


def require_alike(plain, compiled, atol):
    require_close(weights_of(plain.run), weights_of(compiled.run), atol)
    for one, two in zip(timeless(plain.run), timeless(compiled.run), strict=True):
        for key in {"loss", "accuracy", "valid_loss", "valid_accuracy"} & set(one):
            assert two[key] == pytest.approx(one[key], abs=atol), f"{key} of {one}"
    for name, metric in kft.evaluate(plain.run, quiet=True).metrics.items():
        assert kft.evaluate(compiled.run, quiet=True).metrics[name].value == pytest.approx(metric.value, abs=atol), name


@pytest.mark.slow
def test_a_compiled_run_is_the_same_run(tmp_path):
    require_alike(*compare_compiled(tmp_path, "train.steps_per_call=2"), atol=1e-5)


@pytest.mark.slow
def test_a_compiled_run_of_all_blocks_in_bfloat16_follows_the_other(tmp_path):
    rule = "train.phases[0].unfreeze=all"
    require_alike(*compare_compiled(tmp_path, rule, "train.precision=bfloat16"), atol=0.02)


def test_auto_neither_compiles_nor_groups_on_a_cpu():
    model, phase = keras.Sequential(), PhaseSpec(name="top", unfreeze="top-1", epochs=1)
    found = [
        is_compiled(TrainSpec(compile=asked), model, phase, 10**6, 1, kind=CLASSES) for asked in ("auto", "on", "off")
    ]
    assert found == [False, True, False]
    for asked in ("auto", "on", "off"):
        require_compilable(TrainSpec(compile=asked), model, phase, CLASSES)
    assert updates_a_call(TrainSpec(), [], 1, several=False) == 1


def test_auto_groups_on_an_accelerator_as_far_as_memory_goes():
    small, large = keras.Input((None, 2)), keras.Input((300, 300, 3))
    assert updates_a_call(TrainSpec(batch_size=16), [small], 8, several=True) == UPDATES
    assert 4 * 16 * 300 * 300 * 3 * 3 < BLOCK_BYTES < 4 * 16 * 300 * 300 * 3 * 4
    assert updates_a_call(TrainSpec(batch_size=16), [large], 1, several=True) == 3
    assert updates_a_call(TrainSpec(batch_size=256), [large], 1, several=True) == 1
    assert updates_a_call(TrainSpec(steps_per_call=5), [large], 1, several=False) == 5


def test_a_tpu_is_not_told_to_do_without_its_compiler():
    assert [refusal(asked, tpu=True, crossing="") for asked in ("auto", "on")] == ["", ""]
    assert "a TPU, which runs what XLA has compiled" in refusal("off", tpu=True, crossing="")


@pytest.mark.slow
def test_how_many_updates_go_together_does_not_make_another_run(whole):
    """Nor does a run that was begun when every run said 1; compiled or not does."""
    recipe = whole[0]
    plain, grouped, compiled = (
        kft.load_recipe(recipe, settings) for settings in ([], ["train.steps_per_call=4"], ["train.compile=on"])
    )
    assert plain.differences(grouped) == []
    assert plain.comparable()["train.steps_per_call"] == 1 and "train.compile" not in plain.comparable()
    assert compiled.differences(plain) == ["train.compile: auto then, on now"]

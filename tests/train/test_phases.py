"""Phases, patience, callbacks and the history of a run, on the tiny backbone."""

import keras
import numpy as np
import pytest

import kft
from kft.errors import RecipeError, TrainingError
from kft.recipe.training import CallbackSpec, EarlyStoppingSpec, TrainSpec
from kft.train.callbacks import make_callbacks
from kft.train.checkpoint import load_checkpoint
from kft.train.job import Patience
from kft.train.phases import unheeded
from tests import tiny
from tests.ended import events_of


@pytest.fixture(scope="module")
def run(tiny_folder, tmp_path_factory):
    """Three phases with a Keras callback that listens."""
    folder = tmp_path_factory.mktemp("run")
    phases = [tiny.PROBE, tiny.TOP, {"name": "deep", "unfreeze": "top-3", "epochs": 2, "lr": 1e-3, "start": "probe"}]
    path = tiny.recipe(folder, tiny_folder, rows=100, phases=phases)
    seen = []

    class Listener(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, dict(logs), float(self.model.optimizer.learning_rate)))

    result = kft.train(path, run=folder / "run", callbacks=[Listener()], quiet=True)
    return result, seen


def test_the_probe_is_epoch_0_and_later_phases_start_where_they_say(run):
    result, _ = run
    epochs = {(e["phase"], e["epoch"]): e for e in events_of(result.run) if e["event"] == "epoch"}
    assert epochs["top", 0]["valid_loss"] == pytest.approx(epochs["probe", 0]["valid_loss"], abs=1e-6)
    assert epochs["deep", 0]["valid_loss"] == pytest.approx(epochs["probe", 0]["valid_loss"], abs=1e-6)
    assert [key for key in epochs if key[0] == "deep"] == [("deep", 0), ("deep", 1), ("deep", 2)]


def test_the_run_keeps_the_best_epoch_over_all_phases(run):
    result, _ = run
    epochs = [e for e in events_of(result.run) if e["event"] == "epoch"]
    best = min(epochs, key=lambda event: event["valid_loss"])
    state = load_checkpoint(result.run / "checkpoints", "best").state
    assert (state["phase"], state["epoch"]) == (best["phase"], best["epoch"])
    assert result.best_phase == best["phase"]


def test_callbacks_see_keras_names_and_a_settable_rate(run):
    _, seen = run
    assert [epoch for epoch, _, _ in seen] == [0, 1, 2, 3]
    assert set(seen[0][1]) == {"loss", "accuracy", "val_loss", "val_accuracy", "val_macro_f1"}
    assert seen[0][2] == pytest.approx(1e-3)


def test_a_checkpoint_within_a_phase_holds_the_optimizer_and_the_one_after_it_the_result(run):
    result, _ = run
    last, before = (load_checkpoint(result.run / "checkpoints", name) for name in ("last", "last-1"))
    assert any(name.startswith("optimizer/") and "velocity" in name for name in before.more["training"])
    assert before.state["fit"]["epoch"] == 2 and before.state["fit"]["stopped"] == "all epochs"
    assert last.state["results"][-1]["name"] == "deep" and last.state["results"][-1]["epochs"] == 2


@pytest.mark.slow  # promise 4 shows it in every run of the tests: one that was killed ends as one that was not
def test_the_same_seed_gives_the_same_weights_bitwise(tiny_folder, tmp_path):
    found = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        path = tiny.recipe(folder, tiny_folder, rows=60, phases=[tiny.PROBE, tiny.TOP])
        result = kft.train(path, run=folder / "run", quiet=True)
        found.append(load_checkpoint(result.run / "checkpoints", "last").weights)
    for name in found[0]:
        np.testing.assert_array_equal(found[0][name], found[1][name], err_msg=name)


def test_reduce_lr_on_plateau_and_early_stopping_by_recipe(tiny_folder, tmp_path):
    """A rate of nearly nothing never improves: the callback cuts it, early stopping ends the phase."""
    path = tiny.recipe(
        tmp_path,
        tiny_folder,
        rows=60,
        phases=[{"name": "head", "unfreeze": "none", "epochs": 9, "lr": 1e-12}],
        early_stopping={"monitor": "valid_accuracy", "patience": 2},
        callbacks=[
            {
                "name": "reduce-lr-on-plateau",
                "args": {"monitor": "val_accuracy", "mode": "max", "patience": 1, "min_delta": 1},
            },
            {"name": "csv-logger"},
        ],
    )
    result = kft.train(path, run=tmp_path / "run", quiet=True)
    (phase,) = result.phases
    assert phase.stopped == "early stopping" and phase.epochs == 3
    assert len((result.run / "epochs.csv").read_text().splitlines()) == 4
    rates = [e["lr"] for e in events_of(result.run) if e["event"] == "epoch" and "lr" in e]
    assert rates[2] < 0.2e-12


def test_patience_counts_from_the_phases_own_best():
    patience = Patience(EarlyStoppingSpec(monitor="valid_loss", patience=2), sign=-1)
    stops = [patience.should_stop({"valid_loss": loss}) for loss in (0.9, 0.5, 0.6, 0.55)]
    assert stops == [False, False, False, True]
    assert not Patience(None, sign=-1).should_stop({"valid_loss": 1.0})


def test_a_callback_that_is_unknown_or_gets_wrong_arguments():
    with pytest.raises(RecipeError, match="did you mean 'reduce-lr-on-plateau'"):
        make_callbacks([CallbackSpec(name="reduce-lr-on-plato")], None)
    with pytest.raises(RecipeError, match=r"train\.callbacks\[0\]\.args"):
        make_callbacks([CallbackSpec(name="terminate-on-nan", args={"patience": 3})], None)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_best(tiny_folder, tmp_path, capsys):
    """And a warm-up that is longer than the phase is told."""
    path = tiny.recipe(
        tmp_path,
        tiny_folder,
        rows=60,
        clip_norm=None,
        phases=[tiny.PROBE, {"name": "wild", "unfreeze": "all", "epochs": 3, "lr": 1.0, "layer_decay": 1.0}],
        warmup="9 epochs",
        weight_decay=0.9,
    )

    class Poison(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            layer = self.model.get_layer("head_logits")
            layer.bias.assign(layer.bias * float("nan"))

    with pytest.raises(TrainingError, match="the loss is not finite any more") as caught:
        kft.train(path, run=tmp_path / "run", callbacks=[Poison()])
    assert "steps      the warm-up (9 epochs) takes all 9 updates: the rate rises to" in capsys.readouterr().err
    assert "lower train.phases lr" in str(caught.value)
    assert load_checkpoint(tmp_path / "run" / "checkpoints", "best").state["phase"] == "probe"


def test_keys_that_no_phase_heeds_are_named():
    probe = {"name": "probe", "unfreeze": "none", "solver": "lbfgs"}
    steps = {"name": "top", "unfreeze": "top-1", "epochs": 1, "norm": "adapt"}
    for changed, phases, said in (
        (
            {"warmup": "5 steps", "optimizer": "sgd"},
            [probe],
            "train.optimizer, train.warmup: no phase makes gradient steps",
        ),
        ({"warmup": "5 steps"}, [probe, steps], ""),
        (
            {},
            [{**probe, "norm": "adapt", "layer_decay": 0.8}, steps],
            "layer_decay and norm of probe: it moves no block",
        ),
        ({}, [{**steps, "unfreeze": "none"}], "norm of top: it moves no block"),
    ):
        spec = TrainSpec.model_validate({**changed, "phases": phases})
        assert unheeded(spec, spec.phases) == said
        whole = TrainSpec.model_validate(spec.model_dump())  # as a run folder has it, with each default
        assert unheeded(whole, whole.phases) == said

"""Overfitting: noise that is learned by heart is told in words; a calm run is not accused."""

from dataclasses import replace

import numpy as np

from kft.evaluate.overfitting import judge_overfitting
from kft.records.document import as_document
from kft.records.history import EpochDone, PhaseStarted


def run_of(*epochs, phase="top", kept=None):
    """Epochs as (training accuracy, validation accuracy, training loss, validation loss)."""
    kept = len(epochs) if kept is None else kept

    def epoch(n, right, valid_loss, **training):
        return EpochDone(phase, n, 9 * n, {"valid_accuracy": right, "valid_loss": valid_loss}, n in (0, kept), training)

    return [
        PhaseStarted(phase, "top", "adamw", None, 3, 9, {"head": 3}),
        epoch(0, 0.5, 0.7),
        *(epoch(n, row[1], row[3], accuracy=row[0], loss=row[2]) for n, row in enumerate(epochs, start=1)),
    ]


def test_a_calm_run_is_not_accused():
    result = judge_overfitting(run_of((0.8, 0.79, 0.5, 0.52), (0.88, 0.85, 0.35, 0.4)), 400)
    assert result.warnings == ()
    assert result.kept.epoch == 2 and round(result.kept.gap, 2) == 0.03
    assert [round(row["gap"], 2) for row in as_document(result)["epochs"]] == [0.01, 0.03]


def test_a_large_gap_of_the_kept_epoch_is_told():
    result = judge_overfitting(run_of((0.8, 0.7, 0.5, 0.6), (1.0, 0.72, 0.1, 0.62)), 400)
    assert result.warnings == ("top, epoch 2, which was kept: accuracy 1.00 in training, .72 in validation",)


def test_a_large_gap_on_few_rows_may_be_chance():
    epochs = run_of((0.8, 0.7, 0.5, 0.6), (0.92, 0.78, 0.3, 0.58))
    assert judge_overfitting(epochs, 20).warnings == ()
    assert len(judge_overfitting(epochs, 2000).warnings) == 1


def test_a_validation_loss_that_turns_while_training_goes_on_is_told():
    result = judge_overfitting(run_of((0.7, 0.7, 0.6, 0.6), (0.8, 0.72, 0.4, 0.9), kept=1), 400)
    (warning,) = result.warnings
    assert "rose from 0.60 (epoch 1) to 0.90 (epoch 2) while the training loss fell" in warning


def test_a_loss_that_rises_on_both_sides_is_no_overfitting():
    assert judge_overfitting(run_of((0.7, 0.7, 0.6, 0.6), (0.5, 0.5, 1.6, 1.5), kept=1), 400).warnings == ()


def test_a_probe_alone_has_no_gap():
    result = judge_overfitting(run_of(), 400)
    assert (result.epochs, result.kept, result.warnings) == ((), None, ())


def test_each_phase_is_looked_at_and_the_last_best_is_what_was_kept():
    rng = np.random.default_rng(0)
    first = run_of((0.9, 0.6, 0.3, 0.7), phase="top")
    second = run_of((0.95, 0.61, 0.2, 1.9), (0.99, 0.6, float(rng.uniform(0, 0.1)), 2.9), phase="deep", kept=1)
    warnings = judge_overfitting(first + second, 400).warnings
    assert [text.split(",")[0].split(":")[0] for text in warnings] == ["deep", "deep"]
    assert "deep, epoch 1" in warnings[0]


def test_a_phase_that_led_to_nothing_kept_is_no_fault_of_the_model():
    deep = run_of((0.95, 0.61, 0.2, 0.9), (0.99, 0.6, 0.1, 1.9), phase="deep", kept=0)
    result = judge_overfitting(deep + run_of((0.8, 0.79, 0.5, 0.52)), 400)
    assert result.warnings == () and result.told == result.beside
    assert result.beside[0].startswith("deep, not kept: the validation loss rose from 0.90 (epoch 1) to 1.90 (epoch 2)")
    (started, *rest) = run_of((0.8, 0.79, 0.5, 0.52))
    (warning,) = judge_overfitting([*deep, replace(started, start="deep"), *rest], 400).warnings
    assert warning.startswith("deep: the validation loss rose from 0.90 (epoch 1) to 1.90 (epoch 2)")

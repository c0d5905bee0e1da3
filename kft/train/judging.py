"""What the validation split says of a model's outputs."""

from __future__ import annotations

from typing import Any

from kft.features.inference import Inference, run_in_batches
from kft.feed.batches import Ragged
from kft.feed.source import Source
from kft.train.job import TrainData

NOT_WATCHED = ("log_loss", "ece")
"""Metrics that the validation log leaves out: the one is its loss, the other needs more rows than most have there."""


def validate(inference: Inference, valid: Source, data: TrainData) -> dict[str, float]:
    """Scores the validation split; each example counts once."""
    (outputs,) = run_in_batches(inference, valid)
    return score_outputs(outputs, data)


def score_outputs(outputs: Any, data: TrainData) -> dict[str, float]:
    """Returns loss and metrics of the outputs for the validation split, one an example and in its order."""
    rows: Any = [outputs.row(place) for place in range(len(outputs))] if isinstance(outputs, Ragged) else outputs
    answers = data.kind.judging.answers(rows, data.space, data.valid.offsets)
    found = {"valid_loss": data.kind.learning.loss(data.valid.targets, rows, data.space)}
    for name, metric in data.kind.judging.metrics.items():
        if name not in NOT_WATCHED:
            found[f"valid_{name}"] = metric.value(data.valid.truth, answers)
    return found

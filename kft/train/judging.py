"""What the validation split says of a model's outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from kft.features.inference import Inference, run_in_batches
from kft.feed.batches import Ragged
from kft.feed.source import Source
from kft.train.answers import outputs_as_arrays
from kft.train.best import Validated
from kft.train.job import TrainData

NOT_WATCHED = ("log_loss", "ece")
"""Metrics that the validation log leaves out: the one is its loss, the other needs more rows than most have there."""


def validate(inference: Inference, valid: Source, data: TrainData) -> Validated:
    """Scores the validation split; each example counts once."""
    (outputs,) = run_in_batches(inference, valid)
    return judge(outputs, data)


def judge(outputs: Ragged | np.ndarray, data: TrainData) -> Validated:
    """Scores what a model computed for the validation split, one output an example and in its order."""
    rows: Any = [outputs.row(place) for place in range(len(outputs))] if isinstance(outputs, Ragged) else outputs
    answers = data.kind.judging.answers(rows, data.space, data.valid.offsets)
    found = {"valid_loss": data.kind.learning.loss(data.valid.learned, rows, data.space)}
    for name, metric in data.kind.judging.metrics.items():
        if name not in NOT_WATCHED:
            found[f"valid_{name}"] = metric.value(data.valid.truth, answers)
    return Validated(found, outputs_as_arrays(outputs))

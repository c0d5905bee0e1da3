"""A score for two texts: the cosine of their vectors, which are told apart from nothing but a text each.

So the vectors of one text serve search as those of text-embedding do. Scores have any range, which train's labels say;
the answer puts a cosine of 0 at its lower end and 1 at its upper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kft.metrics.correlation import METRICS
from kft.tasks.numbers import NUMBERS
from kft.tasks.task import AnswerKind, AnswerSpace
from kft.tasks.vectors import OF_VECTORS

LABELS = "what is chosen here goes by a label, and these are scores; "


def cosines(vectors: np.ndarray) -> np.ndarray:
    """Returns ``float32[n, 1]``: of the vectors of length one of n first texts, and then of their n second texts.

    Example:
        >>> cosines(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.6, 0.8]], np.float32)).tolist()
        [[0.6000000238418579], [0.800000011920929]]
    """
    first, second = np.split(np.asarray(vectors), 2)
    return (first * second).sum(axis=1, keepdims=True)


def _space(labels: Sequence[float]) -> AnswerSpace:
    """The range of the scores: what a cosine of 0 and of 1 stand for."""
    values = np.array(labels, np.float64)
    return AnswerSpace((), float(values.min()), float(np.ptp(values)))


SIMILARITY = AnswerKind(
    # Labels are floats; outputs are cosines ``float32[n, 1]``, and answers ``float64[n]`` in the scores' range.
    labels=replace(
        NUMBERS.labels,
        space=_space,
        lack=lambda space: "" if space.std > 0 else "one score only: there is no order to learn",
        usual=("score", "similarity", "relevance", "grade", "rating"),
    ),
    learning=replace(
        NUMBERS.learning, head="embedding", solver="graded", hits_name="mae", units=lambda space: 0, joined=cosines
    ),
    judging=replace(
        NUMBERS.judging,
        # By the order a run is chosen: that is what two texts are compared for.
        metrics=METRICS,
        baseline_name="untuned",
        constant=None,
        gates=("slices.worst.spearman_r",),
        as_label=None,
    ),
    solvers=("adamw", "lbfgs"),
    learns="graded",
    keys=("model.prompts", "train.graded"),
    refuses={
        "compare": NUMBERS.refuses["compare"],
        **OF_VECTORS,
    },
    lacks={
        "choose": LABELS + "kft compare RECIPE --approaches frozen,head --set model.backbone=NAME, for each",
        "queue": "what is worth a label is told by how sure an answer is, and a cosine says nothing of that; label "
        "pairs whose scores two runs put far apart",
        "retrain": "rows that come later would move the range of the scores; add the rows to data.train, and kft train",
        "data build": "what is built is one text a row with its label; kft check RECIPE",
    },
)

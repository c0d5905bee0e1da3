"""Precision, recall and F1 of each class, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.errors import UsageError
from kft.metrics.classification import check_inputs
from kft.metrics.proportions import Groups, group_codes, share_of
from kft.records.metrics import ClassRow


def per_class(
    targets: np.ndarray, probabilities: np.ndarray, labels: Sequence[str], groups: Groups | None = None
) -> list[ClassRow]:
    """Returns one row a class, in the order of the labels.

    Args:
        targets: ``int[n]``.
        probabilities: ``float[n, classes]``.
        labels: One a class.
        groups: Examples of one group hang together; default: each stands alone.

    Raises:
        UsageError: The shapes do not fit, or there is not one label for each class.

    Example:
        >>> answers = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
        >>> for row in per_class(np.array([0, 0, 0, 1]), answers, ["cat", "dog"]):
        ...     print(row.label, row.n, row.precision, round(row.recall, 2), round(row.f1, 2))
        cat 3 1.0 0.67 0.8
        dog 1 0.5 1.0 0.67
    """
    check_inputs(targets, probabilities)
    if len(labels) != probabilities.shape[1]:
        raise UsageError(
            "labels and probabilities do not fit",
            received=f"{len(labels)} labels, {probabilities.shape[1]} columns of probabilities",
            expected="one label for each column",
        )
    said, codes = probabilities.argmax(axis=1), group_codes(groups, len(targets))
    rows = []
    for place, label in enumerate(labels):
        there, found = targets == place, said == place
        rows.append(class_row(label, there & found, there, found, codes))
    return rows


def class_row(
    label: str, hits: np.ndarray, targets: np.ndarray, predictions: np.ndarray, codes: np.ndarray
) -> ClassRow:
    """Returns the row of a label.

    Args:
        label: Its name.
        hits: ``[n]``: how often each example has it and is said to.
        targets: ``[n]``: how often each has it.
        predictions: ``[n]``: how often each is said to.
        codes: ``int[n]``: each example's group, numbered from 0 without a gap.

    Example:
        >>> right = np.array([1, 1, 0, 0])
        >>> row = class_row("cat", right, np.ones(4), right, np.arange(4))
        >>> row.precision, row.recall, [round(end, 2) for end in row.recall_range]
        (1.0, 0.5, [0.15, 0.85])
    """
    hits, targets, predictions = (np.asarray(each, np.float64) for each in (hits, targets, predictions))
    found = [share_of(hits, among, codes) for among in (predictions, targets, (targets + predictions) / 2)]
    precision, recall, f1 = (each.value for each in found)
    ranges = [(each.low, each.high) for each in found]
    return ClassRow(label, int(targets.sum()), precision, recall, f1, *ranges)

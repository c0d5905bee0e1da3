"""Accuracy and class shares of the latest rows, from a sample of their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kft.errors import DataError
from kft.monitor.estimates.accuracy import estimate_accuracy
from kft.monitor.estimates.labelled import estimate_with_labels, not_estimated
from kft.monitor.estimates.scores import OTHER, UNLABELLED, Scores
from kft.monitor.estimates.shares import estimate_shares
from kft.monitor.reference import Reference
from kft.records.estimated import AccuracyEstimate, ClassShares
from kft.tasks.cells import as_text


def estimate(
    reference: Reference, columns: Mapping[str, np.ndarray]
) -> tuple[AccuracyEstimate | None, ClassShares | None]:
    """Returns what can be said of the latest rows; None where there are none.

    Args:
        reference: Of the artifact.
        columns: From ``Latest``: ``probabilities``, ``label``, ``distance``, and where labels were looked for ``truth``
            and perhaps ``inclusion``.
    """
    if reference.scores is None:
        return not_estimated(reference.task), None
    if not columns:
        return None, None
    own = _of_test(reference)
    distance = columns["distance"]
    foreign = None if np.isnan(distance).any() or own.foreign is None else distance
    seen = Scores(columns["probabilities"], columns["label"], columns.get("truth"), foreign)
    shares = estimate_shares(own, seen, reference.labels)
    if "truth" not in columns:
        return estimate_accuracy(own, seen), shares
    return estimate_with_labels(own, seen, columns.get("inclusion")), shares


def _of_test(reference: Reference) -> Scores:
    scored = reference.scores
    assert scored is not None
    n = len(scored.probabilities)
    truth = np.where(scored.truth[:n] < 0, OTHER, scored.truth[:n])
    distance = scored.distance[:n]
    foreign = None if np.isnan(distance).any() else distance
    return Scores(scored.probabilities.astype(np.float32), scored.label[:n], truth, foreign)


def read_truth(cells: Sequence[Any], labels: Sequence[str]) -> np.ndarray:
    """Returns the place of each row's true class, ``int64[rows]``; see ``Scores``.

    Args:
        cells: Of the column of labels; one that is empty is not known.
        labels: That can be answered.

    Example:
        >>> read_truth(["b", "", None, "new"], ("a", "b")).tolist()
        [1, -1, -1, -2]
    """
    known = {name: place for place, name in enumerate(labels)}
    texts = (as_text(cell).strip() for cell in cells)
    return np.array([known.get(text, OTHER) if text else UNLABELLED for text in texts], np.int64)


def refuse_unknown(truth: np.ndarray, labels: Sequence[str], column: str) -> None:
    """Refuses a column of labels none of which is one of the artifact's: it is another column.

    Raises:
        DataError: It is.
    """
    if (truth == OTHER).any() and not (truth >= 0).any():
        raise DataError(
            "none of the labels is one that the artifact can answer",
            where=f"--labels {column}",
            received=f"{int((truth == OTHER).sum()):,} labels, all unknown",
            expected="such as " + ", ".join(labels[:10]),
            next_step="name the column of true labels; empty cells are rows without one",
        )

"""Rows that are like no other: far from everything in the training split, in feature space.

The distance is the mean cosine distance to the nearest training rows. Standardised features, Mahalanobis distances and
what the leading axes leave over were tried on rows of one data set planted in another: they found fewer (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kft.audit.check import Check
from kft.audit.texts import counted
from kft.audit.view import AuditView
from kft.metrics.neighbours import cosines, unit_rows
from kft.records.findings import Finding
from kft.runtime import one_blas_thread
from kft.split.assign import SPLITS

NAME = "outliers"
NEIGHBOURS = 20
REFERENCE_ROWS = 2000
"""So many training rows, drawn at random, stand for all: distances to all of them would cost too much."""
DEVIATIONS = 3.0


def neighbour_distance(features: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Returns ``float32[n]``: each row's mean cosine distance to the nearest of the training rows, itself left out.

    Args:
        features: ``float32[n, width]``.
        train: ``int[m]``: the training rows among them.

    Example:
        >>> x = np.eye(2, dtype=np.float32)[np.repeat([0, 1], [9, 1])]
        >>> int(neighbour_distance(x, np.arange(10)).argmax())
        9
    """
    units = unit_rows(features)
    drawn = np.random.default_rng(0).permutation(train)[:REFERENCE_ROWS]
    reference, count = units[drawn], min(NEIGHBOURS, len(drawn) - 1)
    place = np.full(len(features), -1)
    place[drawn] = np.arange(len(drawn))
    found = np.empty(len(features), np.float32)
    with one_blas_thread():
        for rows, alike in cosines(units, reference):
            own = place[rows]
            alike[np.flatnonzero(own >= 0), own[own >= 0]] = -1
            found[rows] = 1 - np.partition(alike, -count, axis=1)[:, -count:].mean(axis=1)
    return found


def far_away(distances: np.ndarray) -> float:
    """Returns the distance above which a row is an outlier: 3 robust deviations above the median of the logarithms.

    The deviation is 1.4826 times the median distance from the median, in the half above it: that of a normal
    distribution, and a few outliers do not move it.

    Example:
        >>> round(far_away(np.exp(np.random.default_rng(0).normal(0, 0.1, 10_000))), 1)
        1.4
    """
    logarithms = np.log(np.maximum(distances, 1e-6))
    middle = np.median(logarithms)
    deviation = 1.4826 * np.median(logarithms[logarithms >= middle] - middle)
    return float(np.exp(middle + DEVIATIONS * deviation))


def find_outliers(view: AuditView) -> Iterable[Finding]:
    """Finds the rows of all splits that lie far from the training split, the most distant first."""
    assert view.features is not None
    features = np.concatenate([view.features[name] for name in SPLITS])
    train = np.arange(len(view.features["train"]))
    if len(train) <= NEIGHBOURS:
        return
    distances = neighbour_distance(features, train)
    limit = far_away(distances)
    rows = np.flatnonzero(distances > limit)
    if not len(rows):
        return
    rows = rows[np.argsort(-distances[rows], kind="stable")]
    yield Finding(
        check=NAME,
        severity="note",
        message=counted(
            len(rows), len(features), "rows", "are like nothing in the training split; the most distant is "
        )
        + f"{str(view.all.ids[rows[0]])!r}.",
        advice="Read the first twenty: take out what does not belong (another language, a test entry, a broken file); "
        "where it is a rare case that matters, label more like it.",
        score=len(rows) / len(features),
        rows=tuple(map(str, view.all.ids[rows])),
        details={
            "distance": distances[rows].round(4).tolist(),
            "split": view.split_of[rows].tolist(),
            "threshold": round(limit, 4),
            "median": round(float(np.median(distances)), 4),
        },
    )


CHECK = Check(NAME, "rows that are far from all others", find_outliers, needs_features=True, rank=180)

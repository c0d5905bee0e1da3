"""How far people agree who judge the same inputs: Krippendorff's alpha for names of classes.

K. Krippendorff (2011), Computing Krippendorff's alpha-reliability. It takes any number of judges, and inputs that only
some of them have judged, and allows for what agrees by chance: 1 is full agreement, 0 what chance brings.
"""

from __future__ import annotations

import numpy as np

from kft.errors import UsageError
from kft.metrics.metric import Form, Metric


def _check(counts: np.ndarray, answers: np.ndarray) -> None:
    if counts.ndim != 2 or not len(counts) or (counts.sum(axis=1) < 2).any():
        raise UsageError(
            "these are no judgements to compare",
            received=f"shape {counts.shape}",
            expected="[n, classes]: how many judged so, two or more of each input",
        )


def _unseen(
    counts: np.ndarray, answers: np.ndarray, better: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One input, drawn at random, whose judges all agree on the class that most of them chose, or are split in two."""
    row = counts[rng.integers(len(counts))]
    votes, first = int(row.sum()), int(row.argmax())
    found = np.zeros((1, counts.shape[1]), counts.dtype)
    if better or counts.shape[1] == 1:
        found[0, first] = votes
        return found, found
    second = int(np.where(np.arange(len(row)) == first, -1, counts.sum(axis=0)).argmax())
    found[0, [first, second]] = votes - votes // 2, votes // 2
    return found, found


def _unanimous(counts: np.ndarray, answers: np.ndarray) -> np.ndarray:
    return counts.max(axis=1) == counts.sum(axis=1)


def _statistics(counts: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Of each input: pairs of judgements that differ, over its judgements less one; and how many named each class."""
    votes = counts.sum(axis=1).astype(np.float64)
    differ = (votes**2 - (counts.astype(np.float64) ** 2).sum(axis=1)) / np.maximum(votes - 1, 1)
    return np.concatenate([differ[:, None], counts], axis=1)


def _alpha(sums: np.ndarray) -> np.ndarray:
    observed, totals = sums[..., 0], sums[..., 1:]
    n = totals.sum(axis=-1)
    expected = (n**2 - (totals**2).sum(axis=-1)) / np.maximum(n - 1, 1e-12)
    # Where all judgements name one class, nothing can differ: there is full agreement.
    return np.where(expected > 0, 1 - observed / np.maximum(expected, 1e-12), 1.0)


ALPHA = Metric("krippendorff_alpha", True, _statistics, _alpha, Form(_check, _unseen, _unanimous))
"""Of counts ``int[n, classes]``, two or more judgements in each row, given as targets and as answers."""

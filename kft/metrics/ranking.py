"""Metrics of an order: how well a score parts two kinds, and how soon errors come when the surest answer first."""

from __future__ import annotations

import numpy as np

from kft.errors import UsageError
from kft.metrics.metric import Form, Metric, no_statistics

MOST_UNSEEN = 16
"""Examples that stand for what was not seen; each costs a column of the weights."""


def check_scores(positive: np.ndarray, scores: np.ndarray) -> None:
    """Refuses marks and scores that are not one finite number an example, with both kinds among them.

    Raises:
        UsageError: The shapes do not fit, a score is not finite, or all examples are of one kind.
    """
    check_pairs(positive, scores)
    if len(np.unique(positive)) != 2:
        raise UsageError(
            "there is nothing to tell apart",
            received=f"{len(positive)} examples, all of one kind",
            expected="examples of both kinds",
        )


def check_pairs(marks: np.ndarray, scores: np.ndarray) -> None:
    """Refuses marks and scores that are not one finite number an example.

    Raises:
        UsageError: The shapes do not fit, or a score is not finite.
    """
    if marks.ndim != 1 or marks.shape != scores.shape or not marks.size:
        raise UsageError(
            "marks and scores do not fit",
            received=f"shapes {marks.shape} and {scores.shape}",
            expected="[n] and [n] with n >= 1",
        )
    if not np.isfinite(scores).all():
        row = int((~np.isfinite(scores)).argmax())
        raise UsageError("a score is not finite", where=f"row {row}", received=str(scores[row]))


def _auroc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(scores, kind="stable")
    starts = _starts(scores[order])
    drawn, there = weights[:, order], positive[order] > 0
    ups = np.add.reduceat(drawn * there, starts, axis=1)  # equal scores are one step
    downs = np.add.reduceat(drawn * ~there, starts, axis=1)
    below = np.cumsum(downs, axis=1) - downs / 2  # a tie is half won
    pairs = ups.sum(axis=1) * downs.sum(axis=1)
    # A resample that drew one kind alone says nothing: a coin's .5.
    return np.where(pairs > 0, (ups * below).sum(axis=1) / np.maximum(pairs, 1e-12), 0.5)


def _aurc(right: np.ndarray, confidence: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(-confidence, kind="stable")
    starts = _starts(confidence[order])
    drawn = weights[:, order]
    answered = np.add.reduceat(drawn, starts, axis=1)
    errors = np.add.reduceat(drawn * (right[order] <= 0), starts, axis=1)
    risks = np.cumsum(errors, axis=1) / np.maximum(np.cumsum(answered, axis=1), 1e-12)
    return (risks * answered).sum(axis=1) / np.maximum(answered.sum(axis=1), 1e-12)


def _starts(ordered: np.ndarray) -> np.ndarray:
    """Returns where each run of equal numbers begins."""
    return np.flatnonzero(np.append(True, np.diff(ordered) != 0))


def _unseen(
    marks: np.ndarray, scores: np.ndarray, better: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Examples that are marked where their score is high, or only where it is low."""
    picked = scores[rng.integers(0, len(scores), MOST_UNSEEN)]
    return ((picked >= np.median(scores)) == better).astype(marks.dtype), picked


def _unseen_answers(
    right: np.ndarray, confidence: np.ndarray, better: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Answers as sure as these that are all right, or all wrong."""
    picked = confidence[rng.integers(0, len(confidence), MOST_UNSEEN)]
    return np.full(len(picked), better, right.dtype), picked


def _no_sums(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0]


SCORES = Form(check_scores, _unseen, lambda marks, scores: (scores >= np.median(scores)) == (marks > 0))
"""Marks ``[n]`` of two kinds, and a score of each."""

SURE = Form(check_pairs, _unseen_answers, lambda right, confidence: right > 0)
"""Whether each answer is right, ``[n]``, and how sure it is."""

AUROC = Metric("auroc", True, no_statistics, _no_sums, SCORES, _auroc)
"""The chance that an example that is marked scores higher than one that is not; ties count half (Fawcett, 2006)."""

AURC = Metric("aurc", False, no_statistics, _no_sums, SURE, _aurc)
"""The error among the answered, averaged over every coverage, from right answers and their confidence (Geifman and
El-Yaniv, 2017); examples of one confidence are answered together."""

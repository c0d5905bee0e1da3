"""Selective answering: a confidence below which the model abstains, with a promise about the errors it still makes.

The promise is that, among the answered, at most a share of so much is wrong: with a confidence of 95 %, say, over
the draw of the calibration examples, and for new ones drawn as they were. It is kept by Learn then Test
(Angelopoulos et al., 2021): thresholds are tested one by one from strict to loose, each by the exact binomial
tail (Clopper and Pearson, 1934), until one cannot be certified. A threshold that is simply read off the same
examples breaks its promise in about half of all cases (docs/evaluation.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kft.recipe.evaluation import AbstainSpec
from kft.records.estimate import percent
from kft.records.rules import Promise

STEPS = 100
"""Thresholds that are tried at most. More cost nothing: the sequence needs no correction for their number."""


def fewest_answers(asked: AbstainSpec) -> int:
    """Returns how many answers without a single mistake it takes to promise anything.

    Example:
        >>> fewest_answers(AbstainSpec(error=0.05)), fewest_answers(AbstainSpec(error=0.01))
        (59, 299)
    """
    return int(np.ceil(np.log(1 - asked.confidence) / np.log(1 - asked.error)))


def propose_thresholds(confidence: np.ndarray, right: np.ndarray, n: int, asked: AbstainSpec) -> np.ndarray:
    """Returns thresholds to test, from strict to loose; the last one, 0, answers everything.

    They are shares of the examples that choices were made by, so that nothing about the calibration examples
    decides what is tested on them. The sequence starts where, judging by the former, a test on ``n`` examples is
    most likely to succeed: a stricter threshold leaves too few answers to prove anything.

    Args:
        confidence: ``float[m]``, of examples that are not calibrated on.
        right: ``bool[m]``: whether their answers are.
        n: How many calibration examples there are.
        asked: The promise.
    """
    from scipy.stats import binom

    order = np.argsort(-confidence, kind="stable")
    shares = np.linspace(1 / STEPS, 1, STEPS)
    counts = np.maximum(1, np.ceil(shares * len(confidence)).astype(int))
    thresholds = np.append(confidence[order][counts[:-1] - 1], 0.0)
    wrong = np.cumsum(~right[order])[counts - 1]
    answered = np.floor(shares * n)
    allowed = _allowed_errors(answered, asked)
    chance = np.where(allowed < 0, 0.0, binom.cdf(allowed, answered, (wrong + 1) / (counts + 2)))
    return thresholds[int(chance.argmax()) :]


def certify(
    confidence: np.ndarray, right: np.ndarray, thresholds: np.ndarray, asked: AbstainSpec, unit: str = "rows"
) -> Promise:
    """Returns the loosest threshold of the sequence before the first that cannot be certified.

    Args:
        confidence: ``float[n]``, of the calibration examples, which stand each for itself.
        right: ``bool[n]``: whether their answers are.
        thresholds: From ``propose_thresholds``, or any sequence that was fixed without looking at these examples.
        asked: The promise.
        unit: What a calibration example stands for, in words: rows or groups.

    Example:
        >>> sure = np.linspace(0.5, 1, 200)
        >>> certify(sure, sure > 0.6, np.array([0.8, 0.6, 0.0]), AbstainSpec(error=0.05)).threshold
        0.6
    """
    from scipy.stats import binom

    answers = confidence >= thresholds[:, None]
    answered, errors = answers.sum(axis=1), (answers & ~right).sum(axis=1)
    certified = (answered > 0) & (binom.cdf(errors, answered, asked.error) <= 1 - asked.confidence)
    passed = len(thresholds) if certified.all() else int(certified.argmin())
    place = max(passed - 1, 0)
    n, k = int(answered[place]), int(errors[place])
    facts: dict[str, Any] = {"error": asked.error, "confidence": asked.confidence, "n": len(confidence)}
    if passed:
        return Promise(**facts, threshold=float(thresholds[place]), answered=n, errors=k)
    return Promise(**facts, threshold=None, answered=n, errors=k, why=_why_not(len(confidence), n, k, asked, unit))


def _why_not(n: int, answered: int, errors: int, asked: AbstainSpec, unit: str) -> str:
    least = fewest_answers(asked)
    promise = f"an error of at most {percent(asked.error)} among the answered cannot be promised"
    if n < least:
        return (
            f"{promise} from {n:,} {unit}, half of valid: it takes at least {least:,} answers without a mistake, "
            f"so at least {2 * least:,} {unit} in valid"
        )
    if not answered:
        return (
            f"{promise}: none of {n:,} {unit} set aside reaches the strictest threshold; it takes more {unit} in valid"
        )
    if answered < least:  # too few for a rate to go by
        return (
            f"{promise}: {answered:,} of {n:,} {unit} set aside reach the strictest threshold, and it takes at least "
            f"{least:,} without a mistake, so at least about {-(-2 * least * n // answered):,} {unit} in valid"
        )
    wrong = f"{errors:,} {'is' if errors == 1 else 'are'} wrong"
    seen = f"{promise}: of the {answered:,} surest of {n:,} {unit} set aside, {wrong}"
    rate = errors / max(1, answered)
    if rate >= asked.error:
        return f"{seen}; more {unit} would not change that, only a better model or a larger error"
    return f"{seen}; at that rate it takes about {2 * _rows_needed(rate, answered / n, asked):,} {unit} in valid"


def _rows_needed(rate: float, share: float, asked: AbstainSpec) -> int:
    """Returns how many calibration examples it takes where this share is answered, and this share of that wrong."""
    sizes = np.unique(np.geomspace(fewest_answers(asked), 1e7, 2000).astype(int))
    enough = np.floor(rate * sizes) <= _allowed_errors(sizes, asked)
    return int(np.ceil(sizes[int(enough.argmax())] / share))


def _allowed_errors(answered: np.ndarray, asked: AbstainSpec) -> np.ndarray:
    """Returns how many errors can be certified among so many answers; -1 where not even none."""
    from scipy.stats import binom

    risk = 1 - asked.confidence
    quantile = binom.ppf(risk, answered, asked.error)  # the first count whose tail reaches the risk
    return np.where(binom.cdf(quantile, answered, asked.error) <= risk, quantile, quantile - 1)


def one_of_each(groups: np.ndarray | None, n: int, seed: int) -> np.ndarray:
    """Returns ``int[k]``: one example of each group, drawn at random; examples of one group are no independent ones.

    Example:
        >>> one_of_each(np.array(["a", "a", "b"]), 3, seed=0).tolist() in ([0, 2], [1, 2])
        True
    """
    order = np.random.default_rng(seed).permutation(n)
    if groups is None:
        return np.arange(n)
    _, first = np.unique(groups[order].astype(str), return_index=True)
    return np.sort(order[first])

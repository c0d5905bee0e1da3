"""Pairs of classes that the features do not tell apart, compared with tossing a coin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kft.audit.check import Check
from kft.audit.checks.amount import USABLE
from kft.audit.checks.label_noise import label_odds
from kft.audit.view import AuditView
from kft.records.findings import Finding

NAME = "confusable-classes"
HARD = 0.2
"""A pair is hard where the error is surely above this; a coin's is .5."""
CONFIDENCE = 1.96
EXAMPLES = 3


@dataclass(frozen=True)
class ClassPair:
    """Two classes, and how often the probe takes one for the other where it has these two to choose from.

    Attributes:
        first: Its number.
        second: Its number.
        error: Mean of the two classes' error rates; .5 is a coin's.
        margin: Half the 95 % interval of the error.
    """

    first: int
    second: int
    error: float
    margin: float

    @property
    def like_a_coin(self) -> bool:
        """Whether these rows cannot show that the probe is better than a coin."""
        return self.error + self.margin >= 0.5


def hard_pairs(probabilities: np.ndarray, targets: np.ndarray) -> list[ClassPair]:
    """Returns the pairs whose error is surely above ``HARD``, the hardest first; of fewer rows a class, chance decides.

    Args:
        probabilities: Out-of-fold, ``float64[n, classes]``.
        targets: ``int[n]``.

    Example:
        >>> coin = np.tile([[0.45, 0.45, 0.1], [0.4, 0.5, 0.1]], (20, 1))
        >>> probabilities = np.concatenate([coin, np.tile([0.1, 0.1, 0.8], (40, 1))])
        >>> pairs = hard_pairs(probabilities, np.repeat([0, 1, 2], [20, 20, 40]))
        >>> [(pair.first, pair.second, pair.like_a_coin) for pair in pairs]
        [(0, 1, True)]
    """
    classes = probabilities.shape[1]
    counts = np.bincount(targets, minlength=classes)
    given = probabilities[np.arange(len(targets)), targets][:, None]
    lost = (probabilities > given) + 0.5 * (probabilities == given)
    rates = np.zeros((classes, classes))
    np.add.at(rates, targets, lost)
    rates /= np.maximum(counts, 1)[:, None]
    variance = rates * (1 - rates) / np.maximum(counts, 1)[:, None]
    error = (rates + rates.T) / 2
    margin = CONFIDENCE * np.sqrt(variance + variance.T) / 2
    enough = (counts >= USABLE)[:, None] & (counts >= USABLE)
    first, second = np.nonzero(np.triu(enough & (error - margin > HARD), 1))
    pairs = [
        ClassPair(int(a), int(b), float(error[a, b]), float(margin[a, b])) for a, b in zip(first, second, strict=True)
    ]
    return sorted(pairs, key=lambda pair: -pair.error)


def merged(pairs: Sequence[ClassPair], classes: int) -> np.ndarray:
    """Returns ``int[classes]``: the class that each would belong to with these pairs joined.

    Example:
        >>> merged([ClassPair(0, 2, 0.5, 0.1), ClassPair(2, 3, 0.5, 0.1)], 4).tolist()
        [0, 1, 0, 0]
    """
    into = np.arange(classes)
    for pair in pairs:
        one, other = sorted((into[pair.first], into[pair.second]))
        into[into == other] = one
    return into


def find_confusable_classes(view: AuditView) -> Iterable[Finding]:
    """Finds pairs that are hard to tell apart, and says what joining those like a coin would bring."""
    if view.out_of_fold is None or view.out_of_fold.shape[1] < 3:
        return  # of two classes, accuracy itself says it
    targets = view.targets
    assert targets is not None
    pairs = hard_pairs(view.out_of_fold, targets)
    if not pairs:
        return
    labels = view.split.labels
    coins = [pair for pair in pairs if pair.like_a_coin]
    worst = pairs[0]
    names = f"{labels[worst.first]!r} and {labels[worst.second]!r}"
    examples = [_examples(view, view.out_of_fold, targets, pair) for pair in pairs]
    into = merged(coins or pairs[:1], len(labels))
    before, after = _accuracies(view.out_of_fold, targets, into)
    left, largest = len(set(into)), float(np.bincount(into[targets]).max() / len(targets))
    yield Finding(
        check=NAME,
        severity="warning" if coins else "note",
        message=f"Pairs of classes that are hard to tell apart: {len(pairs)}, no better than by tossing a coin: "
        f"{len(coins)}. The hardest are {names}, with an error of {worst.error:.2f} (a coin's is 0.50).",
        advice=f"Read the examples: say in the labelling guide what sets {names} apart, or join them in the label "
        f"column: with {'all pairs like a coin' if coins else 'this pair'} joined, accuracy goes from {before:.3f} to "
        f"{after:.3f}, with {left} classes instead of {len(labels)} (always answering the largest of them: "
        f"{largest:.3f}).",
        score=min(1.0, 2 * worst.error),
        rows=tuple(dict.fromkeys(identifier for found in examples for identifier in found)),
        details={
            "pairs": [
                {
                    "classes": [labels[pair.first], labels[pair.second]],
                    "error": round(pair.error, 4),
                    "margin": round(pair.margin, 4),
                    "like_a_coin": pair.like_a_coin,
                    "examples": found,
                }
                for pair, found in zip(pairs, examples, strict=True)
            ],
            "accuracy": round(before, 4),
            "accuracy_merged": round(after, 4),
            "classes_merged": left,
            "majority_merged": round(largest, 4),
        },
    )


def _examples(view: AuditView, probabilities: np.ndarray, targets: np.ndarray, pair: ClassPair) -> list[str]:
    """Returns ids of rows of each class that most look like the other."""
    odds = label_odds(probabilities, targets)
    found: list[str] = []
    for own, other in ((pair.first, pair.second), (pair.second, pair.first)):
        rows = np.flatnonzero((targets == own) & (probabilities[:, other] > probabilities[:, own]))
        found.extend(map(str, view.known.ids[rows[np.argsort(-odds[rows], kind="stable")][:EXAMPLES]]))
    return found


def _accuracies(probabilities: np.ndarray, targets: np.ndarray, into: np.ndarray) -> tuple[float, float]:
    joined = np.zeros_like(probabilities)
    np.add.at(joined.T, into, probabilities.T)
    right = probabilities.argmax(axis=1) == targets
    return float(right.mean()), float((joined.argmax(axis=1) == into[targets]).mean())


CHECK = Check(
    NAME, "pairs of classes that the features do not tell apart", find_confusable_classes, needs_features=True, rank=170
)

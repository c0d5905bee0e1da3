"""References and rows for tests, without a model: texts become a few numbers, probabilities and a vector."""

from __future__ import annotations

import numpy as np

from kft.monitor.gauges.answers import measure_class, measure_vectors
from kft.monitor.known import KnownRows, principal
from kft.monitor.reference import Reference, make_reference
from kft.monitor.seen import Seen

LABELS = ("bad", "good", "odd")
WIDTH = 6


def known(seed: int = 0, rows: int = 300) -> KnownRows:
    vectors = np.random.default_rng(seed).normal(size=(rows, WIDTH)).astype(np.float32)
    mean, directions = principal(vectors)
    return KnownRows(rows=rows, vectors=vectors.astype(np.float16), mean=mean, directions=directions)


def seen(n: int, seed: int, *, shift: float = 0.0, prior: float = 1.0, given: KnownRows | None = None) -> Seen:
    """Rows: ``shift`` moves their vectors and lengths, ``prior`` makes the first class so many times as frequent."""
    rng = np.random.default_rng(seed)
    odds = np.array([prior, 1.0, 1.0])
    truth = rng.choice(3, n, p=odds / odds.sum())
    logits = rng.normal(size=(n, 3)) + 2.5 * np.eye(3)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    vectors = (rng.normal(size=(n, WIDTH)) + shift * np.array([1, 0, 0, 0, 0, 1.0])).astype(np.float32)
    outputs = {
        "probabilities": probabilities,
        "label": probabilities.argmax(axis=1),
        "confidence": probabilities.max(axis=1),
        "abstain": probabilities.max(axis=1) < 0.5,
    }
    values = measure_class(outputs, (), True)
    if given is not None:
        values |= measure_vectors(vectors, given)
    values |= {"tokens": np.round(rng.gamma(4.0, 5.0 * (1 + shift), n)), "unusable": np.zeros(n)}
    return Seen(
        {name: np.asarray(each, np.float64) for name, each in values.items()},
        np.arange(n, dtype=np.uint64),
        probabilities.astype(np.float32),
        outputs["label"].astype(np.int32),
        outputs["confidence"].astype(np.float32),
        outputs["abstain"],
        vectors if given is not None else None,
    )


def reference(n: int = 800, seed: int = 1, *, vectors: bool = True) -> Reference:
    held = known() if vectors else KnownRows()
    test = seen(n, seed, given=held if vectors else None)
    return make_reference(("text-classification", LABELS), held, test, test.label, 0)

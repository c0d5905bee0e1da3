"""A reference made of random rows, for tests."""

import numpy as np

from kft.monitor.known import KnownRows, principal
from kft.monitor.reference import half, make_reference, vectors_kept
from kft.monitor.seen import Seen


def made(rows=200, classes=3, width=8, seed=0):
    """Returns a reference, what is seen of the test rows that it is of, and their true classes."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), rows).astype(np.float32)
    vectors = rng.normal(size=(rows, width)).astype(np.float32)
    mean, directions = principal(vectors[: min(rows, 50)])
    kept = vectors_kept(classes, width)
    known = KnownRows(rows, np.ones(32_768, np.uint32), True, half(vectors[:kept]), mean, directions)
    seen = Seen(
        {
            "tokens": rng.integers(1, 30, rows).astype(float),
            "class": probabilities.argmax(axis=1).astype(float),
            "capitals": np.full(rows, np.nan),
        },
        np.arange(rows, dtype=np.uint64),
        probabilities,
        probabilities.argmax(axis=1).astype(np.int32),
        probabilities.max(axis=1),
        np.zeros(rows, bool),
        vectors,
    )
    labels = tuple(f"label {place}" for place in range(classes))
    truth = rng.integers(0, classes, rows)
    return make_reference(("text-classification", labels), known, seen, truth, seed), seen, truth

"""A problem that a linear probe solves in part."""

import numpy as np


def problem(classes=4, rows=400, width=12, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 1, (classes, width))
    targets = rng.integers(0, classes, rows)
    features = (centres[targets] + rng.normal(0, 1.5, (rows, width))) * rng.uniform(0.01, 20, width) + 3
    features[:, 5] = 7.0  # a constant feature, as MiniLM has
    return features.astype(np.float32), targets.astype(np.int32)

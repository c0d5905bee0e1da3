"""Scores with a known truth: calibrated by construction."""

from __future__ import annotations

import numpy as np

from kft.monitor.estimates.scores import Scores


def draw(n: int, seed: int, shares=(0.3, 0.3, 0.4), sharp: float = 2.0, overconfident: float = 1.0) -> Scores:
    """Returns rows of three classes: a class by its share, evidence that depends on it, its posterior.

    Args:
        n: Rows.
        seed: Of the draw.
        shares: Of the classes.
        sharp: How far the classes lie apart.
        overconfident: What logits are multiplied by.
    """
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, n, p=shares)
    place = rng.normal(0, 1, (n, 3)) + sharp * np.eye(3)[truth]
    # The posterior of one of three normal distributions, at the shares of the reference.
    logits = overconfident * (sharp * place + np.log([0.3, 0.3, 0.4]))
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    return Scores(chances, chances.argmax(axis=1), truth, rng.gamma(4, 0.05, n))

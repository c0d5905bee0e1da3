"""Forgetting: how much of what the pretrained backbone could do is left after fine-tuning.

A network that learns a second task may lose the first (McCloskey and Cohen, 1989); fine-tuning at too high a rate does
so within an epoch (Howard and Ruder, 2018; Mosbach et al., 2021). The ability that is looked at needs no head: examples
about one thing lie beside each other among the backbone's pooled vectors. It is judged by the nearest neighbours, which
see rotation and scale of the vectors as no change, as a similarity of representations should (Kornblith et al., 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kft.metrics.intervals import estimate_mean, ratio_of_means
from kft.metrics.neighbours import nearest_first, unit_rows
from kft.records.estimate import Estimate
from kft.records.forgetting import Retained

VOTERS = 5
"""Neighbours that vote on what an example is about."""
NEIGHBOURS = 10
"""Neighbours whose staying is counted where nobody said what examples are about."""
LOW, LOW_NEIGHBOURS = 0.9, 0.5
"""A warning comes where the whole interval of what is retained lies below; neighbours change sooner than topics."""
LEAST = 0.1
"""By so much the pretrained backbone has to be above chance, or there is nothing that could be forgotten."""
ALL = Estimate(1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Meter:
    """Measures tuned backbones against the pretrained one.

    Attributes:
        before: ``float[n, width]``: the retain set as the pretrained backbone sees it.
        topics: ``int[n]``: what each example is about; None where nobody said.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> topics = np.arange(120) % 4
        >>> before = np.eye(4)[topics] + rng.normal(0, 0.2, (120, 4))
        >>> meter = Meter(before, topics)
        >>> print(meter.measure(before @ np.linalg.qr(rng.normal(size=(4, 4)))[0], "turned").retained)
        1.000 [0.962, 1.040]
        >>> meter.measure(rng.normal(size=(120, 4)), "scrambled").retained.high < 0.3
        True
    """

    before: np.ndarray
    topics: np.ndarray | None

    @property
    def metric(self) -> str:
        if self.topics is None:
            return f"share of the {NEIGHBOURS} nearest neighbours that stay (cosine)"
        return f"accuracy of the {VOTERS} nearest neighbours, leaving each example out (cosine)"

    @property
    def chance(self) -> float:
        """What vectors that mean nothing reach at best: naming one topic always, or neighbours drawn at random."""
        if self.topics is None:
            return NEIGHBOURS / (len(self.before) - 1)
        return float(np.bincount(self.topics).max() / len(self.topics))

    @property
    def warns_below(self) -> float:
        """What is retained of this figure by tuning at a sane rate lies above."""
        return LOW_NEIGHBOURS if self.topics is None else LOW

    @property
    def pretrained(self) -> Estimate:
        return estimate_mean(self._figures(self.before))

    @property
    def why_not(self) -> str:
        """Why nothing can be said: the pretrained backbone itself does not know the examples. Empty where it does."""
        found = self.pretrained
        if found.low - self.chance > LEAST:
            return ""
        return f"the pretrained backbone does not tell these examples apart: {found}, by chance {self.chance:.3f}"

    def measure(self, after: np.ndarray, weights: str) -> Retained:
        """Returns what is left of the ability.

        Args:
            after: ``float[n, width]``: the retain set as the tuned backbone sees it.
            weights: What the tuned weights are called.
        """
        tuned, pretrained = self._figures(after), self._figures(self.before)
        retained = ratio_of_means(tuned, pretrained, self.chance)
        return Retained(weights, estimate_mean(tuned), retained)

    def unchanged(self, weights: str) -> Retained:
        """Returns the same of a backbone that did not move."""
        return Retained(weights, self.pretrained, ALL)

    def _figures(self, vectors: np.ndarray) -> np.ndarray:
        """Returns ``float[n]``: how well each example fares."""
        if self.topics is None:
            before, after = nearest(self.before, NEIGHBOURS), nearest(vectors, NEIGHBOURS)
            return (before[:, :, None] == after[:, None, :]).any(axis=2).mean(axis=1)
        votes = np.eye(self.topics.max() + 1)[self.topics[nearest(vectors, VOTERS)]]  # [n, voters, topics]
        nearer_first = 1 + np.arange(VOTERS, 0, -1)[:, None] / 1000  # of topics with as many votes, the nearer one
        return ((votes * nearer_first).sum(axis=1).argmax(axis=1) == self.topics).astype(np.float64)


def nearest(vectors: np.ndarray, k: int) -> np.ndarray:
    """Returns ``int[n, k]``: the most similar other examples by cosine, nearest first.

    Example:
        >>> nearest(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), 1).ravel().tolist()
        [1, 0, 1]
    """
    units = unit_rows(np.asarray(vectors, np.float64))
    similar = units @ units.T
    np.fill_diagonal(similar, -np.inf)
    return nearest_first(similar, k)

"""Gauges that are learned while watching: what sets the rows of past windows apart from those that are known.

A linear discriminant (Fisher, 1936) of the vectors of past windows against those of valid rows. It is fixed before it
is used: test rows and all later rows are scored by it, and the rows that it learned from are not. So its numbers are a
gauge like any other. One is begun after 1, 2, 4, 8 ... windows, from those since the one before it, so that what began
late is learned too. Each has its own part of the error.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np

from kft.monitor.edges import Edges, fit_edges
from kft.monitor.gauges.gauge import Gauge
from kft.monitor.reference import Reference

SHARE = 0.2
"""Of the error, for all that is learned: a half of it for the first, a quarter for the second, and so on."""
FEWEST = 20
"""Vectors, known and new, that a discriminant is learned from."""


@dataclass(frozen=True, eq=False)
class Learned:
    """One of them.

    Attributes:
        windows: After how many it was begun.
        direction: ``float32[width]``: rows are scored along it.
    """

    windows: int
    direction: np.ndarray

    @property
    def gauge(self) -> Gauge:
        """What people are told of it."""
        count = "the first window" if self.windows == 1 else f"the first {self.windows:,} windows"
        about = f"what sets apart from known rows, as learned from {count}"
        return Gauge(f"learned_{self.windows}", "foreign", about, "test sd")

    @property
    def share(self) -> float:
        """Its part of the error."""
        return SHARE / (2 * self.windows)

    def score(self, vectors: np.ndarray) -> np.ndarray:
        """Returns a number for each row, ``float64[rows]``; NaN where a row has no vector.

        Vectors are rounded as those in the reference are: else they could be told from test rows by that alone.
        """
        most = float(np.finfo(np.float16).max)
        halves = np.clip(vectors.astype(np.float32), -most, most).astype(np.float16)
        return halves.astype(np.float64) @ self.direction.astype(np.float64)

    def edges(self, reference: Reference) -> Edges:
        """Returns how the test rows lie along it."""
        assert reference.vectors is not None
        found = fit_edges(self.score(reference.vectors), seed=self.windows)
        assert found is not None
        return found

    def as_text(self) -> str:
        """Returns the direction as JSON can hold it."""
        return base64.b64encode(self.direction.astype("<f4").tobytes()).decode()


def from_text(windows: int, text: str) -> Learned:
    """Reads what ``as_text`` gave.

    Example:
        >>> from_text(2, Learned(2, np.array([1.0, 0.5])).as_text()).direction.tolist()
        [1.0, 0.5]
    """
    return Learned(windows, np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32))


def learn(reference: Reference, total: np.ndarray, n: int, windows: int) -> Learned | None:
    """Learns from past windows; None where there are too few vectors, or nothing sets them apart.

    Args:
        reference: With vectors of valid rows.
        total: ``float64[width]``: the sum of the vectors of past windows.
        n: How many these are.
        windows: How many there were so far.
    """
    known = reference.known.vectors
    if known is None or reference.vectors is None or min(n, len(known), len(reference.vectors)) < FEWEST:
        return None
    from sklearn.covariance import ledoit_wolf

    rows = known.astype(np.float64)
    spread, _ = ledoit_wolf(rows)
    direction = np.linalg.solve(spread + 1e-9 * np.eye(len(spread)), total / n - rows.mean(axis=0))
    score = reference.vectors.astype(np.float64) @ direction
    sd = float(score.std())
    if not np.isfinite(sd) or sd <= 0:
        return None
    return Learned(windows, (direction / sd).astype(np.float32))

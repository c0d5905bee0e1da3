"""Cuts the line of a gauge's values into cells, by the values that the test rows had.

The cells are made of spacings. n values, put in order, leave n + 1 spacings between and beside them. Where the next
value comes from the same source, it falls into each of these spacings with the same probability, whatever that source
is (Wilks, 1942). So the chance of a cell is known exactly from how many spacings it covers; nothing is estimated. Equal
values are put in order at random, by a number drawn for each. The places of the edges hang on n alone, never on values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FRACTIONS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99)
"""Where edges lie between the least and the largest value; closer at the ends, where most shifts show first."""


@dataclass(frozen=True, eq=False)
class Edges:
    """Where one cell ends and the next begins.

    Attributes:
        values: ``float64[edges]``, not falling: each the value of one test row.
        ties: ``float64[edges]``, between 0 and 1: what orders rows of equal value.
        gaps: ``int64[edges + 1]``: how many spacings each cell covers. The first and the last cell cover one each: they
            hold what is less, or more, than all that was seen.
    """

    values: np.ndarray
    ties: np.ndarray
    gaps: np.ndarray

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return len(self.gaps)

    def place(self, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Returns the cell of each value, ``int64[rows]``.

        Args:
            values: ``float64[rows]``; those that are NaN are left out.
            rng: Orders a value among test rows of the same value.
        """
        known = values[~np.isnan(values)]
        return np.searchsorted(_ordered(self.values, self.ties), _ordered(known, rng.random(len(known))))

    def count(self, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Returns how many values fall into each cell, ``int64[cells]``; see ``place``."""
        return np.bincount(self.place(values, rng), minlength=self.cells)


def fit_edges(values: np.ndarray, seed: int, even: int = 0) -> Edges | None:
    """Returns the edges that test rows give.

    Args:
        values: ``float64[rows]``, of the test rows; those that are NaN are left out.
        seed: Of what orders equal values.
        even: So many cells of equal share, for values that are codes of categories; 0 for ``FRACTIONS``.

    Returns:
        The edges; None where fewer than two rows have a value.

    Example:
        >>> edges = fit_edges(np.arange(100.0), seed=0)
        >>> int(edges.gaps.sum()), int(edges.place(np.array([1e9]), np.random.default_rng(0))[0]) == edges.cells - 1
        (101, True)
    """
    known = values[~np.isnan(values)].astype(np.float64)
    if len(known) < 2:
        return None
    ties = np.random.default_rng(seed).random(len(known))
    order = np.lexsort((ties, known))
    inner = np.arange(1, even) / even if even else np.array(FRACTIONS)
    last = len(known) - 1
    places = np.unique(np.concatenate([[0], np.round(inner * last), [last]]).astype(np.int64))
    gaps = np.diff(np.concatenate([[-1], places, [len(known)]]))
    chosen = order[places]
    return Edges(known[chosen], ties[chosen], gaps)


def _ordered(values: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Returns pairs as complex numbers, which NumPy orders by the first and then by the second."""
    pairs = np.empty(len(values), np.complex128)
    pairs.real, pairs.imag = values, ties
    return pairs

"""A linear model on sparse rows, such as TF-IDF of words: solved by what solves the probe."""

from __future__ import annotations

from typing import Any

import numpy as np

from kft.features.probe import LOSSES, ProbeProblem, minimise
from kft.features.views.view import Goal

TOLERANCE, MEMORY = 3e-4, 5
"""Of the solver: no answer changes where it goes on for longer, and half of its work is its own bookkeeping."""


def solve_sparse(
    rows: Any, targets: np.ndarray, counts: np.ndarray, goal: Goal, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Minimises ``C * sum_i count_i * loss_i + ||W||^2 / 2``; the bias is not penalised.

    Args:
        rows: Sparse ``float32[n, columns]``, of length one or so.
        targets: ``int[n]`` for softmax, or shares of the classes; else ``float32[n, units]``.
        counts: ``float32[n]``: how much each row counts.
        goal: What is answered.
        strength: The inverse penalty C.

    Returns:
        The kernel ``float32[columns, units]`` and the bias ``float32[units]``.

    Example:
        >>> from scipy.sparse import csr_matrix
        >>> rows, targets = csr_matrix(np.eye(2, dtype=np.float32)), np.array([0, 1])
        >>> kernel, bias = solve_sparse(rows, targets, np.ones(2, np.float32), Goal("softmax", 2), 10.0)
        >>> (rows @ kernel + bias).argmax(axis=1).tolist()
        [0, 1]
    """
    n, columns = rows.shape
    problem = ProbeProblem([(np.arange(n), rows)], targets, counts, LOSSES[goal.solver])
    squares = np.asarray(rows.multiply(rows).sum(axis=0)).ravel()
    curvature = np.append(squares * goal.certainty + 1 / strength, n * goal.certainty)[:, None]
    solution = minimise(problem, curvature, strength, np.zeros((columns + 1, goal.units)), TOLERANCE, MEMORY)
    return solution[:-1].astype(np.float32), solution[-1].astype(np.float32)

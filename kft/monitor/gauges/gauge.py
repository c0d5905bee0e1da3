"""A gauge: one number of one row, and what people are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["input", "vocabulary", "scores", "classes", "foreign", "broken"]
"""What gauges tell: inputs look otherwise; words are new; the model is less sure; answers are others; inputs are far
from those that are known; inputs came damaged."""
Values = dict[str, np.ndarray]
"""Of some rows: ``float64[rows]`` by the name of a gauge; NaN where it does not apply to a row."""


@dataclass(frozen=True)
class Gauge:
    """What is said of one number of a row.

    Attributes:
        name: As in a reference and in records.
        kind: What it tells.
        about: In words.
        unit: Of the number.
        weight: Its part of the error that is spent over all gauges, beside that of the others. 0: it is shown, and
            never raises an alarm, because the test rows do not say how much of it is usual.
        codes: Whether the number is the code of a category, so that more and less mean nothing.
    """

    name: str
    kind: Kind
    about: str
    unit: str = "share"
    weight: float = 1.0
    codes: bool = False


def share(parts: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Returns parts of wholes, ``float64[rows]``; NaN where the whole is nothing.

    Example:
        >>> share(np.array([1, 0]), np.array([4, 0])).tolist()
        [0.25, nan]
    """
    return np.where(of > 0, parts / np.maximum(of, 1), np.nan)


def coarse(values: np.ndarray, bits: int) -> np.ndarray:
    """Returns numbers with so many bits of their mantissa.

    The last bits of what a model computes hang on how many rows are computed at once, and on the processor. Where many
    rows have one value, as certain answers and copies have, they would else all move to one side of an edge together.

    Example:
        >>> coarse(np.array([1.0, 0.99999994, 3.14159]), 8).tolist()
        [1.0, 1.0, 3.140625]
    """
    mantissas, exponents = np.frexp(np.asarray(values, np.float64))
    return np.ldexp(np.round(np.ldexp(mantissas, bits)), exponents - bits)

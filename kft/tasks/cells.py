"""Cells of tables: what may stand in them, for texts and labels alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kft.characters import half_pair


@dataclass(frozen=True)
class Unreadable:
    """Stands in a cell that was made of others, and could not be.

    Attributes:
        reason: Why.
    """

    reason: str


def as_text(value: object) -> str:
    """Returns a cell as text; None, NaN, NaT and NA are empty."""
    if isinstance(value, str):
        return value
    return "" if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)


def kind_problem(value: object, what: str) -> str:
    """Says why a cell can be no text or label at all: pandas and JSON hold more than text and numbers."""
    if isinstance(value, Unreadable):
        return value.reason
    if isinstance(value, bytes) or not (isinstance(value, str) or pd.api.types.is_scalar(value)):
        return f"{what} is not text: a {type(value).__name__}"
    return half_pair(as_text(value), what)


def text_problem(value: object) -> str:
    """Says why a cell is no usable text; empty when it is one."""
    return kind_problem(value, "text") or ("" if as_text(value).strip() else "empty text")


def as_objects(values: Sequence[Any]) -> np.ndarray:
    """Returns ``object[n]``, whatever the values are: NumPy would make a table of tuples of the same length.

    Example:
        >>> as_objects([("a", "b"), ("c", "d")]).shape
        (2,)
    """
    found = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        found[place] = value
    return found

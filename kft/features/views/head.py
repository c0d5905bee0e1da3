"""The head that training left, as a view: it is taken as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.features.views.view import Goal, ViewInput


@dataclass(frozen=True, eq=False)
class HeadView:
    """A Dense layer on vectors of any length.

    Attributes:
        kernel: ``float32[width, units]``.
        bias: ``float32[units]``.
        goal: What is answered.
    """

    kernel: np.ndarray
    bias: np.ndarray
    goal: Goal
    name = "head"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {}

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        return {"kernel": self.kernel, "bias": self.bias}

    def outputs(self, seen: ViewInput) -> np.ndarray:
        return self.goal.normalised(seen.vectors @ self.kernel + self.bias)

"""What an approach comes to: something that answers, and what it takes to keep it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.data.examples import Examples

if TYPE_CHECKING:
    from kft.compare.setting import Setting
    from kft.model.backbones import Backbone


@dataclass(frozen=True)
class Solution:
    """A fitted approach.

    Attributes:
        answer: To probabilities ``float[n, classes]`` before calibration: from raw inputs, or where ``on_vectors``
            from the frozen backbone's vectors ``float32[n, width]``.
        trained: Parameters that training set.
        own_bytes: What has to be kept of it, beside a backbone that is there anyway.
        whole_bytes: What has to be kept of it, the backbone included; None where it needs none.
        on_vectors: Whether it reads vectors.
        frozen_rows: Examples whose frozen vectors it was fitted with.
        remembers: Whether it keeps its training examples, so that their answers say nothing about overfitting.
        chosen: What was chosen on valid, by name.
        tuned: The backbone with the weights that were kept; None where it stays as it was, or was never pretrained.
    """

    answer: Callable[[Any], np.ndarray]
    trained: int
    own_bytes: int
    whole_bytes: int | None = None
    on_vectors: bool = False
    frozen_rows: int = 0
    remembers: bool = False
    chosen: Mapping[str, Any] = field(default_factory=dict)
    tuned: Backbone | None = None

    def answers(self, setting: Setting, examples: Examples) -> np.ndarray:
        """Returns ``float64[n, classes]``."""
        given = setting.vectors_of(examples) if self.on_vectors else examples.inputs
        return np.asarray(self.answer(given), np.float64)

    def examples_per_second(self, setting: Setting) -> float:
        """Returns how fast raw inputs are answered, in batches; the backbone's share is counted, stored or not."""
        from kft.compare.setting import seconds_of

        rows = len(setting.speed_inputs)
        if not self.on_vectors:
            return rows / seconds_of(lambda: self.answer(setting.speed_inputs))
        vectors = setting.vectors["valid"][:rows]
        own = seconds_of(lambda: self.answer(vectors))
        return rows / (own + rows * setting.seconds_per_vector)

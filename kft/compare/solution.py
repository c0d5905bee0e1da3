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


Relearn = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From rows of ``Setting.known`` to learn from, and others, to answers to these, with the settings of all rows."""


@dataclass(frozen=True)
class Solution:
    """A fitted approach.

    Attributes:
        answer: To answers ``float[n, ...]`` before calibration: from raw inputs, or where ``on_vectors`` from what the
            frozen backbone makes of them, ``ViewInput``.
        trained: Parameters that training set.
        own_bytes: What has to be kept of it, beside a backbone that is there anyway.
        out_of_fold: Answers to ``Setting.judged.rows``, each by what saw nothing of its fold; None where it learned
            from train alone, so that valid's are the honest ones.
        of_valid: Answers to valid, where it has learned from these in the end, by what had not; else None.
        relearn: Learns from some rows alone, for a learning curve; None where it is dear, or learns nothing.
        whole_bytes: What has to be kept of a tuned backbone, all of it; None where it is the backbone's own, or none.
        on_vectors: Whether it reads what the frozen backbone makes of an input.
        on_examples: Whether ``answer`` takes the examples whole, to look their frozen vectors up by itself.
        seconds_each: Wall seconds of one answer where that was measured on the way; None: it is measured apart.
        frozen_rows: Examples whose frozen vectors it was fitted with.
        remembers: Whether it keeps its training examples, so that their answers say nothing about overfitting.
        chosen: What was chosen out of fold or on valid, by name.
        tuned: The backbone with the weights that were kept; None where it stays as it was, or was never pretrained.
    """

    answer: Callable[[Any], np.ndarray]
    trained: int
    own_bytes: int
    out_of_fold: np.ndarray | None = None
    of_valid: np.ndarray | None = None
    relearn: Relearn | None = None
    whole_bytes: int | None = None
    on_vectors: bool = False
    on_examples: bool = False
    seconds_each: float | None = None
    frozen_rows: int = 0
    remembers: bool = False
    chosen: Mapping[str, Any] = field(default_factory=dict)
    tuned: Backbone | None = None

    def answers(self, setting: Setting, examples: Examples) -> np.ndarray:
        """Returns ``float64[n, ...]``; spans are ``object[n]``."""
        if self.on_examples:
            return as_answers(self.answer(examples))
        return as_answers(self.answer(setting.seen_of(examples) if self.on_vectors else examples.inputs))

    def kept_bytes(self, setting: Setting) -> int:
        """Returns what has to be kept of it, the backbone included where it needs one."""
        if self.whole_bytes is not None:
            return self.whole_bytes
        return self.own_bytes + (setting.backbone_bytes if self.on_vectors else 0)

    def examples_per_second(self, setting: Setting) -> float:
        """Returns how fast raw inputs are answered, in batches; the backbone's share is counted, stored or not."""
        from kft.compare.setting import seconds_of

        if self.seconds_each is not None:
            return 1 / self.seconds_each
        rows = len(setting.speed_inputs)
        if not self.on_vectors:
            return rows / seconds_of(lambda: self.answer(setting.speed_inputs))
        seen = setting.seen_of(setting.split.valid).take(np.arange(rows))
        own = seconds_of(lambda: self.answer(seen))
        return rows / (own + rows * setting.seconds_per_vector)


def as_answers(found: Any) -> np.ndarray:
    """Returns answers in the precision that they are compared in; spans stay what they are."""
    answers = np.asarray(found)
    return answers if answers.dtype == object else answers.astype(np.float64)

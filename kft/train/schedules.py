"""The factor a peak learning rate is multiplied with, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from kft.recipe.schedules import SCHEDULES

Schedule = Callable[[Any], Any]


def make_schedule(name: str, *, total_steps: int, warmup_steps: int) -> Schedule:
    """Returns a function from the number of updates done to a factor in 0..1.

    The factor rises linearly from 0 during the warm-up (Goyal et al., 2017), then falls as the schedule says.

    Args:
        name: One of ``SCHEDULES``.
        total_steps: Updates in the phase.
        warmup_steps: Updates until the peak; the first update already moves.

    Example:
        >>> factor = make_schedule("linear", total_steps=10, warmup_steps=2)  # doctest: +SKIP
        >>> [round(float(factor(step)), 2) for step in (0, 1, 2, 6)]  # doctest: +SKIP
        [0.5, 1.0, 1.0, 0.5]
    """
    fall = SCHEDULES.get(name)

    def factor(step: Any) -> Any:
        step = ops.cast(step, "float32")
        rising = (step + 1) / max(1, warmup_steps)
        done = ops.clip((step - warmup_steps) / max(1, total_steps - warmup_steps), 0.0, 1.0)
        return ops.minimum(rising, fall(done))

    return factor

"""The factor a peak learning rate is multiplied with, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

Schedule = Callable[[Any], Any]


def make_schedule(kind: str, *, total_steps: int, warmup_steps: int) -> Schedule:
    """Returns a function from the number of updates done to a factor in 0..1.

    The factor rises linearly from 0 during the warm-up (Goyal et al., 2017), then falls to 0 along a line or a
    half cosine (Loshchilov and Hutter, 2017), or stays at 1.

    Args:
        kind: ``linear``, ``cosine`` or ``constant``.
        total_steps: Updates in the phase.
        warmup_steps: Updates until the peak; the first update already moves.

    Example:
        >>> factor = make_schedule("linear", total_steps=10, warmup_steps=2)  # doctest: +SKIP
        >>> [round(float(factor(step)), 2) for step in (0, 1, 2, 6)]  # doctest: +SKIP
        [0.5, 1.0, 1.0, 0.5]
    """

    def factor(step: Any) -> Any:
        step = ops.cast(step, "float32")
        rising = (step + 1) / max(1, warmup_steps)
        done = ops.clip((step - warmup_steps) / max(1, total_steps - warmup_steps), 0.0, 1.0)
        if kind == "constant":
            falling = ops.ones_like(done)
        elif kind == "linear":
            falling = 1 - done
        else:
            falling = (1 + ops.cos(done * 3.141592653589793)) / 2
        return ops.minimum(rising, falling)

    return factor

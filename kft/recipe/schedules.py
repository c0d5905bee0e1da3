"""How a learning rate falls from its peak: the registry that ``train.schedule`` names.

A schedule of your own is one function: from the share of the way that is done, ``float32`` in 0..1, to a factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kft.registry import Registry

Fall = Callable[[Any], Any]
SCHEDULES: Registry[Fall] = Registry("schedule")


def _linear(done: Any) -> Any:
    return 1 - done


def _cosine(done: Any) -> Any:
    """Half a cosine (Loshchilov and Hutter, 2017)."""
    from keras import ops

    return (1 + ops.cos(done * math.pi)) / 2


def _constant(done: Any) -> Any:
    from keras import ops

    return ops.ones_like(done)


SCHEDULES.register("linear", _linear)
SCHEDULES.register("cosine", _cosine)
SCHEDULES.register("constant", _constant)

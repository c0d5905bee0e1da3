"""Every gauge there is, and how the error is shared out among those of an artifact."""

from __future__ import annotations

from collections.abc import Collection

from kft.monitor.gauges.answers import ANSWERS, VECTORS
from kft.monitor.gauges.gauge import Gauge
from kft.monitor.gauges.images import IMAGES
from kft.monitor.gauges.texts import TEXTS

COPY = Gauge("copy", "broken", "1 where one of the 1,000 rows before holds the same", "0 or 1", weight=0.0)
"""A split keeps copies on one side: how many of them the test rows hold says nothing of how many are usual."""
UNUSABLE = Gauge("unusable", "broken", "1 where a row cannot be answered: an empty text, no image", "0 or 1")
"""No test row is: those that cannot be used are left out of a split, and the reference says how many they were."""
GAUGES = {gauge.name: gauge for gauge in (*TEXTS, *IMAGES, *ANSWERS, *VECTORS, COPY, UNUSABLE)}
"""By name."""


def shares_of_error(names: Collection[str]) -> dict[str, float]:
    """Returns which part of the error each gauge may spend; together they are 1. Those without weight are left out.

    Args:
        names: The gauges of an artifact.

    Example:
        >>> shares_of_error(["cut", "surprise", "copy"])
        {'cut': 0.25, 'surprise': 0.75}
    """
    weights = {name: GAUGES[name].weight for name in names if GAUGES[name].weight}
    whole = sum(weights.values())
    return {name: weight / whole for name, weight in weights.items()}

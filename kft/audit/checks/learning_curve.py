"""Is it enough? A probe's learning curve on stored features, carried on to twice and four times the labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from kft.audit.check import Check
from kft.audit.forecast import CONFIDENCE_PERCENT, Forecast, forecast, measure_curve
from kft.audit.view import AuditView
from kft.features.folds import project
from kft.features.growth import grow
from kft.records.findings import Finding

NAME = "learning-curve"
FACTORS = (2, 4)
FEWEST_POINTS = 4
STEEP = 0.02
"""The curve is steep where twice the labels would probably bring this gain, and surely some of it."""


def find_learning_curve(view: AuditView) -> Iterable[Finding]:
    """Says what more labels would bring; a warning while the curve is steep."""
    if view.strength is None or view.targets is None:
        return
    known, seed = view.known, view.spec.seed
    data = project(view.known_features, view.targets, len(view.split.labels))
    growth = grow(data, known.groups, view.strength, seed=seed)
    if len(growth.sizes) < FEWEST_POINTS:
        return  # too few rows to see a curve
    curve = measure_curve(growth.sizes, growth.right, None if known.groups is None else known.groups[growth.held_out])
    forecasts = [forecast(curve, factor, seed=seed) for factor in FACTORS]
    twice = forecasts[0]
    more = round(twice.size - curve.sizes[-1])
    steep = twice.gain.value >= STEEP and twice.gain.low > 0
    yield Finding(
        check=NAME,
        severity="warning" if steep else "note",
        message=say_gain(twice, more, now=float(curve.accuracy[-1])),
        advice=_advice(steep, twice),
        score=min(1.0, max(0.0, twice.gain.value)),
        details={
            "metric": "accuracy of the probe",
            "points": [*_measured(growth.sizes, curve.accuracy), *map(_forecast, forecasts)],
            "held_out": len(growth.held_out),
            "strength": view.strength,
            "confidence_percent": CONFIDENCE_PERCENT,
        },
    )


def _measured(sizes: np.ndarray, accuracy: np.ndarray) -> list[dict[str, Any]]:
    """Points without a spread: the forecast fans out from the last of them."""
    pairs = zip(sizes.tolist(), accuracy.round(4).tolist(), strict=True)
    return [{"n": size, "value": value, "low": value, "high": value, "forecast": False} for size, value in pairs]


def _forecast(found: Forecast) -> dict[str, Any]:
    return {"n": found.size, **vars(found.accuracy), "forecast": True}


def say_gain(found: Forecast, more: int, *, now: float) -> str:
    """Returns the sentence on what more labels would bring.

    Example:
        >>> from kft.records.estimate import Estimate
        >>> say_gain(Forecast(200, Estimate(0.83, 0.8, 0.86), Estimate(0.03, 0.01, 0.05)), 100, now=0.8)
        "About 100 more labels would bring about +0.03 (from +0.01 to +0.05) to the probe's accuracy of 0.80."
        >>> say_gain(Forecast(200, Estimate(0.8, 0.79, 0.81), Estimate(0.001, -0.01, 0.01)), 100, now=0.8)
        "About 100 more labels would bring next to nothing (from -0.01 to +0.01) to the probe's accuracy of 0.80."
    """
    gain = found.gain
    about = "next to nothing" if gain.value < 0.005 else f"about {gain.value:+.2f}"
    return (
        f"About {more:,} more labels would bring {about} (from {gain.low:+z.2f} to {gain.high:+z.2f}) to the probe's "
        f"accuracy of {now:.2f}."
    )


def _advice(steep: bool, twice: Forecast) -> str:
    if steep:
        return "Label more before anything else is tuned; start with the classes that the probe mixes up."
    if twice.gain.high < STEEP:
        return "More of the same labels would not help: mend those there are, or fine-tune more blocks (train.phases)."
    return "These rows cannot show whether that helps: mend the labels first, or fine-tune more blocks (train.phases)."


CHECK = Check(NAME, "whether more labels would help, and how much", find_learning_curve, needs_features=True, rank=200)

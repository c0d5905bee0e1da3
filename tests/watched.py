"""A monitor's result as a watch writes it, with made-up figures: some gauges move halfway."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from math import log

import numpy as np

from kft.records.estimate import Estimate
from kft.records.estimated import AccuracyEstimate, ClassShare, ClassShares, EstimateMethod
from kft.records.monitored import Change, GaugeSeen, Moments, MonitorResult, RowCounts, WindowSeen
from kft.records.sliced import ExampleSeen, ExamplesSeen, ShareChange, SliceSeen, SlicesSeen

ALPHA = 0.01
ABOUT = {
    "tokens": ("input", "how many tokens the model is given", "tokens"),
    "surprise": ("vocabulary", "how rare a text's tokens are in the valid split, on average", "nats"),
    "confidence": ("scores", "how sure the model is of its answer", "probability"),
    "class": ("classes", "the answered class; of several labels the likeliest", "code"),
    "distance": ("foreign", "1 less the cosine to the nearest valid vector", "0 to 2"),
    "copy": ("broken", "1 where one of the 1,000 rows before holds the same", "0 or 1"),
    "cut": ("broken", "1 where a text is as long as the model reads: the rest is cut off", "0 or 1"),
}
LABELS = ("negative", "neutral", "positive")


def watched(count: int = 24, *, shift: float = 1.2, rows: int = 120, labels=LABELS, **changes) -> MonitorResult:
    """Returns a result of so many windows; from the middle on three gauges move by ``shift`` standard deviations."""
    rng = np.random.default_rng(0)
    names = [str(date(2026, 11, 1) + timedelta(days=day)) for day in range(count)]
    windows = [
        WindowSeen(name, rows, f"{name}T00:00:00+00:00", f"{name}T23:00:00+00:00", labels=answers)
        for name, answers in zip(names, _answers(rng, labels, count, rows), strict=True)
    ]
    gauges = []
    for gauge, (kind, about, unit) in ABOUT.items():
        threshold = None if gauge == "copy" else log(len(ABOUT) / ALPHA)
        moves = bool(shift) and gauge in ("surprise", "distance", "confidence")
        evidence, alarm = 0.0, ""
        for at, name in enumerate(names):
            evidence += shift * rng.uniform(20, 50) if moves and at >= count // 2 else -rng.uniform(0, 0.2)
            alarm = alarm or (name if threshold and evidence >= threshold else "")
            windows[at] = replace(windows[at], evidence={**windows[at].evidence, gauge: round(evidence, 3)})
        seen = GaugeSeen(gauge, kind, about, unit, evidence, threshold, alarm, before=Moments(600, 0.4, 1.0))
        if alarm:
            since, now = names[count // 2], Moments(rows * count // 2, 0.4 + shift, 1.0)
            said = f"{now.mean:.2f} now, 0.40 before: most has come from above all test rows"
            seen = replace(seen, since=since, now=now, change=Change(shift, shift - 0.05, shift + 0.05), said=said)
        gauges.append(seen)
    gauges.sort(key=lambda each: (not each.alarm, -each.strength))
    result = MonitorResult(
        name="product_reviews",
        version="3f9c2a7d1b20",
        data="kept",
        alpha=ALPHA,
        taken=RowCounts(rows),
        rows=rows * count,
        calls=count,
        windows=tuple(windows),
        gauges=tuple(gauges),
        accuracy=accuracy(),
        shares=shares(),
        slices=slices(names[count // 2]) if shift else SlicesSeen(names[0], rows * count, 0.54, (slice_of("answer"),)),
        examples=EXAMPLES if shift else ExamplesSeen(refused="no row of this call is new"),
        next_steps=(
            "label what is new: kft queue shelf/product_reviews kept -n 100 -o label.csv",
            "kft retrain runs/product_reviews-1 --with label.csv",
        ),
    )
    return replace(result, **changes)


def slice_of(by: str, value: str = "negative", to: float = 0.0, **changes) -> SliceSeen:
    """Returns a slice whose share has moved by so much, and nothing else of it."""
    half = 0.08
    share, same = ShareChange(0.3, 0.3 + to, to - half, to + half), ShareChange(0.2, 0.22, -0.1, 0.14)
    return replace(SliceSeen(by, value, 400, 180, share, same, same, 0.69, 0.74), **changes)


def slices(since: str) -> SlicesSeen:
    every = (slice_of("length", "over 24 tokens", 0.3), slice_of("answer", to=-0.2), slice_of("answer", "neutral"))
    return SlicesSeen(since, 1440, 0.54, every, unknown=("region",))


EXAMPLES = ExamplesSeen(
    by="what speaks most for the change: surprise, distance",
    came=(
        ExampleSeen("A film of two hours.", "", "negative", 0.81, "2026-11-14", ("surprise 8.2, test rows 7.4",)),
        ExampleSeen("", "/nowhere/photo.jpg", "positive", None, "2026-11-15"),
    ),
    test=(ExampleSeen("The lid closes tightly.", "", "positive", 0.97),),
)


def _answers(rng, labels, count, rows):
    """Answers of each window; from the middle on the first label is given more often, the last less."""
    rest = len(labels) - 2
    for at in range(count):
        ends = (0.3, 0.5) if at < count // 2 else (0.5, 0.3)
        shares = [ends[0], *[0.2 / rest] * rest, ends[1]]
        yield {str(place): int(n) for place, n in enumerate(rng.multinomial(rows, shares))}


def accuracy(**changes) -> AccuracyEstimate:
    found = AccuracyEstimate(
        metric="accuracy",
        value=0.684,
        low=0.641,
        high=0.722,
        method="Average thresholded confidence, re-weighted to the estimated class shares",
        assumptions=("within a class, new rows look like the test rows", "the probabilities are calibrated"),
        refused=(),
        n=2880,
        reference=Estimate(0.787, 0.759, 0.814),
        ways=(EstimateMethod("atc", 0.679), EstimateMethod("cbpe", 0.702)),
        labels=50,
        labels_alone=Estimate(0.66, 0.52, 0.78),
        more_labels=150,
    )
    return replace(found, **changes)


def shares(names=LABELS) -> ClassShares:
    found = tuple(
        ClassShare(name, 1 / len(names), value, max(0.0, value - 0.05), min(1.0, value + 0.05))
        for name, value in zip(names, np.linspace(0.6, 0.05, len(names)), strict=True)
    )
    return ClassShares(found, "BBSE, with EM beside it", ("within a class, inputs are as they were",), (), 2880)

"""Images of which little can be learned: tiny, of extreme proportions, blurred, dark, washed out, of one colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from kft.audit.check import Check
from kft.audit.pixels import ImageFacts
from kft.audit.texts import counted, ids_of
from kft.audit.view import AuditView
from kft.records.findings import Finding

INPUT_SIDE = 224
"""Pixels a side of the model's input where no backbone was asked for and the recipe names none: that of most."""
PROPORTIONS = 3.0
"""Longer side against the shorter; the middle square is then a third of the image or less."""
BLURRED, SURELY_BLURRED = -3.5, 15.0
"""A robust z-score of the log sharpness (the outlier rule of Iglewicz and Hoaglin, 1993), and a sharpness that only
strong blur has in photos, whatever the rest of the set looks like. On 1,221 photos of vegetables the first names 5,
all of them out of focus; of 150 of them blurred with a Gaussian of 2 pixels, 90 %, of 3 pixels, all."""
DARK, WASHED, FLAT = 60.0, 200.0, 6.0
"""99th percentile of grey below it; 1st percentile above it; standard deviation below it."""
WARNED = 0.05
LOOK = "Look at them; take out what a person could not label."


def check_image_quality(view: AuditView) -> Iterable[Finding]:
    """Looks for images of poor quality."""
    side = view.image_side or view.spec.model.image.size or INPUT_SIDE
    crops = view.spec.model.image.fit == "crop"
    return judge_images(ids_of(view.all), view.images, side=side, crops=crops)


def judge_images(ids: Sequence[str], facts: ImageFacts, *, side: int, crops: bool = True) -> Iterable[Finding]:
    """Judges images by what was measured of them.

    Args:
        ids: Of the examples.
        facts: Of their images.
        side: Pixels a side of the model's input.
        crops: Whether the model sees the middle square alone.
    """
    shorter, longer = facts.sizes.min(axis=1), facts.sizes.max(axis=1)
    flat = facts.contrast < FLAT
    dark = (facts.brightness[:, 2] < DARK) & ~flat
    washed = (facts.brightness[:, 0] > WASHED) & ~flat
    tiny = shorter < side / 2
    blurred = is_blurred(facts.sharpness) & ~(flat | dark | washed | tiny)
    fit = "--set model.image.fit=pad keeps all of it." if crops else LOOK
    kinds = (
        ("tiny", tiny, shorter, f"are below half the model's input of {side} pixels", "Take larger originals."),
        ("proportions", longer >= PROPORTIONS * shorter, shorter / longer, "are three times as long as wide", fit),
        ("blurred", blurred, facts.sharpness, "are blurred", LOOK),
        ("dark", dark, facts.brightness[:, 1], "are dark all over", LOOK),
        ("washed-out", washed, -facts.brightness[:, 1], "are bright all over", LOOK),
        ("flat", flat, facts.contrast, "are of one colour", "Take them out: nothing can be seen in them."),
    )
    for kind, bad, values, what, advice in kinds:
        places = np.flatnonzero(bad)
        if len(places):
            share = len(places) / len(bad)
            order = places[np.argsort(values[places], kind="stable")]
            yield Finding(
                "image-quality",
                "warning" if share >= WARNED or kind == "flat" else "note",
                counted(len(places), len(bad), "images", f"{what}."),
                advice,
                share,
                tuple(ids[place] for place in order),
                {"kind": kind, "values": [round(float(values[place]), 2) for place in order]},
            )


def is_blurred(sharpness: np.ndarray) -> np.ndarray:
    """Returns ``bool[n]``: far less sharp than the other images, or than any photo in focus.

    Example:
        >>> is_blurred(np.array([300.0, 420.0, 500.0, 650.0, 5.0])).tolist()
        [False, False, False, False, True]
    """
    logs = np.log(np.maximum(sharpness, 1e-6))
    spread = 1.4826 * np.median(np.abs(logs - np.median(logs)))
    unusual = (logs - np.median(logs)) / max(float(spread), 0.1) < BLURRED
    return unusual | (sharpness < SURELY_BLURRED)


CHECK = Check(
    "image-quality", "tiny, long, blurred, dark, flat images", check_image_quality, "image", quick=False, rank=120
)

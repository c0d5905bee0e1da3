"""Without a backbone: the majority class, and a linear model on words (or on the colours of small thumbnails)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kft.compare.setting import Setting
from kft.compare.solution import Solution
from kft.features.ngrams import solve_words
from kft.tasks.decode import softmax

THUMBNAIL = 16
"""Pixels a side of what a linear model sees of an image."""


def fit_majority(setting: Setting) -> Solution:
    """The training split's shares of the classes, whatever is asked."""
    judging, space = setting.task.kind.judging, setting.split.space
    shares = judging.shares(list(setting.split.train.labels), space)  # type: ignore[arg-type]  # labelled
    return Solution(lambda inputs: judging.constant(shares, space, len(inputs)), setting.classes, 8 * setting.classes)


def fit_linear(setting: Setting) -> Solution:
    """Solves the linear model for each strength and keeps the best on valid."""
    return _fit_pixels(setting) if setting.task.reads.files else _fit_words(setting)


def _fit_words(setting: Setting) -> Solution:
    """TF-IDF of words and pairs of words; of characters where texts have no spaces."""
    train, valid = setting.split.train, setting.split.valid
    targets = setting.targets(valid)
    sign = -1 if setting.lower_is_better else 1
    found = solve_words(
        (train.inputs, setting.targets(train)),
        valid.inputs,
        setting.classes,
        lambda answers: sign * setting.metric.value(targets, answers),
    )
    return Solution(
        answer=found.answer,
        trained=found.trained,
        own_bytes=found.own_bytes,
        chosen={"C": found.strength, "ngrams": found.ngrams},
    )


def _fit_pixels(setting: Setting) -> Solution:
    """Softmax regression on the colours of thumbnails."""
    from kft.features.probe import ProbeRows, solve_probe

    parts = (setting.split.train, setting.split.valid)
    train, valid = (ProbeRows(thumbnails(part.inputs), setting.targets(part)) for part in parts)
    probe = solve_probe(train, valid, setting.classes, score=scorer(setting))
    return Solution(
        answer=lambda inputs: softmax(thumbnails(inputs) @ probe.kernel + probe.bias),
        trained=probe.kernel.size + probe.bias.size,
        own_bytes=probe.kernel.nbytes + probe.bias.nbytes,
        chosen={"C": probe.strength, "pixels": f"{THUMBNAIL} x {THUMBNAIL}"},
    )


def thumbnails(paths: Sequence[Path]) -> np.ndarray:
    """Returns ``float32[n, 768]``: the colours of 16 x 16 pixels, from 0 to 1."""
    from kft.data.images import ImageSizing, decode_image

    sizing = ImageSizing(THUMBNAIL, THUMBNAIL, "stretch")
    return np.stack([decode_image(Path(path), sizing).reshape(-1) for path in paths]).astype(np.float32) / 255


def scorer(setting: Setting) -> Callable[[np.ndarray], float]:
    """Returns what scores outputs on valid by the comparison's metric; higher is better."""
    targets = setting.targets(setting.split.valid)
    sign = -1 if setting.lower_is_better else 1
    return lambda outputs: sign * setting.metric.value(targets, softmax(outputs))

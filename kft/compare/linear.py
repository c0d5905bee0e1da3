"""Without a backbone: the constant answer, and a linear model on words (or on the colours of small thumbnails)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kft.compare.setting import Setting
from kft.compare.solution import Solution, as_answers
from kft.compare.tagging import fit_word_shapes
from kft.features.ngrams import Worded, fit_words, words_out_of_fold
from kft.features.views import linear
from kft.features.views.view import Lesson, ViewInput
from kft.split.labels import label_shares

THUMBNAIL = 16
"""Pixels a side of what a linear model sees of an image."""


def fit_majority(setting: Setting) -> Solution:
    """The shares of the classes in train and valid, whatever is asked; or the mean."""
    judging, space = setting.task.kind.judging, setting.split.space
    constant = judging.constant
    assert constant is not None  # what searches is compared elsewhere
    shares = label_shares(setting.known, setting.task.kind, space)

    def answer(inputs: Sequence[Any]) -> np.ndarray:
        return as_answers(constant(shares, space, len(inputs)))

    return Solution(
        answer=answer,
        trained=setting.goal.units,
        own_bytes=8 * setting.goal.units,
        out_of_fold=answer(setting.judged.rows),  # type: ignore[arg-type]  # it looks at how many they are
    )


def fit_linear(setting: Setting) -> Solution:
    """Solves the linear model, its strength chosen out of fold, on train and valid together."""
    if setting.per_token:
        return fit_word_shapes(setting)
    return _fit_pixels(setting) if setting.task.reads.files else _fit_words(setting)


def _fit_words(setting: Setting) -> Solution:
    """TF-IDF of words and pairs of words; of characters where texts have no spaces."""
    known, judged, (targets, counts) = setting.known, setting.judged, setting.learned
    worded = Worded(known.inputs, targets, setting.goal, counts)
    strength, outputs = words_out_of_fold(worded.take(judged.rows), judged.fold_of)
    (found,) = fit_words(worded, (strength,))

    def relearn(some: np.ndarray, asked: np.ndarray) -> np.ndarray:
        (model,) = fit_words(worded.take(some), (strength,))
        return setting.answers_of(model.outputs(worded.take(asked).inputs))

    return Solution(
        answer=lambda inputs: setting.answers_of(found.outputs(inputs)),
        trained=found.trained,
        own_bytes=found.own_bytes,
        out_of_fold=setting.answers_of(outputs),
        relearn=relearn,
        chosen={"C": found.strength, "ngrams": found.ngrams},
    )


def _fit_pixels(setting: Setting) -> Solution:
    """A linear model on the colours of thumbnails."""
    known, judged, (targets, counts) = setting.known, setting.judged, setting.learned
    lesson = Lesson(_colours(known.inputs), targets, setting.goal, None, counts)
    strength, outputs = linear.out_of_fold(lesson.take(judged.rows), judged.fold_of)
    view = linear.fit(lesson, strength)
    return Solution(
        answer=lambda inputs: setting.answers_of(view.outputs(_colours(inputs))),
        trained=view.kernel.size + view.bias.size,
        own_bytes=view.kernel.nbytes + view.bias.nbytes,
        out_of_fold=setting.answers_of(outputs),
        chosen={"C": strength, "pixels": f"{THUMBNAIL} x {THUMBNAIL}"},
    )


def _colours(paths: Sequence[Path]) -> ViewInput:
    """Colours by their distance from grey, so that light and dark remain apart where only directions are looked at."""
    return ViewInput(thumbnails(paths) - 0.5)


def thumbnails(paths: Sequence[Path]) -> np.ndarray:
    """Returns ``float32[n, 768]``: the colours of 16 x 16 pixels, from 0 to 1."""
    from kft.data.images import ImageSizing, decode_image

    sizing = ImageSizing(THUMBNAIL, THUMBNAIL, "stretch")
    return np.stack([decode_image(Path(path), sizing).reshape(-1) for path in paths]).astype(np.float32) / 255

"""On the frozen backbone: neighbours, a solved head, and the blend; chosen out of fold, fitted on train and valid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from kft.compare.setting import Setting
from kft.compare.solution import Solution
from kft.compare.tuning import train_approach
from kft.features.views import linear, neighbours
from kft.features.views.blend import fit_blend, refit
from kft.features.views.view import Lesson, ViewInput
from kft.runtime import one_blas_thread


def fit_retrieval(setting: Setting) -> Solution:
    """The labelled examples that lie near; how near is chosen out of fold."""
    lesson, judged = setting.lesson, setting.judged
    with one_blas_thread():
        width, outputs = neighbours.out_of_fold(lesson.take(judged.rows), judged.fold_of)
        view = neighbours.fit(lesson, width)
    return Solution(
        answer=_answerer(setting, view.outputs),
        trained=0,
        own_bytes=_bytes(view.arrays),
        out_of_fold=setting.answers_of(outputs),
        on_vectors=True,
        frozen_rows=len(lesson),
        remembers=True,
        relearn=_relearner(setting, lesson, lambda part: neighbours.fit(part, width).outputs),
        chosen={"width": width},
    )


def fit_probe(setting: Setting) -> Solution:
    """The solved head, its strength chosen out of fold; of words on valid, as a training run does it."""
    if setting.per_token:
        return train_approach(setting, "probe")
    lesson, judged = setting.lesson, setting.judged
    with one_blas_thread():
        strength, outputs = linear.out_of_fold(lesson.take(judged.rows), judged.fold_of)
        view = linear.fit(lesson, strength)
    return Solution(
        answer=_answerer(setting, view.outputs),
        trained=view.kernel.size + view.bias.size,
        own_bytes=_bytes(view.arrays),
        out_of_fold=setting.answers_of(outputs),
        on_vectors=True,
        frozen_rows=len(lesson),
        relearn=_relearner(setting, lesson, lambda part: linear.fit(part, strength).outputs),
        chosen={"C": strength},
    )


def fit_views(setting: Setting) -> Solution:
    """The views of the frozen backbone, weighed out of fold, as the phase ``blend`` of a training run does."""
    if setting.per_token:
        return train_approach(setting, "blend")
    lesson = replace(setting.lesson, names=setting.names)
    found = fit_blend(lesson, setting.judged.folding)
    arrays = {name: array for name, array in found.blend.arrays.items() if array.dtype.kind == "f"}
    solved = [name for name in arrays if name.endswith(("/kernel", "/bias", "/share"))]
    return Solution(
        answer=_answerer(setting, found.blend.outputs),
        trained=sum(arrays[name].size for name in solved),
        own_bytes=_bytes(found.blend.arrays),
        out_of_fold=setting.answers_of(found.out_of_fold),
        on_vectors=True,
        frozen_rows=len(lesson),
        remembers=found.weights["neighbours"] > 0,
        relearn=_relearner(setting, lesson, lambda part: refit(found.blend, part).outputs),
        chosen={"weights": dict(found.weights), "settings": {name: dict(of) for name, of in found.settings.items()}},
    )


def _relearner(
    setting: Setting, lesson: Lesson, fit: Callable[[Lesson], Callable[[ViewInput], np.ndarray]]
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def relearn(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
        with one_blas_thread():
            return setting.answers_of(fit(lesson.take(known))(lesson.seen.take(asked)))

    return relearn


def _answerer(setting: Setting, outputs: Callable[[ViewInput], np.ndarray]) -> Callable[[ViewInput], np.ndarray]:
    return lambda seen: setting.answers_of(outputs(seen))


def _bytes(arrays: Mapping[str, np.ndarray]) -> int:
    return sum(array.nbytes for array in arrays.values())

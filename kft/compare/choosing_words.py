"""Which backbone for the words of texts: a head on the frozen features of single words, and how these are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kft.compare.grounds import Grounds
from kft.compare.tagging import labelled_words, spans_of
from kft.features.folds import FOLDS, assign_folds
from kft.features.views import linear, words
from kft.features.views.blend import blended, weigh
from kft.features.views.view import Goal
from kft.recipe.schema import RecipeSpec
from kft.runtime import one_blas_thread
from kft.split.data_split import labels_of

if TYPE_CHECKING:
    import keras

    from kft.features.vectors import Passed
    from kft.feed.source import Source
    from kft.model.encode import Encoded


def token_pass(model: keras.Model, read: Encoded, spec: RecipeSpec, grounds: Grounds) -> Passed:
    """Runs the frozen backbone over all texts, or takes the features of their tokens from the store."""
    from kft.features.boundary import frozen_blocks, split_at_boundary
    from kft.features.store import FeatureProgress, make_front
    from kft.features.vectors import frozen_pass
    from kft.model.freeze import as_if, what_trains

    with as_if(model, what_trains(model, "none")):
        split = split_at_boundary(model)
        cut = make_front(split, precision=spec.features.precision), frozen_blocks(model, split)
    with grounds.progress.task("frozen blocks, once", len(grounds.known)) as tick:
        watch = FeatureProgress(tick, grounds.progress.note)
        return frozen_pass(cut, [read.source], spec.features, spec.model.backbone, watch)


def answer_words(features: Source, read: Encoded, grounds: Grounds) -> tuple[dict, dict, np.ndarray]:
    """Answers every text by what saw neither it, nor its group, nor a copy of it.

    Returns:
        Answers by approach, what was chosen for them, and the features ``float32[words, width]``.
    """
    from kft.train.tagged_words import words_of

    kind, space, known = grounds.task.kind, grounds.split.space, grounds.known
    tagged = labelled_words(read, list(labels_of(known)), kind, space)
    goal = Goal(kind.learning.solver, kind.learning.units(space))
    lesson = words_of(tagged, features, np.arange(len(known)), goal)
    shapes = lesson.seen.shapes
    assert shapes is not None
    groups = grounds.together
    units = len(known) if groups is None else len(np.unique(groups))
    strata = np.unique(grounds.strata, return_inverse=True)[1]
    fold_of = assign_folds(strata, groups, min(FOLDS, max(2, units)), grounds.spec.seed)[shapes.text]
    chosen: dict[str, Any] = {}
    single: dict[str, np.ndarray] = {}
    views = {"linear": linear, "words": words}
    with grounds.progress.task("views of words, out of fold", len(views)) as tick, one_blas_thread():
        for name, view in views.items():
            chosen[name], single[name] = view.out_of_fold(lesson, fold_of)
            tick(1)
        weights = weigh(single, lesson)
    outputs = {"probe": single["linear"], "blend": blended(single, weights)}
    answers = {name: spans_of(each, tagged, kind, space) for name, each in outputs.items()}
    settings = {name: {"C": strength} for name, strength in chosen.items()}
    found = {"probe": settings["linear"], "blend": {"weights": weights, "settings": settings}}
    return answers, found, lesson.seen.vectors

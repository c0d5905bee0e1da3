"""A phase that is a blend: views of frozen features, weighed by what they say of rows that they have not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.features.boundary import SplitModel
from kft.features.folds import FOLDS
from kft.features.vectors import as_array
from kft.features.views.blend import BlendResult, Folding, families, fit_blend, fit_tuned_blend, refit_tuned
from kft.features.views.head import HeadView
from kft.features.views.view import Goal, Lesson, ViewInput
from kft.feed.batches import Ragged
from kft.feed.source import Source
from kft.model.blend import blend_weights
from kft.model.heads import LOGITS
from kft.recipe.training import PhaseSpec
from kft.records.document import as_document
from kft.records.history import BlendFitted
from kft.split.near import join_groups
from kft.split.similar import similar_groups
from kft.train.answers import OUTPUTS, TRAIN, TRAIN_ROWS, outputs_as_arrays, outputs_from
from kft.train.checkpoint import Arrays
from kft.train.events import Events
from kft.train.frozen import features_of
from kft.train.job import Job
from kft.train.phases import is_tuned
from kft.train.tagged_words import MOST_WORDS, to_tokens, words_of
from kft.train.weights import weigh


@dataclass(frozen=True)
class Blended:
    """A fitted blend as the loop takes it.

    Attributes:
        weights: Its arrays, by the paths of the graph's variables.
        answers: Outputs for valid, and for some rows of train, out of fold; see ``kft.train.answers``.
        chosen: The views' weights and settings, as JSON holds them.
    """

    weights: Arrays
    answers: Arrays
    chosen: dict[str, Any]

    @property
    def valid(self) -> Ragged | np.ndarray:
        """``float32[valid, units]``, or ``[tokens, units]`` of each text."""
        return outputs_from(self.answers)


def solve_blend(job: Job, phase: PhaseSpec, split: SplitModel) -> Events[Blended]:
    """Fits the views on all that may be learned from.

    On a backbone that training has not moved, every label of train and valid is used for fitting and, out of fold, for
    choosing. On a tuned one valid alone can say what the views are worth; see ``fit_tuned_blend``. So it is for words,
    of which even a small valid split has thousands: the head that was solved before is a view as it stands.
    """
    if job.data.kind.learning.per_token:
        return (yield from _blend_words(job, phase, split))
    lessons = yield from _lessons(job, phase, split)
    tuned = is_tuned(job.phases, phase.name)
    folding = _folding(job, lessons, tuned)
    with job.watch.task("views, out of fold", len(families(lessons[0]))) as tick:
        if tuned:
            found = fit_tuned_blend(_head(job, lessons[0].goal), lessons[0], lessons[1], folding, tick)
        else:
            found = fit_blend(lessons[0].with_more(lessons[1]), folding, tick)
    answers = _answers(found, len(job.data.train.source), tuned)
    return (yield from _told(phase, found, answers))


@dataclass(frozen=True, eq=False)
class ByTrain:
    """What a blend of train's labels alone answers.

    Attributes:
        rows: ``int[m]``: the rows of train that were answered out of fold.
        train: ``float32[m, units]``: those answers.
        valid: Of valid, ``float32[n, units]``.
        unlabelled: Of rows without labels, likewise.
    """

    rows: np.ndarray
    train: np.ndarray
    valid: np.ndarray
    unlabelled: np.ndarray


def blend_of_train(job: Job, phase: PhaseSpec, split: SplitModel, unlabelled: Source) -> Events[ByTrain]:
    """Fits the views on train alone, so that valid's labels have no part in what is answered."""
    data, names = job.data, job.data.names
    more = (unlabelled,) if names is None else (unlabelled, names)
    train, valid, rest, *named = yield from features_of(job, phase, split, more)
    goal = Goal(data.kind.learning.solver, data.kind.learning.units(data.space))
    known = _seen(named[0], names) if names is not None else None
    seen, n = _seen(train, data.train.source), len(data.train.source)
    lesson = Lesson(seen, np.asarray(data.train.learned), goal, known, _some(data.weights))
    together = None if data.together is None else data.together[:n]
    folding = Folding(_strata(data.train.targets, goal), together, job.spec.seed)
    with job.watch.task("views, on train alone", len(families(lesson))) as tick:
        found = fit_blend(lesson, folding, tick)
    held = (found.blend.outputs(_seen(part, own)) for part, own in ((valid, data.valid.source), (rest, unlabelled)))
    return ByTrain(found.rows, found.out_of_fold, *held)


def refit_blend(job: Job, phase: PhaseSpec, split: SplitModel, chosen: dict[str, Any]) -> Events[Arrays]:
    """Fits a blend again on a model that has learned from valid as well; returns its arrays, as ``Blended.weights``.

    No row is left that could say what views are worth: their weights and settings stay what they were.

    Args:
        job: What is trained.
        phase: A blend with the model's own head among its views.
        split: The model, cut where its features are.
        chosen: From ``Blended``.
    """
    by_word = job.data.kind.learning.per_token
    train, valid = yield from (_word_lessons if by_word else _lessons)(job, phase, split)
    head = _head(job, train.goal)
    return blend_weights(refit_tuned(head, train.with_more(valid), chosen["weights"], chosen["settings"]).arrays)


def _lessons(job: Job, phase: PhaseSpec, split: SplitModel) -> Events[tuple[Lesson, Lesson]]:
    """Returns train and valid as views take them."""
    data, names = job.data, job.data.names
    train, valid, *more = yield from features_of(job, phase, split, () if names is None else (names,))
    goal = Goal(data.kind.learning.solver, data.kind.learning.units(data.space))
    named = _seen(more[0], names) if names is not None else None
    # A row of valid counts as its class does in train.
    valid_targets, valid_weights = weigh(np.asarray(data.valid.learned), data.class_weights)
    return (
        Lesson(_seen(train, data.train.source), np.asarray(data.train.learned), goal, named, _some(data.weights)),
        Lesson(_seen(valid, data.valid.source), valid_targets, goal, named, _some(valid_weights)),
    )


def _word_lessons(job: Job, phase: PhaseSpec, split: SplitModel) -> Events[tuple[Lesson, Lesson]]:
    """Returns the words of train and of valid as views take them."""
    data = job.data
    train, valid = yield from features_of(job, phase, split)
    goal = Goal(data.kind.learning.solver, data.kind.learning.units(data.space))
    n = len(data.train.targets)
    text = np.arange(n + len(data.valid.targets)) if data.together is None else data.together
    return (
        words_of(data.train, train, text[:n], goal, MOST_WORDS),
        words_of(data.valid, valid, text[n:], goal),
    )


def _blend_words(job: Job, phase: PhaseSpec, split: SplitModel) -> Events[Blended]:
    """Blends the head with a model on how words are written, word by word."""
    lessons = yield from _word_lessons(job, phase, split)
    shapes = lessons[1].seen.shapes
    assert shapes is not None
    folding = Folding(lessons[1].targets, shapes.text, job.spec.seed)
    with job.watch.task("views of words", len(families(lessons[0]))) as tick:
        found = fit_tuned_blend(_head(job, lessons[0].goal), lessons[0], lessons[1], folding, tick)
    outputs = to_tokens(found.out_of_fold, job.data.valid.targets)
    return (yield from _told(phase, found, outputs_as_arrays(outputs)))


def _head(job: Job, goal: Goal) -> HeadView:
    head: Any = job.model.get_layer(LOGITS)
    return HeadView(head.kernel.numpy(), head.bias.numpy(), goal)


def _told(phase: PhaseSpec, found: BlendResult, answers: Arrays) -> Events[Blended]:
    settings = {name: dict(chosen) for name, chosen in found.settings.items()}
    event = BlendFitted(phase.name, found.weights, found.losses, settings)
    yield event
    told = as_document(event)
    return Blended(blend_weights(found.blend.arrays), answers, {key: told[key] for key in ("weights", "settings")})


def _seen(features: Source, inputs: Source) -> ViewInput:
    (column,) = (features.columns[name] for name in features.columns if name not in inputs.columns)
    return ViewInput(as_array(column, len(features)), inputs.texts)


def _some(weights: np.ndarray) -> np.ndarray | None:
    return None if (weights == 1).all() else weights


def _folding(job: Job, lessons: tuple[Lesson, Lesson], tuned: bool) -> Folding:
    """Says how rows are dealt out: valid's alone on a tuned backbone, else train's and then valid's."""
    data = job.data
    sizes = [len(lesson) for lesson in lessons]
    is_valid = np.repeat([False, True], sizes)
    strata = np.concatenate([_strata(part.targets, lessons[0].goal) for part in (data.train, data.valid)])
    rows = is_valid if tuned else np.ones(sum(sizes), bool)
    together = None if data.together is None else data.together[rows]
    if job.spec.data.keep_together == "similar":
        vectors = np.concatenate([lesson.seen.vectors for lesson in lessons])[rows]
        together = join_groups(together, similar_groups(vectors, strata[rows].astype(str), 1 - 1 / FOLDS))
    return Folding(strata[rows], together, job.spec.seed, is_valid[rows])


def _strata(targets: Any, goal: Goal) -> np.ndarray:
    """Returns ``int[n]``: the class; the first label of several; quarters of numbers."""
    if goal.solver == "softmax":
        return np.asarray(targets)
    if goal.solver == "sigmoid":
        return np.where(targets.any(axis=1), targets.argmax(axis=1), goal.units)
    return np.digitize(targets[:, 0], np.quantile(targets[:, 0], [0.25, 0.5, 0.75]))


def _answers(found: BlendResult, train: int, tuned: bool) -> Arrays:
    if tuned:
        return {OUTPUTS: found.out_of_fold}
    of_train = found.rows < train
    return {
        OUTPUTS: found.out_of_fold[~of_train],
        TRAIN: found.out_of_fold[of_train],
        TRAIN_ROWS: found.rows[of_train],
    }

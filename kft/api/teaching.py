"""What training learns from where a recipe names a teacher: its answers beside the labels, and in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kft.answer.teachable import find_teacher
from kft.recipe.load import Recipe
from kft.split.data_split import DataSplit, Selection, labels_of
from kft.split.holdout import set_aside

if TYPE_CHECKING:
    from kft.answer.teacher import Teacher
    from kft.train.progress import Progress


def taught(recipe: Recipe, split: DataSplit, teacher: Teacher | None, progress: Progress) -> Selection:
    """Returns the data without the test split, with the teacher's answers to train's rows and to those without labels.

    Args:
        recipe: Says how warm its answers are, and how much they count beside a label.
        split: The data.
        teacher: From ``find_teacher``; without one the data stay as they are.
        progress: Told how the work goes on.
    """
    asked = recipe.spec.train.teacher
    selection = split.without_test()
    if teacher is None or asked is None:
        return selection
    import numpy as np

    from kft.answer.decide import Temperature
    from kft.answer.teacher import ask
    from kft.data.shares import Shares
    from kft.train.taught import with_answers

    more = [] if selection.unlabelled is None else selection.unlabelled.inputs
    raw = ask(teacher, [*selection.train.inputs, *more], progress)
    warmth = _temperature(recipe, selection, teacher, progress) * asked.temperature
    values = np.asarray(Temperature(warmth).apply(raw), np.float32)
    answers = Shares(teacher.labels, values, np.zeros(len(values), np.int32))
    return with_answers(selection, answers, asked.weight)


def _temperature(recipe: Recipe, selection: Selection, teacher: Teacher, progress: Progress) -> float:
    """Returns what calibrates the teacher: its own, or where its head alone answers, one fitted on this run's valid."""
    import numpy as np

    from kft.answer.calibration import fit_temperature
    from kft.answer.teacher import ask, own_temperature

    if not teacher.seen:
        return own_temperature(teacher)
    progress.note(
        f"teacher    its blend has learned from {teacher.seen:,} rows of valid: its head alone answers, which has not, "
        "calibrated on them"
    )
    valid = selection.valid.take(np.flatnonzero(~set_aside(recipe.spec, selection)))
    places = {label: place for place, label in enumerate(teacher.labels)}
    targets = np.array([places[label] for label in labels_of(valid)])
    return fit_temperature(targets, ask(teacher, valid.inputs, progress)).value


def untaught(recipe: Recipe, split: DataSplit) -> Selection:
    """Returns the data as ``taught`` does, with answers that say nothing: to plan, without asking the teacher.

    Raises:
        KftError: As ``find_teacher``.
    """
    if find_teacher(recipe, split) is None:
        return split.without_test()
    from kft.train.taught import without_answers

    return without_answers(split.without_test())

"""What training learns from where a recipe names a teacher: its answers beside the labels, and in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kft.answer.teachable import find_teacher
from kft.recipe.load import Recipe
from kft.split.data_split import DataSplit, Selection

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

    from kft.answer.teacher import ask
    from kft.data.shares import Shares
    from kft.train.taught import with_answers

    more = [] if selection.unlabelled is None else selection.unlabelled.inputs
    values = ask(teacher, [*selection.train.inputs, *more], asked.temperature, progress)
    answers = Shares(teacher.labels, values, np.zeros(len(values), np.int32))
    return with_answers(selection, answers, asked.weight)


def untaught(recipe: Recipe, split: DataSplit) -> Selection:
    """Returns the data as ``taught`` does, with answers that say nothing: to plan, without asking the teacher.

    Raises:
        KftError: As ``find_teacher``.
    """
    if find_teacher(recipe, split) is None:
        return split.without_test()
    from kft.train.taught import without_answers

    return without_answers(split.without_test())

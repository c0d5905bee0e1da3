"""What was evaluated, row by row: whether a run still answers its test split as predictions.csv has it."""

from __future__ import annotations

from collections.abc import Sequence

from kft.answer.load import Run
from kft.deploy.near import Near
from kft.deploy.reference import ReferenceAnswers
from kft.errors import ParityError
from kft.records.csv_file import read_table

WRITTEN = 1e-5
"""Figures stand in predictions.csv with six digits."""


def require_as_evaluated(run: Run, ids: Sequence[object], reference: ReferenceAnswers, near: Near) -> None:
    """Refuses to ship what does not answer its own test split as it did when it was evaluated.

    Vectors alone say nothing of what they found among documents, and stand in no file: they are not looked at.

    Args:
        run: With its predictions.csv.
        ids: Of the test rows that are looked at.
        reference: What the run's artifact makes of them now.
        near: What counts as equal.

    Raises:
        ParityError: A row is answered otherwise, or was not evaluated; names it.
    """
    if run.task.kind.searches:
        return
    evaluated = {row["id"]: row for row in read_table(run.folder.predictions)}
    for place, name in enumerate(map(str, ids)):
        was = evaluated.get(name, {})
        now = {"prediction": reference.said[place][0], "confidence": reference.said[place][1]}
        now["abstain"] = "true" if reference.abstains[place] else "false"
        apart = [key for key, value in now.items() if not _same(was.get(key), value, near.tolerance + WRITTEN)]
        if was and near.may_differ(reference.stages.outputs[place]):
            # Near a border an answer may be either, but no less sure; words of spans each have their own, and how sure
            # several labels are jumps where one of them has a threshold other than one half.
            jumps = near.form == "spans" or near.decisions.labels is not None
            apart = [key for key in apart if key == "confidence" and not jumps]
        if apart:
            raise ParityError(
                "the run does not answer its test split as it was evaluated",
                where=f"row {name}, {apart[0]}",
                received=now[apart[0]],
                expected=f"{was.get(apart[0], 'no such row')}, as predictions.csv has it",
                next_step=f"kft evaluate {run.folder.path} evaluates it as it answers here",
            )


def _same(was: str | None, now: str, tolerance: float) -> bool:
    """Whether two cells say the same: texts to the letter, numbers within the tolerance.

    Example:
        >>> _same("0.912345", "0.912341", 1e-5), _same("ham", "spam", 1e-5), _same(None, "", 1e-5)
        (True, False, False)
    """
    if was is None or was == now:
        return was is not None
    try:
        return abs(float(was) - float(now)) <= tolerance * max(1.0, abs(float(was)))
    except ValueError:
        return False

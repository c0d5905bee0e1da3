"""Challenger against champion, row by row: on the champion's test split, and on new rows that neither has seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from kft.answer.artifact import Artifact
from kft.answer.load import Run, load_artifact
from kft.data.examples import Examples
from kft.metrics.intervals import estimate, paired_difference
from kft.records.document import read_if_there
from kft.records.edge_cases import EdgeCaseResult
from kft.records.metrics import EvaluateResult
from kft.records.retrained import Duel, EdgeDuel, Forgot, Ruling
from kft.split.data_split import DataSplit, labels_of
from kft.tasks.task import AnswerSpace


def fight(champion: Run, challenger: Run, split: DataSplit, note: Callable[[str], None]) -> tuple[Duel, Duel]:
    """Has both answer the test rows of the challenger, which are the champion's and the new ones.

    Args:
        champion: The run that was retrained.
        challenger: The next run.
        split: Of the challenger.
        note: Told what goes on.

    Returns:
        On the old rows, and on the new.
    """
    new = np.isin(split.test.ids.astype(str), split.added[-1].places["test"])
    note(f"\nduel       {len(new):,} test rows, {int(new.sum()):,} of them new")
    space = split.space
    first = _answers(load_artifact(champion), split.test, space)
    second = _answers(load_artifact(challenger), split.test, space)
    old, fresh = np.flatnonzero(~new), np.flatnonzero(new)
    return tuple(_duel(part, split, rows, first, second) for part, rows in (("old", old), ("new", fresh)))  # type: ignore[return-value, arg-type]


def _answers(artifact: Artifact, examples: Examples, space: AnswerSpace) -> Any:
    """Returns answers by the labels of ``space``: what an artifact does not know, it gives no chance."""
    answers = artifact.answers(examples.inputs)
    if artifact.decisions.labels is not None:
        answers = artifact.decisions.labels.centred(answers)
    own = artifact.space.labels
    if not isinstance(answers, np.ndarray) or answers.ndim != 2 or own == space.labels:
        return answers
    wider = np.zeros((len(answers), len(space.labels)), answers.dtype)
    wider[:, [space.labels.index(name) for name in own]] = answers
    return wider


def _duel(part: Literal["old", "new"], split: DataSplit, rows: np.ndarray, first: Any, second: Any) -> Duel:
    test, kind = split.test.take(rows), split.kind
    metric = kind.judging.main
    truth = kind.judging.truth(list(labels_of(test)), split.space)
    one, two = (
        answers[rows] if isinstance(answers, np.ndarray) else [answers[row] for row in rows]
        for answers in (first, second)
    )
    fixed, broke = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    if kind.one_class:
        was, is_now = (np.asarray(answers).argmax(axis=1) == truth for answers in (one, two))
        fixed, broke = is_now & ~was, was & ~is_now
    return Duel(
        part=part,
        n=len(rows),
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        champion=estimate(metric, truth, one, groups=test.groups),
        challenger=estimate(metric, truth, two, groups=test.groups),
        difference=paired_difference(metric, truth, two, one, groups=test.groups),
        fixed=tuple(map(str, test.ids[fixed])),
        broke=tuple(map(str, test.ids[broke])),
    )


def edge_duel(champion: Run, challenger: Run) -> EdgeDuel | None:
    """Returns which edge cases were fixed and broken; None where the two were not asked the same ones."""
    one, two = (read_if_there(EdgeCaseResult, run.folder.edge_cases) for run in (champion, challenger))
    if one is None or two is None or one.suite_hash != two.suite_hash or not (one.cases and two.cases):
        return None
    fixed = tuple(sorted(name for name, passed in two.cases.items() if passed and not one.cases.get(name, False)))
    broke = tuple(sorted(name for name, passed in one.cases.items() if passed and not two.cases.get(name, False)))
    return EdgeDuel(two.suite, two.n, one.passed, two.passed, fixed, broke)


def forgot(champion: EvaluateResult, challenger: EvaluateResult) -> Forgot | None:
    """Returns what each has kept of the pretrained backbone; None where it was measured of neither."""
    kept = [None if result.forgetting is None else result.forgetting.retained for result in (champion, challenger)]
    return None if kept == [None, None] else Forgot(*kept)


def rule(old: Duel, new: Duel, failed: tuple[str, ...], tolerance: float) -> Ruling:
    """Says whether the challenger may take the champion's place.

    It must be no worse on old rows than the tolerance, and better on new ones, each by the 95 % interval of the paired
    difference; and no gate may fail.

    Args:
        old: On the champion's test split.
        new: On new rows.
        failed: Gates that fail.
        tolerance: In units of the metric.

    Example:
        >>> from kft.records.estimate import Estimate
        >>> same, better = Estimate(0.0, -0.004, 0.004), Estimate(0.1, 0.05, 0.15)
        >>> old = Duel("old", 500, "accuracy", True, same, same, same)
        >>> new = Duel("new", 500, "accuracy", True, same, same, better)
        >>> rule(old, new, (), 0.01).passes, rule(old, new, (), 0.001).passes
        (True, False)
    """
    against = []
    if old.gain.low < -tolerance:
        against.append(
            f"on old rows it may be worse by more than {tolerance:g}: {old.metric} {_signed(old)}, {old.n:,} rows"
        )
    if new.gain.low <= 0:
        against.append(f"on new rows it is not better beyond chance: {new.metric} {_signed(new)}, {new.n:,} rows")
    against += [f"gate {gate} fails" for gate in failed]
    if against:
        return Ruling(False, tolerance, tuple(against))
    return Ruling(
        True,
        tolerance,
        (
            f"on old rows no worse than {tolerance:g} ({old.metric} {_signed(old)}, {old.n:,} rows), "
            f"on new rows better ({_signed(new)}, {new.n:,} rows), gates hold",
        ),
    )


def _signed(duel: Duel) -> str:
    found = duel.difference
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def failed_of(champion: EvaluateResult, challenger: EvaluateResult) -> tuple[str, ...]:
    """Returns the gates that a challenger fails, and the checks of the suite that it alone fails."""
    gates = [f"{name} {gate.rule} (reached {gate.reached})" for name, gate in challenger.failed_gates.items()]
    before = () if champion.edge_cases is None else champion.edge_cases.failed
    now = () if challenger.edge_cases is None else challenger.edge_cases.failed
    failed_before = {check.name for check in before}
    return (*gates, *(f"edge cases {check.name}" for check in now if check.name not in failed_before))

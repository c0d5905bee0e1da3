"""Two runs on one test split, pair by pair: which examples one gets right and the other does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from kft.errors import RunError, UsageError
from kft.metrics.classification import METRICS
from kft.metrics.intervals import Groups, paired_difference
from kft.metrics.language import decided_by, of_texts, spoken
from kft.records.csv_file import read_table
from kft.records.document import read_document
from kft.records.metrics import EvaluateResult
from kft.records.paired import Difference, PairedResult
from kft.records.receipt import Receipt
from kft.records.run_folder import RunFolder
from kft.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

WROTE = "exact_match"
"""A metric of what was written."""


def is_compared(task: Task) -> bool:
    """Whether runs of a task are compared pair by pair: each example has one class of many, or a written answer."""
    return task.kind.one_class or task.kind.writes


def require_comparable(run: RunFolder, other: RunFolder, task: Task) -> None:
    """Refuses two runs that were not tested on the same examples, before anything is computed.

    Args:
        run: This run.
        other: The other.
        task: That of this run.

    Raises:
        UsageError: The task does not give each example one class of many.
        RunError: They were tested on other rows, or the other run has not been evaluated.
    """
    if not is_compared(task):
        raise UsageError(
            "runs are compared where each example has one class of many, or a written answer",
            where="--against",
            received=task.name,
            expected="a task such as text-classification",
        )
    if not same_test(run, other):
        raise RunError(
            "the two runs were tested on other rows, so their figures cannot be compared",
            where=str(other.splits),
            received="other ids in test",
            expected=f"those of {run.splits}",
            next_step="train both on the same data with the same data.split_seed, or with one file as data.test",
        )
    if not other.predictions.is_file():
        raise RunError(
            "the other run has not been evaluated",
            where=str(other.predictions),
            expected="a predictions.csv",
            next_step=f"kft evaluate {other.path}",
        )
    if task.kind.writes:
        for folder in (run, other):
            if folder.metrics.is_file() and WROTE not in read_document(EvaluateResult, folder.metrics).metrics:
                raise RunError(
                    "nothing was written to the test split, so there is nothing to compare",
                    where=str(folder.metrics),
                    received="evaluate.write: false",
                    expected="answers in predictions.csv",
                    next_step="train with evaluate.write: true",
                )


def same_test(run: RunFolder, other: RunFolder) -> bool:
    """Whether two runs were tested on rows of the same ids, whatever they learned from.

    Runs of an earlier kft, and damaged ones, have no rows to look at: they share a split, or nothing.
    """
    hashes = {read_document(Receipt, folder.receipt).split_hash for folder in (run, other)}
    if len(hashes) == 1:
        return True
    ours, theirs = (_test_hashes(folder) for folder in (run, other))
    return ours is not None and theirs is not None and set(ours.index) == set(theirs.index)


def _test_hashes(run: RunFolder) -> pd.Series[str] | None:
    """Returns the hash of each test row by its id; None where there is no such file, or it is damaged."""
    import pandas as pd

    try:
        frame = pd.read_parquet(run.splits)
    except (OSError, ValueError):
        return None  # kft evaluate says so
    return frame[frame["split"] == "test"].set_index("id")["hash"]


def other_inputs(run: RunFolder, other: RunFolder) -> str:
    """Returns what a person should know of test rows that hold something else in one run than in the other.

    Ids may be row numbers, so that the same split says nothing of what stands in the rows. Empty where all are alike,
    and where a run of an earlier kft kept no hashes.
    """
    import pandas as pd

    ours, theirs = (_test_hashes(folder) for folder in (run, other))
    if ours is None or theirs is None:
        return ""
    both = pd.concat([ours, theirs], axis=1, join="inner")
    differ = int((both.iloc[:, 0] != both.iloc[:, 1]).sum())
    if not differ:
        return ""
    return (
        f"{differ:,} of {len(ours):,} test rows hold something else in {other.path} than in {run.path}: the figures "
        "are of the same test only if this is what you changed, such as data.html"
    )


def compare_runs(
    run: RunFolder, other: RunFolder, groups: Mapping[str, object] | None = None, *, written: bool = False
) -> PairedResult:
    """Compares the predictions.csv of two runs.

    What was written is right where it is the right text; the difference is that of fields, or words: see
    ``kft.metrics.language.decided_by``.

    Args:
        run: This run.
        other: Another on the same test rows; see ``require_comparable``.
        groups: Id to group: examples of one group are resampled together. None where each stands alone.
        written: Whether answers are texts.

    Raises:
        RunError: The files do not hold the same examples with the same targets.
    """
    ours, theirs = _read(run), _read(other)
    differ = [name for name in ours.keys() | theirs.keys() if ours.get(name, ("",))[0] != theirs.get(name, ("",))[0]]
    if differ:
        raise RunError(
            "the two runs were scored on other examples or other labels",
            where=str(other.predictions),
            received=f"{len(differ):,} ids that differ, such as {min(differ)}",
            expected="the same ids with the same targets",
            next_step=f"kft evaluate {other.path} scores it on the data as they are now",
        )
    ids = list(ours)
    as_said = str.strip if written else str
    right, others_right = (
        np.array([as_said(found[name][0]) == as_said(found[name][1]) for name in ids]) for found in (ours, theirs)
    )
    drawn_together = None if groups is None else [groups[name] for name in ids]
    result = compare_answers(ids, right, others_right, groups=drawn_together, other=str(other.path))
    if not written:
        return result
    truth = [ours[name][0] for name in ids]
    first, second = (spoken([found[name][1] for name in ids]) for found in (ours, theirs))
    metric = decided_by(of_texts(truth, first))
    gain = paired_difference(metric, truth, first, second, groups=drawn_together)
    return replace(result, difference=Difference(metric.name, gain.value, gain.low, gain.high))


def compare_answers(
    ids: Sequence[str],
    right: np.ndarray,
    others_right: np.ndarray,
    *,
    groups: Groups | None = None,
    other: str = "the other",
    metric: str = "accuracy",
) -> PairedResult:
    """Compares which answers of two models are right.

    Args:
        ids: One an example.
        right: ``bool[n]``: this model's.
        others_right: ``bool[n]``: the other's.
        groups: Examples of one group are resampled together.
        other: What the other is called.
        metric: What the share of right answers is called.

    Example:
        >>> found = compare_answers(["a", "b"], np.array([True, False]), np.array([False, False]))
        >>> found.fixed, found.broke, found.p_value
        (('a',), (), 1.0)
    """
    from scipy.stats import binomtest

    fixed, broke = right & ~others_right, ~right & others_right
    unequal = int(fixed.sum() + broke.sum())
    # As probabilities of "right" and "wrong", of which the first is always the target.
    answers, others = (np.stack([yes, ~yes], axis=1).astype(float) for yes in (right, others_right))
    others = answers if others_right is right else others
    targets = np.zeros(len(right), np.int64)
    found = paired_difference(METRICS["accuracy"], targets, answers, others, groups=groups)
    return PairedResult(
        run=other,
        n=len(right),
        difference=Difference(metric, found.value, found.low, found.high),
        fixed=tuple(str(name) for name, yes in zip(ids, fixed, strict=True) if yes),
        broke=tuple(str(name) for name, yes in zip(ids, broke, strict=True) if yes),
        p_value=float(binomtest(int(fixed.sum()), unequal).pvalue) if unequal else 1.0,
    )


def _read(run: RunFolder) -> dict[str, tuple[str, str]]:
    """Returns id to target and prediction."""
    return {row["id"]: (row["target"], row["prediction"]) for row in read_table(run.predictions)}

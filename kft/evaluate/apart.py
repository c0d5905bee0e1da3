"""Does test say what valid said? Where it does not, choices were made by a figure that does not hold elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from kft.metrics.metric import Metric
from kft.metrics.proportions import Groups, Z, effective_rows, group_codes, share_interval
from kft.recipe.schema import DataSpec
from kft.recipe.sources import parse_share
from kft.records.apart import ValidResult
from kft.records.estimate import Estimate
from kft.records.history import EpochDone, HistoryEvent, refit_of

Z_99 = NormalDist().inv_cdf(0.995)
FEW_ROWS = 200
"""Among fewer rows of valid, one of several epochs is easily flattered by luck."""


@dataclass(frozen=True)
class SelectionResult:
    """What choices were made by.

    Attributes:
        value: The metric on valid, of the weights that were kept.
        n: Examples of valid.
        groups: Of each; None where each stands alone.
        candidates: Epochs that were measured on valid, and so could have been kept.
        before_refit: Whether the weights have learned from valid since.
    """

    value: float
    n: int
    groups: Groups | None = None
    candidates: int = 1
    before_refit: bool = False


def chosen_by(history: Sequence[HistoryEvent], metric: str, n: int, groups: Groups | None) -> SelectionResult | None:
    """Returns what a run's history says of the kept weights; None where valid was not measured by this metric."""
    epochs = [event for event in history if isinstance(event, EpochDone)]
    kept = [event.metrics.get(f"valid_{metric}") for event in epochs if event.is_best][-1:]
    if not kept or kept[0] is None:
        return None
    return SelectionResult(kept[0], n, groups, len(epochs), refit_of(history) is not None)


def judge_valid(
    chosen: SelectionResult, metric: Metric, test: Estimate, examples: tuple[Any, Any, Groups | None], data: DataSpec
) -> ValidResult:
    """Compares the figure on valid with that on test.

    Were both splits drawn alike, the difference would lie outside its 99 % interval once in a hundred runs; a little
    more often where valid chose among many epochs, which is one of the causes that are named.

    Args:
        chosen: Of valid.
        metric: What is compared.
        test: The same on test, with its 95 % interval.
        examples: Truth, answers and groups of the test split.
        data: Where the splits come from.
    """
    truth, answers, groups = examples
    codes = group_codes(groups, len(truth))
    hits = metric.shares(truth, answers)
    valid = _valid_range(chosen, test, hits, codes)
    value = chosen.value - test.value
    stretch = Z_99 / Z
    # From the limits of both (Newcombe, 1998), each stretched from 95 to 99 %.
    low = value - stretch * np.hypot(valid.value - valid.low, test.high - test.value)
    high = value + stretch * np.hypot(valid.high - valid.value, test.value - test.low)
    sign = 1 if metric.higher_is_better else -1
    found = ValidResult(
        metric=metric.name,
        value=chosen.value,
        n=chosen.n,
        test=test.value,
        difference=Estimate(value, float(low), float(high)),
        flatters=sign * value > 0,
        before_refit=chosen.before_refit,
    )
    if not found.apart:
        return found
    causes = list(_causes(found, chosen, data))
    steps = tuple(dict.fromkeys(step for _, step in causes))
    return ValidResult(
        **{**vars(found), "causes": tuple(cause for cause, _ in causes), "next_steps": steps},
    )


def _valid_range(chosen: SelectionResult, test: Estimate, hits: np.ndarray | None, codes: np.ndarray) -> Estimate:
    """The interval of valid's own figure: of a share by its own value, of what is no share as wide as test's is."""
    groups_of_test = int(codes.max()) + 1
    own = group_codes(chosen.groups, chosen.n)
    if hits is None:
        wider = (groups_of_test / (int(own.max()) + 1)) ** 0.5
        return Estimate(
            chosen.value,
            chosen.value - wider * (test.value - test.low),
            chosen.value + wider * (test.high - test.value),
        )
    per_row = float(hits[:, 1].sum()) / len(hits)  # entities of a text, for one
    if groups_of_test < len(codes) or per_row != 1:
        worth = effective_rows(hits[:, 0], hits[:, 1], codes) / len(codes)
    else:
        sizes = np.bincount(own)
        worth = per_row * float(sizes.sum() ** 2 / (sizes**2).sum()) / chosen.n
    return share_interval(min(max(chosen.value, 0.0), 1.0), chosen.n * worth)


def _causes(found: ValidResult, chosen: SelectionResult, data: DataSpec) -> Iterator[tuple[str, str]]:
    """Yields what may be behind the difference, and what to try, the likeliest first."""
    own_test, own_valid = parse_share(data.test) is None, parse_share(data.valid) is None
    together = data.keep_together == "similar" or data.group is not None
    if found.flatters:
        if not own_valid and not together:
            yield (
                "rows of valid look like rows of train (one shelf, one author, one day) and rows of test do not",
                "--set data.keep_together=similar, or data.group, the column that says what belongs together",
            )
        if data.time is not None and not own_test:
            yield (
                "test holds the newest rows: what is asked changes over time",
                "kft check RECIPE, which compares the splits",
            )
        elif own_test or own_valid:
            yield (
                "test comes from elsewhere than valid: other inputs, other labels or other labellers",
                "kft check RECIPE, which compares the splits",
            )
        if chosen.candidates > 1 and chosen.n < FEW_ROWS:
            yield (
                f"the best of {chosen.candidates} epochs was chosen on {chosen.n:,} rows of valid, and luck with it",
                "--set data.valid=30%",
            )
    elif chosen.before_refit:
        yield "the refit has learned from more rows", "--set train.refit=false, which scores what valid judged"
    if not found.flatters and own_test:
        yield (
            "rows of test, or copies of them, are in train; or test holds easier rows than valid",
            "kft check RECIPE, which looks for copies across the splits",
        )
    elif not found.flatters:
        yield "test holds easier rows than valid, or rows that look like rows of train", "kft check RECIPE"
    yield "labels of one of the two splits are wrong more often", "kft check RECIPE, which names suspect labels"

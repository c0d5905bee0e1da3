"""compare.json: what the approaches came to on one split, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kft.records.estimate import Estimate
from kft.records.fields import absent, unwritten


@dataclass(frozen=True)
class Cost:
    """What an approach takes.

    Attributes:
        train_seconds: Wall seconds of fitting, with what was stored already.
        train_cpu_seconds: Of the process, all threads.
        features_seconds: Wall seconds that the frozen vectors it was fitted with take where none is stored.
        examples_per_second: Answered from raw input, in batches.
        trained_parameters: Set by training.
        own_bytes: What is kept of it, beside a backbone that is there anyway.
        bytes: What is kept of it, the backbone included where it needs one.
        prompt_tokens: That are read for an answer, where answers are written.
    """

    train_seconds: float
    train_cpu_seconds: float
    features_seconds: float
    examples_per_second: float
    trained_parameters: int
    own_bytes: int
    bytes: int
    prompt_tokens: float | None = absent()


@dataclass(frozen=True)
class Risk:
    """What can go wrong with an approach.

    Attributes:
        overfitting_gap: The metric on training examples, better than on valid by so much; None where it keeps them.
        train: The metric on these training examples.
        ece: On test, after calibration; None where answers are not one class of many.
        log_loss: Likewise; None where it is not among the task's metrics.
        forgetting: The share of the pretrained backbone's ability on the retain set that is lost; below 0 where there
            is more of it now, None where it is not measured.
        forgetting_why: Why it is None, or nothing.
        retained: The share that is left.
    """

    overfitting_gap: float | None
    train: float | None
    ece: float | None
    log_loss: float | None
    forgetting: float | None
    forgetting_why: str
    retained: Estimate | None

    @classmethod
    def not_measured(cls, why: str) -> Risk:
        """Returns that nothing of it is known, and why."""
        return cls(None, None, None, None, None, why, None)


@dataclass(frozen=True)
class LabelCurve:
    """What more labels would bring to an approach.

    Attributes:
        sizes: Rows that were learned from, rising.
        accuracy: Of the same held-out rows, by each size.
        forecast_size: Rows that the curve is carried on to.
        forecast: The accuracy there, with its 90 % interval.
        gain: How much more that is than at the last size, with its 90 % interval.
    """

    sizes: tuple[int, ...]
    accuracy: tuple[float, ...]
    forecast_size: int
    forecast: Estimate
    gain: Estimate


@dataclass(frozen=True)
class Slope:
    """What the second half of the training rows brought to an approach that was trained.

    Attributes:
        sizes: Training rows: half of them, and all.
        values: The deciding metric on valid after each.
        gain: The second value less the first, with its paired 95 % interval: over the rows of valid, for one half that
            was drawn and one training on each.
        rows: Examples of valid.
        seconds: Wall seconds of training on half.
    """

    sizes: tuple[int, int]
    values: tuple[float, float]
    gain: Estimate
    rows: int
    seconds: float


@dataclass(frozen=True)
class ApproachResult:
    """What one approach came to.

    Attributes:
        name: The approach.
        metrics: On test, with intervals; None where it was not tried.
        valid: Likewise on valid.
        out_of_fold: Likewise on all labels that choices are made by, train and valid, each answered by what saw nothing
            of its fold; None of what was trained on train, which valid alone can judge.
        curve: What more labels would bring, by rows out of fold; None where it is not measured.
        rows: How many examples ``out_of_fold`` is measured on, or where it is None ``valid``.
        paired: Difference to the best (this less the best) in the deciding metric on ``valid`` and on ``test``, and
            on ``out_of_fold`` where both have it, which then decides; the intervals of all approaches hold together.
        cost: What it takes.
        risk: What can go wrong.
        chosen: What was chosen within the approach, out of fold or on valid.
        skipped: Why it was not tried; None where it was.
        slope: What half of the training rows lacked, where that was asked for and this is the best that was trained.
    """

    name: str
    metrics: Mapping[str, Estimate] | None = None
    valid: Mapping[str, Estimate] | None = None
    paired: Mapping[str, Estimate] | None = None
    cost: Cost | None = None
    risk: Risk | None = None
    chosen: Mapping[str, Any] | None = None
    skipped: str | None = None
    out_of_fold: Mapping[str, Estimate] | None = None
    rows: int | None = None
    curve: LabelCurve | None = None
    slope: Slope | None = None


@dataclass(frozen=True)
class Verdict:
    """A recommendation.

    Attributes:
        approach: Its name.
        why: In words, with the figures it rests on.
        best: The best approach by train and valid; empty where the file alone is known.
    """

    approach: str
    why: str
    best: str = unwritten("")


@dataclass(frozen=True)
class Comparison:
    """A whole comparison.

    Attributes:
        split_hash: As in the receipt.
        n: Examples of the test split, which ``metrics`` are measured on.
        approaches: One result each, cheapest first.
        verdict: What is recommended, by train and valid.
        metric: What it was decided by; empty where the file alone is known.
    """

    split_hash: str
    n: int
    approaches: tuple[ApproachResult, ...]
    verdict: Verdict
    metric: str = unwritten("")

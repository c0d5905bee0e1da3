"""Fits the approaches, chooses by train and valid, then opens the test split once for all of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kft.compare.answered import HeldOutAnswers, answer_labelled
from kft.compare.approaches import APPROACHES, Approach
from kft.compare.at_thresholds import at_thresholds
from kft.compare.growing import label_curve, why_no_curve
from kft.compare.halving import with_slope
from kft.compare.saved import FittedApproach, Saved
from kft.compare.setting import Setting
from kft.compare.verdict import ALIKE, BASELINE, Lead, Reached, decide
from kft.data.examples import Examples
from kft.errors import ModelError, UsageError
from kft.metrics.intervals import estimate_all, paired_difference
from kft.records.compare import ApproachResult, Cost, Risk, Verdict
from kft.records.estimate import Estimate, figure, widen

BUDGET_MINUTES = 60.0
"""What one approach may take by its size, where nothing else was said."""


@dataclass(frozen=True)
class ApproachRequest:
    """Which approaches, and for how long.

    Attributes:
        names: Which; None: all, of which those that are hopeless by rule are left out, and said so: all blocks below
            10 training rows a class, from scratch below 100, and whatever takes longer than the budget by its size
            (``Setting.estimated_minutes``).
        budget: Minutes that one approach may take.
        tuned_curve: Whether the best that is trained is trained again, on half of the rows.
    """

    names: Sequence[str] | None = None
    budget: float = BUDGET_MINUTES
    tuned_curve: bool = False


def run_approaches(
    setting: Setting, test: Examples, asked: ApproachRequest, saved: Saved
) -> tuple[tuple[ApproachResult, ...], Verdict]:
    """Runs the approaches on one split, cheapest first; each is kept as soon as it is done.

    Args:
        setting: The recipe, and the data that choices may see.
        test: What all are scored on, once every choice is made.
        asked: Which approaches.
        saved: Keeps each, and has those of an earlier call.

    Returns:
        One outcome an approach, in the order of the registry, and the verdict.

    Raises:
        UsageError: An approach is unknown, or none of those named can be used.
        KftError: One of its kinds, for weights or a disk that do not fit.
    """
    wanted, skipped = _wanted(setting, asked)
    inputs = replace(test, labels=None)  # each approach answers test as it is done; nobody sees whether it is right
    fitted: dict[str, FittedApproach] = {}
    for approach in wanted:
        if before := saved.take(approach.name, setting.progress.note):
            fitted[approach.name] = before
            continue
        setting.progress.note(f"\n{approach.name:<10} {approach.about}")
        try:
            if approach.pretrained:  # before its clock runs, or whoever comes first would pay for all
                setting.prepare()
            fitted[approach.name] = _fit(setting, approach, inputs)
        except ModelError as error:  # this backbone cannot be tuned so; the others go on
            skipped[approach.name] = error.problem
            setting.progress.note(f"\n{approach.name:<10} skipped: {error.problem}")
            continue
        saved.keep(fitted[approach.name])
        _say_what_is_left(setting, wanted, fitted, skipped)
    if not fitted:
        raise UsageError(
            "none of these approaches can be used on these data",
            where="--approaches",
            received="; ".join(f"{name}: {why}" for name, why in skipped.items()),
            expected="at least one that can",
            next_step="leave --approaches out for all of them",
        )
    if asked.tuned_curve:
        fitted = with_slope(setting, fitted, saved)
    fitted = {name: at_thresholds(setting, each) for name, each in fitted.items()}
    verdict = decide_among(setting, fitted)
    outcomes = _open_test(setting, test, fitted, verdict)
    order = [name for name in APPROACHES.names() if name in fitted or name in skipped]
    return tuple(
        outcomes[name] if name in outcomes else ApproachResult(name, skipped=skipped[name]) for name in order
    ), verdict


def _wanted(setting: Setting, asked: ApproachRequest) -> tuple[list[Approach], dict[str, str]]:
    """Returns the approaches that are tried, and why others are not."""
    names = None if asked.names is None else {APPROACHES.get(name).name for name in asked.names}
    wanted: list[Approach] = []
    skipped: dict[str, str] = {}
    for approach in APPROACHES:
        if names is not None and approach.name not in names:
            continue
        why = approach.unfit(setting) or ("" if names else approach.hopeless(setting, asked.budget))
        if why:
            skipped[approach.name] = why
            setting.progress.note(f"{approach.name:<10} skipped: {why}")
        else:
            wanted.append(approach)
    if wanted:
        setting.progress.note(
            f"approaches {', '.join(approach.name for approach in wanted)}; each is kept as it is done"
        )
    return wanted, skipped


def _say_what_is_left(
    setting: Setting, wanted: Sequence[Approach], fitted: Mapping[str, FittedApproach], skipped: Mapping[str, str]
) -> None:
    left = [approach for approach in wanted if approach.name not in fitted and approach.name not in skipped]
    spent = sum(each.seconds for each in fitted.values()) + setting.frozen_seconds
    said = ", ".join(approach.name + _about_minutes(setting, approach) for approach in left) or "none"
    setting.progress.note(
        f"{'':<10} {len(fitted)} of {len(fitted) + len(left)} done, {spent:,.0f} s so far; left: {said}"
    )


def _about_minutes(setting: Setting, approach: Approach) -> str:
    """Says how long an approach takes, from what one pass over an example took here; it decides nothing."""
    if not approach.passes or not setting.frozen_seconds:
        return ""
    minutes = setting.seconds_per_vector * approach.passes * len(setting.split.train) / 60
    return f" (about {max(1, round(minutes)):,} min)"


def _fit(setting: Setting, approach: Approach, test: Examples) -> FittedApproach:
    began = time.perf_counter()
    wall, cpu = time.perf_counter(), time.process_time()
    solution = approach.fit(setting)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    answered = answer_labelled(setting, approach.name, solution)
    temperature, valid = answered.temperature, answered.valid
    sample = setting.train_sample
    train = None
    if not solution.remembers:
        answers = temperature.apply(solution.answers(setting, sample))
        train = setting.metric.value(setting.truth(sample), answers)
    cost = Cost(
        train_seconds=wall,
        train_cpu_seconds=cpu,
        features_seconds=solution.frozen_rows * setting.seconds_per_vector if solution.frozen_rows else 0.0,
        examples_per_second=solution.examples_per_second(setting),
        trained_parameters=solution.trained,
        own_bytes=solution.own_bytes,
        bytes=solution.kept_bytes(setting),
    )
    found = reached(setting, answered)
    retained, why = (
        (None, approach.forgetting) if solution.tuned is None else setting.measure_forgetting(solution.tuned)
    )
    curve = None
    if solution.relearn is not None and answered.known is not None and not why_no_curve(setting):
        curve = label_curve(setting, solution.relearn, answered.known)
    answers = temperature.apply(solution.answers(setting, test))
    frozen = f", {cost.features_seconds:,.1f} s of the frozen pass" if cost.features_seconds else ""
    seconds = time.perf_counter() - began
    setting.progress.note(
        f"{'':<10} {setting.metric.name} {figure(found.value)} {'on valid' if found.known is None else 'out of fold'}; "
        f"{wall:,.1f} s to fit{frozen}; {seconds:,.1f} s with answering and timing"
    )
    return FittedApproach(
        name=approach.name,
        temperature=temperature,
        valid=valid,
        known=answered.known,
        test=answers,
        train=train,
        cost=cost,
        retained=retained,
        forgetting_why=why,
        chosen=solution.chosen,
        seconds=seconds,
        curve=curve,
    )


def reached(setting: Setting, answers: HeldOutAnswers | FittedApproach) -> Reached:
    """Returns what an approach came to before test is opened."""
    metric = setting.metric
    known = None if answers.known is None else metric.value(setting.judged_truth, answers.known)
    return Reached(metric.value(setting.truth(setting.split.valid), answers.valid), known)


def decide_among(
    setting: Setting, fitted: Mapping[str, HeldOutAnswers | FittedApproach], alike: Collection[str] = ALIKE
) -> Verdict:
    """Recommends by train and valid alone; see ``decide``."""
    answers: dict[str, HeldOutAnswers | FittedApproach] = dict(fitted)
    if BASELINE not in answers:
        answers[BASELINE] = answer_labelled(setting, BASELINE, APPROACHES.get(BASELINE).fit(setting))
    metric = setting.metric
    return decide(
        {name: reached(setting, each) for name, each in fitted.items()},
        lambda first, second: behind(setting, (answers[first], answers[second]), looks(fitted)),
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        alike=alike,
    )


def behind(
    setting: Setting, pair: tuple[HeldOutAnswers | FittedApproach, HeldOutAnswers | FittedApproach], looks: int
) -> Lead:
    """Returns the paired difference of two approaches, on all rows that both answered honestly."""
    first, second = pair
    if first.known is None or second.known is None:
        valid = setting.split.valid
        return Lead(_paired(setting, valid, (first.valid, second.valid), looks), len(valid), False)
    found = _paired(setting, setting.judged_examples, (first.known, second.known), looks)
    return Lead(found, len(setting.judged_examples), True)


def _paired(setting: Setting, part: Examples, answers: tuple[np.ndarray, np.ndarray], looks: int) -> Estimate:
    """Returns the paired difference on a part, with an interval that holds together with those of the others."""
    found = paired_difference(setting.metric, setting.truth(part), *answers, groups=part.groups)
    return widen(found, looks)


def looks(fitted: Mapping[str, HeldOutAnswers | FittedApproach]) -> int:
    """Returns how many differences a verdict may rest on: of each to the best, and to the best out of fold."""
    crossed = sum(each.known is not None for each in fitted.values())
    return len(fitted) - 1 + (max(0, crossed - 1) if crossed < len(fitted) else 0)


def _open_test(
    setting: Setting, test: Examples, fitted: Mapping[str, FittedApproach], verdict: Verdict
) -> dict[str, ApproachResult]:
    """Scores all approaches on the test split: once, after every choice was made."""
    valid = setting.split.valid
    kind, metric = setting.task.kind, setting.metric
    setting.progress.note(f"\nscoring    {len(test):,} examples of test, once, for all approaches")
    outcomes = {}
    metrics, truth = kind.judging.metrics, {id(part): setting.truth(part) for part in (test, valid)}
    best, many = fitted[verdict.best], looks(fitted)
    for name, each in fitted.items():
        found = estimate_all(truth[id(test)], each.test, groups=test.groups, metrics=metrics)
        on_valid = estimate_all(truth[id(valid)], each.valid, groups=valid.groups, metrics=metrics)
        crossed, paired = (
            None,
            {
                "valid": _paired(setting, valid, (each.valid, best.valid), many),
                "test": _paired(setting, test, (each.test, best.test), many),
            },
        )
        if each.known is not None:
            judged = setting.judged_examples
            crossed = estimate_all(setting.judged_truth, each.known, groups=judged.groups, metrics=metrics)
            if best.known is not None:
                paired["out_of_fold"] = behind(setting, (each, best), many).estimate
        gap = None if each.train is None else each.train - (crossed or on_valid)[metric.name].value
        risk = Risk(
            overfitting_gap=-gap if gap is not None and setting.lower_is_better else gap,
            train=each.train,
            ece=found["ece"].value if "ece" in found else None,
            log_loss=found["log_loss"].value if "log_loss" in found else None,
            forgetting=None if each.retained is None else 1 - each.retained.value,
            forgetting_why=each.forgetting_why,
            retained=each.retained,
        )
        outcomes[name] = ApproachResult(
            name=name,
            metrics=found,
            valid=on_valid,
            paired=paired,
            cost=each.cost,
            risk=risk,
            chosen={**each.chosen, "temperature": each.temperature.value},
            out_of_fold=crossed,
            curve=each.curve,
            slope=each.slope,
            rows=len(valid) if each.known is None else len(each.known),
        )
    return outcomes


def without_frills(spec: Any) -> Any:
    """Returns a recipe's spec as all approaches take it.

    A pooling with weights of its own has learned nothing for those that train nothing: the backbone's own takes its
    place. All of valid serves the choices, and callbacks belong to a training run.
    """
    plain = spec.model_copy(update={"model": spec.model.without_learned_pooling})
    return replace_parts(plain, train={"callbacks": ()}, evaluate={"abstain_at": None, "interval": None})


def replace_parts(spec: Any, **parts: Mapping[str, Any]) -> Any:
    """Returns the spec with values of its parts replaced."""
    changed = {name: getattr(spec, name).model_copy(update=dict(values)) for name, values in parts.items()}
    return spec.model_copy(update=changed)

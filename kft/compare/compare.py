"""Fits the approaches, chooses by valid, then opens the test split once for all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kft.answer.calibration import fit_temperature
from kft.answer.decide import UNCHANGED
from kft.compare.approaches import APPROACHES, Approach
from kft.compare.saved import Fitted, Saved
from kft.compare.setting import Setting
from kft.compare.verdict import BASELINE, decide
from kft.data.examples import Examples
from kft.errors import ModelError, UsageError
from kft.metrics.intervals import estimate_all, paired_difference
from kft.records.compare import ApproachResult, Cost, Risk, Verdict
from kft.records.estimate import Estimate, widen

BUDGET_MINUTES = 60.0
"""What one approach may take by its size, where nothing else was said."""


@dataclass(frozen=True)
class Asked:
    """Which approaches, and for how long.

    Attributes:
        names: Which; None: all, of which those that are hopeless by rule are left out, and said so: all blocks below
            10 training rows a class, from scratch below 100, and whatever takes longer than the budget by its size
            (``Setting.estimated_minutes``).
        budget: Minutes that one approach may take.
    """

    names: Sequence[str] | None = None
    budget: float = BUDGET_MINUTES


def run_approaches(
    setting: Setting, test: Examples, asked: Asked, saved: Saved, done: Mapping[str, Fitted]
) -> tuple[tuple[ApproachResult, ...], Verdict]:
    """Runs the approaches on one split, cheapest first; each is kept as soon as it is done.

    Args:
        setting: The recipe, and the data that choices may see.
        test: What all are scored on, once every choice is made.
        asked: Which approaches.
        saved: Keeps each.
        done: By an earlier call.

    Returns:
        One outcome an approach, in the order of the registry, and the verdict.

    Raises:
        UsageError: An approach is unknown, or none of those named can be used.
        KftError: One of its kinds, for weights or a disk that do not fit.
    """
    wanted, skipped = _wanted(setting, asked)
    inputs = replace(test, labels=None)  # each approach answers test as it is done; nobody sees whether it is right
    fitted: dict[str, Fitted] = {}
    for approach in wanted:
        if approach.name in done:
            fitted[approach.name] = done[approach.name]
            setting.progress.note(f"\n{approach.name:<10} done before, {done[approach.name].seconds:,.0f} s")
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
    verdict = _decide(setting, fitted)
    outcomes = _open_test(setting, test, fitted, verdict)
    order = [name for name in APPROACHES.names() if name in fitted or name in skipped]
    return tuple(
        outcomes[name] if name in outcomes else ApproachResult(name, skipped=skipped[name]) for name in order
    ), verdict


def _wanted(setting: Setting, asked: Asked) -> tuple[list[Approach], dict[str, str]]:
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
    setting: Setting, wanted: Sequence[Approach], fitted: Mapping[str, Fitted], skipped: Mapping[str, str]
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


def _fit(setting: Setting, approach: Approach, test: Examples) -> Fitted:
    began = time.perf_counter()
    wall, cpu = time.perf_counter(), time.process_time()
    solution = approach.fit(setting)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    raw, targets = solution.answers(setting, setting.split.valid), setting.targets(setting.split.valid)
    calibrate = setting.spec.evaluate.calibrate == "temperature" and approach.name != BASELINE
    temperature = fit_temperature(targets, raw) if calibrate else UNCHANGED
    sample = setting.train_sample
    train = None
    if not solution.remembers:
        answers = temperature.apply(solution.answers(setting, sample))
        train = setting.metric.value(setting.targets(sample), answers)
    cost = Cost(
        train_seconds=wall,
        train_cpu_seconds=cpu,
        features_seconds=solution.frozen_rows * setting.seconds_per_vector if solution.frozen_rows else 0.0,
        examples_per_second=solution.examples_per_second(setting),
        trained_parameters=solution.trained,
        own_bytes=solution.own_bytes,
        bytes=solution.own_bytes if solution.whole_bytes is None else solution.whole_bytes,
    )
    valid = temperature.apply(raw)
    reached = setting.metric.value(targets, valid)
    retained, why = (
        (None, approach.forgetting) if solution.tuned is None else setting.measure_forgetting(solution.tuned)
    )
    answers = temperature.apply(solution.answers(setting, test))
    frozen = f", {cost.features_seconds:,.1f} s of the frozen pass" if cost.features_seconds else ""
    seconds = time.perf_counter() - began
    setting.progress.note(
        f"{'':<10} {setting.metric.name} {reached:.3f} on valid; {wall:,.1f} s to fit{frozen}; {seconds:,.1f} s with "
        f"answering and timing"
    )
    return Fitted(
        name=approach.name,
        temperature=temperature,
        valid=valid,
        test=answers,
        train=train,
        cost=cost,
        retained=retained,
        forgetting_why=why,
        chosen=solution.chosen,
        seconds=seconds,
    )


def _decide(setting: Setting, fitted: Mapping[str, Fitted]) -> Verdict:
    """Recommends by valid alone."""
    valid, metric = setting.split.valid, setting.metric
    targets = setting.targets(valid)
    baseline = APPROACHES.get(BASELINE).fit(setting).answers(setting, valid)
    answers = {BASELINE: baseline, **{name: each.valid for name, each in fitted.items()}}

    def difference(first: str, second: str) -> Estimate:
        return _behind(setting, valid, (answers[first], answers[second]), _looks(fitted))

    values = {name: metric.value(targets, each.valid) for name, each in fitted.items()}
    return decide(values, difference, metric=metric.name, higher_is_better=not setting.lower_is_better)


def _behind(setting: Setting, part: Examples, answers: tuple[np.ndarray, np.ndarray], looks: int) -> Estimate:
    """Returns the paired difference on a split, with an interval that holds together with those of the others."""
    found = paired_difference(setting.metric, setting.targets(part), *answers, groups=part.groups)
    return widen(found, looks)


def _looks(fitted: Mapping[str, Fitted]) -> int:
    """How many approaches are held against the best."""
    return len(fitted) - 1


def _open_test(
    setting: Setting, test: Examples, fitted: Mapping[str, Fitted], verdict: Verdict
) -> dict[str, ApproachResult]:
    """Scores all approaches on the test split: once, after every choice was made."""
    valid = setting.split.valid
    kind, metric = setting.task.kind, setting.metric
    setting.progress.note(f"\nscoring    {len(test):,} examples of test, once, for all approaches")
    answers = {name: each.test for name, each in fitted.items()}
    outcomes = {}
    for name, each in fitted.items():
        found = estimate_all(setting.targets(test), answers[name], groups=test.groups, metrics=kind.judging.metrics)
        on_valid = estimate_all(setting.targets(valid), each.valid, groups=valid.groups, metrics=kind.judging.metrics)
        best = verdict.best
        paired = {
            "valid": _behind(setting, valid, (each.valid, fitted[best].valid), _looks(fitted)),
            "test": _behind(setting, test, (answers[name], answers[best]), _looks(fitted)),
        }
        gap = None if each.train is None else each.train - on_valid[metric.name].value
        risk = Risk(
            overfitting_gap=-gap if gap is not None and setting.lower_is_better else gap,
            train=each.train,
            ece=found["ece"].value,
            log_loss=found["log_loss"].value,
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
        )
    return outcomes


def without_frills(spec: Any) -> Any:
    """Returns a recipe's spec as all approaches take it.

    A pooling with weights of its own has learned nothing for those that train nothing: the backbone's own takes its
    place. All of valid serves the choices, and callbacks belong to a training run.
    """
    pooling = {"pooling": "auto"} if spec.model.pooling == "attention" else {}
    return replace_parts(spec, model=pooling, train={"callbacks": ()}, evaluate={"abstain_at": None})


def replace_parts(spec: Any, **parts: Mapping[str, Any]) -> Any:
    """Returns the spec with values of its parts replaced."""
    changed = {name: getattr(spec, name).model_copy(update=dict(values)) for name, values in parts.items()}
    return spec.model_copy(update=changed)

"""What is fitted after training, from train and valid alone: kept in RUN/calibration.json and RUN/scope.safetensors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kft.answer.calibration import fit_temperature
from kft.answer.decide import NOTHING, UNCHANGED, Decisions, Scope, Temperature
from kft.answer.interval import fit_interval
from kft.answer.label_thresholds import choose_thresholds
from kft.answer.scope import fit_scope
from kft.answer.selective import certify, one_of_each, propose_thresholds
from kft.answer.thresholds import choose_threshold
from kft.errors import RunError
from kft.metrics.language import confidences, right_answers
from kft.recipe.evaluation import AbstainSpec, EvaluateSpec
from kft.records.calibration import Calibration, ScopeNumbers
from kft.records.document import read_document, write_document
from kft.records.files import write_file
from kft.records.rules import Promise, Rule, under_its_name
from kft.records.run_folder import RunFolder


@dataclass(frozen=True)
class FittedDecisions:
    """What was fitted for a checkpoint.

    Attributes:
        given: How the best checkpoint decides.
        probe: The probe's own temperature, so that both are judged at their best.
    """

    given: Decisions = NOTHING
    probe: Temperature = UNCHANGED


@dataclass(frozen=True)
class CalibrationData:
    """The validation split as the model and the probe answer it, and what else there is to fit by.

    Attributes:
        targets: ``int[n]``; of several labels ``[n, labels]``, of numbers ``float[n]``.
        answers: The model's raw probabilities ``float[n, classes]``; of numbers ``float[n]``, of spans one list a text.
        probe: The probe's; None without one.
        held: ``bool[n]``: what was set aside; none where nothing is promised.
        groups: ``str[n]``; None where each example stands alone.
        vectors: ``float[n, width]``: what the head's last layer reads; None without ``out_of_scope``.
        known: The same of the training examples.
        more: What the loss compares with, and probabilities, of other examples that the model answered out of fold;
            None where it has none.
        shares: ``float[n, classes]``: what probabilities should say where labels are soft; None where they are not.
        declined: ``bool[n]``: what is not answered, whatever the model says; None where all is.
    """

    targets: Any
    answers: Any
    probe: np.ndarray | None
    held: np.ndarray
    groups: np.ndarray | None
    vectors: np.ndarray | None = None
    known: np.ndarray | None = None
    more: tuple[np.ndarray, np.ndarray] | None = None
    shares: np.ndarray | None = None
    declined: np.ndarray | None = None

    @property
    def learned(self) -> np.ndarray:
        """What the loss compares with: the shares where labels are soft, else the targets."""
        return self.targets if self.shares is None else self.shares


def fit_answers(spec: EvaluateSpec, valid: CalibrationData, labels: Sequence[str], seed: int) -> FittedDecisions:
    """Fits temperature, scope and threshold, in this order: each looks at answers that those before it have changed.

    All but the threshold of a promise come from the examples that choices were made by; that one from those that were
    set aside, which therefore decide nothing else. What looks foreign is not answered, so no threshold counts it.

    Args:
        spec: What is asked for.
        valid: The validation split.
        labels: The classes' names.
        seed: Draws one example of each group, and of training examples those that are kept.
    """
    chosen = ~valid.held
    wanted = spec.calibrate == "temperature"
    targets, probe = valid.learned[chosen], valid.probe
    given, right = valid.answers[chosen], targets
    if valid.more is not None:
        right, given = _together(right, valid.more[0], given.shape[1]), np.concatenate([given, valid.more[1]])
    own = fit_temperature(right, given) if wanted else UNCHANGED
    of_probe = fit_temperature(targets, probe[chosen]) if wanted and probe is not None else UNCHANGED
    answers = own.apply(valid.answers)
    scope = _scope(spec, valid, answers, seed)
    foreign = Decisions(scope=scope).foreign(answers, valid.vectors)
    rule: Rule | None = None
    if spec.abstain_at is not None:
        sure, right = answers.max(axis=1), answers.argmax(axis=1) == valid.targets
        rule = _promise(spec.abstain_at, valid, (sure, right), foreign, seed)
    elif spec.threshold is not None:
        rule = choose_threshold(spec.threshold, labels, valid.targets, answers, foreign)
    return FittedDecisions(Decisions(own, rule, scope), of_probe)


def fit_labels(spec: EvaluateSpec, valid: CalibrationData, labels: Sequence[str], seed: int) -> FittedDecisions:
    """Fits what several labels are said by, thresholds, and scope; see ``fit_answers``."""
    targets, answers = valid.targets, valid.answers
    if valid.more is not None:
        targets, answers = np.concatenate([targets, valid.more[0]]), np.concatenate([answers, valid.more[1]])
    thresholds = choose_thresholds(spec.label_thresholds, targets, answers)
    return FittedDecisions(replace(fit_by_distance(spec, valid, labels, seed).given, labels=thresholds))


def fit_numbers(spec: EvaluateSpec, valid: CalibrationData, labels: Sequence[str], seed: int) -> FittedDecisions:
    """Fits scope, and an interval around each number on what was set aside; see ``fit_answers``."""
    fitted = fit_by_distance(spec, valid, labels, seed)
    if spec.interval is None:
        return fitted
    answers, targets = np.asarray(valid.answers), np.asarray(valid.targets)
    foreign = fitted.given.foreign(answers, valid.vectors)  # not answered, so that no interval counts it
    (places,) = np.nonzero(valid.held & ~foreign)
    groups = None if valid.groups is None else valid.groups[places]
    rule = fit_interval(spec.interval, answers[places], targets[places], answers[~valid.held], groups)
    return replace(fitted, given=replace(fitted.given, interval=rule))


def fit_written(spec: EvaluateSpec, valid: CalibrationData, labels: Sequence[str], seed: int) -> FittedDecisions:
    """Fits the threshold of a promise for answers that are written, by how sure the model is of each."""
    assert spec.abstain_at is not None
    right = right_answers(spec.abstain_at.right, valid.targets, valid.answers)
    declined = np.zeros(len(right), bool) if valid.declined is None else valid.declined
    return FittedDecisions(
        Decisions(rule=_promise(spec.abstain_at, valid, (confidences(valid.answers), right), declined, seed))
    )


def fit_by_distance(spec: EvaluateSpec, valid: CalibrationData, labels: Sequence[str], seed: int) -> FittedDecisions:
    """Fits scope for answers that are no probabilities of one class of many; see ``fit_answers``."""
    return FittedDecisions(Decisions(scope=_scope(spec, valid, None, seed)))


def _scope(spec: EvaluateSpec, valid: CalibrationData, probabilities: np.ndarray | None, seed: int) -> Scope | None:
    """Fits scope where it is asked for, on the examples that choices were made by."""
    if spec.out_of_scope is None:
        return None
    assert valid.vectors is not None and valid.known is not None
    chosen = ~valid.held
    sure = None if probabilities is None else probabilities[chosen]
    return fit_scope(valid.known, valid.vectors[chosen], sure, keep=spec.out_of_scope.keep, seed=seed)


FITS: dict[str, Callable[[EvaluateSpec, CalibrationData, Sequence[str], int], FittedDecisions]] = {
    "class": fit_answers,
    "set": fit_labels,
    "number": fit_numbers,
    "spans": fit_by_distance,
    "response": fit_written,
}
"""By the form of the labels: what fits how answers are given; of other forms nothing is fitted."""


def is_fitted(form: str, spec: EvaluateSpec) -> bool:
    """Whether something about how answers are given is fitted on valid.

    Args:
        form: Of the labels.
        spec: What the recipe asks for; a recipe never asks for what its task has not.
    """
    return form == "class" or (form in FITS and asks(spec))


def asks(spec: EvaluateSpec) -> bool:
    """Whether a recipe asks for more than what every task has by itself."""
    asked = (spec.abstain_at, spec.threshold, spec.out_of_scope, spec.interval)
    return any(each is not None for each in asked) or spec.label_thresholds.by != "half"


def _together(first: np.ndarray, second: np.ndarray, classes: int) -> np.ndarray:
    """Returns classes and then others; as shares where one of them is."""
    if first.ndim == second.ndim:
        return np.concatenate([first, second])
    return np.concatenate([each if each.ndim == 2 else np.eye(classes)[each] for each in (first, second)])


def _promise(
    asked: AbstainSpec, valid: CalibrationData, answers: tuple[np.ndarray, np.ndarray], foreign: np.ndarray, seed: int
) -> Promise:
    """Certifies a threshold among what does not look foreign: of the answered, the rest is none.

    Args:
        asked: The promise.
        valid: The validation split.
        answers: How sure each is ``float[n]``, and which are right ``bool[n]``.
        foreign: ``bool[n]``: what is not answered anyway.
        seed: Draws one example of each group.
    """
    confidence, right = answers
    (proposing,), (places,) = np.nonzero(~valid.held & ~foreign), np.nonzero(valid.held & ~foreign)
    groups = None if valid.groups is None else valid.groups[places]
    places = places[one_of_each(groups, len(places), seed)]
    thresholds = np.zeros(1)
    if len(proposing):
        thresholds = propose_thresholds(confidence[proposing], right[proposing], len(places), asked)
    unit = "rows" if groups is None else "groups"
    return certify(confidence[places], right[places], thresholds, asked, unit)


def write_fitted(run: RunFolder, fitted: FittedDecisions, checkpoint: str) -> None:
    """Writes calibration.json, with the hash of the checkpoint it belongs to, after the vectors that it speaks of.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    given, scope = fitted.given, fitted.given.scope
    if scope is not None:
        from safetensors.numpy import save

        write_file(run.scope, save({"known": np.ascontiguousarray(scope.known)}))
    numbers = None
    if scope is not None:
        numbers = ScopeNumbers(scope.distance, scope.unsure, scope.limit, scope.keep, scope.n)
    values = Calibration(
        temperature=given.temperature.value,
        n=given.temperature.n,
        probe_temperature=fitted.probe.value,
        checkpoint=checkpoint,
        **under_its_name(given.rule),
        scope=numbers,
        labels=given.labels,
        interval=given.interval,
    )
    write_document(run.calibration, values)


def read_fitted(run: RunFolder, checkpoint: str) -> FittedDecisions | None:
    """Returns what was fitted for the checkpoint of this hash; None where there is nothing, or it is of another.

    Raises:
        RunError: A file is damaged.
    """
    if not run.calibration.is_file():
        return None
    values = read_document(Calibration, run.calibration)
    if values.checkpoint != checkpoint:
        return None  # training has gone on since
    given = Decisions(
        temperature=Temperature(values.temperature, values.n),
        rule=values.rule,
        scope=_read_scope(run, values.scope) if values.scope else None,
        labels=values.labels,
        interval=values.interval,
    )
    return FittedDecisions(given, Temperature(values.probe_temperature, values.n))


def _read_scope(run: RunFolder, numbers: ScopeNumbers) -> Scope:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        known = load_file(run.scope)["known"]
    except (OSError, KeyError, SafetensorError) as error:
        raise RunError(
            "the vectors that inputs are compared with cannot be read",
            where=str(run.scope),
            received=str(error),
            expected="the file that kft train wrote",
            next_step=f"delete {run.calibration}: kft evaluate {run.path} then fits both again",
        ) from None
    return Scope(known, **vars(numbers))


def checkpoint_hash(run: RunFolder) -> str:
    """Returns the hash of the best checkpoint's manifest, which holds the hashes of all its arrays."""
    manifest = run.checkpoints / "best.json"
    return hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else ""

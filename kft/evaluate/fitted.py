"""What is fitted after training, from the validation split alone, and kept in RUN/calibration.json."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kft.evaluate.calibration import UNCHANGED, Temperature, fit_temperature
from kft.evaluate.selective import Promise, certify, one_of_each, propose_thresholds
from kft.recipe.schema import EvaluateSpec
from kft.rundir import RunFolder, write_json


@dataclass(frozen=True)
class Fitted:
    """What turns a model's raw answers into those that are given.

    Attributes:
        temperature: Of the best checkpoint.
        probe: The probe's own, so that both are judged at their best.
        promise: With the threshold of abstention; None where none was asked for.
    """

    temperature: Temperature = UNCHANGED
    probe: Temperature = UNCHANGED
    promise: Promise | None = None

    @property
    def threshold(self) -> float:
        """Answers below this confidence are withheld; 0 answers everything."""
        return 0.0 if self.promise is None or self.promise.threshold is None else self.promise.threshold

    def abstains(self, answers: Any) -> np.ndarray:
        """Returns ``bool[n]``: which calibrated answers are withheld.

        Example:
            >>> Fitted().abstains(np.array([[0.6, 0.4]])).tolist()
            [False]
        """
        if self.threshold == 0:
            return np.zeros(len(answers), bool)
        return answers.max(axis=1) < self.threshold


def fit_answers(
    spec: EvaluateSpec,
    targets: np.ndarray,
    answers: np.ndarray,
    probe: np.ndarray | None,
    *,
    held: np.ndarray,
    groups: np.ndarray | None,
    seed: int,
) -> Fitted:
    """Fits temperature and threshold on the validation split.

    The temperature, and which thresholds are tested, come from the examples that choices were made by; the threshold
    itself from those that were set aside, which therefore decide nothing else.

    Args:
        spec: What is asked for.
        targets: ``int[n]``.
        answers: The model's raw probabilities ``float[n, classes]``.
        probe: The probe's; None without one.
        held: ``bool[n]``: what was set aside; none without ``abstain_at``.
        groups: ``str[n]``; None where each example stands alone.
        seed: Draws one example of each group.
    """
    chosen = ~held
    wanted = spec.calibrate == "temperature"
    own = fit_temperature(targets[chosen], answers[chosen]) if wanted else UNCHANGED
    of_probe = fit_temperature(targets[chosen], probe[chosen]) if wanted and probe is not None else UNCHANGED
    promise = None
    if spec.abstain_at is not None:
        calibrated = own.apply(answers)
        confidence, right = calibrated.max(axis=1), calibrated.argmax(axis=1) == targets
        (places,) = np.nonzero(held)
        places = places[one_of_each(None if groups is None else groups[places], len(places), seed)]
        thresholds = propose_thresholds(confidence[chosen], right[chosen], len(places), spec.abstain_at)
        unit = "rows" if groups is None else "groups"
        promise = certify(confidence[places], right[places], thresholds, spec.abstain_at, unit)
    return Fitted(own, of_probe, promise)


def write_fitted(run: RunFolder, fitted: Fitted) -> None:
    """Writes calibration.json, with the checkpoint it belongs to.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    values = {
        "temperature": fitted.temperature.value,
        "n": fitted.temperature.n,
        "how": "temperature scaling on valid" if fitted.temperature.n else "none",
        "probe_temperature": fitted.probe.value,
        "threshold": fitted.promise.threshold if fitted.promise else None,
        "promise": asdict(fitted.promise) if fitted.promise else None,
        "checkpoint": checkpoint_hash(run),
    }
    write_json(run.calibration, values)


def read_fitted(run: RunFolder) -> Fitted | None:
    """Returns what was fitted for the run's best checkpoint; None where there is nothing, or it is of an earlier one.

    Raises:
        RunError: The file is damaged.
    """
    if not run.calibration.is_file():
        return None
    values: dict[str, Any] = run.read_json(run.calibration)
    if values["checkpoint"] != checkpoint_hash(run):
        return None  # training has gone on since
    return Fitted(
        temperature=Temperature(values["temperature"], values["n"]),
        probe=Temperature(values["probe_temperature"], values["n"]),
        promise=Promise(**values["promise"]) if values["promise"] else None,
    )


def checkpoint_hash(run: RunFolder) -> str:
    """Returns the hash of the best checkpoint's manifest, which holds the hashes of all its arrays."""
    manifest = run.checkpoints / "best.json"
    return hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else ""

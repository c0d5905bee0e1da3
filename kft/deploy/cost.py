"""What smaller numbers cost: the answers of a quantized artifact beside those that were evaluated, and its speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.deploy.cost_of_search import FoundTwice
from kft.deploy.parity import decided
from kft.deploy.reference import ReferenceAnswers
from kft.deploy.runner.model import Model, open_model
from kft.deploy.runner.trace import Stages
from kft.errors import GateError
from kft.evaluate.evaluate import check_gate
from kft.metrics.intervals import paired_difference
from kft.recipe.evaluation import ExportGate
from kft.records.document import as_document
from kft.records.metrics import GateResult
from kft.records.quantized import Footprint, Quantized
from kft.records.shipped import About

if TYPE_CHECKING:
    from kft.answer.artifact import Artifact
    from kft.data.examples import Examples
    from kft.tasks.task import AnswerKind

TIMED = 100
"""Examples that are timed, one by one, in each round."""
ROUNDS = 3
"""Each model is timed so often, in turn: what else the machine does then falls on both."""


@dataclass(frozen=True)
class AnsweredTwice:
    """The same rows, answered twice.

    Attributes:
        test: The rows.
        of: How many there are in the test split.
        evaluated: As they were evaluated.
        found: By what ships, in a process without kft.
        searched: What queries found by both; None where answers are no vectors.
    """

    test: Examples
    of: int
    evaluated: ReferenceAnswers
    found: Stages
    searched: FoundTwice | None = None


def measure_cost(
    answered: AnsweredTwice, artifact: Artifact, how: str, sizes: tuple[Footprint, Footprint]
) -> Quantized:
    """Measures what quantizing changed; without gates.

    Args:
        answered: Rows of the test split.
        artifact: What was evaluated.
        how: As ``--quantize`` has it.
        sizes: Of the model before and after; see ``measure_footprints``.
    """
    judging, form, evaluated = artifact.kind.judging, artifact.kind.labels.form, answered.evaluated
    pairs, searched = list(zip(evaluated.stages.answers, answered.found.answers, strict=True)), answered.searched
    truth, before = evaluated.truth, evaluated.judged if searched is None else searched.before
    after = JUDGED[form](artifact, answered)
    better, worse = (before, after) if judging.main.higher_is_better else (after, before)
    changed = float(np.mean([decided(one) != decided(other) for one, other in pairs]))
    if searched is not None:
        changed = searched.changed
    return Quantized(
        how=how,
        n=len(pairs),
        of=answered.of,
        before={name: metric.value(truth, before) for name, metric in judging.metrics.items()},
        after={name: metric.value(truth, after) for name, metric in judging.metrics.items()},
        metric=judging.main.name,
        drop=paired_difference(judging.main, truth, better, worse, answered.test.groups),
        labels_changed=changed if "labels_changed" in gates_of(artifact.kind) else None,
        abstentions_changed=float(np.mean([one["abstain"] != other["abstain"] for one, other in pairs])),
        whole=sizes[0],
        ships=sizes[1],
        gates={},
        documents=0 if searched is None else searched.documents,
    )


def _probabilities(artifact: Artifact, answered: AnsweredTwice) -> Any:
    return np.stack([row["probabilities"] for row in answered.found.outputs])


def _labels(artifact: Artifact, answered: AnsweredTwice) -> Any:
    probabilities, thresholds = _probabilities(artifact, answered), artifact.decisions.labels
    return probabilities if thresholds is None else thresholds.centred(probabilities)


def _spans(artifact: Artifact, answered: AnsweredTwice) -> Any:
    offsets = answered.evaluated.offsets
    own = zip(answered.found.outputs, offsets, strict=True)  # tokens behind a text's own are padding
    return artifact.kind.judging.answers([row["logits"][: len(places)] for row, places in own], artifact.space, offsets)


def _ranks(artifact: Artifact, answered: AnsweredTwice) -> Any:
    assert answered.searched is not None  # somebody has looked for them
    return answered.searched.after


JUDGED: dict[str, Callable[[Artifact, AnsweredTwice], Any]] = {
    "class": _probabilities,
    "set": _labels,
    "number": lambda artifact, answered: np.stack([row["value"] for row in answered.found.outputs]),
    "spans": _spans,
    "documents": _ranks,
}
"""By the form of the labels: what ships has answered, as the metrics take it."""


def gates_of(kind: AnswerKind) -> tuple[ExportGate, ...]:
    """Returns what ``export.gates`` can ask for of such answers."""
    named: tuple[ExportGate, ...] = ("accuracy_drop",) if kind.judging.main.name == "accuracy" else ()
    named = ("recall_at_1_drop", "recall_at_10_drop") if kind.searches else named
    changed: tuple[ExportGate, ...] = () if kind.labels.form == "number" else ("labels_changed",)
    return ("drop", *named, *changed, "p50_ms", "p99_ms", "megabytes")


def measure_footprints(folder: Path, about: About, whole: Path, inputs: Sequence[Any]) -> tuple[Footprint, Footprint]:
    """Returns what the model takes before it was quantized, and what it takes in the artifact.

    Args:
        folder: The artifact's.
        about: Its artifact.json.
        whole: The model's file before, in a folder of its own.
        inputs: Raw; the first few are answered.
    """
    document = as_document(about)
    former = open_model(folder, {**document, "model": str(whole.resolve()), "alone": False})
    models, asked = (former, open_model(folder, document)), list(inputs[:TIMED])
    took: tuple[list[float], list[float]] = ([], [])
    for model in models:  # the first answers build what the later ones use
        _time(model, asked[:10])
    for _ in range(ROUNDS):
        for model, times in zip(models, took, strict=True):
            times += _time(model, asked)
    paths = (whole, folder / about.model)
    first, second = (_footprint(times, path) for times, path in zip(took, paths, strict=True))
    return first, second


def _time(model: Model, inputs: Sequence[Any]) -> list[float]:
    times = []
    for given in inputs:
        start = perf_counter()
        model.predict([given])
        times.append(1000 * (perf_counter() - start))
    return times


def _footprint(times: Sequence[float], model: Path) -> Footprint:
    half, most = np.percentile(times, (50, 99))
    size = sum(path.stat().st_size for path in model.parent.glob(f"{model.stem}.*") if path.is_file())
    return Footprint(round(float(half), 2), round(float(most), 2), size)


def pass_gates(cost: Quantized, rules: Mapping[ExportGate, str], *, force: bool) -> dict[str, GateResult]:
    """Holds what quantizing costs against the recipe's ``export.gates``.

    Raises:
        GateError: One fails, and nobody insists.
    """
    values = cost.gate_values()
    gates: dict[str, GateResult] = {name: check_gate(rule, values[name]) for name, rule in rules.items()}
    failed = failures(gates)
    if failed and not force:
        raise GateError(
            "gates of the recipe fail for what would ship: " + ", ".join(failed),
            where=f"export.gates, --quantize {cost.how}",
            received=failed[0],
            expected="gates that hold",
            next_step="nothing was exported; leave out --quantize, or ship it with --force, which the artifact says",
        )
    return gates


def failures(gates: Mapping[str, GateResult]) -> list[str]:
    """Returns the gates that fail, in words."""
    return [f"{name} {gate.rule} (reached {gate.reached})" for name, gate in gates.items() if not gate.passed]

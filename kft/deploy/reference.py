"""What kft itself makes of inputs, step by step, by the names of an exported graph: what ships is held to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.answer.artifact import Artifact, Computed
from kft.data.clean import clean_input
from kft.deploy.runner.model import IMAGES
from kft.deploy.runner.reading import spelled
from kft.deploy.runner.reading_images import read_pixels
from kft.deploy.runner.trace import Row, Stages
from kft.feed.source import Source
from kft.model.encode import beside
from kft.records.document import as_document
from kft.tasks.decode import log_softmax


@dataclass(frozen=True)
class ReferenceAnswers:
    """What a run's artifact makes of labelled inputs.

    Attributes:
        stages: Step by step.
        said: Of each input, prediction and confidence as predictions.csv has them.
        abstains: Which answers are withheld.
        truth: What would be right, as the metrics take it.
        judged: The answers, likewise.
        offsets: Where each token stands; only for tagging.
    """

    stages: Stages
    said: list[tuple[str, str]]
    abstains: np.ndarray
    truth: Any
    judged: Any
    offsets: Any


def make_reference(artifact: Artifact, inputs: Sequence[Any], labels: Sequence[Any]) -> ReferenceAnswers:
    """Answers inputs with a run's artifact, and keeps what each step made of them.

    Args:
        artifact: As it was loaded from the run.
        inputs: Raw; cleaned ones stay as they are.
        labels: What would be right.
    """
    kind, space = artifact.kind, artifact.space
    cleaned = [clean_input(given, artifact.spec.data) for given in inputs]
    decisions = artifact.decisions
    found = artifact.computed(cleaned, vectors=not kind.learning.per_token or decisions.scope is not None)
    answers = decisions.temperature.apply(kind.judging.answers(found.outputs, space, found.offsets))
    abstains = decisions.abstains(answers, found.vectors)
    outputs: list[Row] = [{"logits": np.asarray(row)} for row in found.outputs]
    columns = OUTPUTS[kind.labels.form](artifact, found, answers)
    if decisions.interval is not None and decisions.interval.reaches:
        columns |= dict(zip(("low", "high"), decisions.interval.bounds(answers).T, strict=True))
    if kind.one_class or decisions.scope is not None or "low" in columns:
        columns |= {"abstain": abstains, "foreign": decisions.foreign(answers, found.vectors)}
    task, count = artifact.reader.task, len(cleaned)
    if found.vectors is not None:
        columns = {"vectors": beside(found.vectors, task), **columns}
    if found.sides is not None:
        columns |= {"embedding": beside(found.sides, task)}
    for name, values in columns.items():
        for row, value in zip(outputs, values, strict=True):
            row[name] = np.asarray(value)
    truth = kind.judging.truth(list(labels), space)
    thresholds = decisions.labels
    judged = answers if thresholds is None else thresholds.centred(answers)
    space = space.cut_by(thresholds)
    rows = [kind.judging.row(right, answer, space) for right, answer in zip(truth, answers, strict=True)]
    decoded, normalised = zip(*(_as_read(artifact, given) for given in cleaned), strict=True)
    names = tuple(name for name in found.source.columns if name != IMAGES)
    stages = Stages(
        decoded=list(decoded),
        normalised=list(normalised),
        rows=[{name: _whole(found.source, name, place, count) for name in names} for place in range(count)],
        outputs=outputs,
        answers=[as_document(answer) for answer in artifact.named(cleaned, found)],
    )
    return ReferenceAnswers(stages, [(said, sure) for _, said, sure in rows], abstains, truth, judged, found.offsets)


def _whole(source: Source, name: str, place: int, count: int) -> np.ndarray:
    """Returns a column of one of so many inputs; of what is read apart the first side, and behind it the second."""
    return np.concatenate([source.columns[name].row(row) for row in range(place, len(source), count)])


def _as_read(artifact: Artifact, given: Any) -> tuple[str, str]:
    """Returns a text as it was decoded and as it is spelled; of an image hashes of its pixels."""
    reader = artifact.reader
    if reader.sizing is not None:
        pixels, whole = read_pixels(given, reader.sizing, traced=True)
        return whole, hashlib.sha256(pixels.tobytes()).hexdigest()
    assert reader.tokenizer is not None
    sides = given if isinstance(given, tuple) else (given,)
    return "\t".join(sides), spelled(reader.tokenizer, sides)


Columns = dict[str, Any]


def _one_class(artifact: Artifact, found: Computed, answers: np.ndarray) -> Columns:
    return {"probabilities": answers, "label": answers.argmax(axis=1), "confidence": answers.max(axis=1)}


def _labels(artifact: Artifact, found: Computed, answers: np.ndarray) -> Columns:
    thresholds = artifact.decisions.labels
    if thresholds is None:
        return {"probabilities": answers, "confidence": np.maximum(answers, 1 - answers).prod(axis=1)}
    said = thresholds.said(answers)
    return {"probabilities": answers, "said": said, "confidence": np.where(said, answers, 1 - answers).prod(axis=1)}


def _spans(artifact: Artifact, found: Computed, answers: Any) -> Columns:
    return {"confidence": [np.exp(log_softmax(row)).max(axis=-1) for row in found.outputs]}


OUTPUTS: dict[str, Callable[[Artifact, Computed, Any], Columns]] = {
    "class": _one_class,
    "set": _labels,
    "number": lambda artifact, found, answers: {"value": np.asarray(answers)},
    "documents": lambda artifact, found, answers: {"embedding": np.asarray(answers)},
    "spans": _spans,
}
"""By the form of the labels: outputs of the graph beside logits and vectors."""

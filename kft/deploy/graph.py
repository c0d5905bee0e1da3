"""One Keras graph from what a reader gives to the answer that is given: what every format is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from kft.answer.artifact import Artifact
from kft.answer.decide import Decisions, Scope
from kft.deploy.deciding import InUnits, OneClass, Scoped, SeveralLabels, WordTags
from kft.errors import ModelError
from kft.metrics.neighbours import unit_rows
from kft.model.evidence import EVIDENCE, window_answers
from kft.model.heads import with_vectors
from kft.records.rules import PrecisionRule
from kft.tasks.task import AnswerSpace

LOGITS, VECTORS = "logits", "vectors"
"""Outputs beside those that make up the answer: what the proof of parity, and who watches for drift, look at."""


def answering_graph(artifact: Artifact) -> keras.Model:
    """Returns a model from an artifact's inputs, by their names, to outputs by theirs.

    Every graph has ``logits``, and ``vectors`` where its head pools, or where tokens have a scope. The rest depends on
    what is answered: ``probabilities label confidence`` for one class of many, ``probabilities confidence`` for several
    labels, and ``said`` where these have thresholds, ``value`` for a number, and ``low high`` with an interval, ``label
    confidence`` of each token for spans, ``embedding`` where queries are compared with documents. One class, and others
    where answers can be withheld, have ``abstain foreign``. Answers but spans to texts in windows have ``windows``:
    what each would answer alone; numbers are standardised there. A graph for scores of pairs embeds one text.

    Args:
        artifact: As it was loaded from a run; the graph shares its layers.

    Raises:
        ModelError: Its frozen blocks are computed in int8.
    """
    if artifact.spec.features.in_int8:
        raise ModelError(
            "what was evaluated computes its frozen blocks in int8, and a graph would compute them in float32",
            where="features.precision",
            received="int8",
            expected="a run in float32, whose answers what ships can equal",
            next_step="kft train RECIPE --set features.precision=float32, and export that",
        )
    assert not artifact.weights, "weights that lie over a graph's own would be lost"
    form = artifact.kind.labels.form
    if artifact.kind.learning.per_token and artifact.decisions.scope is None:
        model, given = keras.Model(artifact.graph.inputs, artifact.graph.outputs), {LOGITS: artifact.graph.outputs[0]}
    else:
        model = with_vectors(artifact.graph)
        given = dict(zip((LOGITS, VECTORS), model.outputs, strict=True))
    if not artifact.kind.embeds:
        decided = _decided(LAST[form](artifact.space, artifact.decisions), given, artifact.decisions.scope)
    else:
        decided = {"embedding": keras.layers.Identity(name="decide")(given[LOGITS])}
    if artifact.names_windows:
        decided[EVIDENCE] = window_answers(artifact.graph)
    inputs = {tensor.name: tensor for tensor in model.inputs}
    return keras.Model(inputs, {**given, **decided}, name="answering")


def _decided(layer: Scoped, given: Mapping[str, Any], scope: Scope | None) -> dict[str, Any]:
    """Returns what a last layer gives, which is brought the training vectors where there is a scope."""
    if scope is None:
        return layer(given[LOGITS])
    layer.known.assign(unit_rows(scope.known.astype(np.float32)))  # as Scope has them
    return layer(given[LOGITS], given[VECTORS])


def _settings(scope: Scope | None) -> dict[str, Any]:
    """Returns what a last layer is made with to tell foreign inputs."""
    if scope is None:
        return {"name": "decide"}
    numbers = {name: getattr(scope, name) for name in ("limit", "distance", "unsure")}
    return {"name": "decide", "scope": numbers, "known": (scope.known.shape[0], scope.known.shape[1])}


def _one_class(space: AnswerSpace, decisions: Decisions) -> Scoped:
    rule = decisions.rule
    return OneClass(
        temperature=decisions.temperature.value,
        threshold=(rule.threshold or 0.0) if rule else 0.0,
        place=rule.place if isinstance(rule, PrecisionRule) else None,
        **_settings(decisions.scope),
    )


def _in_units(space: AnswerSpace, decisions: Decisions) -> Scoped:
    rule, interval = decisions.interval, None
    if rule is not None and rule.reaches:
        interval = {"edges": list(rule.edges), "reaches": list(rule.reaches), "widest": rule.widest}
    return InUnits(mean=space.mean, std=space.std, interval=interval, **_settings(decisions.scope))


def _several(space: AnswerSpace, decisions: Decisions) -> Scoped:
    thresholds = None if decisions.labels is None else list(decisions.labels.values)
    return SeveralLabels(thresholds=thresholds, **_settings(decisions.scope))


LAST: dict[str, Callable[[AnswerSpace, Decisions], Scoped]] = {
    "class": _one_class,
    "set": _several,
    "number": _in_units,
    "spans": lambda space, decisions: WordTags(**_settings(decisions.scope)),
}
"""By the form of the labels: the last layer. Vectors that are compared with each other have none."""

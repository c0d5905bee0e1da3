"""What the frozen part of a model gives a phase: its features, once an example, and a head solved on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kft.features.boundary import SplitModel
from kft.features.policy import decide
from kft.features.probe import STRENGTHS, ProbeRows, solve_at, solve_probe
from kft.features.reuse import take_features
from kft.features.store import FeatureProgress
from kft.features.vectors import as_array
from kft.features.words import WordVectors
from kft.feed.source import Column, Source, Vectors
from kft.model.heads import LOGITS
from kft.recipe.training import PhaseSpec
from kft.records.history import ProbeSolved
from kft.replicas import synchronise
from kft.train.events import Events, FeaturesPlanned
from kft.train.job import Job, learned_of_both


def features_of(
    job: Job, phase: PhaseSpec, split: SplitModel, more: tuple[Source, ...] = ()
) -> Events[tuple[Source, ...]]:
    """Returns both splits as boundary tensors, or as the model's own inputs where nothing is stored; says which.

    Args:
        job: What is trained.
        phase: Decides what is frozen.
        split: The model, cut there.
        more: Other examples, which come back likewise.
    """
    names = tuple(tensor.name for tensor in split.front.inputs)
    sources = (job.data.train.source, job.data.valid.source, *more)
    raw = tuple(source.select(names) for source in sources)
    planned, front = decide(job.model, split, raw, job.spec.features)
    yield FeaturesPlanned(str(planned))
    # A solver sees one vector an example, again and again: they are computed once, and stay in memory. In int8 too:
    # the steps of a phase would run the frozen blocks in float32.
    if front is None or not (planned.store or phase.solved or job.spec.features.in_int8):
        return raw
    about = {"model": job.name, "phase": phase.name}
    with job.watch.task("frozen blocks, once", planned.examples) as tick:
        watch = FeatureProgress(tick, job.watch.note)
        return tuple(take_features(front, raw, planned, job.spec.features, about, watch))


def solve_head(job: Job, phase: PhaseSpec, train: Source, valid: Source) -> Events[float]:
    """Solves the head on its features: with the head alone training, they are one vector an example, or a token.

    Returns the strength that valid chose.
    """
    data, kind = job.data, job.data.kind
    column, valid_column = column_of(train), column_of(valid)
    score = _chosen_by(job)
    if kind.learning.per_token:  # the words of all texts, end to end
        words, valid_words = WordVectors(column, data.train.targets), WordVectors(valid_column, data.valid.targets)
        rows, valid_rows, score = ProbeRows(words, words.targets), ProbeRows(valid_words, valid_words.targets), None
    else:
        assert isinstance(column, Vectors) and isinstance(valid_column, Vectors)
        rows = ProbeRows(column, data.train.learned, data.weights)
        valid_rows = ProbeRows(valid_column, data.valid.learned)
    with job.watch.task("probe, L-BFGS", len(STRENGTHS)) as tick:
        classes = kind.learning.units(data.space)
        probe = solve_probe(rows, valid_rows, classes, solver=kind.learning.solver, score=score, tick=tick)
    set_head(job, probe.kernel, probe.bias)
    yield ProbeSolved(phase.name, probe.strength, probe.tried)
    return probe.strength


def solve_head_again(job: Job, strength: float, train: Source, valid: Source) -> None:
    """Solves the head on the features of train and valid together, with a strength that was chosen before."""
    data, learning = job.data, job.data.kind.learning
    parts = [(train, data.train), (valid, data.valid)]
    if learning.per_token:
        words = [WordVectors(column_of(source), part.targets) for source, part in parts]
        vectors = [values for each in words for _, values in each.chunks()]
        rows = ProbeRows(np.concatenate(vectors), np.concatenate([each.targets for each in words]))
    else:
        vectors = [as_array(column_of(source), len(source)) for source, _ in parts]
        rows = ProbeRows(np.concatenate(vectors), *learned_of_both(data))
    set_head(job, *solve_at(rows, learning.units(data.space), strength, learning.solver))


def column_of(source: Source) -> Column:
    """Returns the one tensor that passes the boundary below a head."""
    (column,) = source.columns.values()
    return column


def set_head(job: Job, kernel: np.ndarray, bias: np.ndarray) -> None:
    """Sets the weights of the head's last layer, the same in every process."""
    head: Any = job.model.get_layer(LOGITS)
    head.kernel.assign(kernel)
    head.bias.assign(bias)
    synchronise([head.kernel, head.bias])


def _chosen_by(job: Job) -> Callable[[np.ndarray], float] | None:
    """Returns what the probe's strength is chosen by on the validation split; None stands for the loss."""
    data, best = job.data, job.train.best
    if best is None or best == "valid_loss":
        return None
    judging = data.kind.judging
    sign, metric = judging.sign(best), judging.metrics[best.removeprefix("valid_")]
    return lambda outputs: sign * metric.value(data.valid.truth, judging.answers(outputs, data.space, None))

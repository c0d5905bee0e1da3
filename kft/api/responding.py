"""Scores a language model: how likely the right tokens are and, where it writes, what it writes to the same prompts."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from kft.answer.artifact import Artifact
from kft.answer.load import Answering, pretrained_backbone, with_weights, without_adapters
from kft.answer.write import make_writer
from kft.api.ranking import Asked
from kft.data.examples import Examples
from kft.evaluate.evaluate import Scored
from kft.metrics.language import spoken
from kft.metrics.overlap import missing
from kft.records.estimate import metric_title
from kft.split.labels import prompts_of, read_with_labels
from kft.tasks.cells import as_objects
from kft.tasks.registry import TASKS

if TYPE_CHECKING:
    from kft.train.progress import Progress

ROWS = 32
"""Prompts that are answered at a time."""


def respond(answering: Answering, asked: Asked, progress: Progress) -> Scored:
    """Judges the right responses, and writes answers where the recipe wants them; the untuned model does the same."""
    best, examples = answering.best, asked.examples
    assert examples.labels is not None
    untuned = _untuned(answering)
    if best.spec.evaluate.write and (absent := missing()):
        names = " and ".join(map(metric_title, absent))
        progress.note(f"left out   {names}, whose packages are not installed: pip install 'kft[language]'")
    return Scored(
        kind=best.kind,
        space=best.space,
        ids=list(examples.ids),
        truth=best.kind.judging.truth(list(examples.labels), best.space),
        answers=_answers(best, examples, progress, ""),
        groups=examples.groups,
        inputs=examples.inputs,
        columns=examples.columns,
        constant=None if asked.constant is None else as_objects(spoken([asked.constant] * len(examples))),
        rivals={best.kind.judging.baseline_name: _answers(untuned, examples, progress, ", untuned")},
    )


def _untuned(answering: Answering) -> Artifact:
    """Returns the model before tuning: without what adapters add, where nothing else has moved."""
    from kft.model.build import build_for

    best, spec = answering.best, answering.spec
    before = None if best.kind.masks else without_adapters(answering)  # a head moves as well
    if before is not None:
        return with_weights(best, before)
    backbone = pretrained_backbone(answering)
    graph = build_for(spec, TASKS.get(spec.task), best.space, backbone)
    return replace(best, graph=graph, backbone=backbone, weights={}, checkpoint="", _traced={})


def _answers(artifact: Artifact, examples: Examples, progress: Progress, whose: str) -> np.ndarray:
    answers = artifact.answers(read_with_labels(examples, artifact.kind))
    if artifact.kind.masks or not artifact.spec.evaluate.write:
        return np.asarray(answers)
    started = time.perf_counter()
    writer = make_writer(artifact, min(ROWS, len(examples)))
    with progress.task(f"writing answers{whose}", len(examples)) as tick:
        found = writer.write_tokens(prompts_of(examples), tick=tick)
    said = [one for one, _ in found]
    tokens, unfinished = sum(each.tokens for each in said), sum(each.finish == "length" for each in said)
    progress.note(
        f"written    {len(said):,} answers{whose}, {tokens:,} tokens in {time.perf_counter() - started:.0f} s; "
        f"{unfinished:,} without an end in {writer.reader.response_tokens} tokens, {sum(each.cut for each in said):,} "
        "prompts cut"
    )
    both = zip(answers, found, strict=True)
    return as_objects([replace(each, text=one.text, ids=ids) for each, (one, ids) in both])

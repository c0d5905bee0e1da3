"""Scores a language model: how likely the right tokens are and, where it writes, what it writes to the same prompts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from kft.answer.artifact import Artifact
from kft.answer.load import Answering, pretrained_backbone, with_weights, without_adapters
from kft.answer.write import make_writer
from kft.api.ranking import RankingInput
from kft.data.examples import Examples
from kft.evaluate.evaluate import Scored
from kft.extras import install
from kft.forgetting.general_text import compare_losses, losses_of
from kft.metrics.language import Spoken, no_objects, spoken
from kft.metrics.overlap import missing
from kft.records.estimate import metric_title
from kft.split.data_split import labels_of
from kft.split.labels import prompts_of, read_with_labels
from kft.tasks.cells import as_objects
from kft.tasks.registry import TASKS

if TYPE_CHECKING:
    from kft.train.progress import Progress

ROWS = 32
"""Prompts that are answered at a time."""


def respond(answering: Answering, asked: RankingInput, progress: Progress) -> Scored:
    """Judges the right responses, and writes answers where the recipe wants them; the untuned model does the same."""
    best, examples = answering.best, asked.examples
    untuned = _untuned(answering)
    if best.spec.evaluate.write and (absent := missing()):
        names = " and ".join(map(metric_title, absent))
        progress.note(f"left out   {names}, whose packages are not installed: {install('language')}")
    if best.spec.evaluate.write and (why := no_objects([str(each) for each in labels_of(examples)])):
        progress.note(f"left out   JSON, fields and slots: {why}")
    general = None
    if asked.general is not None:
        texts = asked.general.inputs
        general = compare_losses(asked.general.name, losses_of(untuned, texts), losses_of(best, texts))
    supported = _supporting(best, examples)
    writes = best.spec.evaluate.write and examples.passages is not None
    constant = None
    if asked.constant is not None:
        constant = {metric: supported(spoken([text] * len(examples))) for metric, text in asked.constant.items()}
    return replace(
        answer(best, examples, progress),
        constant=constant,
        right=supported(spoken([str(each) for each in labels_of(examples)])) if writes else None,
        general=general,
        rivals={best.kind.judging.baseline_name: _answers(untuned, examples, progress, ", untuned")},
    )


def _supporting(artifact: Artifact, examples: Examples) -> Callable[[Sequence[Spoken]], np.ndarray]:
    """Returns what says of answers how much of them stands in the passages that their prompts had room for."""
    if examples.passages is None or artifact.reader.writing is None:
        return as_objects
    asked = prompts_of(examples)
    _, kept = artifact.reader.writing.composed(asked)
    rows = list(zip(asked, kept, strict=True))

    def supported(answers: Sequence[Spoken]) -> np.ndarray:
        pairs = zip(answers, rows, strict=True)
        return as_objects([replace(each, support=own.supports(each.text or "", kept)) for each, (own, kept) in pairs])

    return supported


def answer(artifact: Artifact, examples: Examples, progress: Progress) -> Scored:
    """Judges the right responses, and writes answers where the recipe wants them, by one model alone."""
    assert examples.labels is not None
    kind, passages = artifact.kind, examples.passages
    return Scored(
        kind=kind,
        space=artifact.space,
        ids=list(examples.ids),
        truth=kind.judging.truth(list(examples.labels), artifact.space),
        answers=_answers(artifact, examples, progress, ""),
        groups=examples.groups,
        inputs=examples.inputs,
        columns=examples.columns,
        # Without a passage that is good, nothing is answered: see kft/api/writing.py.
        declined=None if passages is None else np.array([not own for own in passages], bool),
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
    answers = [replace(each, text=one.text, ids=ids, confidence=one.confidence) for each, (one, ids) in both]
    return _supporting(artifact, examples)(answers)

"""Scores a run: its best checkpoint, and the probe beside it, on examples that nothing was chosen by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kft.data.tables import Examples
from kft.evaluate.evaluate import EvaluateResult, Scored, score, write_evaluation
from kft.evaluate.predictor import load_predictor
from kft.recipe.load import load_recipe
from kft.rundir import RunFolder

if TYPE_CHECKING:
    from kft.train.progress import Progress


def score_test(run: RunFolder, examples: Examples, progress: Progress, *, writes: bool = True) -> EvaluateResult:
    """Opens the sealed test split: once, after every choice was made. One of several processes writes what it found."""
    result, scored = score_run(run, examples, "test", progress)
    if writes:
        write_evaluation(run, result, scored)
    return result


def score_run(run: RunFolder, examples: Examples, name: str, progress: Progress) -> tuple[EvaluateResult, Scored]:
    """Scores the best checkpoint and, for the paired gain, the probe: a head on the pretrained weights."""
    from kft.train.checkpoint import load_checkpoint

    progress.note(f"\nscoring    {len(examples):,} examples of {name}")
    receipt = run.read_json(run.receipt)
    predictor = load_predictor(run)
    best = load_checkpoint(run.checkpoints, "best")
    probe_answers = answers = None
    if (run.checkpoints / "probe.json").is_file():
        probe = load_checkpoint(run.checkpoints, "probe")
        probe_answers = predictor.with_weights(probe.weights).answers(examples.inputs, keep=True)
        if all(np.array_equal(array, best.weights[path]) for path, array in probe.weights.items()):
            answers = probe_answers  # the probe was kept: its head is the best, on the same backbone
    if answers is None:
        answers = predictor.with_weights(best.weights).answers(examples.inputs, keep=True)
    assert examples.labels is not None  # only labelled examples are scored
    scored = Scored(
        ids=list(examples.ids),
        truth=predictor.kind.truth(list(examples.labels), predictor.space),
        answers=answers,
        groups=examples.groups,
    )
    result = score(
        scored,
        split=name,
        kind=predictor.kind,
        space=predictor.space,
        shares=receipt["shares"],
        probe=probe_answers,
        gates=dict(load_recipe(run.recipe).spec.evaluate.gates.items()),
    )
    return result, scored

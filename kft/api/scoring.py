"""Scores a run: its best checkpoint, and the probe beside it, on examples that nothing was chosen by."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from kft import replicas
from kft.answer.fitted import Fitted, Judged, checkpoint_hash, fit_answers, read_fitted, write_fitted
from kft.answer.predictor import Predictor, load_predictor
from kft.data.examples import Columns, Examples
from kft.evaluate.evaluate import Beside, ClassReport, Scored, calibrated, report_classes, score, write_evaluation
from kft.evaluate.overfitting import judge_overfitting
from kft.forgetting.retention import gate_value, measure_run, read_forgetting, write_forgetting
from kft.recipe.schema import RecipeSpec
from kft.records.document import read_document
from kft.records.edge_cases import EdgeCaseResult
from kft.records.forgetting import ForgettingResult
from kft.records.metrics import EvaluateResult
from kft.records.receipt import Receipt
from kft.records.rules import CostRule, PrecisionRule, Rule
from kft.records.run_folder import RunFolder
from kft.split.data_split import DataSplit
from kft.suites.edge_cases import run_suite
from kft.suites.suite import Suite, suite_of
from kft.tasks.recipes import load_recipe

if TYPE_CHECKING:
    from kft.model.backbones import Backbone
    from kft.train.progress import Progress


def score_test(
    run: RunFolder, split: DataSplit, progress: Progress, *, writes: bool = True, backbone: Backbone | None = None
) -> EvaluateResult:
    """Fits what is fitted on valid, then opens the sealed test split: once, after every choice was made.

    What was fitted before for the same checkpoint is taken as it is.

    Args:
        run: The run.
        split: Its data.
        progress: Told what goes on.
        writes: Whether this process, of several, writes what was found.
        backbone: As for ``load_predictor``.
    """
    predictor = load_predictor(run, backbone)
    if predictor.kind.one_class:
        # All processes or none: what the model computes, it computes on all of them together.
        if replicas.any_process(read_fitted(run) is None):
            fitted = _fit_on_valid(run, predictor, split, progress)
            if writes:
                write_fitted(run, fitted)
            predictor = replace(predictor, fitted=fitted)
        progress.note(_described(predictor.fitted))
    forgetting = read_forgetting(run)
    if replicas.any_process(forgetting is None):
        forgetting = measure_run(run, predictor, progress)
        if writes and forgetting is not None:
            write_forgetting(run, forgetting)
    result, given = _score(run, predictor, split.test, "test", forgetting, progress)
    if writes:
        write_evaluation(run, result, given, predictor.fitted)
    return result


def score_run(run: RunFolder, examples: Examples, name: str, progress: Progress) -> EvaluateResult:
    """Scores the best checkpoint and, for the paired gain, the probe, on other examples than the run's own."""
    predictor = load_predictor(run)
    if predictor.kind.one_class and read_fitted(run) is None:
        progress.note(
            f"\nnote       not calibrated: training was cut short; kft evaluate {run.path} calibrates on valid"
        )
    return _score(run, predictor, examples, name, read_forgetting(run), progress)[0]


def score_suite(run: RunFolder, suite: Suite, progress: Progress) -> EdgeCaseResult:
    """Answers a suite of edge cases with the best checkpoint; no data of the run are read."""
    return _run_suite(run, load_predictor(run), suite, progress)


def _run_suite(run: RunFolder, predictor: Predictor, suite: Suite, progress: Progress) -> EdgeCaseResult:
    from kft.train.checkpoint import load_checkpoint

    progress.note(f"\nedge cases {suite.path}")
    receipt, best = read_document(Receipt, run.receipt), load_checkpoint(run.checkpoints, "best")
    columns = Columns(receipt.text_column, receipt.label_column, pair=receipt.pair_column)
    found = run_suite(suite, predictor.with_weights(best.weights), predictor.spec.data, columns)
    return replace(found, checkpoint=checkpoint_hash(run))


def _fit_on_valid(run: RunFolder, predictor: Predictor, split: DataSplit, progress: Progress) -> Fitted:
    from kft.split.holdout import set_aside

    spec, asked = predictor.spec, predictor.spec.evaluate
    if asked.calibrate == "none" and not (asked.abstain_at or asked.threshold or asked.out_of_scope):
        return Fitted()
    progress.note(f"\nfitting    on {len(split.valid):,} examples of valid")
    scored = _answer(run, predictor, split.valid)
    known = None
    if asked.out_of_scope is not None:
        progress.note(f"scope      where {len(split.train):,} examples of train lie")
        known = _answer(run, predictor, split.train).vectors
    valid = Judged(
        targets=scored.truth,
        answers=scored.answers,
        probe=scored.probe,
        held=set_aside(spec, split),
        groups=split.valid.groups,
        vectors=scored.vectors,
        known=known,
    )
    return fit_answers(asked, valid, predictor.space.labels, spec.data.split_seed)


def _described(fitted: Fitted) -> str:
    lines = [f"temperature {fitted.temperature.value:.3g}" if fitted.temperature.n else "temperature not fitted"]
    if fitted.scope is not None:
        lines.append(f"scope      flags what looks more foreign than {fitted.scope.keep:.1%} of valid")
    if fitted.rule is not None:
        lines.append(_when(fitted.rule))
    return "\n".join(lines)


def _when(rule: Rule) -> str:
    if rule.threshold is None:
        return f"abstention off: {rule.why}"
    when = f"below a confidence of {rule.threshold:.3f}" if rule.threshold else "never"
    if isinstance(rule, CostRule):
        return f"abstention {when}: wrong costs {rule.wrong:g}, to abstain {rule.abstain:g}"
    if isinstance(rule, PrecisionRule):
        return f"abstention from {rule.label!r} {when}: {rule.right:,} of {rule.answered:,} on valid are right"
    return f"abstention {when}: {rule.errors:,} of {rule.answered:,} answers wrong, of {rule.n:,} examples set aside"


def _answer(run: RunFolder, predictor: Predictor, examples: Examples) -> Scored:
    """Answers with the best checkpoint and with the probe, a head on the pretrained weights, which the model keeps."""
    from kft.train.checkpoint import load_checkpoint, snapshot

    wanted = predictor.spec.evaluate.out_of_scope is not None
    best = load_checkpoint(run.checkpoints, "best")
    pretrained = snapshot([variable for variable in predictor.model.weights if variable.path in best.weights])
    probe_answers = answers = vectors = None
    if (run.checkpoints / "probe.json").is_file():
        probe = load_checkpoint(run.checkpoints, "probe")
        with_probe = predictor.with_weights(probe.weights)
        probe_answers, of_probe = with_probe.head_answers(examples.inputs, vectors=wanted)
        if all(np.array_equal(array, best.weights[path]) for path, array in probe.weights.items()):
            answers, vectors = probe_answers, of_probe  # the probe was kept: its head is the best, on the same backbone
    if answers is None:
        with_best = predictor.with_weights(best.weights)
        answers, vectors = with_best.answers_and_vectors(examples.inputs, keep=True, vectors=wanted)
    predictor.with_weights(pretrained)  # or the probe's head would meet tuned blocks on the next examples
    assert examples.labels is not None  # only labelled examples are scored
    return Scored(
        kind=predictor.kind,
        space=predictor.space,
        ids=list(examples.ids),
        truth=predictor.kind.judging.truth(list(examples.labels), predictor.space),
        answers=answers,
        probe=probe_answers,
        groups=examples.groups,
        inputs=examples.inputs,
        columns=examples.columns,
        vectors=vectors,
    )


def _score(
    run: RunFolder,
    predictor: Predictor,
    examples: Examples,
    name: str,
    forgetting: ForgettingResult | None,
    progress: Progress,
) -> tuple[EvaluateResult, Scored]:
    progress.note(f"\nscoring    {len(examples):,} examples of {name}")
    receipt, spec = read_document(Receipt, run.receipt), predictor.spec
    suite = suite_of(load_recipe(run.recipe)) if spec.evaluate.suite else None
    given = raw = _answer(run, predictor, examples)
    report = None
    if predictor.kind.one_class:
        given = calibrated(raw, predictor.fitted)
        report = _report(run, spec, raw, given, predictor.fitted, receipt.n.valid - receipt.set_aside)
    result = score(
        given,
        split=name,
        shares=receipt.shares,
        gates=spec.evaluate.gates,
        beside=Beside(
            report=report,
            # Last: it leaves the best weights in the model.
            edge_cases=None if suite is None else _run_suite(run, predictor, suite, progress),
            forgetting=forgetting,
            values={"forgetting.retained": gate_value(receipt, forgetting)},
        ),
    )
    return result, given


def _report(
    run: RunFolder, spec: RecipeSpec, raw: Scored, given: Scored, fitted: Fitted, valid_rows: int
) -> ClassReport:
    lines = run.history.read_text(encoding="utf-8").splitlines() if run.history.is_file() else []
    overfitting = judge_overfitting([json.loads(line) for line in lines], valid_rows)
    return report_classes(raw, given, fitted, overfitting, spec.evaluate.slice_rows)

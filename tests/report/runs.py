"""Run folders as training would leave them, written without training anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from kft.answer.decide import NOTHING, Decisions
from kft.answer.fitted import CalibrationData, fit_answers
from kft.audit.summary import count_severities
from kft.evaluate.evaluate import FurtherResults, Scored, calibrated, report_classes, score, slices_of
from kft.evaluate.files import write_evaluation
from kft.evaluate.overfitting import judge_overfitting
from kft.recipe.evaluation import EvaluateSpec
from kft.records.document import write_document
from kft.records.edge_cases import EdgeCaseResult, EdgeCheckResult, Outcome
from kft.records.estimate import Estimate
from kft.records.findings import Findings
from kft.records.forgetting import ForgettingResult, Retain, Retained
from kft.records.history import EpochDone, as_line
from kft.records.mistakes import Mistake, Mistakes, NearExample
from kft.records.receipt import Counts
from kft.records.run_folder import RunFolder
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS
from kft.tasks.task import AnswerSpace
from tests.records import made

TEXT_TASKS = ("text-classification", "text-multi-label", "text-pairs", "text-regression", "token-tagging")

PROMISED = {"abstain_at": {"error": 0.3}}


def write_run(
    folder: Path, *, task="text-classification", labels=("bad", "good", "so so"), n=240, gates=None, asked=PROMISED
) -> RunFolder:
    """Writes the folder of an evaluated run, whose answers are right where the dice say so."""
    folder.mkdir(parents=True, exist_ok=True)
    run, rng = RunFolder(folder), np.random.default_rng(0)
    kind = TASKS.get(task).kind
    recipe = load_recipe(
        {
            "task": task,
            "name": folder.name,
            "data": {"train": "rows.csv", "test": "20%"},
            "evaluate": {"gates": gates or {}},
        },
        base=folder,
    )
    run.recipe.write_text(recipe.as_yaml(), encoding="utf-8")
    labels = () if kind.numeric else tuple(labels)
    space = AnswerSpace(labels, mean=1.0 if not labels else 0.0)
    events = epochs(recipe.spec.train.best)
    run.rewrite_history([as_line(event) for event in events])
    scored, shares = answers(kind, space, n, rng)
    given, report = NOTHING, None
    if kind.one_class:
        valid = CalibrationData(scored.truth, scored.answers, scored.probe, held=np.arange(n) % 2 == 0, groups=None)
        fitted = fit_answers(EvaluateSpec.model_validate(asked), valid, space.labels, seed=0)
        given, raw = fitted.given, scored
        scored = calibrated(scored, given, Decisions(fitted.probe))
        report = report_classes(raw, scored, given, judge_overfitting(events, 100))
    beside = FurtherResults(report=report, slices=slices_of(scored, 20))
    result = score(scored, split="test", shares=shares, gates=gates or {}, beside=beside)
    assert tuple(result.metrics) == tuple(TASKS.get(task).kind.judging.metrics)
    write_evaluation(run, result, scored, given)
    write_document(run.receipt, made.receipt(labels=space.labels, n=Counts(1000, 100, n)))
    write_document(run.findings, findings())
    return run


def epochs(best):
    rows = [("probe", 0, None, 0.6, False), ("top", 0, None, 0.6, False), ("top", 1, 0.5, 0.5, False)]
    rows += [("top", 2, 0.2, 0.4, True), ("top", 3, 0.1, 0.7, False)]
    named = best.removeprefix("valid_")
    return [
        EpochDone(
            phase,
            epoch,
            9 * epoch,
            {"valid_loss": valid, best: 1 - valid, "valid_accuracy": 1 - valid},
            kept,
            {"loss": train, "accuracy": 1 - train, named: 1 - train} if train is not None else {},
        )
        for phase, epoch, train, valid, kept in rows
    ]


def answers(kind, space, n, rng):
    ids = [f"rows.csv:{row}" for row in range(n)]
    if kind.numeric:
        truth = rng.normal(1, 1, n)
        return Scored(kind, space, ids, truth, truth + rng.normal(0, 0.5, n)), kind.judging.shares([0.0, 2.0], space)
    if kind.labels.form == "spans":
        truth = [((0, 4, space.labels[row % len(space.labels)]),) for row in range(n)]
        said = [((*spans[0], 0.9),) if row % 4 else () for row, spans in enumerate(truth)]
        return Scored(kind, space, ids, truth, said), []
    classes = len(space.labels)
    if kind.labels.form == "set":
        truth = rng.integers(0, 2, (n, classes))
        said = np.clip(truth * 0.6 + rng.uniform(0, 0.5, truth.shape), 0, 1)
        return Scored(kind, space, ids, truth, said), [0.5] * classes
    truth = rng.integers(0, classes, n)
    logits = rng.normal(0, 1, (n, classes)) + 2.5 * np.eye(classes)[truth]
    found = np.exp(2 * logits) / np.exp(2 * logits).sum(axis=1, keepdims=True)
    words = ["word " * int(count) for count in rng.integers(1, 30, n)]
    probe = np.full((n, classes), 1 / classes)
    return Scored(kind, space, ids, truth, found, probe=probe, inputs=words), [1 / classes] * classes


def findings(*found):
    """findings.json."""
    return Findings("b" * 64, "c" * 64, Counts(1000, 100, 240), count_severities(found), found)


def suite(**texts):
    """edge_cases.json with one check that must pass and does not, and one that holds; neither says so."""
    rate = Estimate(0.5, 0.3, 0.7)
    failure = Outcome("x", "in", None, "good", "bad", 0.9)
    failures = replace(failure, **texts), replace(failure, changed="un")
    checks = (
        EdgeCheckResult("own", "must_pass", "Cases of ours.", 4, 2, rate, failures=failures),
        EdgeCheckResult("typos", "invariance", "Cases of ours.", 4, 4, rate, failures=()),
    )
    return EdgeCaseResult("checks.yaml", "e" * 64, 8, 6, rate, checks, cases={})


def forgetting(name="similar sentences"):
    """forgetting.json of a run that kept one phase and not the last; both forgot half."""
    value, half = Estimate(0.8, 0.7, 0.9), Estimate(0.5, 0.4, 0.6)
    dropped = Retained("all, epoch 3, not kept", value, half)
    return ForgettingResult(
        Retain(name, "package:x", 50), "accuracy", "top, epoch 2", value, value, half, dropped, warns_below=0.9
    )


def mistakes(text="a text", **more):
    """mistakes.json with one mistake and its neighbour."""
    near = NearExample("rows.csv:9", text, "good", 0.93)
    one = Mistake("rows.csv:1", text, "good", "bad", 0.97, None, (near,))
    return Mistakes("test", 12, (replace(one, **more),))

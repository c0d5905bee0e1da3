"""Run folders as training would leave them, written without training anything."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from kft.answer.fitted import Fitted, Judged, fit_answers
from kft.evaluate.evaluate import Scored, calibrated, report_classes, score, write_evaluation
from kft.evaluate.overfitting import judge_overfitting
from kft.records.forgetting import ForgettingResult, Retained
from kft.records.estimate import Estimate
from kft.recipe.load import load_recipe
from kft.recipe.schema import EvaluateSpec
from kft.recipe.values import TASK_METRICS
from kft.records.run_folder import RunFolder
from kft.tasks.registry import TASKS
from kft.tasks.task import AnswerSpace

VERSIONS = {"python": "3.11", "kft": "0.1.0", "tensorflow": "2.21.0"}

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
    labels = () if kind.name == "number" else tuple(labels)
    space = AnswerSpace(labels, mean=1.0 if not labels else 0.0)
    events = epochs(recipe.spec.train.best)
    run.rewrite_history(events)
    scored, shares = answers(kind, space, n, rng)
    fitted, report = Fitted(), None
    if kind.name == "classes":
        valid = Judged(scored.truth, scored.answers, scored.probe, held=np.arange(n) % 2 == 0, groups=None)
        fitted = fit_answers(EvaluateSpec.model_validate(asked), valid, space.labels, seed=0)
        raw, scored = scored, calibrated(scored, fitted)
        report = report_classes(raw, scored, fitted, judge_overfitting(events, 100), 20)
    result = score(scored, split="test", kind=kind, space=space, shares=shares, gates=gates or {}, report=report)
    assert tuple(result.metrics) == TASK_METRICS[task]
    write_evaluation(run, result, scored, fitted)
    run.receipt.write_text(json.dumps(receipt(space, n)), encoding="utf-8")
    run.findings.write_text(json.dumps({"findings": []}), encoding="utf-8")
    return run


def epochs(best):
    rows = [("probe", 0, None, 0.6, False), ("top", 0, None, 0.6, False), ("top", 1, 0.5, 0.5, False)]
    rows += [("top", 2, 0.2, 0.4, True), ("top", 3, 0.1, 0.7, False)]
    named = best.removeprefix("valid_")
    return [
        {
            "event": "epoch",
            "phase": phase,
            "epoch": epoch,
            "valid_loss": valid,
            best: 1 - valid,
            "valid_accuracy": 1 - valid,
        }
        | ({"loss": train, "accuracy": 1 - train, named: 1 - train} if train is not None else {})
        | {"is_best": kept}
        for phase, epoch, train, valid, kept in rows
    ]


def answers(kind, space, n, rng):
    ids = [f"rows.csv:{row}" for row in range(n)]
    if kind.name == "number":
        truth = rng.normal(1, 1, n)
        return Scored(ids, truth, truth + rng.normal(0, 0.5, n)), kind.shares([0.0, 2.0], space)
    if kind.name == "spans":
        truth = [((0, 4, space.labels[row % len(space.labels)]),) for row in range(n)]
        said = [((*spans[0], 0.9),) if row % 4 else () for row, spans in enumerate(truth)]
        return Scored(ids, truth, said), []
    classes = len(space.labels)
    if kind.name == "labels":
        truth = rng.integers(0, 2, (n, classes))
        return Scored(ids, truth, np.clip(truth * 0.6 + rng.uniform(0, 0.5, truth.shape), 0, 1)), [0.5] * classes
    truth = rng.integers(0, classes, n)
    logits = rng.normal(0, 1, (n, classes)) + 2.5 * np.eye(classes)[truth]
    found = np.exp(2 * logits) / np.exp(2 * logits).sum(axis=1, keepdims=True)
    words = ["word " * int(count) for count in rng.integers(1, 30, n)]
    probe = np.full((n, classes), 1 / classes)
    return Scored(ids, truth, found, probe=probe, inputs=words), [1 / classes] * classes


def receipt(space, n):
    return {
        "created": "2026-11-25T12:00:00+00:00",
        "command": ["kft", "train", "recipe.yaml"],
        "seed": 0,
        "recipe_hash": "a" * 64,
        "split_hash": "b" * 64,
        "data_hash": "c" * 64,
        "weights_hash": "d" * 64,
        "backbone": "minilm-l6",
        "labels": list(space.labels),
        "n": {"train": 1000, "valid": 100, "test": n},
        "phases": [
            {"name": "probe", "unfreeze": "none", "epochs": None, "lr": None},
            {"name": "top", "unfreeze": "top-2", "epochs": 3, "lr": 1e-4},
        ],
        "versions": VERSIONS,
        "devices": ["CPU:0"],
        "strategy": "CPU:0",
    }


def suite(**texts):
    """edge_cases.json with one check that must pass and does not, and one that holds."""
    rate = {"value": 0.5, "low": 0.3, "high": 0.7}
    failure = {"case": "x", "input": "in", "changed": None, "expected": "good", "received": "bad", "confidence": 0.9}
    check = {"name": "own", "kind": "must_pass", "about": "Cases of ours.", "n": 4, "passed": 2, "pass_rate": rate}
    return {
        "suite": "checks.yaml",
        "suite_hash": "e" * 64,
        "n": 8,
        "passed": 6,
        "pass_rate": rate,
        "checks": [
            check | {"failures": [failure | texts, failure | {"changed": "un"}]},
            check | {"name": "typos", "kind": "invariance", "passed": 4, "failures": []},
        ],
        "cases": {},
    }


def forgetting(name="similar sentences"):
    """forgetting.json of a run that kept one phase and not the last; both forgot half."""
    value, half = Estimate(0.8, 0.7, 0.9), Estimate(0.5, 0.4, 0.6)
    kept, dropped = Retained("top, epoch 2", value, half), Retained("all, epoch 3, not kept", value, half)
    return ForgettingResult(name, "package:x", 50, "accuracy", value, kept, dropped).as_dict()


def mistakes(text="a text", **more):
    """mistakes.json with one mistake and its neighbour."""
    near = {"id": "rows.csv:9", "input": text, "label": "good", "similarity": 0.93}
    one = {"id": "rows.csv:1", "input": text, "target": "good", "prediction": "bad", "confidence": 0.97, "cost": None}
    return {"split": "test", "n": 12, "mistakes": [one | {"neighbours": [near]} | more]}

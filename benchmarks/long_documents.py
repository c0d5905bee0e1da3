"""Long documents: cut at 128 tokens, head and tail, or windows; what each reaches, and what windows cost.

    python benchmarks/long_documents.py --train kernel_docs/train.csv --test kernel_docs/test.csv [--tuned windows]

For each way to read and each seed (of the recipe and of the draw of valid) a probe and a blend are trained on one
feature store; with --tuned the top block as well, for the ways named there and the first seed. Nothing is chosen by
the test rows, which every run answers once. Reported are the test accuracy over all seeds with its interval by rows,
and the paired difference to cutting. The cost is the CPU seconds of a whole `kft train` of the probe on some rows and
an empty store, over one forward pass of the same windows as texts of their own.

With --folds yes nothing of that is done: probes answer the rows of train out of fold, and the test rows stay closed.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from common import arguments, forget_features, report, timed, workplace
from sklearn.model_selection import StratifiedKFold

import kft
from kft.features.inference import make_inference, run_in_batches
from kft.features.probe import ProbeRows, solve_at
from kft.features.vectors import pooled_vectors
from kft.feed.batches import Ragged
from kft.feed.source import text_source
from kft.metrics.intervals import estimate_mean
from kft.model.encode import make_reader
from kft.model.real_tokens import on_real_tokens
from kft.recipe.schema import FeaturesSpec, ModelSpec
from kft.tasks.registry import TASKS

PROBE = {"name": "probe", "unfreeze": "none", "solver": "lbfgs"}
BLEND = {"name": "blend", "unfreeze": "none", "solver": "blend", "start": "probe"}
TOP = {"name": "top", "unfreeze": "top-1", "epochs": 3, "lr": 1e-4, "start": "probe"}
APPROACHES = {"probe": [PROBE], "blend": [PROBE, BLEND], "top-1": [PROBE, TOP]}
WAYS = ("cut", "head-and-tail", "windows")
RESAMPLES = 10_000
FOLDINGS, STRENGTH = 5, 0.01


def recipe(way: str, approach: str, seed: int) -> dict[str, Any]:
    return {
        "task": "text-classification",
        "name": f"{way}-{approach}-{seed}",
        "seed": seed,
        "data": {"train": "dataframe", "text": "text", "label": "label", "valid": "20%", "split_seed": seed},
        "model": {"backbone": "minilm-l6", "max_tokens": 128, "long_text": way},
        # The phase with the best accuracy on valid is kept, be its lead by chance or not.
        "train": {"phases": APPROACHES[approach], "prefer": "best"},
    }


def right_answers(given: dict[str, Any], frames: dict[str, pd.DataFrame], folder: Path) -> tuple[np.ndarray, str]:
    """Trains, and returns which test rows were answered right, and which phase was kept."""
    result = kft.train(given, data=frames, run=folder, quiet=True)
    with (folder / "predictions.csv").open(encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["id"])
    return np.array([row["target"] == row["prediction"] for row in rows], float), result.best_phase


def paired(first: np.ndarray, second: np.ndarray) -> list[float]:
    """Returns the mean difference of two figures a row, and its 95 % interval, by drawing rows."""
    difference, rng = first - second, np.random.default_rng(0)
    drawn = difference[rng.integers(0, len(difference), (RESAMPLES, len(difference)))].mean(axis=1)
    return [round(float(value), 3) for value in (difference.mean(), *np.quantile(drawn, (0.025, 0.975)))]


def out_of_fold(train: pd.DataFrame) -> dict[str, Any]:
    """Returns what probes of one strength say of train's rows that they have not seen, for each way to read."""
    names, targets = np.unique(train["label"], return_inverse=True)
    backbone, task = kft.load_backbone("minilm-l6"), TASKS.get("text-classification")
    right: dict[str, np.ndarray] = {}
    for way in WAYS:
        model = ModelSpec(long_text=way)
        source = make_reader(task, backbone, model).read(list(train["text"])).source
        vectors = pooled_vectors(backbone, {"train": source}, model, FeaturesSpec(store="off"))["train"]
        answers = np.zeros((FOLDINGS, len(train)))
        for folding in range(FOLDINGS):
            folds = StratifiedKFold(5, shuffle=True, random_state=folding)
            for seen, held in folds.split(vectors, targets):
                kernel, bias = solve_at(ProbeRows(vectors[seen], targets[seen]), len(names), STRENGTH)
                answers[folding, held] = (vectors[held] @ kernel + bias).argmax(axis=1) == targets[held]
        right[way] = answers.mean(axis=0)
    return {
        way: {"accuracy": round(float(each.mean()), 3), "less_cut": paired(each, right["cut"])}
        for way, each in right.items()
    }


def cost(frames: dict[str, pd.DataFrame], rows: int) -> dict[str, float]:
    """Returns CPU seconds of a whole run on an empty store, and of one forward pass of the same windows."""
    half = {"train": frames["train"].iloc[:rows], "test": frames["test"].iloc[: rows // 4]}
    backbone = kft.load_backbone("minilm-l6")
    reader = make_reader(TASKS.get("text-classification"), backbone, ModelSpec(long_text="windows"))
    windows = []
    for part in half.values():
        source = reader.read(list(part["text"])).source
        for place in range(len(source)):
            ids, real = (source.columns[name].row(place).reshape(-1, 128) for name in ("token_ids", "padding_mask"))
            windows += [row[: mask.sum()] for row, mask in zip(ids, real, strict=True)]
    model = kft.build_model(backbone, classes=8)
    given = text_source(Ragged.from_rows(windows)).select(tuple(tensor.name for tensor in model.inputs))
    inference = make_inference(on_real_tokens(keras.Model(model.inputs, model.get_layer("head_pool").output)), 32)
    _, forward = timed(lambda: run_in_batches(inference, given))
    forget_features()
    with tempfile.TemporaryDirectory() as folder:
        work = lambda: kft.train(recipe("windows", "probe", 0), data=half, run=Path(folder) / "run", quiet=True)  # noqa: E731
        _, whole = timed(work)
    return {"windows": len(windows), "forward": round(forward["cpu_s"], 1), "whole_run": round(whole["cpu_s"], 1)}


def main() -> None:
    args = arguments(__doc__ or "", seeds=5, tuned="", cost_rows=60, folds="no")
    frames = {name: pd.read_csv(getattr(args, name)) for name in ("train", "test")}
    right: dict[str, list[np.ndarray]] = {}
    kept: dict[str, list[str]] = {}
    found: dict[str, Any] = {}
    if args.folds != "no":
        with workplace():
            report("long_documents_out_of_fold", out_of_fold(frames["train"]))
        return
    with workplace() as place:
        plan = [(way, name, seed) for way in WAYS for name in ("probe", "blend") for seed in range(args.seeds)]
        plan += [(way, "top-1", 0) for way in args.tuned.split(",") if way]
        for way, name, seed in plan:
            key = f"{way}, {name}"
            answers, phase = right_answers(recipe(way, name, seed), frames, place / f"{way}-{name}-{seed}")
            right.setdefault(key, []).append(answers)
            kept.setdefault(key, []).append(phase)
            mean = np.mean(right[key], axis=0)
            cut = right.get(f"cut, {name}")
            known = estimate_mean(mean)
            found[key] = {
                "accuracy": [round(each, 3) for each in (known.value, known.low, known.high)],
                "by_seed": [round(float(each.mean()), 3) for each in right[key]],
                "less_cut": paired(mean, np.mean(cut, axis=0)) if cut and way != "cut" else None,
                "kept": kept[key],
            }
            print(key, seed, found[key], flush=True)
            if args.cost_rows and (way, name, seed) == plan[6 * args.seeds - 1]:
                found["cost"] = cost(frames, args.cost_rows)  # it empties the store: after all that share one
            report("long_documents", found)


if __name__ == "__main__":
    main()

"""What few labels reach: draws of so many rows a class, whole runs of kft and its peers, all test rows.

    python benchmarks/few_labels.py --train banking77/train.csv --test banking77/test.csv --labels 5,10,26

For each number of labels a class (0: all rows) and each draw (its seed is its number) recipes run through
``kft.train``, each on a feature store of its own: the probe alone, the probe and the blend, and a recipe that names no
phases. Peers that need torch run where --peers names their Python, AutoGluon, which wants other versions of what they
share, where --autogluon does (make bench-peers). All get the same rows and the
same weights, and may set aside of the rows what they like: kft takes 15 % for validation, the peers train on all.
Reported are the test accuracy, and the CPU seconds of the whole run, scoring of the test rows included.

Each run is written to the results when it ends, and takes the place of an earlier one of the same draw and name: runs
of hours can be done in parts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import RESULTS, accuracy, arguments, forget_features, report, timed, workplace

import kft
from kft import assets
from kft.packages import PACKAGES

PROBE = {"name": "probe", "unfreeze": "none", "solver": "lbfgs"}
BLEND = {"name": "blend", "unfreeze": "none", "solver": "blend", "start": "probe"}
RECIPES = {"probe": {"phases": [PROBE]}, "blend": {"phases": [PROBE, BLEND]}, "default": {}}

# SetFit's own default takes all pairs: 146,300 at 5 rows a class of BANKING77, 4,000,000 at 26, 16 to a step of 1.4 CPU
# seconds. Five iterations take 10 pairs a row.
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sentence-transformers": ("sentence-transformers", {}),
    "setfit": ("setfit", {"num_iterations": 5}),
    "setfit-1e-4": ("setfit", {"num_iterations": 5, "body_learning_rate": 1e-4}),
    "trainer": ("trainer", {"epochs": 15, "lr": 3e-4}),
    "autogluon-few-shot": ("autogluon", {"problem_type": "few_shot_classification"}),
}


def draw(train: pd.DataFrame, labels: int, seed: int) -> pd.DataFrame:
    """Returns so many rows of each class; all of a class that has fewer; 0 means all rows."""
    if not labels:
        return train
    rng = np.random.default_rng(seed)
    codes = train["label"].to_numpy()
    rows = [rng.permutation(np.flatnonzero(codes == name))[:labels] for name in sorted(set(codes))]
    return train.iloc[np.concatenate(rows)]


def recipe_run(name: str, train: pd.DataFrame, test: pd.DataFrame, folder: Path) -> dict[str, Any]:
    """Trains a recipe on an empty store and scores it."""
    forget_features()
    recipe = {
        "task": "text-classification",
        "name": name,
        "data": {"train": "dataframe", "text": "text", "label": "label"},
        "train": RECIPES[name],
    }
    work = lambda: kft.train(recipe, data={"train": train, "test": test}, run=folder, quiet=True)  # noqa: E731
    result, seconds = timed(work)
    return {"accuracy": result.evaluation.metrics["accuracy"].value, **seconds, "kept": result.best_phase}


def peer_run(python: str, name: str, train: pd.DataFrame, test: pd.DataFrame, folder: Path) -> dict[str, Any]:
    """Trains a peer in its own environment on the same weights and scores it."""
    peer, settings = PEERS[name]
    names = sorted(set(train["label"]))
    folder.mkdir()
    for part, frame in (("train", train), ("test", test)):
        targets = frame["label"].map({label: code for code, label in enumerate(names)})
        pd.DataFrame({"text": frame["text"], "target": targets}).to_csv(folder / f"{part}.csv", index=False)
    script, model = Path(__file__).parent / "peers_side.py", assets.fetch(PACKAGES.get("minilm-l6"))
    command = [python, str(script), peer, str(folder), str(model), json.dumps(settings)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds = json.loads(done.stdout.strip().splitlines()[-1])
    whole = {unit: seconds[unit] + seconds[f"test_{unit}"] for unit in ("cpu_s", "wall_s")}
    targets = pd.read_csv(folder / "test.csv")["target"].to_numpy()
    return {"accuracy": accuracy(np.load(folder / "logits.npy"), targets), **whole, **settings}


def main() -> None:
    options = arguments(
        __doc__.splitlines()[0],
        seeds="0,1,2",
        labels="5,10,26",
        names="probe,blend,default,sentence-transformers,setfit,trainer,autogluon-few-shot",
        peers="",
        autogluon="",
    )
    train, test = (pd.read_csv(path)[["text", "label"]] for path in (options.train, options.test))
    pythons = {name: options.autogluon if peer == "autogluon" else options.peers for name, (peer, _) in PEERS.items()}
    # A peer whose Python is not named is left out.
    names = [name for name in options.names.split(",") if name in RECIPES or pythons[name]]
    with workplace() as folder:
        for labels in map(int, options.labels.split(",")):
            for seed in map(int, options.seeds.split(",")):
                rows = draw(train, labels, seed)
                for name in names:
                    place = folder / f"{labels}-{seed}-{name}"
                    if name in RECIPES:
                        run = recipe_run(name, rows, test, place)
                    else:
                        run = peer_run(pythons[name], name, rows, test, place)
                    load = round(os.getloadavg()[1], 1)
                    keep({"labels": labels, "draw": seed, "name": name, **_rounded(run), "load": load})


def keep(run: dict[str, Any]) -> None:
    """Writes a run among those of the results, in the place of an earlier one of the same draw and name."""
    print(run, file=sys.stderr, flush=True)
    key = lambda each: (each["labels"], each["name"], each["draw"])  # noqa: E731
    path = RESULTS / "few_labels.json"
    before = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    runs = sorted([*(each for each in before if key(each) != key(run)), run], key=key)
    report("few_labels", summed(runs), runs=runs)


def summed(runs: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns, by labels a class and name, the mean accuracy, its spread, and the mean of the CPU seconds."""
    table: dict[str, dict[str, Any]] = {}
    frame = pd.DataFrame(runs)
    for (labels, name), each in frame.groupby(["labels", "name"], sort=False):
        reached = each["accuracy"]
        table.setdefault(str(labels), {})[str(name)] = {
            "accuracy": round(float(reached.mean()), 4),
            "lowest and highest": [float(reached.min()), float(reached.max())],
            "cpu_s": round(float(each["cpu_s"].mean()), 1),
            "draws": len(each),
        }
    return table


def _rounded(run: dict[str, Any]) -> dict[str, Any]:
    places = {"accuracy": 4, "cpu_s": 1, "wall_s": 1}
    return {name: round(value, places[name]) if name in places else value for name, value in run.items()}


if __name__ == "__main__":
    main()

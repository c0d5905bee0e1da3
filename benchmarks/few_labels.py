"""What few labels reach: draws of so many rows a class, whole runs of kft, all test rows.

    python benchmarks/few_labels.py --train banking77/train.csv --test banking77/test.csv --labels 5,10,26

For each number of labels a class and each draw (its seed is its number) three recipes run through ``kft.train``, each
on a feature store of its own: the probe alone, the probe and the blend, and a recipe that names no phases. All see the
same rows, of which 15 % are validation. Reported are the mean test accuracy with its spread over the draws, and CPU
seconds of the whole run, scoring of the test rows included.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from common import arguments, forget_features, report, timed, workplace

import kft

PROBE = {"name": "probe", "unfreeze": "none", "solver": "lbfgs"}
BLEND = {"name": "blend", "unfreeze": "none", "solver": "blend", "start": "probe"}
RECIPES = {"probe": {"phases": [PROBE]}, "blend": {"phases": [PROBE, BLEND]}, "default": {}}


def draw(train: pd.DataFrame, labels: int, seed: int) -> pd.DataFrame:
    """Returns so many rows of each class; all of a class that has fewer; 0 means all rows."""
    if not labels:
        return train
    rng = np.random.default_rng(seed)
    codes = train["label"].to_numpy()
    rows = [rng.permutation(np.flatnonzero(codes == name))[:labels] for name in sorted(set(codes))]
    return train.iloc[np.concatenate(rows)]


def one_run(name: str, train: pd.DataFrame, test: pd.DataFrame, folder: Path) -> dict[str, float | str]:
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
    return {"accuracy": result.evaluation.metrics["accuracy"].value, "kept": result.best_phase, **seconds}


def main() -> None:
    options = arguments(__doc__.splitlines()[0], draws=3, labels="5,10,26", recipes="probe,blend,default")
    train, test = (pd.read_csv(path)[["text", "label"]] for path in (options.train, options.test))
    found: dict[str, dict[str, dict[str, object]]] = {}
    with workplace() as folder:
        for labels in map(int, options.labels.split(",")):
            runs: dict[str, list[dict[str, float | str]]] = {name: [] for name in options.recipes.split(",")}
            for seed in range(options.draws):
                rows = draw(train, labels, seed)
                for name, kept in runs.items():
                    kept.append(one_run(name, rows, test, folder / f"{labels}-{seed}-{name}"))
                    print(f"{labels} a class, draw {seed}, {name}: {kept[-1]}", file=sys.stderr, flush=True)
            found[str(labels)] = {name: _summed(each) for name, each in runs.items()}
    report("few_labels", found, draws=options.draws)


def _summed(runs: list[dict[str, float | str]]) -> dict[str, object]:
    reached = np.array([run["accuracy"] for run in runs], float)
    return {
        "accuracy": round(float(reached.mean()), 4),
        "lowest and highest": [round(float(reached.min()), 4), round(float(reached.max()), 4)],
        "cpu_s": [round(float(run["cpu_s"]), 1) for run in runs],
        "kept": [run["kept"] for run in runs],
    }


if __name__ == "__main__":
    main()

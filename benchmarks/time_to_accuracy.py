"""CPU seconds until a test accuracy is reached: kft's recipes against peers, epoch by epoch.

    python benchmarks/time_to_accuracy.py --recipe recipes/sentiment/product_reviews.yaml --peers .venv-peers/bin/python

The split is that of --recipe, or 15 % of a sample of --train as valid beside --test; of train and valid together --rows
are kept. A peer is run at several rates; after each epoch its valid and test rows are answered while the clock stands
still, and the epoch is chosen by valid. Its best is the test accuracy of that epoch; within .005 of it counts as
reached. kft's stages are stamped when they end, its own validation included; what a stage reaches on test is that of a
recipe which ends there. SetFit has no epochs to look at, sentence-transformers with a regression has none: one point.

Arms (--arms): kft-probe, kft-blend, kft (no phases named), trainer:RATE:EPOCHS, keras-hub:RATE:EPOCHS,
setfit:ITERATIONS, sentence-transformers. Each run is written when it ends and takes the place of an earlier one of the
same arm and seed, so that hours can be done in parts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import RESULTS, accuracy, report, timed, workplace, write_subset
from kft_side import Rows, load_rows, tokens

from kft import assets
from kft.packages import PACKAGES

ARMS = (
    "kft-probe,kft-blend,kft,sentence-transformers,trainer:5e-5:10,trainer:2e-4:10,"
    "setfit:1,keras-hub:5e-5:4,keras-hub:2e-4:4"
)
PROBE = {"name": "probe", "unfreeze": "none", "solver": "lbfgs"}
BLEND = {"name": "blend", "unfreeze": "none", "solver": "blend", "start": "probe"}
RECIPES: dict[str, dict[str, Any]] = {
    "kft-probe": {"phases": [PROBE]},
    "kft-blend": {"phases": [PROBE, BLEND]},
    "kft": {},
}
NEAR = 0.005


def main() -> None:
    """Runs the arms in turns, seed after seed; as a child, one arm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", type=Path, help="whose split is used")
    parser.add_argument("--train", type=Path, help="csv with the columns text and label")
    parser.add_argument("--test", type=Path, help="csv with the same columns")
    parser.add_argument("--name", default="", help="of the result; default: of the recipe, or of the folder of --train")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--arms", default=ARMS)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--peers", default="", help="a Python with torch; without it its peers are left out")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        arm, place, seed = args.child
        run = kft_run if arm in RECIPES else keras_hub_run
        print(json.dumps(run(arm, Path(place), int(seed))))
        return
    name = args.name or (args.recipe.stem if args.recipe else args.train.absolute().parent.name)
    with workplace() as folder:
        write_rows(args, folder)
        for seed in map(int, args.seeds.split(",")):
            for arm in args.arms.split(","):
                ours = arm in RECIPES or arm.startswith("keras-hub")
                if ours or args.peers:
                    found = child(arm, folder, seed) if ours else peer(arm, folder, seed, args.peers)
                    keep(name, {"arm": arm, "seed": seed, **found, "load": round(os.getloadavg()[0], 1)})


def write_rows(args: argparse.Namespace, folder: Path) -> None:
    """Writes train.csv, valid.csv and test.csv with text, label and target."""
    if args.recipe:
        from kft.split.data_split import load_split
        from kft.tasks.recipes import load_recipe
        from kft.tasks.registry import TASKS

        spec = load_recipe(args.recipe).spec
        split = load_split(spec.data, task=TASKS.get(spec.task), base=args.recipe.parent, locate=assets.locate)
        rows = Rows(spec, split)
    else:
        rows = load_rows(write_subset(args.train, args.rows, folder / "rows.csv"), args.test)
    parts = {}
    for name in ("train", "valid", "test"):
        part = rows.split.part(name)
        parts[name] = pd.DataFrame({"text": part.inputs, "label": part.labels, "target": rows.targets(name)})
    share = min(1.0, args.rows / (len(parts["train"]) + len(parts["valid"])))
    for name, frame in parts.items():
        if name != "test" and share < 1:
            frame = frame.groupby("label").sample(frac=share, random_state=0).sample(frac=1, random_state=0)
        frame.to_csv(folder / f"{name}.csv", index=False)


def child(arm: str, folder: Path, seed: int) -> dict[str, Any]:
    """Runs kft or keras-hub in a process of its own."""
    command = [sys.executable, str(Path(__file__).absolute()), "--child", arm, str(folder), str(seed)]
    return _last_line(command)


def peer(arm: str, folder: Path, seed: int, python: str) -> dict[str, Any]:
    """Runs a peer that needs torch."""
    here, model = Path(__file__).absolute().parent, str(assets.fetch(PACKAGES.get("minilm-l6")))
    name, *settings = arm.split(":")
    if name == "trainer":
        chosen = json.dumps({"lr": float(settings[0]), "epochs": int(settings[1]), "seed": seed})
        return _last_line([python, str(here / "curve_side.py"), str(folder), model, chosen])
    chosen = json.dumps({"num_iterations": int(settings[0]), "seed": seed} if settings else {})
    seconds = _last_line([python, str(here / "peers_side.py"), name, str(folder), model, chosen])
    targets = pd.read_csv(folder / "test.csv")["target"].to_numpy()
    return {"points": [[round(seconds["cpu_s"], 2), None, accuracy(np.load(folder / "logits.npy"), targets)]]}


def _last_line(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def kft_run(arm: str, folder: Path, seed: int) -> dict[str, Any]:
    """Trains a recipe on an empty store; stages are stamped as their lines appear in the run's history."""
    import kft
    from kft import runtime

    runtime.start()
    import keras_hub

    import kft.train.run

    assert keras_hub.__version__
    run = folder / f"run-{arm}-{seed}-{os.getpid()}"
    os.environ["KFT_CACHE"] = str(_empty_cache(folder, run.name))
    data = {part: str(folder / f"{part}.csv") for part in ("train", "valid", "test")}
    recipe = {
        "task": "text-classification",
        "seed": seed,
        "data": {**data, "text": "text", "label": "label"},
        "train": RECIPES[arm],
    }
    ended, stages = threading.Event(), []
    start = time.process_time()
    watcher = threading.Thread(target=_stamp, args=(run / "history.jsonl", start, ended, stages))
    watcher.start()
    result, whole = timed(lambda: kft.train(recipe, run=run, quiet=True))
    ended.set()
    watcher.join()
    reached = result.evaluation.metrics["accuracy"].value
    valid = max(stage["valid_accuracy"] for stage in stages)
    point = [stages[-1]["cpu_s"], valid, reached]
    return {"points": [point], "stages": stages, "kept": result.best_phase, "with test": round(whole["cpu_s"], 2)}


def _stamp(history: Path, start: float, ended: threading.Event, stages: list[dict[str, Any]]) -> None:
    """Notes the CPU seconds at which each phase's end is written."""
    seen = 0
    while True:
        last = ended.wait(0.1)
        lines = history.read_text(encoding="utf-8").splitlines() if history.is_file() else []
        for line in lines[seen:]:
            event = json.loads(line)
            if event["event"] == "phase_end":
                spent = round(time.process_time() - start, 2)
                stages.append(
                    {"phase": event["phase"], "cpu_s": spent, "valid_accuracy": round(event["valid_accuracy"], 4)}
                )
        seen = len(lines)
        if last:
            return


def _empty_cache(folder: Path, name: str) -> Path:
    cache = folder / f"cache-{name}"
    cache.mkdir()
    (cache / "packages").symlink_to(assets.cache_dir() / "packages")
    return cache


def keras_hub_run(arm: str, folder: Path, seed: int) -> dict[str, Any]:
    """Trains keras-hub's classifier; its rows are answered in short batches, apart from the clock."""
    from kft import runtime

    runtime.start()
    import keras
    from keras_side import keras_hub_fit

    from kft.features.inference import make_inference, run_in_batches

    _, rate, epochs = arm.split(":")
    rows = load_rows(folder / "train.csv", folder / "test.csv", folder / "valid.csv")
    points: list[list[float]] = []
    sources = {name: tokens(list(rows.split.part(name).inputs)) for name in ("valid", "test")}

    class Points(keras.callbacks.Callback):
        inference = None
        start = time.process_time()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            stopped = time.process_time()
            if self.inference is None:
                self.graph = keras.Model(self.model.inputs, self.model.outputs[0])
                self.inference = make_inference(self.graph, 32)
            reached = []
            for name, source in sources.items():
                (found,) = run_in_batches(self.inference, source.select(tuple(one.name for one in self.graph.inputs)))
                reached.append(accuracy(np.asarray(found), rows.targets(name)))
            points.append([round(stopped - self.start, 2), *reached])
            self.start += time.process_time() - stopped

    keras_hub_fit(rows, int(epochs), float(rate), callbacks=(Points(),), seed=seed)
    return {"points": points}


def keep(name: str, run: dict[str, Any]) -> None:
    """Writes a run among those of the results, in the place of an earlier one of the same arm and seed."""
    print({key: value for key, value in run.items() if key != "stages"}, file=sys.stderr, flush=True)
    key = lambda each: (each["arm"], each["seed"])  # noqa: E731
    path = RESULTS / f"time_to_accuracy_{name}.json"
    before = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    runs = sorted([*(each for each in before if key(each) != key(run)), run], key=key)
    report(f"time_to_accuracy_{name}", summed(runs), runs=runs)


def chosen(points: list[list[float]]) -> list[float]:
    """Returns the test accuracy after each epoch, of the epoch that valid has preferred up to then."""
    best, found = -1, []
    for number, (_, valid, _) in enumerate(points):
        if best < 0 or valid is None or valid > points[best][1]:
            best = number
        found.append(points[best][2])
    return found


def _reached(points: list[list[float]], wanted: float) -> float:
    """Returns the CPU seconds after which what valid chose had such an accuracy on test."""
    return next(point[0] for point, found in zip(points, chosen(points), strict=True) if found >= wanted)


def summed(runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns, by arm, the medians over seeds: what it reached, when it was near that, and when kft's arms were."""
    table: dict[str, dict[str, Any]] = {}
    for arm in dict.fromkeys(run["arm"] for run in runs):
        own = [run for run in runs if run["arm"] == arm]
        # The last of what valid chose: what one who trains to the end would keep.
        best = [chosen(run["points"])[-1] for run in own]
        near = [_reached(run["points"], last - NEAR) for run, last in zip(own, best, strict=True)]
        table[arm] = {
            "test_accuracy": round(float(np.median(best)), 4),
            "cpu_s": round(float(np.median(near)), 1),
            "whole_cpu_s": round(float(np.median([run["points"][-1][0] for run in own])), 1),
            "seeds": len(own),
        }
    for arm, found in table.items():
        if arm not in RECIPES:
            reached = [table[ours] for ours in RECIPES if ours in table]
            times = [one["cpu_s"] for one in reached if one["test_accuracy"] >= found["test_accuracy"] - NEAR]
            found["kft_cpu_s"] = min(times, default=None)
            found["times faster"] = round(found["cpu_s"] / min(times), 1) if times else None
    return table


if __name__ == "__main__":
    main()

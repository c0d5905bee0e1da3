"""Checkouts of kft beside each other, in turns: what versions changed in CPU seconds.

    git worktree add ../older COMMIT
    python benchmarks/before_after.py --checkout before=../older --checkout after=. --train train.csv --test test.csv

Each arm runs in a process of its own, PYTHONPATH says which checkout, each with a feature store of its own that is
emptied before every run. Ratios are those of the checkout that is named last over each other. Parts (--parts):

- ``store``: a whole `kft train` of the head on all rows, and its largest feature pass, over all rows of --train, which
  the store itself timed, tracing included;
- ``inference``: the artifact of such a run answers 1,000 texts of 1 to 110 words, then one text, warm; and
  `kft predict` of one text as a whole process;
- ``quickstart``: the recipe that `make quickstart` trains, as the checkout of this script has it;
- ``full``: all blocks for one epoch on 1,000 rows;
- ``photos``: the head on a folder of photos (--photos, with train/ and test/).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd
from common import in_turns, report, spread, timed, workplace

TEXT = "I have lost my card and need another one."
PROBE = {"phases": [{"name": "probe", "unfreeze": "none", "solver": "lbfgs"}]}
FULL = {"phases": [{"name": "full", "unfreeze": "all", "epochs": 1, "lr": 5e-5}]}


def main() -> None:
    """Measures the parts in turns and writes one result; as a child, answers texts with one checkout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkout", action="append", metavar="NAME=FOLDER", help="repeated, the newest last")
    parser.add_argument("--train", type=Path, help="csv with the columns text and label")
    parser.add_argument("--test", type=Path, help="csv with the same columns")
    parser.add_argument("--photos", type=Path, help="a folder with train/ and test/, one subfolder a class")
    parser.add_argument("--parts", default="store,inference,quickstart,full,photos")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--name", default="before_after", help="of the results; default before_after")
    parser.add_argument("--answer", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.answer:
        print(json.dumps(answer(*args.answer)))
        return
    named = (word.partition("=") for word in args.checkout)
    checkouts = {name: Path(place).absolute() for name, _, place in named}
    for part in args.parts.split(","):
        with workplace() as folder:
            work = PARTS[part](folder, args)
            found = in_turns({name: partial(work, name, place) for name, place in checkouts.items()}, args.repeats)
            last = list(checkouts)[-1]
            report(f"{args.name}_{part}", found, **{f"{last} over the others": shares(found, last)})


def shares(found: Mapping[str, Mapping[str, list[float]]], last: str) -> dict[str, dict[str, list[float]]]:
    """Returns, for each measure of time, the last arm over each other, turn by turn: lowest, median, highest."""
    units = [unit for unit in found[last] if unit.endswith("_s")]
    others = [arm for arm in found if arm != last]
    pairs = {(arm, unit): zip(found[last][unit], found[arm][unit], strict=True) for arm in others for unit in units}
    quotients = {key: spread([ours / theirs for ours, theirs in pair]) for key, pair in pairs.items()}
    return {arm: {unit: quotients[arm, unit] for unit in units} for arm in others}


def spent(command: list[str], checkout: Path, cache: Path) -> tuple[str, dict[str, float]]:
    """Runs a Python command on a checkout; returns what it printed, its seconds, memory and the load."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "KFT_CACHE": str(cache)}
    wall = time.perf_counter()
    # In the checkout: where `python -m` is called, that folder's kft comes before PYTHONPATH's.
    started = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, text=True, env=environment, cwd=checkout
    )
    printed = started.stdout.read()
    _, status, used = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        raise SystemExit(f"exit code {started.returncode}: {' '.join(command)}")
    return printed, {
        "cpu_s": used.ru_utime + used.ru_stime,
        "wall_s": time.perf_counter() - wall,
        "peak_mib": used.ru_maxrss // 1024,
        "load": os.getloadavg()[0],
    }


def cache_of(name: str, folder: Path) -> Path:
    """Returns an arm's own cache, without stored features; fetched weights are shared."""
    cache = folder / f"cache-{name}"
    shutil.rmtree(cache / "features", ignore_errors=True)
    cache.mkdir(exist_ok=True)
    if not (cache / "packages").exists():
        (cache / "packages").symlink_to((folder / "cache" / "packages").resolve())
    return cache


def trained(recipe: Path, name: str, checkout: Path, folder: Path) -> dict[str, float]:
    """Runs `kft train` on an empty store: its seconds, those of its largest feature pass, its test accuracy."""
    cache, run = cache_of(name, folder), folder / f"run-{name}"
    shutil.rmtree(run, ignore_errors=True)
    command = ["-m", "kft.cli.main", "train", str(recipe), "--run", str(run), "--json", "--quiet"]
    printed, seconds = spent(command, checkout, cache)
    passes = [json.loads(path.read_text())["pass"] for path in cache.glob("features/*/store.json")]
    found = {**seconds, "test_accuracy": json.loads(printed)["metrics"]["accuracy"]["value"]}
    if passes:
        largest = max(passes, key=lambda each: each["tokens"])
        found |= {"pass_cpu_s": largest["cpu_seconds"], "pass_tokens": largest["tokens"]}
    return found


def store(folder: Path, args: argparse.Namespace):
    """The head on all rows; the largest pass is over all of --train."""
    recipe = recipe_on_texts(folder, args, 0, PROBE)
    return lambda name, place: trained(recipe, name, place, folder)


def recipe_on_texts(folder: Path, args: argparse.Namespace, rows: int, phases: dict) -> Path:
    """Writes a recipe on so many rows, valid and test of 300 each; 0 means all, and halves of --test."""
    frame = pd.read_csv(args.train)
    (frame.sample(rows, random_state=0) if rows else frame).to_csv(folder / "train.csv", index=False)
    rest = pd.read_csv(args.test).sample(frac=1, random_state=0)
    held = 300 if rows else len(rest) // 2
    rest[:held].to_csv(folder / "valid.csv", index=False)
    rest[held : 2 * held].to_csv(folder / "test.csv", index=False)
    data = {part: str(folder / f"{part}.csv") for part in ("train", "valid", "test")}
    recipe = {"task": "text-classification", "data": {**data, "text": "text", "label": "label"}, "train": phases}
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    return folder / "recipe.yaml"


def inference(folder: Path, args: argparse.Namespace):
    """Answers of a run that each checkout trains for itself on 2,000 rows, once."""
    recipe = recipe_on_texts(folder, args, 2000, PROBE)

    def work(name: str, checkout: Path) -> dict[str, float]:
        run, cache = folder / f"run-{name}", folder / f"cache-{name}"
        if not run.is_dir():
            trained(recipe, name, checkout, folder)
        script = str(Path(__file__).absolute())
        printed, _ = spent([script, "--answer", str(run), str(folder / "test.csv")], checkout, cache)
        _, start = spent(["-m", "kft.cli.main", "predict", str(run), TEXT], checkout, cache)
        predict = {"predict_cpu_s": start["cpu_s"], "predict_wall_s": start["wall_s"], "load": start["load"]}
        return {**json.loads(printed.splitlines()[-1]), **predict}

    return work


def answer(run: Path, texts: Path) -> dict[str, float]:
    """Answers 1,000 texts of 1 to 110 words, each length as often, and one text 100 times, after a warm-up each."""
    import kft

    words = [word for text in pd.read_csv(texts)["text"] for word in text.split()]
    draw = random.Random(0)
    mixed = []
    for _ in range(1000):
        length = draw.randint(1, 110)
        start = draw.randrange(len(words) - length)
        mixed.append(" ".join(words[start : start + length]))
    artifact = kft.load(run)
    artifact.predict(mixed[:64])
    _, many = timed(lambda: artifact.predict(mixed))
    artifact.predict([TEXT])
    walls = []
    for _ in range(100):
        _, one = timed(lambda: artifact.predict([TEXT]))
        walls.append(one["wall_s"])
    return {**many, "one_text_wall_s": sorted(walls)[50], "one_text_p95_wall_s": sorted(walls)[95]}


def quickstart(folder: Path, args: argparse.Namespace):
    """The recipe of `make quickstart`, as this checkout has it, for both."""
    recipe = folder / "product_reviews.yaml"
    shutil.copy(Path(__file__).absolute().parents[1] / "recipes/sentiment/product_reviews.yaml", recipe)
    return lambda name, place: trained(recipe, name, place, folder)


def full(folder: Path, args: argparse.Namespace):
    """All blocks and the embeddings for one epoch, start and tracing included."""
    recipe = recipe_on_texts(folder, args, 1000, FULL)
    return lambda name, place: trained(recipe, name, place, folder)


def photos(folder: Path, args: argparse.Namespace):
    """The head on a folder of photos, EfficientNet-Lite0; the largest pass is over the training photos."""
    data = {"train": str(args.photos.absolute() / "train"), "test": str(args.photos.absolute() / "test")}
    recipe = folder / "photos.yaml"
    model = {"backbone": "efficientnet-lite0"}
    recipe.write_text(json.dumps({"task": "image-classification", "data": data, "model": model, "train": PROBE}))
    return lambda name, place: trained(recipe, name, place, folder)


PARTS = {"store": store, "inference": inference, "quickstart": quickstart, "full": full, "photos": photos}

if __name__ == "__main__":
    main()

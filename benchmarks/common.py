"""What every benchmark shares: the same rows for all, time taken in turns, and a result written beside the script.

Seconds are CPU seconds of the process (all threads) and wall seconds; a claim is a ratio of CPU seconds, because
those depend least on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parent / "results"


def arguments(about: str, **defaults: Any) -> argparse.Namespace:
    """Reads the command line: where the labelled rows are, how many, how often."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--train", type=Path, required=True, help="csv with the columns text and label")
    parser.add_argument("--test", type=Path, required=True, help="csv with the same columns")
    for name, value in {"rows": 2000, "repeats": 3, **defaults}.items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"default {value}")
    return parser.parse_args()


def write_subset(source: Path, rows: int, target: Path) -> Path:
    """Writes a stratified sample of a labelled csv; 0 means all of it."""
    frame = pd.read_csv(source)
    if rows and rows < len(frame):
        share = rows / len(frame)
        parts = [part.sample(round(len(part) * share), random_state=0) for _, part in frame.groupby("label")]
        frame = pd.concat(parts).sample(frac=1, random_state=0)
    frame.to_csv(target, index=False)
    return target


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for subsets and runs, and an empty feature store; fetched weights stay where they are."""
    from kft import assets

    weights = assets.cache_dir() / "packages"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cache").mkdir()
        if weights.is_dir():
            (folder / "cache" / "packages").symlink_to(weights)
        os.environ["KFT_CACHE"] = str(folder / "cache")
        yield folder


def forget_features() -> None:
    """Empties the feature store, so that the next run computes everything."""
    shutil.rmtree(Path(os.environ["KFT_CACHE"]) / "features", ignore_errors=True)


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Runs something; returns its result and its seconds, those of processes that it started and ended included."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    result = work()
    return result, {"cpu_s": cpu_seconds() - cpu, "wall_s": time.perf_counter() - wall}


def cpu_seconds() -> float:
    """CPU seconds of this process (all threads), and of those that it started and that ended."""
    return time.process_time() + sum(os.times()[2:4])


def peak_mib() -> int:
    """The most memory that was ever resident in this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def in_turns(contenders: Mapping[str, Callable[[], dict[str, float]]], repeats: int) -> dict[str, dict[str, Any]]:
    """Runs the contenders in turns, so that a busy minute hits all of them; each returns its own seconds."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for number in range(repeats):
        for name, run in contenders.items():
            measured = run()
            found[name].append(measured)
            shown = ", ".join(f"{key} {value:.3g}" for key, value in measured.items())
            print(f"[{number + 1}/{repeats}] {name}: {shown}", file=sys.stderr, flush=True)
    return {name: {key: [round(run[key], 4) for run in runs] for key in runs[0]} for name, runs in found.items()}


def ratios(
    found: Mapping[str, Mapping[str, Any]], base: str, units: tuple[str, ...] = ("cpu_s", "wall_s")
) -> dict[str, dict[str, list[float]]]:
    """Returns each other contender's seconds over ours, turn by turn, as lowest, median, highest."""
    table = {}
    for name, values in found.items():
        if name != base:
            table[name] = {
                unit: spread([other / own for other, own in zip(values[unit], found[base][unit], strict=True)])
                for unit in units
            }
    return table


def spread(values: list[float]) -> list[float]:
    """Returns the lowest, the median and the highest."""
    return [round(value, 2) for value in (min(values), statistics.median(values), max(values))]


def report(name: str, found: Mapping[str, Any], **facts: Any) -> None:
    """Prints the result and writes it, with the command, the versions and the machine."""
    from kft import runtime

    entry = {
        # Without folders: what matters is which script, which kind of file and which numbers.
        "command": " ".join(["python", *(word.rsplit("/", 1)[-1] for word in sys.argv)]),
        "machine": {
            "cpus": len(os.sched_getaffinity(0)),
            "processor": _processor(),
            "python": platform.python_version(),
        },
        "versions": runtime.versions(),
        "found": found,
        **facts,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({"found": found, **facts}, indent=2))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def accuracy(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Returns the share of right answers."""
    return float((probabilities.argmax(axis=1) == targets).mean())

"""How seconds and memory grow with the rows: a training run with a tiny backbone, and the audit of a table.

``scaling.py`` trains on 2,000 to 200,000 rows; ``scaling.py check`` audits 10,000 to 1,000,000 rows of short texts
without features, and as many as its arguments say beside. Each size has a process of its own.

Memory-mapped shards are file pages, which the system takes back when it needs them; what a process holds for
itself is its anonymous memory (RssAnon), sampled twenty times a second.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from common import report, timed, workplace

from tests import tiny

TRAINED = (2_000, 20_000, 200_000)
CHECKED = (10_000, 100_000, 1_000_000)
MIB = 2**20
WORDS, CLASSES, WRITTEN_AT_ONCE = 3000, 5, 100_000


def anonymous_bytes() -> int:
    """Returns the process's anonymous memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("needs Linux: /proc/self/status has no RssAnon")


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Yields what is filled at the end: anonymous memory at the start, and the most there was."""
    found = {"start_mib": anonymous_bytes() / MIB}
    peak, over = anonymous_bytes(), threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.05):
            peak = max(peak, anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()
        found["peak_mib"] = peak / MIB


def train_one(folder: Path, rows: int) -> dict[str, float]:
    """Trains a probe and the top block on so many rows, in this process; returns seconds and memory."""
    import kft
    from kft import runtime

    runtime.start()
    tiny.write_backbone(folder / "backbone")
    top = {"name": "top", "unfreeze": "top-1", "epochs": 2, "lr": 1e-3}
    recipe = tiny.recipe(folder, folder / "backbone", rows=rows, batch_size=32, phases=[tiny.PROBE, top])
    with watched() as memory:
        result, seconds = timed(lambda: kft.train(recipe, run=folder / "run", quiet=True))
    return {**seconds, **memory, "test_accuracy": result.evaluation.metrics["accuracy"].value}


def write_texts(path: Path, rows: int) -> None:
    """Writes a table of texts of 4 to 11 words, drawn by Zipf's law, in five classes; one in a hundred is a copy."""
    rng = np.random.default_rng(0)
    words = np.array(["".join(map(chr, 97 + rng.integers(0, 26, 2 + place % 7))) for place in range(WORDS)])
    chance = np.cumsum(1 / np.arange(1, WORDS + 1))
    with path.open("w", encoding="utf-8") as file:
        file.write("text,label\n")
        for start in range(0, rows, WRITTEN_AT_ONCE):
            lengths = rng.integers(4, 12, min(WRITTEN_AT_ONCE, rows - start))
            drawn = words[np.searchsorted(chance, rng.random(lengths.sum()) * chance[-1])]
            texts = [" ".join(own) for own in np.split(drawn, np.cumsum(lengths)[:-1])]
            texts[99::100] = texts[98::100][: len(texts[99::100])]
            labels = rng.integers(0, CLASSES, len(texts))
            file.writelines(f"{text},class{label}\n" for text, label in zip(texts, labels, strict=True))


def check_one(folder: Path, rows: int) -> dict[str, float]:
    """Audits so many rows without features, in this process; returns seconds, memory and what was written."""
    import kft

    write_texts(folder / "texts.csv", rows)
    recipe = {"task": "text-classification", "data": {"train": str(folder / "texts.csv")}}
    with watched() as memory:
        result, seconds = timed(lambda: kft.check(recipe, features=False, output=folder / "audit", quiet=True))
    copies = sum(found.details["similarity"].count(1.0) for found in result.findings if found.check == "duplicates")
    written = sum(file.stat().st_size for file in result.files) / MIB
    return {
        **seconds,
        **memory,
        "table_mib": (folder / "texts.csv").stat().st_size / MIB,
        "written_mib": written,
        "copies": copies,
        "said": "; ".join(each.message for each in result.findings if each.check == "sample"),
    }


WORK: dict[str, Callable[[Path, int], dict[str, Any]]] = {"train": train_one, "check": check_one}


def measured(work: str, rows: int) -> dict[str, Any]:
    """Returns what one size took, in a process of its own."""
    with workplace() as folder:
        command = [sys.executable, __file__, "one", work, str(folder), str(rows)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    values = json.loads(done.stdout.splitlines()[-1])
    return {key: round(v, 3) if isinstance(v, float) else v for key, v in values.items()}


def growth(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Returns CPU seconds and memory a row, from each size to the next."""
    steps = {}
    for (small, less), (large, more) in zip([*found.items()][:-1], [*found.items()][1:], strict=True):
        rows = int(large) - int(small)
        steps[f"{int(small):,} to {int(large):,}"] = {
            "cpu_ms_per_row": round(1000 * (more["cpu_s"] - less["cpu_s"]) / rows, 3),
            "peak_bytes_per_row": round((more["peak_mib"] - less["peak_mib"]) * MIB / rows),
        }
    return steps


def main() -> None:
    """Measures what the command line says, and writes the result."""
    if sys.argv[1:2] == ["one"]:
        work, folder, rows = sys.argv[2:]
        print(json.dumps(WORK[work](Path(folder), int(rows))))
        return
    work, *sizes = sys.argv[1:] or ["train"]
    found: dict[str, dict[str, Any]] = {}
    for rows in map(int, sizes or {"train": TRAINED, "check": CHECKED}[work]):
        found[str(rows)] = measured(work, rows)
        report("scaling" if work == "train" else f"scaling_{work}", found, growth=growth(found))


if __name__ == "__main__":
    main()

"""What `kft monitor` raises where nothing has changed, what it finds where something has, and how fast it reads.

    python benchmarks/monitor.py false-alarms films photos --store STORE [--replays 1000]
    python benchmarks/monitor.py detect films products intents photos --store STORE [--replays 50]
    python benchmarks/monitor.py stream [--rows 10000000]

STORE is what benchmarks/monitor_rows.py has written: what is seen of rows that a model has answered once. A replay
draws, without replacement, test rows for a reference and rows for 30 windows: a reference is drawn anew each
time, because what is promised holds over references and rows together. Beside kft, on the same replays: two-sample
tests of each gauge in each window at 1 % (Kolmogorov-Smirnov; as they are, and with Bonferroni's correction over the
gauges), and a window's mean within 3 standard deviations of the means of the reference's windows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common import RESULTS
from scipy.special import kolmogorov

from kft.monitor.gauges.all_gauges import GAUGES
from kft.monitor.known import KnownRows
from kft.monitor.reference import Reference, make_reference
from kft.monitor.seen import Seen
from kft.monitor.watch import RowBatch, Watch, begin, finish, take
from kft.monitor.windows import WindowSpec

ALPHA = 0.01
WINDOWS = 30
SIZES = {"films": (1500, 100), "products": (700, 50), "intents": (1500, 100), "photos": (400, 17)}
"""Rows of a reference and of a window."""
METHODS = ("kft", "tests at 1 %", "tests, Bonferroni", "mean within 3 sd")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("false-alarms", "detect", "stream"))
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--store", type=Path)
    parser.add_argument("--replays", type=int)
    parser.add_argument("--rows", type=int, default=10_000_000)
    given = parser.parse_args()
    if given.what == "stream":
        keep("stream", stream(given.rows))
    else:
        run = false_alarms if given.what == "false-alarms" else detect
        for name in given.names:
            keep(f"{given.what}-{name}", run(given.store, name, given.replays))


def keep(name: str, found: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"monitor-{name}.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    print(name, json.dumps(found, indent=1, ensure_ascii=False), flush=True)


def read_seen(store: Path, name: str) -> tuple[Seen, dict[str, np.ndarray]]:
    with np.load(store / f"{name}.npz") as file:
        arrays = dict(file)
    values = {key.partition("/")[2]: each for key, each in arrays.items() if key.startswith("values/")}
    values["copy"] = np.zeros(len(arrays["keys"]))  # rows are drawn in another order
    confidence = arrays["probabilities"].max(axis=1)
    return Seen(values, arrays["keys"], arrays["probabilities"], arrays["label"], confidence, arrays["abstain"],
                arrays["vectors"]), arrays  # fmt: skip


# Replays


def replay(
    clean: Seen, arrays: dict[str, np.ndarray], name: str, rng: np.random.Generator
) -> tuple[Reference, Seen, np.ndarray]:
    """Draws a reference; returns it with its test rows and the places of all other rows, in random order."""
    order = rng.permutation(len(clean))
    rows, _ = SIZES[name]
    test = clean.take(order[:rows])
    vectors = arrays["known/vectors"]
    labels = tuple(arrays["labels"].tolist())
    known = KnownRows(rows=len(vectors), vectors=vectors)
    made = make_reference(("classification", labels), known, test, test.label, int(rng.integers(2**31)))
    return made, test, order[rows:]


def windows_of(seen: Seen, size: int) -> Iterator[Seen]:
    for start in range(0, len(seen) - size + 1, size):
        yield seen.take(np.arange(start, start + size))


def watch_windows(reference: Reference, parts: Iterator[Seen]) -> Iterator[tuple[int, Watch]]:
    """Yields, after each window, how many came and what is known then."""
    watch = begin(reference, ALPHA, WindowSpec())
    for at, part in enumerate(parts):
        watch = finish(take(watch, RowBatch(part, np.full(len(part), at)), ordered=True))
        yield at + 1, watch


def firsts(reference: Reference, test: Seen, stream: Seen, size: int, most: int) -> dict[str, int]:
    """Returns the first window in which each method raises an alarm; 0: in none."""
    found = dict.fromkeys(METHODS, 0)
    for at, watch in watch_windows(reference, windows_of(stream, size)):
        if any(each.alarm for each in watch.gauges.values()):
            found["kft"] = at
        if found["kft"] or at == most:
            break
    names = [name for name in reference.gauges if GAUGES[name].weight]
    ordered = {name: np.sort(known_of(test, name)) for name in names}
    parts = list(windows_of(test, size))
    means = {name: np.array([np.nanmean(part.values[name]) for part in parts if np.isfinite(part.values[name]).any()])
             for name in names}  # fmt: skip
    for at, part in enumerate(windows_of(stream, size), 1):
        values = {name: known_of(part, name) for name in names}
        p = min(ks(ordered[name], each) for name, each in values.items() if len(each))
        far = any(abs(each.mean() - means[name].mean()) > 3 * means[name].std(ddof=1) + 1e-12
                  for name, each in values.items() if len(each))  # fmt: skip
        for method, raised in zip(METHODS[1:], (p < ALPHA, p * len(names) < ALPHA, far), strict=True):
            if raised and not found[method]:
                found[method] = at
        if all(found[method] for method in METHODS[1:]) or at == most:
            break
    return found


def known_of(seen: Seen, name: str) -> np.ndarray:
    return seen.values[name][~np.isnan(seen.values[name])]


def ks(ordered: np.ndarray, values: np.ndarray) -> float:
    """Returns the p-value of the two-sample test of Kolmogorov and Smirnov, for many rows; too large with ties."""
    values = np.sort(values)
    every = np.concatenate([ordered, values])
    gap = np.searchsorted(ordered, every, "right") / len(ordered) - np.searchsorted(values, every, "right") / len(
        values
    )
    n = len(ordered) * len(values) / (len(ordered) + len(values))
    return float(kolmogorov(np.sqrt(n) * np.abs(gap).max()))


def clean_replays(store: Path, name: str, seeds: np.ndarray) -> list[dict[str, int]]:
    clean, arrays = read_seen(store / name, "clean")
    found = []
    for seed in seeds:
        reference, test, rest = replay(clean, arrays, name, np.random.default_rng(int(seed)))
        size = SIZES[name][1]
        found.append(firsts(reference, test, clean.take(rest[: WINDOWS * size]), size, WINDOWS))
    return found


def false_alarms(store: Path, name: str, replays: int | None) -> dict[str, Any]:
    """Returns the share of replays of clean rows in which each method ever raises an alarm."""
    from kft.metrics.proportions import share_interval

    n, began = replays or 1000, time.process_time()
    with ProcessPoolExecutor(2) as pool:
        found: list[dict[str, int]] = []
        for part in pool.map(partial(clean_replays, store, name), np.array_split(np.arange(n), max(1, n // 20))):
            found += part
            raised = {method: sum(each[method] > 0 for each in found) for method in METHODS}
            print(f"{len(found)} replays, with an alarm: {raised}", file=sys.stderr, flush=True)
    rows, size = SIZES[name]
    rates = {method: str(share_interval(float(np.mean([each[method] > 0 for each in found])), n)) for method in METHODS}
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "replays": n, "reference_rows": rows, "windows": WINDOWS, "rows_a_window": size, "alpha": ALPHA,
        "ever_an_alarm": rates, "cpu_seconds": round(time.process_time() - began + usage.ru_utime),
    }  # fmt: skip


# Changes


def shifted(store: Path, name: str, seed: int, change: str) -> dict[str, int]:
    """Returns the rows that each method needs, in windows of 20 rows; 0: more than there are."""
    rng = np.random.default_rng(seed)
    clean, arrays = read_seen(store, "clean")
    reference, test, rest = replay(clean, arrays, name, rng)
    kind, _, share = change.partition(" ")
    if kind == "prior":
        truth = arrays["truth"][rest]
        first, others = rest[truth == 0], rest[truth != 0]
        count = min(len(others) * 5, len(first) * 5 // 4) // 5
        stream = clean.take(rng.permutation(np.concatenate([first[: 4 * (count // 4)], others[: count // 4]])))
    else:
        other, _ = read_seen(store, kind)
        other = other.take(rng.permutation(len(other)))
        pool = clean.take(rest)
        n = min(len(pool), int(len(other) / float(share)), 3000)
        from_other = rng.random(n) < float(share)
        places = np.where(from_other, len(pool) + np.cumsum(from_other) - 1, np.arange(n))
        stream = Seen.join([pool, other]).take(places[places < len(pool) + len(other)])
    size = 20
    found = firsts(reference, test, stream, size, len(stream) // size)
    return {method: at * size for method, at in found.items()}


CHANGES = {
    "films": ("prior 80:20", "typos 0.2", "language 0.1", "tweets 1.0", "tweets 0.1"),
    "products": ("editorials 1.0", "editorials 0.1"),
    "intents": ("new 0.1",),
    "photos": ("darker 1.0", "blurred 1.0", "darker 0.2", "blurred 0.2"),
}


def detect(store: Path, name: str, replays: int | None) -> dict[str, Any]:
    """Returns how many rows each method needs to find a change: median, 90 %, and how often it does."""
    n, found = replays or 50, {}
    for change in CHANGES[name]:
        if not change.startswith("prior") and not (store / name / f"{change.split()[0]}.npz").exists():
            continue
        with ProcessPoolExecutor(2) as pool:
            each = list(pool.map(partial(shifted, store / name, name, change=change), range(n)))
        found[change] = {}
        for method in METHODS:
            rows = np.array([one[method] or np.inf for one in each])
            half, most = np.quantile(rows, [0.5, 0.9], method="higher")
            found[change][method] = {
                "median": int(half) if np.isfinite(half) else None,
                "90 %": int(most) if np.isfinite(most) else None,
                "found": f"{np.isfinite(rows).sum()} of {n}",
            }
        print(change, found[change], flush=True)
    return {"replays": n, "rows_a_window": 20, "changes": found}


# Streams


def stream(rows: int) -> dict[str, Any]:
    """Writes a table of answers with times, and monitors it in a process of its own: rows a second, and its memory."""
    import subprocess

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        artifact = made_artifact(folder)
        found: dict[str, Any] = {"rows": rows}
        for ending in (".parquet", ".jsonl", ".csv"):
            path = folder / f"answers{ending}"
            write_answers(path, rows if ending == ".parquet" else rows // 5)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.perf_counter()
            command = [sys.executable, __file__, "read", str(artifact), str(path)]
            ended = subprocess.run(command, capture_output=True, text=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            found[ending] = json.loads(ended.stdout) | {
                "bytes": path.stat().st_size, "wall_s": round(time.perf_counter() - began, 1), "cpu_s": round(cpu, 1),
            }  # fmt: skip
            found[ending]["rows_a_cpu_second"] = round(found[ending]["rows"] / cpu)
            print(ending, found[ending], flush=True)
            path.unlink()
        return found


LABELS = ("bad", "good", "odd")


def made_artifact(folder: Path) -> Path:
    """Writes the reference of a model that answers at random."""
    from kft.monitor.reference import save_reference

    rng = np.random.default_rng(0)
    seen = seen_of(scores(2000, rng))
    reference = make_reference(("text-classification", LABELS), KnownRows(), seen, seen.label, 0)
    save_reference(folder / "reference.safetensors", reference)
    return folder


def scores(n: int, rng: np.random.Generator) -> np.ndarray:
    logits = rng.normal(size=(n, 3)) + 2.5 * np.eye(3)[rng.integers(3, size=n)]
    exp = np.exp(logits)
    return exp / exp.sum(axis=1, keepdims=True)


def seen_of(probabilities: np.ndarray) -> Seen:
    from kft.monitor.gauges.answers import measure_class

    n, label, sure = len(probabilities), probabilities.argmax(axis=1), probabilities.max(axis=1)
    outputs = {"probabilities": probabilities, "label": label, "confidence": sure, "abstain": sure < 0.5}
    values = {name: np.asarray(each, float) for name, each in measure_class(outputs, (), True).items()}
    return Seen(values | {"unusable": np.zeros(n)}, np.zeros(n, np.uint64), probabilities, label.astype(np.int32), sure,
                sure < 0.5)  # fmt: skip


def write_answers(path: Path, rows: int) -> None:
    """Writes rows as ``kft predict -o`` does, one a second and a half."""
    import pyarrow as pa
    from pyarrow import csv
    from pyarrow.parquet import ParquetWriter

    rng, writer = np.random.default_rng(1), None
    with path.open("wb") as file:
        for start in range(0, rows, 200_000):
            n = min(200_000, rows - start)
            found = scores(n, rng)
            label, sure = found.argmax(axis=1), found.max(axis=1)
            seconds = 1.76e9 + 1.5 * np.arange(start, start + n)
            if path.suffix == ".parquet":
                parts = pa.StructArray.from_arrays(list(map(pa.array, found.T)), list(LABELS))
            else:
                parts = pa.array([json.dumps(dict(zip(LABELS, row, strict=True))) for row in found.round(6).tolist()])
            columns = {"when": seconds, "label": np.array(LABELS)[label], "confidence": sure, "abstain": sure < 0.5,
                       "probabilities": parts}  # fmt: skip
            table = pa.table(columns)
            if path.suffix == ".parquet":
                writer = writer or ParquetWriter(file, table.schema)
                writer.write_table(table)
            elif path.suffix == ".csv":
                csv.write_csv(table, file, csv.WriteOptions(include_header=start == 0))
            else:
                for row in table.to_pylist():
                    row["probabilities"] = json.loads(row["probabilities"])
                    file.write((json.dumps(row) + "\n").encode())
        if writer:
            writer.close()


def read(artifact: Path, path: Path) -> None:
    """Counts a table, as ``kft monitor`` does, in windows of a day."""
    from kft.monitor.clock import Clock
    from kft.monitor.explain import look
    from kft.monitor.reference import load_reference
    from kft.monitor.scored import ScoredSpec, read_scored
    from kft.monitor.windows import parse_window

    reference, cut, clock = load_reference(artifact / "reference.safetensors"), parse_window("1d"), Clock("when", 4e9)
    watch = begin(reference, ALPHA, cut)
    for chunk in read_scored(path, ScoredSpec(reference.labels, "when")):
        times, _ = clock.read(chunk.times)
        watch = take(watch, RowBatch(chunk.seen, cut.keys(times, 0, 0, len(times)), times), ordered=False)
    windows, gauges = look(finish(watch))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    alarms = [each.name for each in gauges if each.alarm]
    print(json.dumps({"rows": watch.rows, "windows": len(windows), "alarms": alarms, "peak_mib": round(peak)}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["read"]:
        read(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()

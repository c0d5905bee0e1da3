"""An index of 200,000 passages, all of them computed: speed, memory, what a kill costs, and how soon it answers.

    python benchmarks/search_large.py build documents.csv --rows 50000 --index idx [--kill 7,30]
    python benchmarks/search_large.py build documents.csv --rows 200000 --index idx          # --update, what is new
    python benchmarks/search_large.py whole documents.csv --rows 10240 --index idx           # unbroken, and compared
    python benchmarks/search_large.py ask test.csv --index idx [--name graph]

Each build is `kft index` in a process of its own, which --kill ends with SIGKILL some seconds after so many blocks
of 1,024 passages lie on the disk; then the same command goes on. Results of all calls gather in one file.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import RESULTS, report

import kft
from kft.metrics.neighbours import unit_rows
from kft.search.contents import AT_ONCE
from kft.search.embedding import BLOCK

EVERY = 1.0
"""Seconds between two looks at the process."""
ASKED = 300
FIRST = 10
HERTZ = os.sysconf("SC_CLK_TCK")


def looked_at(pid: int) -> dict[str, float]:
    """Returns what a process holds, in MiB, and the CPU seconds that it has taken."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    held = {key: int(value.split()[0]) / 1024 for key, value in (line.split(":", 1) for line in lines if "kB" in line)}
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    ticks = int(fields[11]) + int(fields[12])
    return {"own": held["RssAnon"], "mapped": held["RssFile"], "peak": held["VmHWM"], "cpu_s": ticks / HERTZ}


def run_once(command: list[str], index: Path, kill_at: int | None) -> dict[str, Any]:
    """Runs ``kft index``, and kills it some seconds after so many blocks lie there."""
    began, last, seen = time.perf_counter(), {}, {}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    killed = False
    while process.poll() is None:
        time.sleep(EVERY)
        try:
            last = looked_at(process.pid)
        except (OSError, KeyError, IndexError):
            break
        blocks = len(list((index / "unfinished").glob("blocks/*/*.npy")))
        if blocks and blocks % 8 == 0:
            seen.setdefault(blocks * BLOCK, {key: round(value) for key, value in last.items()})
        if kill_at is not None and blocks >= kill_at:
            time.sleep(3 * EVERY)
            process.send_signal(signal.SIGKILL)
            killed = True
            break
    said = process.communicate()[0]
    if not killed and process.returncode:
        raise SystemExit(f"kft index ended with {process.returncode}")
    return {
        "killed": killed,
        "wall_s": round(time.perf_counter() - began, 1),
        **{key: round(value, 1) for key, value in last.items()},
        "load": os.getloadavg()[1],
        "held_at": seen,
        "computed": None if killed else json.loads(said)["computed"],
    }


def build(args: argparse.Namespace) -> list[dict[str, Any]]:
    table = args.index.parent / f"{args.index.name}-{args.rows}.csv"
    pd.read_csv(args.given, keep_default_na=False).head(args.rows).to_csv(table, index=False)
    command = [sys.executable, "-m", "kft.cli.main", "index", args.model, str(table), "-o", str(args.index)]
    command += ["--json", *(["--update"] if (args.index / "index.json").is_file() else [])]
    kills: list[int | None] = [int(each) for each in args.kill.split(",") if each]
    done = []
    for kill_at in [*kills, None]:
        done.append({"rows": args.rows, **run_once(command, args.index, kill_at)})
        print(json.dumps(done[-1]), file=sys.stderr, flush=True)
    return done


def whole(args: argparse.Namespace) -> dict[str, Any]:
    """Builds an index of the first rows at once, and compares it with the one that was killed."""
    asked = argparse.Namespace(**{**vars(args), "index": args.index.parent / "unbroken", "kill": ""})
    made = build(asked)
    ours, theirs = (kft.open_index(place).index.contents for place in (asked.index, args.index))
    count = len(ours.passages)
    assert (ours.keys == theirs.keys[:count]).all(), "other passages"
    differ = np.abs(ours.vectors.astype(np.float32) - theirs.vectors[:count].astype(np.float32))
    equal = int((ours.vectors == theirs.vectors[:count]).all(axis=1).sum())
    return {"passages": count, "equal": equal, "largest_difference": float(differ.max()), "built": made}


def ask(args: argparse.Namespace) -> dict[str, Any]:
    """Asks one query after the other; and by numbers of eight bits beside those of sixteen."""
    queries = list(pd.read_csv(args.given, keep_default_na=False)["query"].head(ASKED))
    began = time.perf_counter()
    opened = kft.open_index(args.index)
    opened.search(queries[0])
    found: dict[str, Any] = {"first_s": round(time.perf_counter() - began, 2)}
    took = {"whole": [], "model": []}
    for query in queries:
        began = time.perf_counter()
        opened.index.shipped.vectors([query])
        took["model"].append(1000 * (time.perf_counter() - began))
        began = time.perf_counter()
        opened.search(query)
        took["whole"].append(1000 * (time.perf_counter() - began))
    for name, each in took.items():
        found[f"{name}_ms"] = [round(float(value), 1) for value in np.percentile(each, [50, 95, 99])]
    about, contents = opened.index.about, opened.index.contents
    vectors = unit_rows(opened.index.shipped.vectors(queries)).astype(np.float32)
    rows = contents.vectors
    best = {"float16": _best(vectors, rows), "int8": _best(vectors, rows, bits=8)}
    found["int8"] = _shared(best["float16"], best["int8"])
    if about.approximate:
        graph = np.stack([opened.index.scorer._graph.search(each.astype(np.float16), FIRST).keys for each in vectors])
        found["graph"] = _shared(best["float16"], graph.astype(np.int64))
        both = [each.places for each in opened.index.find(queries)]
        kept = [np.isin(wanted, places).mean() for wanted, places in zip(best["float16"], both, strict=True)]
        found["candidates_hold"] = round(float(np.mean(kept)), 4)
    files = {path.name: path.stat().st_size for path in sorted(contents.folder.iterdir()) if path.is_file()}
    held = looked_at(os.getpid())
    facts = {"passages": about.passages, "approximate": about.approximate, "queries": len(queries), "files": files}
    return {
        **facts,
        "load": os.getloadavg()[1],
        **found,
        "held_mib": {key: round(held[key]) for key in ("own", "peak")},
    }


def _best(vectors: np.ndarray, rows: np.ndarray, bits: int = 16) -> np.ndarray:
    """Returns ``int64[queries, 10]``: the nearest passages, the nearest first."""
    cosines = np.empty((len(vectors), len(rows)), np.float32)
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE].astype(np.float32)
        if bits == 8:  # one scale a vector
            scale = np.abs(part).max(axis=1, keepdims=True) / 127
            part = np.round(part / scale).astype(np.int8).astype(np.float32) * scale
        cosines[:, start : start + len(part)] = vectors @ part.T
    return np.argsort(-cosines, axis=1, kind="stable")[:, :FIRST]


def _shared(wanted: np.ndarray, got: np.ndarray) -> dict[str, float]:
    shared = [np.isin(first, second).mean() for first, second in zip(wanted, got, strict=True)]
    return {
        "same_first": round(float((wanted[:, 0] == got[:, 0]).mean()), 4),
        "of_ten": round(float(np.mean(shared)), 4),
    }


def main() -> None:
    """Measures what is asked for, and adds it to the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("build", "whole", "ask"))
    parser.add_argument("given", type=Path, help="documents (id, text); to ask, queries (query)")
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--model", default="minilm-l6")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--kill", default="", help="numbers of blocks, with commas")
    parser.add_argument("--name", default="", help="of what is asked; default: its kind")
    args = parser.parse_args()
    did = {"build": build, "whole": whole, "ask": ask}[args.what](args)
    path = RESULTS / "search_large.json"
    found = json.loads(path.read_text())["found"] if path.is_file() else {"build": []}
    if args.what == "build":
        found["build"] += did
    else:
        found[args.name or args.what] = did
    report("search_large", found)


if __name__ == "__main__":
    main()

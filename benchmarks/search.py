"""Search: what BM25, frozen vectors and both find; what a build takes; and 200,000 passages, in memory and time.

The large index repeats real passages with a word of their own added. Their vectors are not computed: each is that of
the real passage, moved at random, and lies where a killed build would have left it. So its seconds are those of all
but the model.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from common import report, workplace

import kft
from kft.metrics.neighbours import unit_rows
from kft.records.document import as_document
from kft.search.contents import key_of
from kft.search.embedding import BLOCK, KnownVectors

ASKED = 100
MOVED = 0.02
"""Standard deviation of what moves each number of a vector; they are some 0.05 large."""
SIDE = """
import resource, sys
from kft.cli.main import run
code = run(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print("\\n", used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
sys.exit(code)
"""


def built(*arguments: object) -> dict[str, float]:
    """Runs ``kft index`` in a process of its own; returns seconds, CPU seconds and the most memory in MiB."""
    start = time.perf_counter()
    command = [sys.executable, "-c", SIDE, "index", *map(str, arguments), "--quiet"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    cpu, peak = map(float, done.stdout.split()[-2:])
    return {"seconds": time.perf_counter() - start, "cpu_seconds": cpu, "peak_mib": peak}


def asked(dest: Path, queries: list[str]) -> dict[str, float]:
    """Returns how long one query takes, in milliseconds, and how long the index took to open."""
    start = time.perf_counter()
    opened = kft.open_index(dest)
    opened.search(queries[0])
    took = []
    first = time.perf_counter() - start
    for query in queries:
        start = time.perf_counter()
        opened.search(query)
        took.append(1000 * (time.perf_counter() - start))
    p50, p99 = np.percentile(took, [50, 99])
    return {"first_s": first, "p50_ms": float(p50), "p99_ms": float(p99)}


def many(small: Path, n: int, folder: Path) -> Path:
    """Writes a table of so many passages, and their vectors where a killed build would have left them."""
    index = kft.open_index(small).index
    contents = index.contents
    alone = np.flatnonzero(np.bincount(contents.passages[:, 0]) == 1)
    texts = [contents.text(int(number)).strip() for number in alone]
    vectors = contents.vectors[contents.firsts[alone]].astype(np.float32)
    rng = np.random.default_rng(0)
    repeated = [f"{texts[row % len(texts)]} variant{row}" for row in range(n)]
    table = folder / "many.csv"
    pd.DataFrame({"id": [f"p{row}" for row in range(n)], "text": repeated}).to_csv(table, index=False)
    blocks = KnownVectors.read(folder / "many" / "unfinished" / "blocks", index.about.embedding.digest).blocks
    blocks.mkdir(parents=True)
    for number, start in enumerate(range(0, n, BLOCK)):
        rows = np.arange(start, min(start + BLOCK, n))
        moved = vectors[rows % len(texts)] + rng.normal(0, MOVED, (len(rows), vectors.shape[1]))
        keys = np.stack([np.frombuffer(key_of(repeated[row]), np.uint8) for row in rows])
        block = np.empty(len(rows), [("key", np.uint8, keys.shape[1]), ("vector", np.float16, moved.shape[1])])
        block["key"], block["vector"] = keys, unit_rows(moved)
        np.save(blocks / f"{number:08d}.npy", block)
    return table


def main() -> None:
    """Measures all of it and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True, help="gives vectors of texts")
    parser.add_argument("--data", type=Path, required=True, help="folder of documents.csv, train.csv and test.csv")
    parser.add_argument("--passages", type=int, default=200_000)
    parser.add_argument("--index", type=Path, help="of these documents and queries, built before; else it is built")
    args = parser.parse_args()
    queries = list(pd.read_csv(args.data / "test.csv")["query"].head(ASKED))
    with workplace() as folder:
        small = args.index or folder / "small"
        found = {}
        if args.index is None:
            found["build"] = built(args.artifact, args.data / "documents.csv", "-o", small)
            again = [args.artifact, args.data / "documents.csv", "-o", small, "--update"]
            found["fit"] = built(*again, "--queries", args.data / "train.csv")
        opened = kft.open_index(small)
        about = opened.index.about
        judged = opened.evaluate(args.data / "test.csv")
        found["search"] = asked(small, queries)
        print(json.dumps(found), file=sys.stderr, flush=True)
        table = many(small, args.passages, folder)
        found["build many"] = built(args.artifact, table, "-o", folder / "many")
        found["search many"] = asked(folder / "many", queries)
    facts = {"documents": about.documents, "passages": about.passages, "many": args.passages}
    facts |= {"weighing": as_document(about.weighing), "judged": as_document(judged)}
    report("search", found, **facts)


if __name__ == "__main__":
    main()

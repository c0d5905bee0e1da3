"""Artifacts and transformers' pipeline, 32 texts at once: all are open, and answer the same batches in turns.

    python benchmarks/throughput.py --artifact ONNX --artifact OPENVINO --test test.csv --peers PYTHON --cores 0,1

Texts a CPU second depend least on what else the machine does. Waiting threads of the pipeline sleep (OMP_WAIT_POLICY,
see common.py): where others compute as well, it answers half as many texts a second without that.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from common import in_turns, ratios, report

TEXTS = 192


def start(python: str, way: str, where: Path, texts: Path, cores: set[int]) -> subprocess.Popen[str]:
    """Starts a process that answers a round for each line that it is given, and waits until it has warmed up."""
    command = [python, str(Path(__file__).parent / "throughput_side.py"), way, str(where.absolute()), str(texts)]
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(len(cores))},
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    assert child.stdout is not None
    next(line for line in child.stdout if line.startswith('{"warm"'))
    return child


def ask(child: subprocess.Popen[str]) -> Callable[[], dict[str, float]]:
    """Returns a function that has one round answered, and what it took."""

    def turn() -> dict[str, float]:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write("\n")
        child.stdin.flush()
        return json.loads(child.stdout.readline())

    return turn


def main() -> None:
    """Measures all of them in turns and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifact", type=Path, action="append", required=True, help="repeat for several")
    parser.add_argument("--test", type=Path, required=True, help="csv with a column text")
    parser.add_argument("--peers", required=True, help="Python with torch and transformers")
    parser.add_argument("--cores", default="0", help="such as 0,1: where all of them compute")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    from kft import assets
    from kft.packages import PACKAGES

    cores = set(map(int, args.cores.split(",")))
    ways = {path.name: (sys.executable, "artifact", path) for path in args.artifact}
    ways["pipeline"] = (args.peers, "pipeline", assets.fetch(PACKAGES.get("minilm-l6")))
    with tempfile.TemporaryDirectory() as name:
        texts = Path(name) / "texts.json"
        texts.write_text(json.dumps(list(pd.read_csv(args.test)["text"].head(TEXTS))))
        children = {name: start(*way, texts, cores) for name, way in ways.items()}
        found = in_turns({name: ask(child) for name, child in children.items()}, args.repeats)
        for child in children.values():
            child.communicate()
    report("throughput", found, seconds_over_those_of_the_pipeline=ratios(found, "pipeline"), load=os.getloadavg()[0])


if __name__ == "__main__":
    main()

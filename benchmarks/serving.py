"""Answers of one text at a time and of 32 at once: artifacts beside Keras's `predict` and transformers' pipeline.

Each answers in a process of its own, in turns; `start_s` is from the start of that process to its first answer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from common import in_turns, ratios, report

TEXTS = 640


def answered(python: str, way: str, where: Path, texts: Path) -> dict[str, float]:
    """Starts one process and returns what it measured, and how long its first answer took."""
    script = Path(__file__).parent / "serving_side.py"
    start = time.perf_counter()
    command = [python, str(script), way, str(where), str(texts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        lines = iter(child.stdout)
        next(line for line in lines if line.startswith('{"first"'))
        first = time.perf_counter() - start
        found = json.loads(next(line for line in lines if line.startswith('{"p50')))
    return {"start_s": first, **found}


def main() -> None:
    """Measures all of them in turns and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="a run that reads texts")
    parser.add_argument("--artifact", type=Path, action="append", required=True, help="exported from it; repeat")
    parser.add_argument("--test", type=Path, required=True, help="csv with a column text")
    parser.add_argument("--peers", default="", help="Python with torch and transformers")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        texts = Path(name) / "texts.json"
        texts.write_text(json.dumps(list(pd.read_csv(args.test)["text"].head(TEXTS))))
        ways = {path.name: (sys.executable, "artifact", path) for path in args.artifact}
        ways["kft on TensorFlow"] = (sys.executable, "run", args.run)
        ways["Keras predict"] = (sys.executable, "keras", args.run)
        if args.peers:
            from kft import assets
            from kft.packages import PACKAGES

            ways["transformers pipeline"] = (args.peers, "pipeline", assets.fetch(PACKAGES.get("minilm-l6")))
        works = {name: lambda way=way: answered(way[0], way[1], way[2].absolute(), texts) for name, way in ways.items()}
        found = in_turns(works, args.repeats)
    report(
        "serving", found, ratios_to_keras=ratios(found, "Keras predict", ("p50_ms", "cpu_ms", "start_s", "texts_per_s"))
    )


if __name__ == "__main__":
    main()

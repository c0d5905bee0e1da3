"""What a command costs from the start of its process to its exit: `kft --help`, and `kft predict` of one text.

Beside them TensorFlow's import alone, which no command that answers can do without. A checkout of another version takes
its turns too.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from common import in_turns, ratios, report

TEXT = "I have lost my card and need another one."


def spent(command: list[str], checkout: Path) -> dict[str, float]:
    """Runs a Python command on a checkout of kft; returns the child's seconds."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    # In the checkout: where `python -m` is called, that folder's kft comes before PYTHONPATH's.
    subprocess.run([sys.executable, *command], check=True, capture_output=True, env=environment, cwd=checkout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": cpu, "wall_s": time.perf_counter() - wall}


def main() -> None:
    """Measures all of them in turns, after one warm-up each, and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="the folder of a run that reads texts")
    parser.add_argument("--before", type=Path, help="a checkout of an earlier version")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    here = Path(__file__).absolute().parents[1]
    commands = {"--help": ["-m", "kft.cli.main", "--help"]}
    commands["predict"] = ["-m", "kft.cli.main", "predict", str(args.run.absolute()), TEXT]
    works = {name: lambda command=command: spent(command, here) for name, command in commands.items()}
    works["import tensorflow"] = lambda: spent(["-c", "import tensorflow"], here)
    if args.before:
        for name, command in commands.items():
            works[f"{name}, before"] = lambda command=command: spent(command, args.before)
    for work in works.values():
        work()
    found = in_turns(works, args.repeats)
    report("start", found, ratios_to_predict=ratios(found, "predict"))


if __name__ == "__main__":
    main()

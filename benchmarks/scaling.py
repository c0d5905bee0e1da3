"""From 2,000 to 200,000 rows with a tiny backbone: CPU seconds a row, and the peak of anonymous memory.

Memory-mapped shards are file pages, which the system takes back when it needs them; what a process holds for
itself is its anonymous memory (RssAnon), sampled twenty times a second.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import report, timed, workplace

from tests import tiny

SIZES = (2_000, 20_000, 200_000)
MIB = 2**20


def anonymous_bytes() -> int:
    """Returns the process's anonymous memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("needs Linux: /proc/self/status has no RssAnon")


def one_size(folder: Path, rows: int) -> dict[str, float]:
    """Trains a probe and the top block on so many rows, in this process; returns seconds and memory."""
    import kft
    from kft import runtime

    runtime.start()
    top = {"name": "top", "unfreeze": "top-1", "epochs": 2, "lr": 1e-3}
    recipe = tiny.recipe(folder, folder / "backbone", rows=rows, batch_size=32, phases=[tiny.PROBE, top])
    start = peak = anonymous_bytes()
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.05):
            peak = max(peak, anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    result, seconds = timed(lambda: kft.train(recipe, run=folder / "run", quiet=True))
    over.set()
    watcher.join()
    value = result.evaluation.metrics["accuracy"].value
    return {**seconds, "start_mib": start / MIB, "peak_mib": peak / MIB, "test_accuracy": value}


def main() -> None:
    """Runs each size in a process of its own, and writes the result."""
    if len(sys.argv) == 3:
        print(json.dumps(one_size(Path(sys.argv[1]), int(sys.argv[2]))))
        return
    found = {}
    for rows in SIZES:
        with workplace() as folder:
            tiny.write_backbone(folder / "backbone")
            command = [sys.executable, __file__, str(folder), str(rows)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[str(rows)] = {key: round(v, 3) for key, v in json.loads(done.stdout.splitlines()[-1]).items()}
            print(rows, found[str(rows)], file=sys.stderr, flush=True)
    small, middle, large = (found[str(rows)] for rows in SIZES)
    report(
        "scaling",
        found,
        cpu_ms_per_row={
            "2,000 to 20,000": 1000 * (middle["cpu_s"] - small["cpu_s"]) / 18_000,
            "20,000 to 200,000": 1000 * (large["cpu_s"] - middle["cpu_s"]) / 180_000,
        },
        peak_bytes_per_row=(large["peak_mib"] - small["peak_mib"]) * MIB / 198_000,
    )


if __name__ == "__main__":
    main()

"""Answers batches of 32 texts for each line of standard input, and prints its seconds; see throughput.py.

python benchmarks/throughput_side.py artifact|pipeline WHERE TEXTS
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from serving_side import BATCH, artifact, pipeline


def main() -> None:
    """Answers all texts once to warm up, then a round a line."""
    ask = {"artifact": artifact, "pipeline": pipeline}[sys.argv[1]](Path(sys.argv[2]))
    texts = json.loads(Path(sys.argv[3]).read_text())
    batches = [texts[place : place + BATCH] for place in range(0, len(texts), BATCH)]
    ask(batches[0])
    print(json.dumps({"warm": True}), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        for batch in batches:
            ask(batch)
        print(json.dumps({"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}), flush=True)


if __name__ == "__main__":
    main()

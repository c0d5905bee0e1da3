"""Load on `kft serve` from a second process: codes, latency and memory at 0.5, 1 and 2 times its capacity.

    python benchmarks/server_load.py ARTIFACT [--seconds 60] [--target-ms 500] [-o FILE]

Capacity is what 64 clients that ask again once they are answered get through; then requests of one text each come at
fixed times, whether earlier ones are answered or not. It is measured with and without dynamic batching, in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

PATIENCE = 30.0


class Server:
    """A server's process."""

    def __init__(self, artifact: str, *options: str) -> None:
        command = [sys.executable, "-m", "kft.cli.main", "serve", artifact, "--port", "0", "--json", "--log", "none"]
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.port = int(json.loads(self.process.stdout.readline())["url"].rpartition(":")[2])

    def memory(self) -> int:
        """Returns the bytes that are resident."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        parts = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(artifact: str, *options: str):
    server = Server(artifact, *options)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


async def ask(port: int, text: str) -> tuple[int, bool]:
    """Asks over a connection of its own; returns the code (0: none came), and whether it has Retry-After."""
    body = json.dumps({"text": text}).encode()
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.read()
        writer.close()
        return int(answer[9:12]), b"retry-after" in answer.partition(b"\r\n\r\n")[0].lower()
    except (OSError, ValueError):
        return 0, False


async def capacity(port: int, texts: Sequence[str], seconds: float, clients: int = 64) -> float:
    """Returns the answers a second that clients get who ask again once they are answered."""
    until, done = time.monotonic() + seconds, 0

    async def client() -> None:
        nonlocal done
        while time.monotonic() < until:
            code, _ = await ask(port, random.choice(texts))
            done += code == 200

    await asyncio.gather(*(client() for _ in range(clients)))
    return done / seconds


async def load(server: Server, texts: Sequence[str], rate: float, seconds: float) -> dict[str, object]:
    """Sends requests at a rate, at random times as independent people would."""
    found: list[tuple[float, int, bool]] = []
    memory: list[tuple[float, int]] = []
    started, cpu = time.monotonic(), server.cpu_seconds()

    async def one(at: float) -> None:
        code, advice = await ask(server.port, random.choice(texts))
        found.append((time.monotonic() - at, code, advice))

    async def watch() -> None:
        while time.monotonic() - started < seconds:
            memory.append((time.monotonic() - started, server.memory()))
            await asyncio.sleep(0.5)

    watching, tasks, at = asyncio.create_task(watch()), [], started
    while at < started + seconds:
        at += random.expovariate(rate)
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        tasks.append(asyncio.create_task(one(time.monotonic())))
    await asyncio.wait(tasks, timeout=PATIENCE)
    await watching
    answered = [1000 * took for took, code, _ in found if code == 200]
    ends = [
        float(np.mean([size for when, size in memory if low <= when < low + 10])) / 2**20 for low in (0, seconds - 10)
    ]
    return {
        "rate": round(rate, 1),
        "sent": len(tasks),
        "codes": dict(sorted(Counter(code for _, code, _ in found).items())),
        "refused_with_retry_after": sum(advice for _, code, advice in found if code in (429, 503)),
        "ms": {str(q): round(float(np.percentile(answered, q)), 1) for q in (50, 95, 99)} if answered else {},
        "memory_mb_first_and_last_10_s": [round(end, 1) for end in ends],
        "server_cpu_share": round((server.cpu_seconds() - cpu) / seconds, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact")
    parser.add_argument("--texts", help="a csv file with a column text; default: some made-up ones")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--target-ms", type=float, default=500)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("-o", "--output")
    given = parser.parse_args()
    texts = [f"the battery of my phone is {word}" for word in ("superb", "awful", "great and very lovely", "broken")]
    if given.texts:
        with open(given.texts, encoding="utf-8") as file:
            texts = [row["text"] for row in csv.DictReader(file)]
    random.seed(0)
    target = ("--target-ms", str(given.target_ms))
    arms: dict[str, list[float]] = {"batched": [], "one_by_one": []}
    for _ in range(given.turns):
        for name, options in (("batched", ()), ("one_by_one", ("--max-batch", "1"))):
            with serving(given.artifact, *options, "--target-ms", "60000") as server:
                asyncio.run(capacity(server.port, texts, 1))
                arms[name].append(asyncio.run(capacity(server.port, texts, 5)))
    rates = {name: float(np.median(each)) for name, each in arms.items()}
    result: dict[str, object] = {
        "artifact": given.artifact,
        "target_ms": given.target_ms,
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "answers_a_second": {name: [round(each, 1) for each in rounds] for name, rounds in arms.items()},
        "batching_ratio": round(rates["batched"] / rates["one_by_one"], 2),
        "loads": {},
    }
    for times in (0.5, 1.0, 2.0):
        with serving(given.artifact, *target) as server:
            asyncio.run(capacity(server.port, texts, 1, clients=4))
            result["loads"][str(times)] = asyncio.run(load(server, texts, times * rates["batched"], given.seconds))  # type: ignore[index]
    text = json.dumps(result, indent=2)
    if given.output:
        Path(given.output).write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()

"""A tuned embedding: kft beside sentence-transformers, on the same weights, pairs, epochs and batch.

python benchmarks/search_tuned.py FOLDER --peers PYTHON

FOLDER holds train.csv, valid.csv and test.csv (query, document: an id) and documents.csv (id, text). Both rank all
documents for each test query, each document cut at 128 tokens. CPU seconds are those of training: kft's with its
validation before and after each epoch, and of its updates alone, the first of which traces; the peer's without
validation.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from common import cpu_seconds, report, workplace

import kft
from kft import assets
from kft.metrics.intervals import estimate_all, paired_difference
from kft.metrics.retrieval import DEPTH, METRICS
from kft.packages import PACKAGES

BATCH = 32


class Clock(keras.callbacks.Callback):
    """CPU seconds from the first phase's beginning to the last one's end, and those of updates alone."""

    def on_train_begin(self, logs=None):
        self.began, self.updates = cpu_seconds(), 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self.last = cpu_seconds()

    def on_train_batch_end(self, batch, logs=None):
        self.updates += cpu_seconds() - self.last
        self.last = cpu_seconds()

    def on_train_end(self, logs=None):
        self.spent = cpu_seconds() - self.began

    def get_state(self):
        return {}

    def set_state(self, state):
        pass


def found_at(ranks: np.ndarray) -> np.ndarray:
    """Returns ``bool[n, DEPTH]`` from the rank of the right document, from 0."""
    return np.arange(DEPTH) == ranks[:, None]


def kft_side(data: Path, folder: Path, args: argparse.Namespace) -> tuple[np.ndarray, dict[str, float]]:
    """Returns the ranks of the right documents, and the CPU seconds of training and of its updates."""
    phase = {"name": "full", "unfreeze": "all", "epochs": args.epochs, "lr": args.lr}
    head = [{"name": "head", "unfreeze": "none", "solver": "lbfgs"}] if args.head else []
    recipe = {
        "task": "text-embedding",
        "name": "tuned",
        "data": {name: str(data / f"{name}.csv") for name in ("train", "valid", "test", "documents")},
        "model": {"backbone": "minilm-l6", "max_tokens": 128},
        "train": {"batch_size": 2 * BATCH, "prefer": "best", "phases": [*head, phase]},
    }
    clock = Clock()
    result = kft.train(recipe, run=folder / "run", callbacks=[clock])
    rows = pd.read_csv(result.run / "predictions.csv")
    return rows["prediction"].fillna(DEPTH + 1).to_numpy(np.int64) - 1, {
        "train_cpu_s": clock.spent,
        "updates_cpu_s": clock.updates,
    }


def peer_side(data: Path, folder: Path, args: argparse.Namespace) -> tuple[np.ndarray, dict[str, float]]:
    """Likewise of sentence-transformers, in an environment of its own."""
    texts = pd.read_csv(data / "documents.csv", keep_default_na=False).set_index("id")["text"]
    pairs = pd.read_csv(data / "train.csv", keep_default_na=False)
    pairs.assign(document=pairs["document"].map(texts)).to_csv(folder / "pairs.csv", index=False)
    for name in ("documents", "test"):
        (folder / f"{name}.csv").write_bytes((data / f"{name}.csv").read_bytes())
    settings = {"epochs": args.epochs, "batch": BATCH, "lr": args.lr, "max_tokens": 128}
    model = str(assets.fetch(PACKAGES.get("minilm-l6")))
    script = Path(__file__).absolute().parent / "search_side.py"
    command = [args.peers, str(script), str(folder), model, json.dumps(settings)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return np.load(folder / "ranks.npy"), {"updates_cpu_s": json.loads(done.stdout.splitlines()[-1])["train_cpu_s"]}


def main() -> None:
    """Measures both and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--peers", help="python of the peers' environment; without it kft is measured alone")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--head", action="store_true", help="solve the head first")
    args = parser.parse_args()
    ranks, seconds = {}, {}
    with workplace() as folder:
        ranks["kft"], seconds["kft"] = kft_side(args.data, folder, args)
        if args.peers:
            ranks["peer"], seconds["peer"] = peer_side(args.data, folder, args)
    counts = np.ones(len(ranks["kft"]), np.int64)
    metrics = {name: estimate_all(counts, found_at(each), metrics=METRICS) for name, each in ranks.items()}
    facts = {"metrics": {name: {key: str(value) for key, value in each.items()} for name, each in metrics.items()}}
    if args.peers:
        parts = found_at(ranks["kft"]), found_at(ranks["peer"])
        gains = {name: str(paired_difference(metric, counts, *parts)) for name, metric in METRICS.items()}
        facts |= {"kft - peer": gains, "ratio": seconds["kft"]["updates_cpu_s"] / seconds["peer"]["updates_cpu_s"]}
    report("search_tuned", seconds, **facts)


if __name__ == "__main__":
    main()

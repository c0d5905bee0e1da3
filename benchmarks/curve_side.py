"""Hugging Face Trainer, grouped by length, epoch by epoch, in the peers' environment: prints one JSON line.

python benchmarks/curve_side.py FOLDER MODEL SETTINGS

FOLDER holds train.csv, valid.csv and test.csv with text and target. After each epoch valid and test are answered while
the clock stands still: a point is [CPU seconds so far, valid accuracy, test accuracy].
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import transformers.models.bert.modeling_bert  # noqa: F401 (loaded before the clock starts)
from peers_side import BATCH_SIZE, make_trainer
from transformers import TrainerCallback


class Points(TrainerCallback):
    """Collects the points of a run."""

    def __init__(self, frames: dict[str, pd.DataFrame]) -> None:
        self.frames = frames
        self.rows = None
        self.found: list[list[float]] = []
        self.start = time.process_time()

    def on_epoch_end(self, args, state, control, model=None, processing_class=None, **others):
        stopped = time.process_time()
        model.eval()
        reached = [self._accuracy(name, model) for name in ("valid", "test")]
        model.train()
        self.found.append([stopped - self.start, *reached])
        self.start += time.process_time() - stopped

    def _accuracy(self, name: str, model) -> float:
        rows, collate = self.rows[name], self.collate
        order = sorted(range(len(rows)), key=lambda row: len(rows.encoded["input_ids"][row]))
        right = 0
        with torch.no_grad():
            for start in range(0, len(order), BATCH_SIZE):
                batch = dict(collate([rows[row] for row in order[start : start + BATCH_SIZE]]))
                targets = batch.pop("labels").numpy()
                right += int((model(**batch).logits.numpy().argmax(axis=1) == targets).sum())
        return right / len(order)


def main() -> None:
    """Runs one rate and one seed."""
    place, model, settings = sys.argv[1:]
    folder = Path(place)
    frames = {name: pd.read_csv(folder / f"{name}.csv") for name in ("train", "valid", "test")}
    points = Points(frames)
    runner, as_rows = make_trainer(
        {"train": frames["train"]}, model, folder, {"by_length": True, **json.loads(settings)}, (points,)
    )
    stopped = time.process_time()
    points.rows = {name: as_rows(frames[name]) for name in ("valid", "test")}
    points.collate = runner.data_collator
    points.start += time.process_time() - stopped
    runner.train()
    print(json.dumps({"points": np.round(points.found, 4).tolist()}))


if __name__ == "__main__":
    main()

"""The peers that need torch, run in an environment of their own (`make bench-peers`): prints one JSON line.

python benchmarks/peers_side.py trainer|sentence-transformers|setfit|autogluon FOLDER MODEL SETTINGS

FOLDER holds train.csv and test.csv with text and target, and valid.csv where a peer is given rows of its own to choose
by; the test logits go to FOLDER/logits.npy, or to the file that SETTINGS, a JSON object, names as logits; where that is
there, nothing is answered. MODEL is the folder of the weights.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

BATCH_SIZE = 32

Frames = dict[str, pd.DataFrame]
Answer = Callable[[pd.DataFrame], np.ndarray]


def trainer(frames: Frames, model_folder: str, folder: Path, settings: dict[str, Any]) -> Answer:
    """Hugging Face Trainer as its users run it."""
    runner, as_rows = make_trainer(frames, model_folder, folder, settings)
    runner.train()
    runner.args.train_sampling_strategy = "random"  # else it groups the test texts too and answers out of order
    return lambda frame: runner.predict(as_rows(frame)).predictions


def make_trainer(frames: Frames, model_folder: str, folder: Path, settings: dict[str, Any], callbacks: tuple = ()):
    """Returns a Trainer, and what makes its rows of a table: its classifier, dynamic padding, its schedule."""
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    set_seed(settings.get("seed", 0))
    tokenizer = AutoTokenizer.from_pretrained(model_folder)

    class Rows(torch.utils.data.Dataset):
        def __init__(self, frame: pd.DataFrame) -> None:
            self.encoded = tokenizer(list(frame["text"]), truncation=True, max_length=128)
            self.targets = list(frame["target"])

        def __len__(self) -> int:
            return len(self.targets)

        def __getitem__(self, row: int) -> dict:
            return {**{key: values[row] for key, values in self.encoded.items()}, "labels": self.targets[row]}

    by_length = {"train_sampling_strategy": "group_by_length"} if settings.get("by_length") else {}
    runner = Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(
            model_folder, num_labels=int(frames["train"]["target"].max()) + 1
        ),
        args=TrainingArguments(
            output_dir=str(folder / "trainer"),
            num_train_epochs=settings["epochs"],
            learning_rate=settings["lr"],
            per_device_train_batch_size=BATCH_SIZE,
            per_device_eval_batch_size=BATCH_SIZE,
            eval_strategy="epoch" if "valid" in frames else "no",
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            seed=settings.get("seed", 0),
            **by_length,
        ),
        train_dataset=Rows(frames["train"]),
        eval_dataset=Rows(frames["valid"]) if "valid" in frames else None,
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=list(callbacks),
    )
    return runner, Rows


def sentence_transformers(frames: Frames, model_folder: str, folder: Path, settings: dict[str, Any]) -> Answer:
    """Mean-pooled vectors, standardised, and logistic regression; its strength by valid, else by cross-validation."""
    from sentence_transformers import SentenceTransformer, models
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.preprocessing import StandardScaler

    words = models.Transformer(model_folder)
    encoder = SentenceTransformer(modules=[words, models.Pooling(words.get_word_embedding_dimension())], device="cpu")

    def encode(frame: pd.DataFrame) -> np.ndarray:
        return encoder.encode(list(frame["text"]), batch_size=BATCH_SIZE, show_progress_bar=False)

    scaler = StandardScaler()
    train, targets = scaler.fit_transform(encode(frames["train"])), frames["train"]["target"]
    probes = [LogisticRegression(C=strength, max_iter=2000) for strength in 10.0 ** np.arange(-4, 2.01, 0.5)]
    if "valid" in frames:
        valid = scaler.transform(encode(frames["valid"]))
        reached = [probe.fit(train, targets).score(valid, frames["valid"]["target"]) for probe in probes]
    else:
        reached = [cross_val_score(probe, train, targets, cv=5).mean() for probe in probes]
    best = probes[int(np.argmax(reached))].fit(train, targets)
    return lambda frame: best.predict_log_proba(scaler.transform(encode(frame)))


def setfit(frames: Frames, model_folder: str, folder: Path, settings: dict[str, Any]) -> Answer:
    """SetFit (Tunstall et al., 2022) with its own defaults but for what `settings` says."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    model = SetFitModel.from_pretrained(model_folder, device="cpu")
    rows = Dataset.from_dict({"text": list(frames["train"]["text"]), "label": list(frames["train"]["target"])})
    args = TrainingArguments(
        output_dir=str(folder / "setfit"), report_to="none", show_progress_bar=False, save_strategy="no", **settings
    )
    Trainer(model=model, args=args, train_dataset=rows).train()
    return lambda frame: np.asarray(model.predict_proba(list(frame["text"]), as_numpy=True))


def autogluon(frames: Frames, model_folder: str, folder: Path, settings: dict[str, Any]) -> Answer:
    """AutoGluon's MultiModalPredictor with its own defaults but for the weights, their pooling and the problem type."""
    from autogluon.multimodal import MultiModalPredictor

    predictor = MultiModalPredictor(
        label="target", path=str(folder / "autogluon"), enable_progress_bar=False, **settings
    )
    predictor.fit(
        frames["train"],
        hyperparameters={
            "model.names": ["hf_text"],
            "model.hf_text.checkpoint_name": model_folder,
            "model.hf_text.pooling_mode": "mean",
            "env.num_gpus": 0,
            "env.accelerator": "cpu",
            # Processes that load rows cost more than short texts do.
            "env.num_workers": 0,
            "env.num_workers_inference": 0,
        },
        seed=0,
    )
    return lambda frame: predictor.predict_proba(frame[["text"]], as_pandas=False)


# Each with what it imports, which is loaded before the clock starts, as kft's own libraries are.
PEERS = {
    "trainer": (trainer, ("transformers.trainer", "transformers.models.bert.modeling_bert")),
    "sentence-transformers": (sentence_transformers, ("sentence_transformers", "sklearn.linear_model")),
    "setfit": (setfit, ("setfit",)),
    "autogluon": (autogluon, ("autogluon.multimodal",)),
}


def main() -> None:
    """Runs one peer: seconds of the training, and of the test rows' answers apart."""
    peer, place, model, settings = sys.argv[1:]
    folder = Path(place)
    parts = {name: folder / f"{name}.csv" for name in ("train", "valid", "test")}
    frames = {name: pd.read_csv(path) for name, path in parts.items() if path.is_file()}
    train_peer, libraries = PEERS[peer]
    for library in libraries:
        importlib.import_module(library)
    chosen = json.loads(settings)
    logits = folder / chosen.pop("logits", "logits.npy")
    known = logits.exists() and logits.name != "logits.npy"
    clocks = [_clocks()]
    answer = train_peer(frames, model, folder, chosen)
    clocks.append(_clocks())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if not known:
        np.save(logits, answer(frames["test"]))
    clocks.append(_clocks())
    train, test = np.diff(clocks, axis=0)
    seconds = {"cpu_s": train[0], "wall_s": train[1], "test_cpu_s": test[0], "test_wall_s": test[1]}
    print(json.dumps({**seconds, "peak_mib": peak}))


def _clocks() -> tuple[float, float]:
    """CPU seconds of this process and of those that it started and that ended; wall seconds."""
    return time.process_time() + sum(os.times()[2:4]), time.perf_counter()


if __name__ == "__main__":
    main()

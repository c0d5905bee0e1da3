"""The peers that need torch, run in an environment of their own (`make bench-peers`): prints one JSON line.

python benchmarks/peers_side.py trainer|trainer-by-length|sentence-transformers FOLDER MODEL EPOCHS LR

FOLDER holds train.csv, valid.csv and test.csv with text and target; the test logits go to FOLDER/logits.npy.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

BATCH_SIZE = 32


def trainer(folder: Path, model_folder: str, epochs: int, lr: float, by_length: bool) -> dict[str, float]:
    """Hugging Face Trainer as its users run it: its classifier, dynamic padding, its schedule."""
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    set_seed(0)
    frames = {name: pd.read_csv(folder / f"{name}.csv") for name in ("train", "valid", "test")}
    started = time.process_time(), time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(model_folder)

    class Rows(torch.utils.data.Dataset):
        def __init__(self, frame: pd.DataFrame) -> None:
            self.encoded = tokenizer(list(frame["text"]), truncation=True, max_length=128)
            self.targets = list(frame["target"])

        def __len__(self) -> int:
            return len(self.targets)

        def __getitem__(self, row: int) -> dict:
            return {**{key: values[row] for key, values in self.encoded.items()}, "labels": self.targets[row]}

    model = AutoModelForSequenceClassification.from_pretrained(
        model_folder, num_labels=int(frames["train"]["target"].max()) + 1
    )
    sampling = {"train_sampling_strategy": "group_by_length"} if by_length else {}
    runner = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder / "trainer"),
            num_train_epochs=epochs,
            learning_rate=lr,
            per_device_train_batch_size=BATCH_SIZE,
            per_device_eval_batch_size=BATCH_SIZE,
            eval_strategy="epoch",
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            **sampling,
        ),
        train_dataset=Rows(frames["train"]),
        eval_dataset=Rows(frames["valid"]),
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    runner.train()
    seconds = {"cpu_s": time.process_time() - started[0], "wall_s": time.perf_counter() - started[1]}
    runner.args.train_sampling_strategy = "random"  # else it groups the test texts too and answers out of order
    np.save(folder / "logits.npy", runner.predict(Rows(frames["test"])).predictions)
    return seconds


def sentence_transformers(folder: Path, model_folder: str) -> dict[str, float]:
    """Mean-pooled vectors, standardised, and logistic regression with its strength tuned on valid."""
    from sentence_transformers import SentenceTransformer, models
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    frames = {name: pd.read_csv(folder / f"{name}.csv") for name in ("train", "valid", "test")}
    started = time.process_time(), time.perf_counter()
    words = models.Transformer(model_folder)
    encoder = SentenceTransformer(modules=[words, models.Pooling(words.get_word_embedding_dimension())], device="cpu")

    def encode(name: str) -> np.ndarray:
        return encoder.encode(list(frames[name]["text"]), batch_size=BATCH_SIZE, show_progress_bar=False)

    scaler = StandardScaler()
    train, valid = scaler.fit_transform(encode("train")), scaler.transform(encode("valid"))
    best = None
    for strength in 10.0 ** np.arange(-4, 2.01, 0.5):
        probe = LogisticRegression(C=strength, max_iter=2000).fit(train, frames["train"]["target"])
        score = probe.score(valid, frames["valid"]["target"])
        if best is None or score > best[0]:
            best = score, probe
    seconds = {"cpu_s": time.process_time() - started[0], "wall_s": time.perf_counter() - started[1]}
    np.save(folder / "logits.npy", best[1].predict_log_proba(scaler.transform(encode("test"))))
    return seconds


def main() -> None:
    """Runs one peer."""
    peer, folder, model, epochs, lr = sys.argv[1:]
    if peer == "sentence-transformers":
        found = sentence_transformers(Path(folder), model)
    else:
        found = trainer(Path(folder), model, int(epochs), float(lr), peer == "trainer-by-length")
    print(json.dumps(found))


if __name__ == "__main__":
    main()

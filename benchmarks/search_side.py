"""sentence-transformers on pairs, run in the peers' environment (`make bench-peers`): prints one JSON line.

python benchmarks/search_side.py FOLDER MODEL SETTINGS

FOLDER holds pairs.csv (query, document: texts), documents.csv (id, text) and test.csv (query, document: an id); where
the right document of each test query comes goes to FOLDER/ranks.npy, from 0. MODEL is the folder of the weights.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import numpy as np
import pandas as pd


def cpu_seconds() -> float:
    """Of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(folder: Path, model: str, settings: dict) -> None:
    """Trains by MultipleNegativesRankingLoss, as its documentation does, then ranks."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
        losses,
        models,
    )

    words = models.Transformer(model, max_seq_length=settings["max_tokens"])
    encoder = SentenceTransformer(modules=[words, models.Pooling(words.get_word_embedding_dimension())], device="cpu")
    pairs = pd.read_csv(folder / "pairs.csv", keep_default_na=False)
    rows = Dataset.from_dict({"anchor": list(pairs["query"]), "positive": list(pairs["document"])})
    started = cpu_seconds()
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder / "peer"),
        num_train_epochs=settings["epochs"],
        per_device_train_batch_size=settings["batch"],
        learning_rate=settings["lr"],
        warmup_steps=int(0.1 * settings["epochs"] * -(-len(pairs) // settings["batch"])),
        batch_sampler="no_duplicates",
        seed=settings.get("seed", 0),
        report_to="none",
        save_strategy="no",
        use_cpu=True,
    )
    trainer = SentenceTransformerTrainer(
        model=encoder, args=arguments, train_dataset=rows, loss=losses.MultipleNegativesRankingLoss(encoder)
    )
    trainer.train()
    trained = cpu_seconds()
    documents = pd.read_csv(folder / "documents.csv", keep_default_na=False)
    test = pd.read_csv(folder / "test.csv", keep_default_na=False)
    how = {"batch_size": 32, "show_progress_bar": False, "normalize_embeddings": True}
    known, asked = encoder.encode(list(documents["text"]), **how), encoder.encode(list(test["query"]), **how)
    places = {name: place for place, name in enumerate(documents["id"])}
    wanted = np.array([places[name] for name in test["document"]])
    alike = asked @ known.T
    np.save(folder / "ranks.npy", (alike > alike[np.arange(len(wanted)), wanted][:, None]).sum(axis=1))
    print(json.dumps({"train_cpu_s": trained - started, "cpu_s": cpu_seconds()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))

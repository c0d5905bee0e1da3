"""kft's side of the comparisons: split, train and predict as the command line does, without its reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kft import assets, runtime
from kft.feed.batches import Ragged
from kft.feed.source import Source, text_source
from kft.recipe.schema import RecipeSpec
from kft.split.data_split import DataSplit, load_split
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS


@dataclass(frozen=True)
class Rows:
    """One split of the data for every contender."""

    spec: RecipeSpec
    split: DataSplit

    def targets(self, name: str) -> np.ndarray:
        """``int32[rows]`` of train, valid or test."""
        return self.split.kind.judging.truth(list(self.split.part(name).labels), self.split.space)

    @property
    def test_targets(self) -> np.ndarray:
        """``int32[rows]``."""
        return self.targets("test")


def load_rows(train: Path, test: Path, valid: Path | None = None, **train_spec: Any) -> Rows:
    """Reads a csv with the columns text and label; 15 % of train is valid where it is no file of its own."""
    data = {"train": str(train.absolute()), "test": str(test.absolute()), "text": "text", "label": "label"}
    if valid:
        data["valid"] = str(valid.absolute())
    # Through the loader, which fills in what hangs on the task.
    spec = load_recipe({"task": "text-classification", "data": data, "train": train_spec}).spec
    return Rows(spec, load_split(spec.data, task=TASKS.get(spec.task), base=Path.cwd(), locate=assets.locate))


def train(rows: Rows, folder: Path | None = None, **changes: Any) -> Any:
    """Trains as `kft train` does, from texts to the best weights; returns the fitted result."""
    runtime.start()
    from kft.model.backbones import load_backbone
    from kft.train.prepare import prepare
    from kft.train.progress import Progress
    from kft.train.recorder import Files
    from kft.train.run import fit

    spec = rows.spec.model_copy(update=changes)
    runtime.seed_everything(spec.seed)
    backbone = load_backbone(spec.model.backbone, dropout=spec.model.dropout)
    prepared = prepare(spec, rows.split.without_test(), backbone, Progress(quiet=True))
    return fit(prepared, Files(folder=folder))


def tokens(texts: list[str], max_tokens: int = 128) -> Source:
    """Returns texts as kft's batches see them."""
    from kft.model.backbones import load_backbone

    ids, _ = load_backbone("minilm-l6").tokenizer.encode(texts, max_tokens)
    ragged = Ragged.from_rows(ids)
    return text_source(ragged)


def logits(model: Any, source: Source, batch_size: int = 32) -> np.ndarray:
    """Returns a model's answers, in bucketed batches."""
    import keras

    from kft.features.inference import make_inference, run_in_batches

    listed = keras.Model(model.inputs, model.outputs[0])
    (found,) = run_in_batches(
        make_inference(listed, batch_size), source.select(tuple(tensor.name for tensor in listed.inputs))
    )
    return np.asarray(found)

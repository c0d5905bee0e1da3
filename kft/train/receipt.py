"""What is known before training begins: the resolved recipe, the receipt, the split."""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path

from kft import replicas, runtime
from kft.model.backbones import Backbone
from kft.recipe.load import Recipe
from kft.recipe.training import PhaseSpec
from kft.records.document import document_text
from kft.records.files import utc_now, write_file
from kft.records.manifest import begin
from kft.records.receipt import Counts, Receipt
from kft.records.run_folder import RunFolder
from kft.split.data_split import DataSplit
from kft.split.holdout import set_aside
from kft.split.labels import label_shares


def write_start(
    run: RunFolder,
    recipe: Recipe,
    split: DataSplit,
    backbone: Backbone,
    phases: tuple[PhaseSpec, ...],
    teacher: str | None = None,
) -> None:
    """Writes recipe, receipt and split before training, so that a run cut short can be evaluated.

    Args:
        run: Where they go.
        recipe: As it was loaded.
        split: The data.
        backbone: As it was loaded.
        phases: That will run.
        teacher: The identity of the run that teaches; None without one.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    for name, content in start_files(recipe, split, backbone, phases, teacher).items():
        write_file(run.path / name, content)
    begin(run)


def start_files(
    recipe: Recipe,
    split: DataSplit,
    backbone: Backbone,
    phases: tuple[PhaseSpec, ...],
    teacher: str | None = None,
) -> dict[str, bytes | str]:
    """Returns recipe, receipt and split, as files by name."""
    text = recipe.as_yaml()
    receipt = Receipt(
        created=utc_now(),
        command=(Path(sys.argv[0]).name, *sys.argv[1:]),
        seed=recipe.spec.seed,
        recipe_hash=hashlib.sha256(text.encode()).hexdigest(),
        split_hash=split.split_hash,
        data_hash=split.data_hash,
        weights_hash=backbone.weights_hash,
        backbone_files=backbone.files.hashes,
        backbone=backbone.name,
        labels=split.labels,
        mean=split.space.mean,
        std=split.space.std,
        shares=tuple(label_shares(split.train, split.kind, split.space)),
        text_column=split.columns.text,
        pair_column=split.columns.pair,
        label_column=split.columns.label,
        label_columns_hold=split.columns.holds,
        n=Counts(len(split.train), len(split.valid), len(split.test)),
        teacher=teacher,
        unlabelled=0 if split.unlabelled is None else len(split.unlabelled),
        set_aside=int(set_aside(recipe.spec, split).sum()),
        phases=tuple(phase.model_dump(mode="json") for phase in phases),
        versions=runtime.versions(),
        devices=tuple(runtime.describe_devices()),
        strategy=replicas.describe(),
        manifest=True,
    )
    parquet = io.BytesIO()
    split.frame().to_parquet(parquet, index=False)
    return {
        "recipe.yaml": text,
        "receipt.json": document_text(receipt),
        "splits.parquet": parquet.getvalue(),
    }

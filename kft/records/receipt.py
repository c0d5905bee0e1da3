"""receipt.json: what a run was made of, written before training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kft.records.fields import absent


@dataclass(frozen=True)
class Counts:
    """Rows of each split."""

    train: int
    valid: int
    test: int


@dataclass(frozen=True)
class Resumption:
    """One time that the run went on.

    Attributes:
        at: When, in ISO 8601.
        steps_done: Steps that were behind it.
        devices: What it went on with.
        versions: Those that had changed since the run was begun.
    """

    at: str
    steps_done: int
    devices: str
    versions: Mapping[str, str] | None = absent()


@dataclass(frozen=True)
class Receipt:
    """The receipt of a run.

    Attributes:
        created: When, in ISO 8601.
        command: As it was called.
        seed: Of the run.
        recipe_hash: sha256 of recipe.yaml.
        split_hash: sha256 over sorted (id, split).
        data_hash: Of all examples.
        weights_hash: Of the pretrained weights.
        backbone: Its name.
        labels: Names, sorted; none for numbers.
        mean: Of the training split's numbers; 0 elsewhere.
        std: Likewise; 1 elsewhere.
        shares: What the baseline knows of the training split's labels.
        text_column: What is read; of pairs the first.
        pair_column: The second of pairs.
        label_column: What is learned.
        n: Rows of each split.
        set_aside: Rows of valid that no choice was made by, for what is promised.
        phases: As in the recipe (``PhaseSpec``), with what it leaves to kft.
        versions: Of what decides a result.
        devices: Of this run.
        strategy: How they share the work.
        resumed: When the run went on.
        manifest: Whether manifest.json belongs to the run; those of earlier kft had none.
        label_columns_hold: What the columns hold that the labels are made of: marks, shares or votes; empty where one
            column holds them.
        unlabelled: Rows without labels that training may see.
        teacher: sha256 of what a teacher's answers hang on: its checkpoint, its recipe, its calibration.
        backbone_files: sha256 of each file that the backbone was read from; those of earlier kft had none.
    """

    created: str
    command: tuple[str, ...]
    seed: int
    recipe_hash: str
    split_hash: str
    data_hash: str
    weights_hash: str
    backbone: str
    labels: tuple[str, ...]
    mean: float
    std: float
    shares: tuple[float, ...]
    text_column: str
    pair_column: str | None
    label_column: str
    n: Counts
    set_aside: int
    phases: tuple[Mapping[str, Any], ...]
    versions: Mapping[str, str]
    devices: tuple[str, ...]
    strategy: str
    resumed: tuple[Resumption, ...] = absent(())
    manifest: bool = absent(False)
    label_columns_hold: str = absent("")
    backbone_files: Mapping[str, str] | None = absent()
    unlabelled: int = absent(0)
    teacher: str | None = absent()

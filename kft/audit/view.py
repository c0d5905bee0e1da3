"""What the checks look at: the split data, and what the frozen backbone makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from kft.audit.pixels import ImageFacts, measure_images
from kft.data.examples import Examples
from kft.recipe.schema import RecipeSpec
from kft.split.assign import SPLITS
from kft.split.data_split import DataSplit, labels_of
from kft.split.near import Copies
from kft.split.together import find_copies
from kft.tasks.task import Task


@dataclass(frozen=True)
class AuditView:
    """Everything that a check may read; checks are functions of it and change nothing.

    Attributes:
        split: The data. Of its test split only inputs and labels are compared with the others, for leakage and
            coverage: nothing is chosen by it.
        task: What is read and answered.
        spec: The recipe.
        tokens: Split to ``int64[n]``, the tokens of each text before any is cut; empty for images.
        offsets: Split to where the tokens of each text stand, from ``mark_words``; empty where no token is answered
            for, or no backbone was asked for.
        features: Split to ``float32[n, width]``, one vector an example from the frozen backbone, for ``train``,
            ``valid`` and ``test``; None where they were not asked for (``--no-features``).
        out_of_fold: ``float64[n, classes]``: for each example of train and valid, in this order, the probabilities by a
            probe that saw neither it nor its group; None without features, or where an example has not exactly
            one class.
        strength: The inverse penalty C of that probe; None where there is none.
        most_tokens: How many tokens the backbone takes; 0 where that is not known, and for images.
        lost: Split to ``int64[n, 2]``: tokens of each prompt and of its response that are cut; empty where answers are
            not written.
        image_side: Pixels of the shorter side of the model's input; 0 where no backbone was asked for, and for texts.
    """

    split: DataSplit
    task: Task
    spec: RecipeSpec
    tokens: Mapping[str, np.ndarray] = field(default_factory=dict)
    features: Mapping[str, np.ndarray] | None = None
    offsets: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    out_of_fold: np.ndarray | None = None
    strength: float | None = None
    most_tokens: int = 0
    lost: Mapping[str, np.ndarray] = field(default_factory=dict)
    image_side: int = 0

    @cached_property
    def all(self) -> Examples:
        """Every example: train, then valid, then test."""
        return Examples.concatenate([self.split.part(name) for name in SPLITS])

    @cached_property
    def split_of(self) -> np.ndarray:
        """``str[n]``: the split of each example of ``all``."""
        return np.repeat(SPLITS, [len(self.split.part(name)) for name in SPLITS])

    @cached_property
    def places(self) -> dict[str, int]:
        """Id to place in ``all``."""
        return {str(identifier): place for place, identifier in enumerate(self.all.ids)}

    @cached_property
    def images(self) -> ImageFacts:
        """What is measured of each image of ``all``."""
        return measure_images([Path(given) for given in self.all.inputs])

    @cached_property
    def copies(self) -> Copies:
        """Copies and near-copies among ``all``: those that the split has found, or found here, for every check."""
        return self.split.copies or find_copies(self.all.inputs, self.split_of == "train")

    @cached_property
    def known(self) -> Examples:
        """What is learned from and chosen by: train, then valid."""
        return Examples.concatenate([self.split.train, self.split.valid])

    @cached_property
    def classes(self) -> np.ndarray | None:
        """``str[n]``: the class of each example of ``known``; None where an example has not exactly one."""
        return labels_of(self.known).astype(str) if self.task.kind.one_class else None

    @cached_property
    def targets(self) -> np.ndarray | None:
        """``int[n]``: the same, as places in ``split.labels``: the columns of ``out_of_fold``."""
        if not self.task.kind.one_class:
            return None
        return np.asarray(self.task.kind.learning.targets(list(labels_of(self.known)), self.split.space, None))

    @cached_property
    def shares(self) -> np.ndarray | None:
        """``float32[n, classes]``: soft labels of ``known``; None where labels are not soft."""
        return None if self.known.shares is None else self.known.shares.of(self.split.labels)

    @cached_property
    def known_features(self) -> np.ndarray:
        """``float32[n, width]``: the vectors of ``known``."""
        assert self.features is not None
        return np.concatenate([self.features["train"], self.features["valid"]])

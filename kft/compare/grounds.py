"""What backbones are chosen among, and what all of them are measured on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.compare.kept import Kept
from kft.compare.setting import deciding_metric
from kft.data.examples import Examples
from kft.features.views.blend import MOST_ROWS
from kft.metrics.metric import Metric
from kft.model.card import Card, read_card
from kft.model.catalog import CATALOG, BackboneEntry
from kft.model.sources import source_of
from kft.recipe.schema import RecipeSpec
from kft.split.data_split import Selection, data_hash, labels_of
from kft.split.holdout import set_aside
from kft.split.labels import label_shares, learned_targets
from kft.tasks.label_names import describe_label, why_no_names
from kft.tasks.registry import TASKS
from kft.tasks.task import Task

if TYPE_CHECKING:
    from kft.train.progress import Progress

RANDOM = "@random"
"""Behind a name: the same architecture with new weights, a yardstick for what pretraining is worth."""


@dataclass(frozen=True)
class BackboneCandidate:
    """A backbone that was asked for.

    Attributes:
        name: As a person wrote it.
        backbone: Without ``@random``, and a path made absolute: what a recipe may say.
        random: Whether its weights are new.
    """

    name: str
    backbone: str
    random: bool

    @property
    def entry(self) -> BackboneEntry | None:
        """Its line of the catalog, whichever of its names was asked for; None where it has none."""
        source = source_of(self.backbone)
        return next((each for each in CATALOG if each.source == source), None)

    def about(self, path: Path) -> Card:
        """Returns languages and licence: by the catalog, else by the folder's own card; random weights have neither.

        Args:
            path: Where its files lie.
        """
        if self.random:
            return Card()
        if self.entry is not None:
            return Card(self.entry.languages.removeprefix("-"), self.entry.licence)
        return read_card(path if path.is_dir() else path.parent)

    @property
    def weights(self) -> str:
        return "random" if self.random else "pretrained"


@dataclass(frozen=True)
class Grounds:
    """What all backbones are measured on.

    Attributes:
        spec: The recipe; its backbone and phases play no part.
        split: Its data; the test split is not among them, nor what was set aside of valid.
        together: ``[n]``: rows of ``known`` that no fold may part; None where each stands alone.
        progress: Told what is done.
        compute: Calls what needs TensorFlow, which starts when it is first needed.
    """

    spec: RecipeSpec
    split: Selection
    together: np.ndarray | None
    progress: Progress = field(repr=False)
    compute: Callable[[Callable[[], Kept]], Kept] = field(default=lambda work: work(), repr=False)

    @property
    def task(self) -> Task:
        return TASKS.get(self.spec.task)

    @property
    def metric(self) -> Metric:
        return deciding_metric(self.spec)

    @cached_property
    def known(self) -> Examples:
        """Train, then valid; of very many a draw, so that no backbone runs over rows that nothing is judged by."""
        whole = Examples.concatenate([self.split.train, self.split.valid])
        if len(whole) <= MOST_ROWS:
            return whole
        return whole.take(np.sort(np.random.default_rng(self.spec.seed).permutation(len(whole))[:MOST_ROWS]))

    @cached_property
    def strata(self) -> np.ndarray:
        """``[n]``: what the folds keep the shares of."""
        return self.task.kind.labels.strata(list(labels_of(self.known)))

    @property
    def names(self) -> list[str]:
        """The labels' names as words, where they can be read as inputs are; else none."""
        labels = self.split.labels
        return [] if not labels or why_no_names(self.task, labels) else [describe_label(label) for label in labels]

    @cached_property
    def weights(self) -> np.ndarray | None:
        """``float32[n]``: by ``train.class_weight``; None where all count the same."""
        found = self._learned[1]
        return None if (found == 1).all() else found

    @cached_property
    def truth(self) -> Any:
        """What the metrics compare answers with."""
        return self.task.kind.judging.truth(list(labels_of(self.known)), self.split.space)

    @property
    def targets(self) -> np.ndarray:
        """As the head learns them: of soft labels the shares."""
        return self._learned[0]

    @cached_property
    def _learned(self) -> tuple[np.ndarray, np.ndarray]:
        from kft.train.weights import class_weights, weigh

        targets = learned_targets(self.known, self.task.kind, self.split.space)
        return weigh(targets, class_weights(self.spec.train, targets, len(self.split.labels)))

    @cached_property
    def rows_hash(self) -> str:
        """sha256 over the task, every row of train and valid, their order, and what no fold may part."""
        kind, known = self.task.kind, self.known
        together = range(len(known)) if self.together is None else self.together.tolist()
        space = self.split.space
        rows = [list(map(str, known.ids)), list(map(str, together))]
        facts = [self.task.name, rows, list(space.labels), space.mean, space.std]
        content = data_hash([known], kind.labels.written)
        return hashlib.sha256(f"{json.dumps(facts)}{content}".encode()).hexdigest()

    @cached_property
    def constant(self) -> Any:
        """The answers of who reads nothing."""
        judging, space = self.task.kind.judging, self.split.space
        shares = label_shares(self.known, self.task.kind, space)
        assert judging.constant is not None  # what searches is compared elsewhere
        return judging.constant(shares, space, len(self.known))


def choosable(split: Selection, spec: RecipeSpec) -> Selection:
    """Returns the data without the part of valid that a promise about errors is certified on: it may choose nothing."""
    return split.without(set_aside(spec, split))

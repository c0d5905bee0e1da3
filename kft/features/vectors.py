"""One vector an example from the frozen backbone: what audit, retrieval and drift look at, without any training.

They come from the very store that a training run's probe fills and reads, so whoever is first computes them for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kft.features.boundary import frozen_blocks, split_at_boundary
from kft.features.cache import features_root
from kft.features.inference import Tick
from kft.features.policy import plan_store, stored_dtype
from kft.features.reuse import take_features
from kft.features.store import NOBODY, FeatureProgress, Front, PassCost, compute_features, make_front, pass_cost, timed
from kft.feed.source import Column, Source, Vectors
from kft.model.backbones import Backbone
from kft.model.build import build_model
from kft.model.freeze import as_if, what_trains
from kft.recipe.schema import FeaturesSpec, ModelSpec


def pooled_vectors(
    backbone: Backbone,
    sources: Mapping[str, Source],
    model: ModelSpec,
    features: FeaturesSpec,
    *,
    note: Callable[[str], None] = lambda line: None,
    tick: Tick = lambda count: None,
) -> dict[str, np.ndarray]:
    """Returns one vector an example: the backbone's pooled output, as a frozen head of the recipe would see it.

    Adapters and augmentation play no part. A pooling that has weights of its own (``attention``) has learned nothing
    yet: the backbone's own takes its place.

    Args:
        backbone: From ``load_backbone``; left as it is.
        sources: Examples by the name of their split, from ``Reader.read``.
        model: The recipe's part on the model: pooling and image size decide the numbers.
        features: The recipe's part on the store: where it is off or too small, the vectors are kept in memory alone.
        note: Told whether they are stored.
        tick: Called with the number of examples finished.

    Returns:
        Name of the split to ``float32[n, width]``.

    Raises:
        StorageError: The disk is full or cannot be written.

    Example:
        >>> import kft
        >>> reader = make_reader(TASKS.get("text-classification"), backbone, ModelSpec())  # doctest: +SKIP
        >>> sources = {"train": reader.read(["Where is my card?"]).source}  # doctest: +SKIP
        >>> pooled_vectors(backbone, sources, ModelSpec(), FeaturesSpec())["train"].shape  # doctest: +SKIP
        (1, 384)
    """
    return pool(backbone, sources, model, features, FeatureProgress(tick, note)).vectors


@dataclass(frozen=True)
class Pooled:
    """Vectors, and what they cost.

    Attributes:
        vectors: Name of the split to ``float32[n, width]``.
        present: How many examples the store held already.
        cost: What all of them take where none is stored, by the largest pass that was timed; None where none was.
    """

    vectors: dict[str, np.ndarray]
    present: int
    cost: PassCost | None


def pool(
    backbone: Backbone,
    sources: Mapping[str, Source],
    model: ModelSpec,
    features: FeaturesSpec,
    watch: FeatureProgress = NOBODY,
) -> Pooled:
    """Does what ``pooled_vectors`` does, and says what it took."""
    front, blocks = _pooled_front(backbone, model, {}, features.precision)
    found = frozen_pass((front, blocks), list(sources.values()), features, backbone.name, watch)
    vectors = {name: _whole(part) for name, part in zip(sources, found.sources, strict=True)}
    return Pooled(vectors, found.present, found.cost)


@dataclass(frozen=True)
class Passed:
    """Features of frozen blocks, and what they cost.

    Attributes:
        sources: The features.
        present: How many examples the store held already.
        cost: As that of ``Pooled``.
    """

    sources: list[Source]
    present: int
    cost: PassCost | None


def frozen_pass(
    cut: tuple[Front, Sequence[str]],
    sources: Sequence[Source],
    features: FeaturesSpec,
    name: str,
    watch: FeatureProgress,
) -> Passed:
    """Computes features, or takes them from the store, and says what that takes.

    Args:
        cut: The front, and the numbered blocks that lie whole below it.
        sources: Examples, from ``Reader.read``.
        features: The recipe's part on features.
        name: Of the backbone, for whoever lists what is stored.
        watch: Told what is stored, and how the work goes on.
    """
    front, blocks = cut
    taken, root = [source.select(front.inputs) for source in sources], features_root()
    planned = plan_store(front, taken, blocks, features, root)
    watch.note(f"features   {planned}")
    tokens = sum(int(source.lengths.sum()) for source in taken)
    took: list[PassCost] = []
    with timed(tokens, took.append):
        found = take_features(front, taken, planned, features, {"model": name, "phase": "audit"}, watch)
    known = pass_cost(front, root, stored_dtype(features)) if planned.store else took[0]
    return Passed(found, planned.present, known.scaled(tokens) if known else None)


def vectors_with(backbone: Backbone, source: Source, model: ModelSpec, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns what ``pooled_vectors`` does, ``float32[n, width]``, of a backbone with other weights; kept nowhere.

    Args:
        backbone: From ``load_backbone``; left as it is.
        source: Examples, from ``Reader.read``.
        model: The recipe's part on the model.
        weights: By their paths; those that are left out are the backbone's own.
    """
    front, _ = _pooled_front(backbone, model, weights)
    return _whole(compute_features(front, source))


def _pooled_front(
    backbone: Backbone, model: ModelSpec, weights: Mapping[str, np.ndarray], precision: str = "float32"
) -> tuple[Front, Sequence[str]]:
    head = build_model(
        backbone, classes=2, spec=model.without_learned_pooling
    )  # its width lies above the boundary: any will do
    with as_if(head, what_trains(head, "none")):
        split = split_at_boundary(head)
        return make_front(split, weights, precision), frozen_blocks(head, split)


def _whole(found: Source) -> np.ndarray:
    (column,) = found.columns.values()
    return as_array(column, len(found))


def as_array(column: Column, rows: int) -> np.ndarray:
    """Returns ``float32[rows, width]``: a column of vectors, whole in memory."""
    assert isinstance(column, Vectors)
    pieces = list(column.chunks())
    vectors = np.empty((rows, pieces[0][1].shape[1] if pieces else 0), np.float32)
    for places, values in pieces:
        vectors[places] = values
    return vectors

"""One vector an example from the frozen backbone: what audit, retrieval and drift look at, without any training.

They come from the very store that a training run's probe fills and reads, so whoever is first computes them for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from kft.data.source import Source, Vectors
from kft.features.boundary import frozen_blocks, split_at_boundary
from kft.features.cache import features_root
from kft.features.inference import Tick
from kft.features.policy import make_room, plan_store, stored_dtype
from kft.features.store import compute_features, make_front, store_features
from kft.model.backbones import Backbone
from kft.model.build import build_model
from kft.model.freeze import freeze
from kft.recipe.schema import FeaturesSpec, ModelSpec


def pooled_vectors(
    backbone: Backbone,
    sources: Mapping[str, Source],
    model: ModelSpec,
    features: FeaturesSpec,
    *,
    note: Callable[[str], None] = lambda line: None,
    tick: Tick | None = None,
) -> dict[str, np.ndarray]:
    """Returns one vector an example: the backbone's pooled output, as a frozen head of the recipe would see it.

    Adapters and augmentation play no part. A pooling that has weights of its own (``attention``) has learned nothing
    yet: the backbone's own takes its place.

    Args:
        backbone: From ``load_backbone``; what trains in it is set to nothing.
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
    pooling = "auto" if model.pooling == "attention" else model.pooling
    # The head's width lies above the boundary: any will do.
    head = build_model(backbone, classes=2, pooling=pooling, image_size=model.image.size)
    freeze(head, "none")
    split = split_at_boundary(head)
    front, root, dtype = make_front(split), features_root(), stored_dtype(features)
    taken = {name: source.select(front.inputs) for name, source in sources.items()}
    planned = plan_store(front, list(taken.values()), frozen_blocks(head, split), features, root)
    note(f"features   {planned}")
    if planned.store:
        make_room(planned, front, features, root)
        about = {"model": backbone.name, "boundary": list(front.tensors), "phase": "audit"}

        def computed(source: Source) -> Source:
            return store_features(front, source, root, dtype=dtype, about=about, tick=tick)
    else:

        def computed(source: Source) -> Source:
            return compute_features(front, source, tick)

    return {name: _as_array(computed(source), len(source)) for name, source in taken.items()}


def _as_array(found: Source, rows: int) -> np.ndarray:
    (column,) = found.columns.values()
    assert isinstance(column, Vectors)
    pieces = list(column.chunks())
    vectors = np.empty((rows, pieces[0][1].shape[1] if pieces else 0), np.float32)
    for places, values in pieces:
        vectors[places] = values
    return vectors

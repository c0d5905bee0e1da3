"""Features of frozen blocks for whoever wants them: from the store where it pays, else computed in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kft.features.cache import features_root
from kft.features.inference import Tick
from kft.features.policy import make_room, plan_store, stored_dtype
from kft.features.store import Front, compute_features, store_features
from kft.feed.source import Source
from kft.recipe.schema import FeaturesSpec


def reuse_features(
    front: Front,
    sources: Sequence[Source],
    frozen_blocks: Sequence[str],
    spec: FeaturesSpec,
    *,
    about: Mapping[str, Any],
    note: Callable[[str], None] = lambda line: None,
    tick: Tick | None = None,
) -> list[Source]:
    """Returns examples as the boundary tensors of a split model; what was ever computed for one is not computed again.

    Args:
        front: From ``make_front``.
        sources: Examples, as the model's own inputs.
        frozen_blocks: The numbered blocks that lie whole below the boundary.
        spec: The recipe's part on features.
        about: What ``kft cache list`` shows of the store.
        note: Told whether they are stored.
        tick: Called with the number of examples finished.

    Raises:
        StorageError: The disk is full or cannot be written.
    """
    root = features_root()
    taken = [source.select(front.inputs) for source in sources]
    planned = plan_store(front, taken, frozen_blocks, spec, root)
    note(f"features   {planned}")
    if not planned.store:
        return [compute_features(front, source, tick) for source in taken]
    make_room(planned, front, spec, root)
    about = {**about, "boundary": list(front.tensors)}
    return [store_features(front, source, root, dtype=stored_dtype(spec), about=about, tick=tick) for source in taken]

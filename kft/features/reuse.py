"""Features of frozen blocks for whoever wants them: from the store where it pays, else computed in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kft.features.cache import features_root
from kft.features.policy import StorePlan, make_room, plan_store, stored_dtype
from kft.features.store import NOBODY, FeatureProgress, Front, compute_features, store_features
from kft.feed.source import Source
from kft.recipe.schema import FeaturesSpec


def reuse_features(
    front: Front,
    sources: Sequence[Source],
    blocks: Sequence[str],
    spec: FeaturesSpec,
    *,
    about: Mapping[str, Any],
) -> list[Source]:
    """Returns examples as the boundary tensors of a split model; what was ever computed for one is not computed again.

    Args:
        front: From ``make_front``.
        sources: Examples, as the model's own inputs.
        blocks: The numbered blocks that lie whole below the boundary.
        spec: The recipe's part on features.
        about: What ``kft cache list`` shows of the store.

    Raises:
        StorageError: The disk is full or cannot be written.
    """
    planned = plan_store(front, sources, blocks, spec, features_root())
    return take_features(front, sources, planned, spec, about, NOBODY)


def take_features(
    front: Front,
    sources: Sequence[Source],
    planned: StorePlan,
    spec: FeaturesSpec,
    about: Mapping[str, Any],
    watch: FeatureProgress,
) -> list[Source]:
    """Does as planned: computes what the store lacks, or all of it, in memory; see ``reuse_features``."""
    if not planned.store:
        return [compute_features(front, source, watch.tick) for source in sources]
    root, dtype = features_root(), stored_dtype(spec)
    make_room(planned, front, spec, root)
    about = {**about, "boundary": list(front.tensors)}
    return [store_features(front, source, root, dtype=dtype, about=about, watch=watch) for source in sources]

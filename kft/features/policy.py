"""Whether the features of a phase are stored or recomputed: a rule of sizes, printed, never of clocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kft.features.boundary import SplitModel, frozen_blocks
from kft.features.cache import features_root, list_stores, prune
from kft.features.store import Front, feature_bytes, make_front, store_folder, stored_rows
from kft.feed.source import Source
from kft.recipe.durations import format_size, parse_size
from kft.recipe.schema import FeaturesSpec
from kft.records.files import free_bytes

if TYPE_CHECKING:
    import keras

SPARE_BYTES = 2**30
"""What a store leaves free on its disk."""


@dataclass(frozen=True)
class StorePlan:
    """What will happen to the features of one phase.

    Attributes:
        store: Whether they are stored; else the frozen blocks run again for every batch.
        bytes: What all of them take.
        present: Examples the store holds already.
        examples: Examples in all.
        why: The reason, as a person reads it.
        precision: What the frozen blocks are computed in.
    """

    store: bool
    bytes: int
    present: int
    examples: int
    why: str
    precision: str = "float32"

    def __str__(self) -> str:
        how = "" if self.precision == "float32" else f", in {self.precision}"
        if not self.store:
            return f"recomputed{how}: {self.why}"
        text = f"stored {self.why}{how}: {format_size(self.bytes)}"
        return text + (f"; {self.present:,} of {self.examples:,} examples are stored already" if self.present else "")


def decide(
    model: keras.Model, split: SplitModel, sources: Sequence[Source], spec: FeaturesSpec
) -> tuple[StorePlan, Front | None]:
    """Says whether what lies below a model's boundary is stored.

    Args:
        model: What was split.
        split: Its two halves.
        sources: Examples, as the model's own inputs.
        spec: The recipe's part on features.

    Returns:
        The decision, and what computes the features; None where nothing lies below the boundary.
    """
    if set(split.names) == {tensor.name for tensor in split.front.inputs}:
        return StorePlan(False, 0, 0, sum(map(len, sources)), why_none(model)), None
    front = make_front(split, precision=spec.precision)
    return plan_store(front, sources, frozen_blocks(model, split), spec, features_root()), front


def why_none(model: keras.Model) -> str:
    """Says why nothing can be stored where the front of a model is empty."""
    if any(layer.name.endswith("_augment") and layer.trainable for layer in model.layers):
        return "images are changed at random, so that none is seen twice"
    return "all of the model trains"


def plan_store(
    front: Front, sources: Sequence[Source], blocks: Sequence[str], spec: FeaturesSpec, root: Path
) -> StorePlan:
    """Decides by the rule: a whole block lies below the boundary, and its features fit.

    They fit when they are within ``cache_limit`` (older stores go to make room) and 1 GiB of the disk stays free.

    Args:
        front: The frozen part.
        sources: The splits whose features are wanted.
        blocks: The numbered blocks that lie whole below the boundary.
        spec: The recipe's part on features.
        root: The folder of all stores.
    """
    dtype = stored_dtype(spec)
    size = sum(feature_bytes(front, source, dtype) for source in sources)
    examples = sum(len(source) for source in sources)

    def plan(store: bool, why: str, present: int = 0) -> StorePlan:
        return StorePlan(store, size, present, examples, why, spec.precision)

    if spec.store == "off":
        return plan(False, "the recipe says features.store: off")
    if not blocks:
        return plan(False, "no whole block lies below what trains")
    present = sum(stored_rows(front, source, root, dtype) for source in sources)
    new_bytes = size * (examples - present) // max(1, examples)
    limit = parse_size(spec.cache_limit)
    if size > limit:
        return plan(False, f"{format_size(size)} exceed features.cache_limit, {spec.cache_limit}")
    if new_bytes > free_bytes(root) - SPARE_BYTES:
        return plan(False, f"{format_size(new_bytes)} do not fit on the disk and leave {format_size(SPARE_BYTES)} free")
    return plan(True, f"after {blocks[-1]}", present)


def make_room(plan: StorePlan, front: Front, spec: FeaturesSpec, root: Path) -> int:
    """Removes the stores used longest ago until the new features fit within the limit; returns how many."""
    limit, folder = parse_size(spec.cache_limit), store_folder(front, root, stored_dtype(spec))
    new_bytes = plan.bytes * (plan.examples - plan.present) // max(1, plan.examples)
    stores = list_stores(root)
    own = sum(store.bytes for store in stores if store.folder == folder)
    if own + new_bytes > limit:  # other data's examples fill this very store: start it anew
        return len(prune(stores, 0, only=folder)) + len(prune(list_stores(root), limit - plan.bytes))
    return len(prune(stores, limit - new_bytes, keep=folder))


def stored_dtype(spec: FeaturesSpec) -> str | None:
    """Returns the type features are stored in; None for the model's own."""
    return None if spec.dtype == "own" else spec.dtype

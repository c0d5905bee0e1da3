"""From a recipe, its data and a backbone to what the checks look at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kft.audit.view import AuditView
from kft.features.folds import out_of_fold
from kft.features.vectors import pooled_vectors
from kft.model.backbones import Backbone
from kft.model.encode import Encoded, Reader, beside, make_reader
from kft.recipe.schema import RecipeSpec
from kft.split.assign import SPLITS
from kft.split.data_split import DataSplit
from kft.split.labels import read_with_labels
from kft.split.near import groups_of, join_groups
from kft.tasks.registry import TASKS
from kft.train.lengths import require_positions
from kft.train.progress import Progress


def prepare_view(
    spec: RecipeSpec, split: DataSplit, backbone: Backbone, progress: Progress, *, features: bool = True
) -> AuditView:
    """Reads the inputs, computes their vectors once for the audit and for training, and the out-of-fold answers.

    Args:
        spec: The recipe.
        split: Its data.
        backbone: Its backbone, from ``load_for``; frozen here.
        progress: Told what is done.
        features: Whether vectors are wanted; without them texts are tokenized and images are left alone.

    Raises:
        ModelError: A text has more tokens than the backbone has positions.
        DataError: An image cannot be decoded.
        StorageError: The disk is full or cannot be written.
    """
    task = TASKS.get(spec.task)
    if not features and task.reads.files:
        return AuditView(split, task, spec)
    reader = make_reader(task, backbone, spec.model)
    read = _read(reader, split, progress)
    sources = {name: encoded.source for name, encoded in read.items()}
    tokens = {
        name: beside(encoded.lengths[:, None], task).max(axis=1)  # of two sides the longer
        for name, encoded in read.items()
        if encoded.lengths is not None
    }
    about: dict[str, Any] = {
        "offsets": {name: encoded.offsets for name, encoded in read.items() if encoded.offsets is not None},
        "lost": {name: encoded.lost for name, encoded in read.items() if encoded.lost is not None},
        "most_tokens": backbone.max_tokens,
        "image_side": 0 if reader.sizing is None else min(reader.sizing.height, reader.sizing.width),
    }
    if not features:
        return AuditView(split, task, spec, tokens, **about)
    if not task.reads.files:
        require_positions(np.concatenate([source.pieces for source in sources.values()]), backbone)
    with progress.task("frozen blocks, once", sum(map(len, sources.values()))) as tick:
        vectors = pooled_vectors(backbone, sources, spec.model, spec.features, note=progress.note, tick=tick)
    vectors = {name: beside(found, task) for name, found in vectors.items()}
    view = AuditView(split, task, spec, tokens, vectors, **about)
    if view.targets is None:
        return view
    # A copy in another fold would vouch for its own label.
    copies = groups_of(view.copies.pairs, len(view.all))[: len(view.known)]
    classes, groups = len(split.labels), join_groups(view.known.groups, copies)
    learned = view.targets if view.shares is None else view.shares
    found = out_of_fold(view.known_features, learned, classes, groups, seed=spec.seed)
    whole = replace(view, out_of_fold=found.probabilities, strength=found.strength)
    whole.__dict__["copies"] = view.copies  # found already: they take long
    return whole


def _read(reader: Reader, split: DataSplit, progress: Progress) -> dict[str, Encoded]:
    """Returns each split as the backbone takes it."""
    images = reader.task.reads.files
    rows = sum(len(split.part(name)) for name in SPLITS)
    with progress.task("decoding images, once" if images else "tokenizing", rows) as tick:
        given = {name: read_with_labels(split.part(name), split.kind) for name in SPLITS}
        return {
            name: reader.read(inputs, keep=images, tick=tick, report=progress.note) for name, inputs in given.items()
        }

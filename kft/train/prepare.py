"""From a recipe, a split and a backbone to what the loop takes: the phases, and both splits as the model reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kft.data.corpus import Corpus
from kft.data.examples import Examples
from kft.errors import ModelError, RecipeError
from kft.features.boundary import split_at_boundary
from kft.features.store import make_front
from kft.features.vectors import pooled_vectors
from kft.feed.source import Source
from kft.model.backbones import Backbone
from kft.model.blocks import find_blocks
from kft.model.build import build_for
from kft.model.encode import Encoded, make_reader
from kft.model.freeze import as_if, what_trains_in
from kft.model.masked import describe_head
from kft.model.trained_prompts import known_prompts
from kft.recipe.evaluation import ThresholdSpec
from kft.recipe.pairs import PromptsSpec
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import ADAPTED, MASKED, PAIRED, SCRATCH, PhaseSpec, default_phases
from kft.registry import nearest
from kft.replicas import needs_static_shapes
from kft.split.data_split import Selection, labels_of
from kft.split.holdout import set_aside
from kft.split.labels import read_with_labels, require_choices
from kft.split.near import groups_of, join_groups
from kft.split.together import find_copies
from kft.tasks.label_names import describe_label, why_no_names
from kft.tasks.registry import TASKS
from kft.train.callbacks import make_callbacks
from kft.train.execution import require_compilable
from kft.train.job import Labelled, TrainData
from kft.train.lengths import require_positions, show_lengths, show_lost, show_rewritten
from kft.train.objectives import objective_of
from kft.train.optimizer import find_optimizer
from kft.train.paired_rows import ChosenPairs, choose, mine_negatives, pair_up
from kft.train.phases import is_tuned, resolve_phases
from kft.train.progress import Progress
from kft.train.refit import require_repeatable
from kft.train.weights import class_weights, weigh


@dataclass(frozen=True)
class Prepared:
    """All that comes before training; what plans, trains, compares and checks begins with it.

    Attributes:
        spec: The recipe.
        split: Its data, without the test split.
        backbone: Whose weights the model has.
        model: With a new head.
        phases: That will run, defaults filled in.
        progress: Shows what goes on.
    """

    spec: RecipeSpec
    split: Selection
    backbone: Backbone
    model: keras.Model
    phases: tuple[PhaseSpec, ...]
    progress: Progress

    @cached_property
    def data(self) -> TrainData:
        """Both splits as the model takes them: read when first asked for; see ``read_data``."""
        found = read_data(self.spec, self.split, self.backbone, self.progress)
        blends = any(phase.solver == "blend" for phase in self.phases)
        if blends or any(phase.objective.names for phase in self.phases):
            found = replace(found, names=_read_names(self.spec, self.split, self.backbone))
        if any(phase.unlabelled for phase in self.phases):
            found = replace(found, unlabelled=_read_unlabelled(found, self.split, self.spec, self.backbone))
        return replace(found, together=_kept_together(self.spec, self.split)) if blends else found

    def read(self) -> TrainData:
        """Reads both splits now, where what is wrong with them should be told early; see ``read_data``.

        Raises:
            TrainingError: An objective cannot learn from them.
        """
        for phase in self.phases:
            objective = objective_of(phase, self.split.kind)
            objective.deal(objective.data(self.data, phase), phase, self.spec)
        return self.data


def prepare(spec: RecipeSpec, split: Selection, backbone: Backbone, progress: Progress) -> Prepared:
    """Builds the model that a recipe asks for and plans its phases.

    Raises:
        ModelError: The backbone reads other inputs than the task has, or a freeze rule does not fit the model.
        RecipeError: A callback or the optimizer is unknown or does not take its arguments, a head cannot be solved, or
            a precision is asked for a label that no example has.
    """
    known = known_prompts(spec.model.backbone)
    if split.kind.embeds and spec.model.prompts == PromptsSpec() != known:
        progress.note(
            f"warning    {backbone.name} was trained with {known.query!r} and {known.document!r} before texts, and the "
            f"recipe puts nothing there; --set 'model.prompts={known.model_dump()}' does"
        )
    model = build_for(spec, TASKS.get(spec.task), split.space, backbone)
    if split.kind.masks:
        progress.note(f"head       {describe_head(model)}")
    return Prepared(spec, split, backbone, model, _plan_phases(spec, split, backbone, model), progress)


def _plan_phases(spec: RecipeSpec, split: Selection, backbone: Backbone, model: keras.Model) -> tuple[PhaseSpec, ...]:
    require_label(spec.evaluate.threshold, split.labels)
    callbacks = make_callbacks(spec.train.callbacks, Path())  # refuses a wrong one before anything is spent
    if spec.train.refit:
        require_repeatable(callbacks)
    find_optimizer(spec.train.optimizer, 1.0)  # likewise
    blocks = find_blocks(model)
    solvable = len([v for layer in blocks[-1].layers for v in layer.trainable_variables]) == 2
    defaults: tuple[PhaseSpec, ...] = (SCRATCH,)
    if spec.model.weights == "pretrained":
        rows_per_class = len(split.train) / max(1, len(split.labels))
        numbered = sum(block.name.startswith("block_") for block in blocks)
        # A teacher may have learned from the very labels: no answer to them would be out of fold.
        blends = solvable and spec.train.teacher is None
        own = split.unlabelled is not None and spec.train.teacher is None
        defaults = default_phases(rows_per_class=rows_per_class, blocks=numbered, blends=blends, unlabelled=own)
        if split.kind.embeds:
            defaults = PAIRED
        if split.kind.writes:
            defaults = ADAPTED
        if split.kind.masks:
            defaults = MASKED
        if spec.features.in_int8:  # what is computed in int8 stays frozen
            defaults = tuple(phase for phase in defaults if not is_tuned(defaults, phase.name))
    phases = resolve_phases(spec.train, defaults, learning_rate=backbone.learning_rate, solvable=solvable)
    for phase in phases:
        if phase.solved and not solvable:
            raise RecipeError(
                "this head cannot be solved: it has weights beside its last layer",
                where=f"phase {phase.name}, solver",
                received=f"{phase.solver}, with model.pooling {spec.model.pooling}",
                expected="solver: adamw, with epochs; or another pooling",
                next_step="--set model.pooling=mean",
            )
        with as_if(model, what_trains_in(model, phase)):
            _require_gradients(model, phase)
            if not phase.solved:
                require_compilable(spec.train, model, phase, split.kind)
            if spec.features.in_int8:
                _require_int8(model)
    return phases


def _require_int8(model: keras.Model) -> None:
    """Refuses what cannot be computed in int8; what is converted here serves all phases, and the answers."""
    front = make_front(split_at_boundary(model), precision="int8")
    kinds = {tensor.name: tensor.dtype for tensor in model.inputs}
    front.inference(tuple(np.zeros((1, 8), kinds[name]) for name in front.inputs))


def _require_gradients(model: keras.Model, phase: PhaseSpec) -> None:
    """Refuses what TensorFlow cannot differentiate on a CPU, before hours of features are computed."""
    if tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"):
        return
    below = {id(layer) for layer in split_at_boundary(model).front.layers}
    for outer in (layer for layer in model.layers if id(layer) not in below):
        for layer in outer._flatten_layers():
            if isinstance(layer, keras.layers.Conv2D) and layer.groups > 1:
                raise ModelError(
                    "TensorFlow cannot train grouped convolutions on a CPU",
                    where=f"phase {phase.name}, unfreeze: {phase.unfreeze}",
                    received=f"{layer.path}, {layer.groups} groups",
                    expected="a GPU, a rule that keeps this layer frozen with all below it, or another backbone",
                    next_step="--devices says what is there: kft doctor; or unfreeze: none",
                )


def read_data(spec: RecipeSpec, split: Selection, backbone: Backbone, progress: Progress) -> TrainData:
    """Turns the train and valid splits into what the model takes, once; says how long texts are and what was cut.

    Of valid it takes what choices may look at: see ``set_aside``.

    Raises:
        ModelError: A text has more tokens than the backbone has positions.
        DataError: An image cannot be decoded, or valid is too small to set half of it aside.
    """
    if split.corpus is not None:
        return _read_pairs(spec, split, backbone, progress)
    task = TASKS.get(spec.task)
    reader = make_reader(task, backbone, spec.model)
    held = set_aside(spec, split)
    if held.any():
        progress.note(
            f"set aside  {held.sum():,} of {len(held):,} valid examples, for what is promised: no choice sees them"
        )
    split = split.without(held)
    if task.reads.files:
        with progress.task("decoding images, once", len(split.train) + len(split.valid)) as tick:
            train, valid = (
                reader.read(part.inputs, keep=True, tick=tick, report=progress.note)
                for part in (split.train, split.valid)
            )
    else:
        require_choices({"train": split.train, "valid": split.valid}, spec.model.choices)
        train, valid = (reader.read(read_with_labels(part, split.kind)) for part in (split.train, split.valid))
        if needs_static_shapes(tf.distribute.get_strategy()):
            train, valid = _alike(train, valid)
        show_lengths(train, valid, spec, backbone, progress)
        show_rewritten(reader.writing, split, progress)
    first = _labelled(split, split.train, train)
    second = _labelled(split, split.valid, valid)
    if task.reads.apart:  # both rows of a pair have its score
        first = replace(first, targets=np.concatenate([first.targets, first.targets]))
        progress.note(f"pairs      {len(split.train):,}, {spec.train.batch_size // 2} a batch")
    show_lost([(split.train, first), (split.valid, second)], split, progress)
    of_class = class_weights(spec.train, first.learned, len(split.labels))
    learned, weights = weigh(first.learned, of_class)
    if first.shares is not None:
        first = replace(first, shares=learned)
    return TrainData(first, second, split.kind, split.space, weights, of_class)


def _read_pairs(spec: RecipeSpec, split: Selection, backbone: Backbone, progress: Progress) -> TrainData:
    """Turns queries and documents into what the model takes; see ``kft.train.paired_rows``."""
    corpus = split.corpus
    assert corpus is not None
    reader = make_reader(TASKS.get(spec.task), backbone, spec.model)
    chosen = choose(split.train, split.valid, corpus, spec.data.split_seed)
    queries = reader.read(split.train.inputs)

    def documents(keys: np.ndarray) -> Encoded:
        return reader.of_documents().read([corpus.texts[key] for key in keys])

    asked = spec.train.pairs
    negatives = _negatives(split, corpus, chosen)
    if asked.hard_negatives:
        keys = np.unique(corpus.keys)
        sources = {"queries": queries.source, "documents": documents(keys).source}
        progress.note(f"negatives  {asked.hard_negatives} a pair, near to the query by the frozen backbone")
        found = pooled_vectors(backbone, sources, spec.model, spec.features, note=progress.note)
        mined = mine_negatives(found["queries"], found["documents"], keys, chosen, asked.hard_negatives)
        negatives = np.concatenate([negatives, mined], axis=1)
    rows, keys = pair_up(chosen, negatives, asked)
    known, candidates = documents(keys), documents(chosen.candidates)
    asking = reader.read(split.valid.inputs)
    train = Encoded(queries.source.chosen(chosen.queries).joined(known.source), queries.cut + known.cut)
    valid = Encoded(asking.source.joined(candidates.source), asking.cut + candidates.cut)
    if needs_static_shapes(tf.distribute.get_strategy()):
        train, valid = _alike(train, valid)
    show_lengths(train, valid, spec, backbone, progress)
    progress.note(
        f"pairs      {len(chosen.pairs):,}, {spec.train.batch_size // rows.texts_a_pair} a batch of "
        f"{spec.train.batch_size} texts; valid queries are answered with {len(chosen.candidates):,} documents"
    )
    counts = np.array([len(each) for each in chosen.wanted], np.int64)
    return TrainData(
        Labelled(train.source, rows.targets, None),
        Labelled(valid.source, counts, counts, groups=split.valid.groups),
        split.kind,
        split.space,
        np.ones(len(train.source), np.float32),
        pairs=rows,
    )


def _negatives(split: Selection, corpus: Corpus, chosen: ChosenPairs) -> np.ndarray:
    """Returns ``int64[pairs, most of a query]``: keys of the documents that the data's own column names; -1: none."""
    named = [()] * len(split.train) if split.train.negatives is None else split.train.negatives
    keys = np.full((len(named), max(map(len, named), default=0)), -1, np.int64)
    for row, names in enumerate(named):
        known = corpus.keys_of(name for name in names if name in corpus.places)
        keys[row, : len(known)] = known
    return keys[chosen.queries]


def require_label(spec: ThresholdSpec | None, labels: Sequence[str]) -> None:
    """Refuses a precision for a label that the data do not have, before anything is trained.

    Raises:
        RecipeError: They do not.

    Example:
        >>> require_label(ThresholdSpec(precision=0.9, label="spam"), ("ham", "spam"))
    """
    if spec is None or spec.label is None or spec.label in labels:
        return
    hint = nearest(spec.label, labels)
    raise RecipeError(
        f"no example has the label {spec.label!r}" + (f"; did you mean {hint}?" if hint else ""),
        where="evaluate.threshold.label",
        received=spec.label,
        expected="one of " + ", ".join(labels[:10]) + (" ..." if len(labels) > 10 else ""),
    )


def _alike(train: Encoded, valid: Encoded) -> tuple[Encoded, Encoded]:
    """Gives both splits the same few padded lengths, so that what is traced for one serves the other."""
    first, second = train.source.with_edges(valid.source), valid.source.with_edges(train.source)
    return replace(train, source=first), replace(valid, source=second)


def _labelled(split: Selection, examples: Examples, encoded: Encoded) -> Labelled:
    labels = list(labels_of(examples))
    targets = split.kind.learning.targets(labels, split.space, encoded.offsets)
    truth = split.kind.judging.truth(labels, split.space)
    shares = None if examples.shares is None else examples.shares.of(split.space.labels)
    return Labelled(encoded.source, targets, truth, encoded.offsets, examples.groups, shares)


def _read_names(spec: RecipeSpec, split: Selection, backbone: Backbone) -> Source | None:
    """Returns the labels' names as examples; None where they say nothing."""
    task = TASKS.get(spec.task)
    if why_no_names(task, split.labels) or not split.labels:
        return None
    return make_reader(task, backbone, spec.model).read([describe_label(label) for label in split.labels]).source


def _read_unlabelled(data: TrainData, split: Selection, spec: RecipeSpec, backbone: Backbone) -> Source:
    """Returns the rows without labels as the model takes them; of the few padded lengths that train has, if any."""
    assert split.unlabelled is not None  # the recipe names some
    source = make_reader(TASKS.get(spec.task), backbone, spec.model).read(split.unlabelled.inputs, keep=True).source
    if not backbone.max_tokens:
        return source
    require_positions(source.pieces, backbone)
    train = data.train.source
    more = (source.with_edges().longest,) if train.edges and source.longest > train.longest else ()
    return replace(source, edges=(*train.edges, *more))


def _kept_together(spec: RecipeSpec, split: Selection) -> np.ndarray | None:
    """Returns which rows of train and valid no fold may part: those of a group, and near-copies."""
    split = split.without(set_aside(spec, split))
    parts = (split.train, split.valid)
    inputs = [given for part in parts for given in part.inputs]
    found = split.copies or find_copies(inputs, np.arange(len(inputs)) < len(split.train))
    copies = groups_of(found.pairs, len(inputs)) if found.pairs.first.size else None
    groups = [part.groups for part in parts]
    own = None if any(each is None for each in groups) else np.concatenate([each.astype(str) for each in groups])  # type: ignore[union-attr]
    return join_groups(own, copies)

"""Which backbone: each one's frozen features answer every example of train and valid out of fold."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kft import runtime
from kft.compare.choosing_words import answer_words, token_pass
from kft.compare.grounds import BackboneCandidate, Grounds
from kft.compare.kept import Kept, identity_of, keep, read_kept
from kft.compare.token_facts import flags_of, token_facts
from kft.errors import AssetError, ModelError, UsageError
from kft.features.views.blend import ANCHOR, Folding, families, fit_blend
from kft.features.views.view import Goal, Lesson, ViewInput
from kft.model.card import Card
from kft.model.files import backbone_files
from kft.model.sources import fetch_backbone
from kft.recipe.schema import RecipeSpec
from kft.records.choose import BackboneCost, TokenFacts
from kft.records.estimate import figure
from kft.tasks.task import Task

if TYPE_CHECKING:
    from kft.features.vectors import Pooled
    from kft.model.backbones import Backbone
    from kft.model.encode import Encoded

PROBE, BLEND = "probe", "blend"
KNOWN, NAMES = "known", "names"
"""What a backbone reads: the examples, and the names of the labels where they say something."""


@dataclass(frozen=True)
class Measured:
    """What one backbone came to.

    Attributes:
        candidate: Which.
        answers: Out of fold, to every example, by approach.
        chosen: What was chosen for them, by approach.
        cost: What it took.
        tokens: How it reads the texts; None for images.
        weights_hash: sha256 of what was loaded.
        about: Its languages and licence.
    """

    candidate: BackboneCandidate
    answers: Mapping[str, Any]
    chosen: Mapping[str, Any]
    cost: BackboneCost
    tokens: TokenFacts | None
    weights_hash: str
    about: Card = field(default_factory=Card)

    @property
    def flags(self) -> tuple[str, ...]:
        """What is wrong with it on these data; of random weights nothing else is expected."""
        if self.tokens is None:
            return ()
        facts = replace(self.tokens, related=None) if self.candidate.random else self.tokens
        return tuple(flags_of(facts))


def measure_all(
    candidates: Sequence[BackboneCandidate], grounds: Grounds
) -> tuple[list[Measured], list[tuple[BackboneCandidate, str]]]:
    """Measures one backbone after the other; one that cannot be had or used does not stop the others.

    Returns:
        Those that were measured; those that were not, and why.

    Raises:
        UsageError: None could be measured.
        DataError: An image cannot be decoded.
        StorageError: The disk is full or cannot be written.
    """
    measured: list[Measured] = []
    skipped: list[tuple[BackboneCandidate, str]] = []
    for candidate in candidates:
        grounds.progress.note(f"\nbackbone   {candidate.name}")
        try:
            _require_medium(candidate, grounds.task)
            measured.append(measure(candidate, grounds))
        except (ModelError, AssetError, UsageError) as error:
            received = "" if error.received is None or error.received in error.problem else f": {error.received}"
            skipped.append((candidate, f"{error.problem}{received}"))
            grounds.progress.note(f"{'':<10} skipped: {skipped[-1][1]}")
    if not measured:
        raise UsageError(
            "none of these backbones can be measured",
            where="--backbones",
            received="; ".join(f"{candidate.name}: {why}" for candidate, why in skipped),
            expected=f"at least one that reads {grounds.task.reads.medium}s and can be had",
            next_step=f"kft models --modality {grounds.task.reads.medium}",
        )
    return measured, skipped


def measure(candidate: BackboneCandidate, grounds: Grounds) -> Measured:
    """Answers all examples out of fold by a backbone's frozen features, or takes what an earlier call has kept.

    Raises:
        ModelError: It cannot be loaded, or reads other inputs than the task has.
        AssetError: It cannot be fetched.
        UsageError: The recipe's pooling does not fit it.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    spec, ids = spec_for(candidate, grounds.spec), list(grounds.known.ids)
    path = fetch_backbone(candidate.backbone, grounds.progress.note)
    identity = identity_of(
        files=backbone_files(path).hash,
        model=spec.model.model_dump(exclude={"backbone"}),
        train=[spec.train.precision, spec.train.class_weight],
        dtype=[spec.features.dtype, spec.features.precision],
        seed=spec.seed,
        rows=grounds.rows_hash,
        versions=runtime.versions(),
    )
    # Spans are cheap to find again from stored features.
    stores = spec.features.store != "off" and not grounds.task.kind.learning.per_token
    found = read_kept(identity, ids) if stores else None
    before = found is not None
    if found is None:
        found = grounds.compute(lambda: _compute(candidate, spec, grounds))
        if stores:
            keep(identity, ids, candidate.name, found)
    cost = replace(
        found.cost,
        seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        stored=len(ids) if before else found.cost.stored,
        kept=before,
    )
    _say(grounds, cost, found.answers)
    about = candidate.about(path)
    return Measured(candidate, found.answers, found.chosen, cost, found.tokens, found.weights_hash, about)


def _compute(candidate: BackboneCandidate, spec: RecipeSpec, grounds: Grounds) -> Kept:
    """Loads a backbone, runs it over all examples unless the store has them, and answers them out of fold."""
    from kft.model.build import build_for
    from kft.model.encode import make_reader
    from kft.model.work import multiply_adds
    from kft.train.start import load_for

    backbone = load_for(spec, grounds.progress.note)
    _require_reading(candidate, backbone.modality, grounds.task)
    if backbone.max_tokens:
        window = {"max_tokens": min(spec.model.max_tokens, backbone.max_tokens)}
        spec = spec.model_copy(update={"model": spec.model.model_copy(update=window)})
    model = build_for(spec, grounds.task, grounds.split.space, backbone)
    reader = make_reader(grounds.task, backbone, spec.model)
    read = {KNOWN: reader.read(grounds.known.inputs, keep=True)}
    if grounds.names:
        read[NAMES] = reader.read(grounds.names)
    encoded = read[KNOWN]
    pooled: Any
    if grounds.task.kind.learning.per_token:
        pooled = token_pass(model, encoded, spec, grounds)
        answers, chosen, vectors = answer_words(pooled.sources[0], encoded, grounds)
    else:
        pooled = _pooled(backbone, read, spec, grounds)
        answers, chosen, vectors = *_answer(pooled.vectors, read, grounds), pooled.vectors[KNOWN]
    tokens = None
    if backbone.tokenizer is not None:
        tokens = token_facts(backbone, grounds.known.inputs, encoded, spec.model.max_tokens)
    if not np.isfinite(vectors).all():
        broken = int((~np.isfinite(vectors).all(axis=1)).sum())
        raise ModelError(
            "its features are no finite numbers",
            where=candidate.name,
            received=f"{broken:,} of {len(vectors):,} examples",
            next_step="fetch the weights again, or --set train.precision=float32",
        )
    weights = backbone.model.weights
    cost = BackboneCost(
        seconds=0.0,
        cpu_seconds=0.0,
        stored=min(pooled.present, len(grounds.known)),  # the names are stored as well
        kept=False,
        frozen_seconds=None if pooled.cost is None else pooled.cost.seconds,
        frozen_cpu_seconds=None if pooled.cost is None else pooled.cost.cpu_seconds,
        multiply_adds=multiply_adds(model, float(encoded.source.lengths.mean())),
        parameters=int(backbone.model.count_params()),
        memory_bytes=sum(int(np.prod(each.shape)) * np.dtype(each.dtype).itemsize for each in weights),
        disk_bytes=_disk_bytes(candidate, backbone),
    )
    return Kept(answers, chosen, cost, tokens, backbone.weights_hash)


def spec_for(candidate: BackboneCandidate, spec: RecipeSpec) -> RecipeSpec:
    """Returns the recipe with this backbone; a pooling with weights of its own gives way to the backbone's own."""
    model = spec.model.without_learned_pooling
    values = {"backbone": candidate.backbone, "weights": candidate.weights}
    train = {"phases": None, "augment": None, "callbacks": ()}
    return spec.model_copy(
        update={"model": model.model_copy(update=values), "train": spec.train.model_copy(update=train)}
    )


def _pooled(backbone: Backbone, read: Mapping[str, Encoded], spec: RecipeSpec, grounds: Grounds) -> Pooled:
    from kft.features.store import FeatureProgress
    from kft.features.vectors import pool

    sources = {name: encoded.source for name, encoded in read.items()}
    with grounds.progress.task("frozen blocks, once", sum(map(len, sources.values()))) as tick:
        watch = FeatureProgress(tick, grounds.progress.note)
        return pool(backbone, sources, spec.model, spec.features, watch)


def _answer(vectors: Mapping[str, np.ndarray], read: Mapping[str, Encoded], grounds: Grounds) -> tuple[dict, dict]:
    """Answers every example by what saw neither it, nor its group, nor a copy of it; says what was chosen for that."""

    def seen(name: str) -> ViewInput:
        return ViewInput(vectors[name], read[name].source.texts)

    learning, space = grounds.task.kind.learning, grounds.split.space
    goal = Goal(learning.solver, learning.units(space))
    names = seen(NAMES) if NAMES in vectors else None
    lesson = Lesson(seen(KNOWN), grounds.targets, goal, names, grounds.weights)
    with grounds.progress.task("views, out of fold", len(families(lesson))) as tick:
        found = fit_blend(lesson, Folding(grounds.strata, grounds.together, grounds.spec.seed), tick)
    outputs = {PROBE: found.single[ANCHOR], BLEND: found.out_of_fold}
    answers = {by: grounds.task.kind.judging.answers(each, space, None) for by, each in outputs.items()}
    settings = {name: dict(each) for name, each in found.settings.items()}
    return answers, {PROBE: settings[ANCHOR], BLEND: {"weights": dict(found.weights), "settings": settings}}


def _require_medium(candidate: BackboneCandidate, task: Task) -> None:
    """Refuses what the catalog knows to read something else, before it is fetched or loaded."""
    if candidate.entry is not None:
        _require_reading(candidate, candidate.entry.modality, task)


def _require_reading(candidate: BackboneCandidate, modality: str, task: Task) -> None:
    if modality != task.reads.medium:
        raise ModelError(
            f"{candidate.backbone} reads {modality}s, and {task.name} reads {task.reads.medium}s",
            where="--backbones",
            next_step=f"kft models --modality {task.reads.medium}",
        )


def _disk_bytes(candidate: BackboneCandidate, backbone: Backbone) -> int:
    path = fetch_backbone(candidate.backbone)  # it is there
    folder = path if path.is_dir() else path.parent
    return sum((folder / name).stat().st_size for name in backbone.files.weights)


def _say(grounds: Grounds, cost: BackboneCost, answers: Mapping[str, Any]) -> None:
    reached = ", ".join(f"{name} {figure(grounds.metric.value(grounds.truth, each))}" for name, each in answers.items())
    grounds.progress.note(
        f"{'':<10} {grounds.metric.name} out of fold: {reached}; {cost.seconds:,.1f} s, "
        f"{cost.cpu_seconds:,.1f} CPU s; "
        + (
            "kept by an earlier call"
            if cost.kept
            else f"{cost.stored:,} of {len(grounds.known):,} examples were stored"
        )
    )

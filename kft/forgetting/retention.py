"""Runs the retain set through a run's backbone, as it was before training and as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answer.artifact import Artifact
from kft.answer.load import Answering, pretrained_backbone, with_weights, without_adapters
from kft.forgetting.meter import Meter
from kft.forgetting.retain import RetainSet, find_retain, reads
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import PhaseSpec
from kft.records.document import read_if_there, write_document
from kft.records.forgetting import ForgettingResult, Retain, Retained
from kft.records.receipt import Receipt
from kft.records.run_folder import RunFolder

if TYPE_CHECKING:
    import keras

    from kft.feed.source import Source
    from kft.model.backbones import Backbone
    from kft.train.progress import Progress

NONE: Mapping[str, np.ndarray] = {}


def retain_vectors(
    backbone: Backbone, retain: RetainSet, spec: RecipeSpec, weights: Mapping[str, np.ndarray] = NONE
) -> np.ndarray:
    """Returns ``float32[n, width]``: the retain set as the backbone sees it.

    Args:
        backbone: The pretrained one, or one that holds what it was tuned to.
        retain: The examples.
        spec: The recipe.
        weights: Other ones than the backbone holds, by their paths.

    Raises:
        ModelError: A text has more tokens than the backbone has positions.
        DataError: An image cannot be decoded.
    """
    from kft.features.vectors import vectors_with

    return vectors_with(backbone, _read(backbone, retain, spec), spec.model, weights)


def pretrained_vectors(backbone: Backbone, retain: RetainSet, spec: RecipeSpec) -> np.ndarray:
    """Returns what ``retain_vectors`` does of the pretrained backbone, once for all runs where a store may be kept.

    Args:
        backbone: The pretrained one.
        retain: The examples.
        spec: The recipe; its store may be off.

    Raises:
        KftError: As ``retain_vectors`` says.
        StorageError: The disk is full or cannot be written.
    """
    from kft.features.vectors import pooled_vectors

    # The tuned backbone's are float32, whatever the recipe stores: both come of the same arithmetic.
    features = spec.features.model_copy(update={"dtype": "own", "precision": "float32"})
    return pooled_vectors(backbone, {"retain": _read(backbone, retain, spec)}, spec.model, features)["retain"]


def _read(backbone: Backbone, retain: RetainSet, spec: RecipeSpec) -> Source:
    from kft.model.encode import make_reader
    from kft.train.lengths import require_positions

    source = make_reader(reads(spec), backbone, spec.model).read(retain.inputs).source
    if backbone.tokenizer is not None:
        require_positions(source.pieces, backbone)
    return source


def measure_run(answering: Answering, progress: Progress) -> ForgettingResult | None:
    """Measures what a run's backbone keeps of the pretrained one's ability, and says where that cannot be told.

    It is about the weights that were kept. Where training moved the backbone and a start that had not was better on
    valid, those weights keep everything; the ones that the last phase ended with are then measured beside them, or
    nobody would see what training did. Without a phase that trains the backbone nothing is computed.

    Args:
        answering: What the run answers with.
        progress: Told what is done.

    Raises:
        KftError: One of its kinds, for a retain set or a checkpoint that cannot be used.
    """
    if not trains_backbone(answering.receipt):
        return None
    spec, best = answering.spec, answering.best
    retain, why = find_retain(spec)
    if spec.model.weights == "random":
        retain, why = None, "nothing was learned before"
    if retain is None:
        progress.note(f"forgetting not measured: {why}")
        return None
    assert best.backbone is not None  # a run's artifacts have one
    before = without_adapters(answering)  # a second copy of a large model may not fit
    pretrained = pretrained_backbone(answering) if before is None else best.backbone
    vectors = (
        pretrained_vectors(pretrained, retain, spec)
        if before is None
        else retain_vectors(pretrained, retain, spec, before)
    )
    meter = Meter(vectors, retain.topics)
    if meter.why_not:
        progress.note(f"forgetting not measured: {meter.why_not}")
        return None

    def measure(artifact: Artifact, weights: str) -> Retained:
        assert artifact.backbone is not None  # a run's artifacts have one
        return meter.measure(retain_vectors(artifact.backbone, retain, spec, artifact.weights), weights)

    phase, dropped = answering.kept["phase"], None
    if _has_moved(best, pretrained, before or NONE):
        again = ", trained again on train and valid" if answering.kept.get("refit") else ""
        tuned = measure(best, f"{phase}, epoch {answering.kept['epoch']}{again}")
    else:
        tuned = meter.unchanged(f"{phase}, the backbone as it was")
        last = _last_weights(answering)
        if last is None and answering.run.cleaned.is_file():
            progress.note("forgetting of the weights that were not kept is not measured: kft clean has removed them")
        dropped = measure(with_weights(best, last[0]), last[1]) if last is not None else None
    return ForgettingResult(
        retain=Retain(retain.name, retain.source, len(retain)),
        metric=meter.metric,
        pretrained=meter.pretrained,
        **vars(tuned),
        not_kept=dropped,
        warns_below=meter.warns_below,
    )


def trains_backbone(receipt: Receipt, name: str | None = None) -> bool:
    """Whether a phase of the run moves the backbone's weights."""
    phases = [PhaseSpec.model_validate(phase) for phase in receipt.phases]
    return any(phase.moves_backbone for phase in phases if name in (None, phase.name))


def _has_moved(artifact: Artifact, pretrained: Backbone, adapters: Mapping[str, np.ndarray]) -> bool:
    """Whether any weight below the head is another than before training; where adapters alone move, one of them."""
    from kft.model.lora import A, B

    assert artifact.backbone is not None
    ours, before = artifact.backbone.model.weights, pretrained.model.weights

    def value(variable: keras.Variable) -> np.ndarray:
        return artifact.weights[path] if (path := variable.path) in artifact.weights else variable.numpy()

    # An adapter's A is drawn anew in each model, and changes nothing while its B is zero.
    if any(variable.name == B and value(variable).any() for variable in ours):
        return True
    if adapters:
        return False
    pairs = zip(*([v for v in weights if v.name not in (A, B)] for weights in (ours, before)), strict=True)
    return any(not np.array_equal(value(one), other.numpy()) for one, other in pairs)


def _last_weights(answering: Answering) -> tuple[Mapping[str, np.ndarray], str] | None:
    """Returns the weights that training ended with, and what they are called; None where they are not there."""
    from kft.train.checkpoint import load_newest
    from kft.train.job import BEST_OF
    from kft.train.resume import last_folder

    last = load_newest(last_folder(answering.recipe, answering.run), "last", lambda line: None)
    if last is None or not last.state["results"]:
        return None
    done: list[dict[str, Any]] = last.state["results"]
    tuned = [result for result in done if trains_backbone(answering.receipt, result["name"])]
    if not tuned:
        return None
    ended = tuned[-1]
    weights, epoch = last.weights, ended["epochs"]
    # What came after it did not start from its end, if it started from it at all.
    if ended is not done[-1] or answering.spec.train.refit:
        weights, epoch = last.more[BEST_OF + ended["name"]], ended["best_epoch"]
    assert answering.best.backbone is not None  # a run's artifacts have one
    below = {variable.path for variable in answering.best.backbone.model.weights}
    own = {path: array for path, array in weights.items() if path in below}
    return own, f"{ended['name']}, epoch {epoch}, not kept"


def gate_value(answering: Answering, found: ForgettingResult | None) -> float | None:
    """Returns what the gate ``forgetting.retained`` compares: 1 where no phase trains the backbone."""
    if found is not None:
        return found.retained.value
    return None if trains_backbone(answering.receipt) else 1.0


def write_forgetting(run: RunFolder, found: ForgettingResult, checkpoint: str) -> None:
    """Writes forgetting.json, with the hash of the checkpoint it belongs to.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    write_document(run.forgetting, replace(found, checkpoint=checkpoint))


def read_forgetting(run: RunFolder, checkpoint: str) -> ForgettingResult | None:
    """Returns what was measured for the checkpoint of this hash; None where there is nothing, or it is of another.

    Raises:
        RunError: The file is damaged.
    """
    found = read_if_there(ForgettingResult, run.forgetting)
    return found if found is not None and found.checkpoint == checkpoint else None

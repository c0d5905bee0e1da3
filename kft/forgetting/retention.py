"""Runs the retain set through a run's backbone, as it was before training and as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answer.fitted import checkpoint_hash
from kft.answer.predictor import Predictor
from kft.forgetting.meter import Meter
from kft.forgetting.retain import RetainSet, find_retain, reads
from kft.recipe.schema import FeaturesSpec, PhaseSpec, RecipeSpec
from kft.records.document import read_document, read_if_there, write_document
from kft.records.forgetting import ForgettingResult, Retain, Retained
from kft.records.receipt import Receipt
from kft.records.run_folder import RunFolder
from kft.tasks.recipes import load_recipe

if TYPE_CHECKING:
    from kft.model.backbones import Backbone
    from kft.train.progress import Progress


def retain_vectors(backbone: Backbone, retain: RetainSet, spec: RecipeSpec) -> np.ndarray:
    """Returns ``float32[n, width]``: the retain set as the backbone sees it with the weights that it holds now.

    Raises:
        ModelError: A text has more tokens than the backbone has positions.
        DataError: An image cannot be decoded.
    """
    from kft.features.vectors import pooled_vectors
    from kft.model.encode import make_reader
    from kft.train.prepare import require_positions

    source = make_reader(reads(spec), backbone, spec.model).read(retain.inputs).source
    if backbone.tokenizer is not None:
        require_positions(source.lengths, backbone)
    return pooled_vectors(backbone, {"retain": source}, spec.model, FeaturesSpec(store="off"))["retain"]


def measure_run(run: RunFolder, predictor: Predictor, progress: Progress) -> ForgettingResult | None:
    """Measures what a run's backbone keeps of the pretrained one's ability, and says where that cannot be told.

    It is about the weights that were kept. Where training moved the backbone and a start that had not was better on
    valid, those weights keep everything; the ones that the last phase ended with are then measured beside them, or
    nobody would see what training did. Without a phase that trains the backbone nothing is computed.

    Args:
        run: The run folder.
        predictor: From ``load_predictor``; its model holds the pretrained weights, and does so again afterwards.
        progress: Told what is done.

    Raises:
        KftError: One of its kinds, for a retain set or a checkpoint that cannot be used.
    """
    from kft.train.checkpoint import load_checkpoint, snapshot

    if not trains_backbone(read_document(Receipt, run.receipt)):
        return None
    spec = predictor.spec
    retain, why = find_retain(spec)
    if spec.model.weights == "random":
        retain, why = None, "nothing was learned before"
    if retain is None:
        progress.note(f"forgetting not measured: {why}")
        return None
    backbone = predictor.backbone
    assert backbone is not None  # load_predictor sets it
    best = load_checkpoint(run.checkpoints, "best")
    pretrained = snapshot([variable for variable in predictor.model.weights if variable.path in best.weights])
    meter = Meter(retain_vectors(backbone, retain, spec), retain.topics)
    if meter.why_not:
        progress.note(f"forgetting not measured: {meter.why_not}")
        return None

    def measure(arrays: Mapping[str, np.ndarray], weights: str) -> Retained:
        predictor.with_weights(arrays)
        found = meter.measure(retain_vectors(backbone, retain, spec), weights)
        predictor.with_weights(pretrained)
        return found

    kept, dropped = f"{best.state['phase']}, epoch {best.state['epoch']}", None
    if _has_moved(predictor, best.weights, pretrained):
        tuned = measure(best.weights, kept)
    else:
        tuned = meter.unchanged(f"{best.state['phase']}, the backbone as it was")
        last = _last_weights(run)
        dropped = measure(last[0], last[1]) if last is not None else None
    return ForgettingResult(
        retain=Retain(retain.name, retain.source, len(retain)),
        metric=meter.metric,
        pretrained=meter.pretrained,
        **vars(tuned),
        not_kept=dropped,
        warns_below=meter.warns_below,
    )


def trains_backbone(receipt: Receipt) -> bool:
    """Whether a phase of the run moves the backbone's weights."""
    return any(PhaseSpec.model_validate(phase).moves_backbone for phase in receipt.phases)


def _has_moved(predictor: Predictor, arrays: Mapping[str, np.ndarray], pretrained: Mapping[str, np.ndarray]) -> bool:
    """Whether any weight below the head is another than before training."""
    from kft.model.blocks import find_blocks
    from kft.model.lora import A

    (head,) = (block for block in find_blocks(predictor.model) if block.name == "head")
    # An adapter's A is drawn anew in each model, and changes nothing while its B is zero.
    passive = {v.path for v in predictor.model.weights if v.name == A} | {v.path for v in head.variables}
    return any(not np.array_equal(array, pretrained[path]) for path, array in arrays.items() if path not in passive)


def _last_weights(run: RunFolder) -> tuple[Mapping[str, np.ndarray], str] | None:
    """Returns the weights that training ended with, and what they are called; None where they are not there."""
    from kft.train.checkpoint import load_newest
    from kft.train.resume import last_folder

    last = load_newest(last_folder(load_recipe(run.recipe), run), "last", lambda line: None)
    if last is None or not last.state["results"]:
        return None
    ended: dict[str, Any] = last.state["results"][-1]
    if ended["unfreeze"] == "none":
        return None
    return last.weights, f"{ended['name']}, epoch {ended['epochs']}, not kept"


def gate_value(receipt: Receipt, found: ForgettingResult | None) -> float | None:
    """Returns what the gate ``forgetting.retained`` compares: 1 where no phase trains the backbone."""
    if found is not None:
        return found.retained.value
    return None if trains_backbone(receipt) else 1.0


def write_forgetting(run: RunFolder, found: ForgettingResult) -> None:
    """Writes forgetting.json, with the checkpoint it belongs to.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    write_document(run.forgetting, replace(found, checkpoint=checkpoint_hash(run)))


def read_forgetting(run: RunFolder) -> ForgettingResult | None:
    """Returns what was measured for the run's best checkpoint; None where there is nothing, or it is of an earlier one.

    Raises:
        RunError: The file is damaged.
    """
    found = read_if_there(ForgettingResult, run.forgetting)
    return found if found is not None and found.checkpoint == checkpoint_hash(run) else None

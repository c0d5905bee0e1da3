"""The backbone that a recipe begins with: the pretrained one, or what another run has made of it.

``model.start_from`` takes the weights of that run's best checkpoint into the backbone itself. From then on nothing can
tell it from a pretrained one: a probe, stored features and what is measured as untuned all stand on these weights, and
the checkpoint's hash is a part of the backbone's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kft.errors import RunError
from kft.model import backbones
from kft.model.backbones import Backbone, Report
from kft.model.files import BackboneFiles
from kft.recipe.schema import ModelSpec, RecipeSpec
from kft.records.run_folder import open_run
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS
from kft.train.checkpoint import load_facts

if TYPE_CHECKING:
    from kft.train.warm import Warm

START = "start_from"
"""What the checkpoint is called among the files of the backbone."""
START_KEY = "model.start_from"
LEAVE = "leave model.start_from out, or name a run that moved its backbone"


def load_for(spec: RecipeSpec, report: Report | None = None) -> Backbone:
    """Loads the backbone that a recipe names, as it stands before the recipe's training; rounding comes last.

    Raises:
        ModelError: As ``load_backbone``; or it computes in another type than ``train.precision`` asks for, or
            ``model.blocks`` does not fit it.
        RunError: ``model.start_from`` names no run, or one of another backbone.
    """
    plain = backbones.load_plain(spec, report)
    begun = plain if spec.model.weights == "random" else _started(plain, spec.model, report)
    if spec.model.quantize == "none":
        return begun
    from kft.model.quantize import in_int8  # imports Keras: only now has kft.runtime set up TensorFlow

    return in_int8(begun)


def files_for(files: BackboneFiles, model: ModelSpec) -> BackboneFiles:
    """Returns the files of a backbone, what another run has made of it among them: whatever is kept is kept by these.

    Raises:
        RunError: ``model.start_from`` names no run, or one that is damaged.
    """
    if model.start_from is None or model.weights == "random":
        return files
    run = open_run(Path(model.start_from))
    before = files_for(files, load_recipe(run.recipe).spec.model)  # what that run began with
    digest = load_facts(run.checkpoints, "best")[1]
    weights = before.weights if START in before.weights else (*before.weights, START)
    if START in before.hashes:
        digest = hashlib.sha256(f"{before.hashes[START]} {digest}".encode()).hexdigest()
    return BackboneFiles({**before.hashes, START: digest}, weights)


def _started(plain: Backbone, model: ModelSpec, report: Report | None = None) -> Backbone:
    """Puts into a backbone what a run has made of it, and before that what this run has begun with."""
    if model.start_from is None:
        return plain
    from kft.model.freeze import ADAPTERS
    from kft.train.warm import read_warm

    found, asked = read_warm(model.start_from, START_KEY), load_recipe(open_run(Path(model.start_from)).recipe).spec
    backbone = _started(plain, asked.model)
    same = asked.model.blocks == model.blocks and asked.model.weights == "pretrained"
    if not same or found.weights_hash != backbone.weights_hash:
        raise RunError(
            "the weights to start from are of another backbone",
            where=f"model.start_from, {found.run}",
            received=f"{asked.model.backbone}, {_part(asked.model)}, sha256 {found.weights_hash[:16]}",
            expected=f"{backbone.name}, {_part(model)}, sha256 {backbone.weights_hash[:16]}",
            next_step="name the backbone of that run in model.backbone, or leave model.start_from out",
        )
    adapted = any(path.rsplit("/", 1)[-1] in ADAPTERS for path in found.weights)
    weights = _merged(asked, found) if adapted else found.weights
    own = {variable.path: variable for variable in backbone.model.weights}
    moved = {path: array for path, array in weights.items() if path in own}
    others = sorted(path for path in weights if path not in own and not path.startswith("head"))
    wrong = others or sorted(path for path, array in moved.items() if tuple(own[path].shape) != array.shape)
    if wrong or not moved:
        raise RunError(
            "the weights to start from do not fit the backbone" if wrong else "the run has left its backbone as it was",
            where=f"model.start_from, {found.run}",
            received=", ".join(wrong[:3]) if wrong else "a best checkpoint with a head alone",
            expected="weights of this backbone, moved by training",
            next_step=LEAVE,
        )
    for path, array in moved.items():
        own[path].assign(array)
    if report:
        report(f"starts from {found.run}: {len(moved):,} of {len(own):,} weights of the backbone")
    return replace(backbone, files=files_for(plain.files, model))


def _part(model: ModelSpec) -> str:
    part = "all blocks" if model.blocks is None else f"its first {model.blocks} blocks"
    return part if model.weights == "pretrained" else f"{part}, from random weights"


def _merged(spec: RecipeSpec, found: Warm) -> Mapping[str, np.ndarray]:
    """Returns the weights of a run's backbone with what its adapters add."""
    from kft.model.build import build_for
    from kft.model.freeze import ADAPTERS
    from kft.model.lora import merge_lora
    from kft.train.checkpoint import restore

    source = load_for(spec)
    graph = build_for(spec, TASKS.get(spec.task), found.space, source)
    known = {variable.path: variable for variable in graph.weights}
    lost = sorted(set(found.weights) - set(known))
    if lost:
        raise RunError(
            "the weights to start from do not fit the backbone",
            where=f"model.start_from, {found.run}",
            received=", ".join(lost[:3]),
            expected="the layers of that run's model",
            next_step=LEAVE,
        )
    restore([known[path] for path in found.weights], found.weights)
    merge_lora(graph)
    return {each.path: np.array(each.numpy()) for each in source.model.weights if each.name not in ADAPTERS}

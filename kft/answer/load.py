"""From a run, as training holds it or as it lies on disk, to the artifacts that answer.

What is read from disk is read and hashed once. The pretrained weights are loaded once: two artifacts
share the graph, and each holds what its own weights are beside those of the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answer.artifact import Artifact
from kft.answer.decide import Decisions
from kft.answer.fitted import FittedDecisions, read_fitted
from kft.errors import RunError
from kft.model.filling import assigned_later
from kft.model.freeze import ADAPTERS
from kft.recipe.load import Recipe
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import PhaseSpec
from kft.records.document import read_document
from kft.records.manifest import ANSWERS, require_intact
from kft.records.receipt import Receipt
from kft.records.run_folder import RunFolder
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS
from kft.tasks.task import AnswerSpace, Task

if TYPE_CHECKING:
    import keras

    from kft.model.backbones import Backbone
    from kft.train.run import FitResult

Arrays = Mapping[str, np.ndarray]
LAST = ADAPTERS[1]
"""The matrix of an adapter that begins as zeros: where it is zero, the adapter adds nothing."""


@dataclass(frozen=True)
class Run:
    """A run with the two files that all the others are understood by, each of them read once.

    Attributes:
        folder: Where its files lie.
        recipe: As the folder has it.
        receipt: Likewise.
        note: What a person should know of the folder; mostly nothing.
    """

    folder: RunFolder
    recipe: Recipe
    receipt: Receipt
    note: str = ""

    @property
    def task(self) -> Task:
        return TASKS.get(self.recipe.spec.task)


def read_run(folder: RunFolder, relied: Sequence[str] = ANSWERS) -> Run:
    """Reads recipe and receipt of a run.

    Args:
        folder: The run's.
        relied: The files that somebody is about to rely on.

    Raises:
        RunError: One of them is not as it was written, or the receipt is missing or damaged.
        RecipeError: The recipe is not valid any more.
    """
    note = require_intact(folder, relied)
    return Run(folder, load_recipe(folder.recipe), read_document(Receipt, folder.receipt), note)


@dataclass(frozen=True)
class Answering:
    """What a run answers with.

    Attributes:
        run: Its folder.
        recipe: As the folder has it.
        receipt: Likewise.
        best: The best checkpoint.
        kept: Which phase and epoch that is of.
        probe: The probe, a head on the pretrained backbone; its graph holds the pretrained weights. None without one.
        fitted: What was fitted for the best checkpoint; None where nothing was yet.
        on_pretrained: Whether the best checkpoint answers on the pretrained backbone: its frozen work is then stored.
        out_of_fold: What was said of rows of valid, by a blend also of train, before these were learned from, by the
            names of ``kft.train.answers``; empty where valid was not learned from.
    """

    run: RunFolder
    recipe: Recipe
    receipt: Receipt
    best: Artifact
    kept: Mapping[str, Any]
    probe: Artifact | None
    fitted: FittedDecisions | None = None
    on_pretrained: bool = False
    out_of_fold: Arrays = field(default_factory=dict)

    @property
    def spec(self) -> RecipeSpec:
        return self.recipe.spec

    @property
    def kept_the_probe(self) -> bool:
        """Whether the probe and the best checkpoint are the same weights."""
        return self.probe is not None and self.probe.weights is self.best.weights

    def with_fitted(self, fitted: FittedDecisions) -> Answering:
        """Returns artifacts that decide by what was fitted; the same graphs."""
        best = replace(self.best, decisions=fitted.given)
        probe = None if self.probe is None else replace(self.probe, decisions=Decisions(fitted.probe))
        return replace(self, best=best, probe=probe, fitted=fitted)


def load_artifact(run: Run) -> Artifact:
    """Loads a run's best checkpoint, and how it decides.

    Raises:
        RunError: The run folder is incomplete or damaged.
        ModelError: The backbone on disk is not the one the run was trained from.
    """
    from kft.train.checkpoint import load_checkpoint

    recipe, receipt = run.recipe, run.receipt
    best = load_checkpoint(run.folder.checkpoints, "best")
    fitted = read_fitted(run.folder, best.digest) or FittedDecisions()
    with assigned_later(best.weights):
        backbone = _pretrained(recipe.spec, receipt)
    artifact = _on(recipe.spec, _space(receipt), backbone, best.weights)
    return replace(artifact, decisions=fitted.given, checkpoint=best.digest)


def artifact_of_weights(spec: RecipeSpec, receipt: Receipt | None, arrays: Arrays) -> Artifact:
    """Returns what answers with some weights on the backbone that a recipe names; nothing is fitted for it.

    Args:
        spec: The recipe.
        receipt: Of the run, whose backbone it has to be; None: the backbone holds all that was learned.
        arrays: By the paths of the weights; without any, the backbone alone.

    Raises:
        ModelError: The backbone on disk is not the one of the receipt.
        RunError: The weights are of another model.
    """
    from kft.train.start import load_for

    if receipt is not None:
        return _on(spec, _space(receipt), _pretrained(spec, receipt), arrays)
    backbone = load_for(spec)
    return _artifact(spec, AnswerSpace(()), backbone, backbone.model)


def load_head(run: Run) -> Artifact:
    """Loads the head that a run's blend stands beside, on the same backbone: what has not learned from valid.

    Raises:
        RunError: As ``load_artifact``.
        ModelError: Likewise.
    """
    from kft.model.blend import PREFIX
    from kft.train.checkpoint import load_checkpoint

    best = load_checkpoint(run.folder.checkpoints, "best")
    head = {path: array for path, array in best.weights.items() if not path.startswith(PREFIX)}
    return _on(run.recipe.spec, _space(run.receipt), _pretrained(run.recipe.spec, run.receipt), head)


def load_answering(run: Run) -> Answering:
    """Loads a run's best checkpoint and, beside it, its probe; see ``load_artifact``."""
    from kft.model.blend import is_blend
    from kft.train.checkpoint import OUT_OF_FOLD, load_checkpoint

    folder, recipe, receipt = run.folder, run.recipe, run.receipt
    best, probe = load_checkpoint(folder.checkpoints, "best"), None
    space, backbone = _space(receipt), _pretrained(recipe.spec, receipt)
    if (folder.checkpoints / "probe.json").is_file():
        head = load_checkpoint(folder.checkpoints, "probe").weights
        probe = _on(recipe.spec, space, backbone, head)
    kept = _on_backbone(backbone, best.weights)
    if probe is None:
        own = _on(recipe.spec, space, backbone, best.weights)
    elif is_blend(best.weights):
        own = blended(probe, best.weights, {} if kept else best.weights)
    else:
        own = probe if _same(head, best.weights) else with_weights(probe, best.weights)
    own = replace(own, checkpoint=best.digest)
    out_of_fold = best.more.get(OUT_OF_FOLD, {})
    return _decided(Answering(folder, recipe, receipt, own, best.state, probe, None, kept, out_of_fold))


def from_training(run: RunFolder, backbone: Backbone, fitted: FitResult, space: AnswerSpace) -> Answering:
    """Returns what a run answers with right after training, from the weights that it holds; see ``load_answering``.

    Args:
        run: Its folder, which has the recipe, the receipt and the best checkpoint's manifest.
        backbone: The one that was trained.
        fitted: From ``fit``; its model is the best artifact's from now on, so nobody may train it further.
        space: Everything that an answer can be.
    """
    from kft.train.checkpoint import load_facts

    recipe, receipt = load_recipe(run.recipe), read_document(Receipt, run.receipt)
    facts, digest = load_facts(run.checkpoints, "best")
    model = replace(_artifact(recipe.spec, space, backbone, fitted.model), checkpoint=digest)
    best, probe = model, None
    if fitted.blend:
        best = blended(model, fitted.blend, {})
    if fitted.probe is not None:
        head = (variable for variable in fitted.model.weights if variable.path in fitted.probe)
        same = fitted.backbone_kept and _same(fitted.probe, {variable.path: variable.numpy() for variable in head})
        if same:
            probe = model
        else:  # the trained backbone holds tuned weights
            start = backbone if fitted.backbone_kept else _pretrained(recipe.spec, receipt)
            probe = _on(recipe.spec, space, start, fitted.probe)
    kept = fitted.backbone_kept
    return _decided(Answering(run, recipe, receipt, best, facts, probe, None, kept, fitted.out_of_fold))


def with_weights(artifact: Artifact, arrays: Arrays) -> Artifact:
    """Returns another artifact, with other weights on the same graph, which stays as it is.

    Args:
        artifact: Stays as it is.
        arrays: By the paths of the weights; those that are left out stay what they are.

    Raises:
        RunError: The model has no such weights.
    """
    _require_known(artifact.graph, arrays)
    return replace(artifact, weights={**artifact.weights, **arrays}, checkpoint="", _traced={})


def without_adapters(answering: Answering) -> Arrays | None:
    """Returns what, laid over the best artifact's weights, gives the backbone as it was before the run's training.

    None where other weights have moved than those of adapters: then ``pretrained_backbone`` loads it again.
    """
    phases = [PhaseSpec.model_validate(phase) for phase in answering.receipt.phases]
    moved = [phase.unfreeze.lora for phase in phases if phase.moves_backbone]
    if not moved or None in moved or answering.spec.train.warm_start is not None:
        return None
    graph = answering.best.graph
    return {each.path: np.zeros(each.shape, np.float32) for each in graph.weights if each.name == LAST}


def pretrained_backbone(answering: Answering) -> Backbone:
    """Returns the backbone as it was before the run's training."""
    if answering.probe is not None:
        assert answering.probe.backbone is not None
        return answering.probe.backbone
    return _pretrained(answering.spec, answering.receipt)


def _decided(answering: Answering) -> Answering:
    fitted = read_fitted(answering.run, answering.best.checkpoint)
    return answering if fitted is None else answering.with_fitted(fitted)


def _artifact(spec: RecipeSpec, space: AnswerSpace, backbone: Backbone, graph: keras.Model) -> Artifact:
    from kft.model.encode import make_reader

    task = TASKS.get(spec.task)
    reader = make_reader(task, backbone, spec.model)
    if backbone.max_tokens:  # the default may be more, which texts of training did not reach: those to come may
        reader = replace(reader, max_tokens=min(reader.max_tokens, backbone.max_tokens))
    return Artifact(graph, reader, task.kind, space, spec, backbone)


def _on(spec: RecipeSpec, space: AnswerSpace, backbone: Backbone, arrays: Arrays) -> Artifact:
    """Builds a graph on a backbone; where an artifact holds that already, arrays of the new head alone may be given."""
    from kft.model.blend import PREFIX
    from kft.model.build import build_for
    from kft.train.checkpoint import restore

    graph = build_for(spec, TASKS.get(spec.task), space, backbone)
    own = {path: array for path, array in arrays.items() if not path.startswith(PREFIX)}
    _require_known(graph, own)
    restore([variable for variable in graph.weights if variable.path in own], own)
    artifact = _artifact(spec, space, backbone, graph)
    return artifact if len(own) == len(arrays) else blended(artifact, arrays, {})


def blended(artifact: Artifact, arrays: Arrays, weights: Arrays) -> Artifact:
    """Returns the artifact of a blend on the layers of another one, whose graph stays as it is.

    Args:
        artifact: A model with a head.
        arrays: The checkpoint's, the blend's among them.
        weights: What lies over the weights of the layers; others than these layers' play no part.
    """
    from kft.model.blend import PREFIX, with_blend

    _require_known(artifact.graph, {path: array for path, array in weights.items() if not path.startswith(PREFIX)})
    graph = with_blend(artifact.graph, arrays, artifact.kind.learning.solver)
    below = {variable.path for variable in graph.weights if not variable.path.startswith(PREFIX)}
    over = {path: array for path, array in weights.items() if path in below}
    return replace(artifact, graph=graph, weights=over, _traced={})


def _on_backbone(backbone: Backbone, weights: Arrays) -> bool:
    """Whether the best weights leave the pretrained backbone as it is."""
    own = {variable.path: variable for variable in backbone.model.weights}
    if any(path.rsplit("/", 1)[-1] in ADAPTERS for path in weights):
        return False
    return all(np.array_equal(array, own[path].numpy()) for path, array in weights.items() if path in own)


def _require_known(graph: keras.Model, arrays: Arrays) -> None:
    shapes = {variable.path: tuple(variable.shape) for variable in graph.weights}
    unknown = sorted(set(arrays) - set(shapes))
    if unknown:
        raise RunError(
            "the checkpoint holds weights that the model does not have",
            received=", ".join(unknown[:3]) + (" ..." if len(unknown) > 3 else ""),
            expected="the layers of this model; receipt.json names the versions it was trained with",
            next_step="install those versions, or train again",
        )
    for path, array in arrays.items():
        if array.shape != shapes[path]:  # a bias of one number would be added to all without a word
            raise RunError(
                "a weight of the checkpoint has another shape than the model's",
                where=path,
                received=str(array.shape),
                expected=str(shapes[path]),
                next_step="evaluate with the recipe and the labels that the run was trained with, or train again",
            )


def _pretrained(spec: RecipeSpec, receipt: Receipt) -> Backbone:
    from kft.train.resume import require_same_backbone
    from kft.train.start import load_for

    backbone = load_for(spec)
    require_same_backbone(backbone.files, receipt, spec.model.backbone)
    return backbone


def _space(receipt: Receipt) -> AnswerSpace:
    return AnswerSpace(receipt.labels, receipt.mean, receipt.std)


def _same(head: Arrays, best: Arrays) -> bool:
    """Whether the best weights are the probe's: its head, and so on the same backbone."""
    return all(np.array_equal(array, best[path]) for path, array in head.items())

"""A warm start: the phases that first move the backbone begin with the best weights of a run that is finished.

What is solved on the pretrained backbone before them, a probe or a blend, stays what it is. Weights that have learned
from valid, by a refit, are refused: valid could not judge them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

from kft.errors import RunError
from kft.model.backbones import Backbone
from kft.model.blend import PREFIX
from kft.recipe.training import PhaseSpec
from kft.records.document import read_document
from kft.records.manifest import ANSWERS, require_intact
from kft.records.receipt import Receipt
from kft.records.run_folder import open_run
from kft.tasks.task import AnswerSpace
from kft.train.checkpoint import Arrays, load_checkpoint, load_facts
from kft.train.phases import starts_of


@dataclass(frozen=True)
class Warm:
    """What a run ended with.

    Attributes:
        run: Its folder.
        weights: Its best weights by path, without a blend's views.
        space: Everything that it can answer.
        weights_hash: Of the pretrained weights that it began with.
    """

    run: Path
    weights: Arrays
    space: AnswerSpace
    weights_hash: str


def warm_digest(run: str) -> str:
    """Returns the hash of the best checkpoint of a run that weights are to come from.

    Raises:
        RunError: There is no such run, or it has none.
    """
    return load_facts(open_run(Path(run)).checkpoints, "best")[1]


def read_warm(run: str, key: str = "train.warm_start") -> Warm:
    """Reads what a run ended with.

    Args:
        run: Its folder.
        key: Of the recipe that names it, for messages.

    Raises:
        RunError: It is no run, was changed, or has learned from valid.
    """
    folder = open_run(Path(run))
    require_intact(folder, ANSWERS)
    receipt = read_document(Receipt, folder.receipt)
    best = load_checkpoint(folder.checkpoints, "best")
    if "refit" in best.state:
        raise RunError(
            "these weights have learned from the rows of valid, which could not judge what comes of them",
            where=f"{key}, {folder.path}",
            received="a run with train.refit",
            expected="a run that was not trained again on valid",
            next_step=f"leave {key} out",
        )
    weights = {path: array for path, array in best.weights.items() if not path.startswith(PREFIX)}
    space = AnswerSpace(receipt.labels, receipt.mean, receipt.std)
    return Warm(folder.path, weights, space, receipt.weights_hash)


def require_warm(warm: Warm, backbone: Backbone, phases: tuple[PhaseSpec, ...]) -> None:
    """Refuses a warm start that would begin on another backbone, or that no phase would begin with.

    Raises:
        RunError: It is of one of the two.
    """
    if not any(begins_warm(phases, phase) for phase in phases):
        raise RunError(
            "no phase moves the backbone: none would begin with these weights",
            where="train.warm_start",
            received=", ".join(phase.name for phase in phases),
            expected="a phase such as unfreeze: top-2",
            next_step="leave train.warm_start out (kft retrain --start backbone)",
        )
    if warm.weights_hash != backbone.weights_hash:
        raise RunError(
            "the weights to begin with are of another backbone",
            where=f"train.warm_start, {warm.run}",
            received=f"one whose pretrained weights have the sha256 {warm.weights_hash[:16]}",
            expected=f"{backbone.name}, {backbone.weights_hash[:16]}",
            next_step="leave train.warm_start out (kft retrain --start backbone), or name that backbone",
        )


def warm_weights(warm: Warm, moving: list[keras.Variable], space: AnswerSpace, head: set[str]) -> Arrays:
    """Returns the weights that a warm start puts over those of a new run; the head's only where the answers are alike.

    Args:
        warm: What the other run ended with.
        moving: The weights that any phase of this run moves.
        space: Everything that this run can answer.
        head: The paths of the head's weights.

    Raises:
        RunError: Weights that the other run has moved stand still here, or have another shape.
    """
    shapes = {variable.path: tuple(variable.shape) for variable in moving}
    wanted = {path: array for path, array in warm.weights.items() if path not in head or space == warm.space}
    wrong = sorted(path for path, array in wanted.items() if shapes.get(path) != array.shape)
    if wrong:
        raise RunError(
            "the weights to begin with do not fit: these do not move in this run, or have another shape",
            where=f"train.warm_start, {warm.run}",
            received=", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if wrong[3:] else ""),
            expected="the same backbone, and phases that move all that was moved there",
            next_step="leave train.warm_start out (kft retrain --start backbone), or name the phases of that run",
        )
    return wanted


def begins_warm(phases: tuple[PhaseSpec, ...], phase: PhaseSpec) -> bool:
    """Whether a phase is the first that moves the backbone, of those that its weights go through.

    Example:
        >>> top = PhaseSpec(name="top", unfreeze="top-2", epochs=1)
        >>> deep = PhaseSpec(name="deep", unfreeze="all", epochs=1, start="top")
        >>> begins_warm((top, deep), top), begins_warm((top, deep), deep)
        (True, False)
    """
    _, *before = starts_of(phases, phase.name)
    return phase.moves_backbone and not any(each.moves_backbone for each in before)

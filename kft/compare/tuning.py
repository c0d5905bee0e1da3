"""With a backbone that learns: what `kft train` does from the probe, each from fresh weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kft.compare.setting import Setting
from kft.compare.solution import Solution
from kft.recipe.training import FEW_ROWS_PER_CLASS, SCRATCH, PhaseSpec, default_phases

FEWEST_FOR_FULL = 10
"""Training rows a class below which all blocks learn the rows by heart before they learn the task."""
FEWEST_FOR_SCRATCH = 100
"""Likewise where nothing is pretrained. Both are rules of thumb: ``--approaches`` overrides them."""
LORA_EPOCHS, LORA_RATE = 4, 1e-3
"""As many epochs as the top blocks have; adapters start from nothing and take a larger rate (Hu et al., 2022)."""


def fit_lora(setting: Setting) -> Solution:
    """Low-rank adapters in all blocks, from the probe."""
    return train_approach(setting, "lora")


def fit_top(setting: Setting) -> Solution:
    """The two top blocks, from the probe."""
    return train_approach(setting, "top")


def fit_full(setting: Setting) -> Solution:
    """All blocks, from the probe; embeddings stay frozen."""
    return train_approach(setting, "full")


def fit_scratch(setting: Setting) -> Solution:
    """The backbone's architecture with random weights."""
    return train_approach(setting, "scratch")


def phases_for(name: str, blocks: int) -> tuple[PhaseSpec, ...]:
    """Returns the phases of an approach: those of a recipe that names none, one at a time.

    Args:
        name: ``probe``, ``blend``, ``lora``, ``top``, ``full`` or ``scratch``.
        blocks: Numbered blocks of the backbone.

    Example:
        >>> [str(phase.unfreeze) for phase in phases_for("top", 6)]
        ['none', 'top-2']
    """
    if name == "scratch":
        return (SCRATCH,)
    known = {
        phase.name: phase for phase in default_phases(rows_per_class=FEW_ROWS_PER_CLASS, blocks=blocks, blends=True)
    }
    probe, deep = known["probe"], known["deep"]
    if name in ("probe", "blend"):
        return (probe,) if name == "probe" else (probe, known["blend"])
    lora = PhaseSpec.model_validate(
        {"name": "lora", "unfreeze": {"lora": {}}, "epochs": LORA_EPOCHS, "lr": LORA_RATE, "start": probe.name}
    )
    # Of one or two blocks the top is all of them.
    return probe, {"lora": lora, "top": known.get("top", deep), "full": deep}[name]


def train_approach(setting: Setting, name: str) -> Solution:
    """Trains a fresh model as `kft train` does, in memory, and keeps its best epoch on valid."""
    from kft import runtime
    from kft.answer.load import blended
    from kft.feed.batches import Ragged
    from kft.model.blocks import find_blocks
    from kft.train.answers import outputs_from
    from kft.train.prepare import prepare
    from kft.train.recorder import Files
    from kft.train.run import fit
    from kft.train.start import load_for

    blocks = sum(block.name.startswith("block_") for block in find_blocks(setting.model))
    spec = setting.spec
    train = spec.train.model_copy(update={"phases": phases_for(name, blocks), "prefer": "best", "refit": False})
    weights = {"weights": "random" if name == "scratch" else "pretrained"}
    changes: dict[str, Any] = {"train": train, "model": spec.model.model_copy(update=weights)}
    if spec.features.in_int8 and name not in ("probe", "blend"):
        setting.progress.note(f"{name:<10} in float32: blocks train here, and int8 is for what stays frozen")
        changes["features"] = spec.features.model_copy(update={"precision": "float32"})
    spec = spec.model_copy(update=changes)
    runtime.seed_everything(spec.seed)
    backbone = load_for(spec)
    prepared = prepare(spec, setting.split, backbone, setting.progress)
    fitted = fit(prepared, Files())
    tuned = fitted.phases[-1]
    kept = next(phase for phase in fitted.phases if phase.name == fitted.best_phase)
    moved = any(phase.moves_backbone for phase in prepared.phases if phase.name == kept.name)
    artifact, of_valid = replace(setting.artifact(fitted.model), spec=spec), None
    if fitted.blend:  # it has learned from valid as well
        artifact, outputs = blended(artifact, fitted.blend, {}), outputs_from(fitted.out_of_fold)
        rows = [outputs.row(place) for place in range(len(outputs))] if isinstance(outputs, Ragged) else outputs
        of_valid = setting.task.kind.judging.answers(rows, setting.split.space, prepared.data.valid.offsets)
    views = sum(array.nbytes for array in fitted.blend.values())
    return Solution(
        answer=artifact.answers,
        of_valid=of_valid,
        trained=tuned.trainable,
        own_bytes=4 * (tuned.parameters if name == "scratch" else tuned.trainable) + views,
        whole_bytes=4 * tuned.parameters + views,  # what is tuned takes the place of what it was tuned from
        frozen_rows=0 if name == "scratch" else len(setting.split.train) + len(setting.split.valid),
        chosen={
            "phase": kept.name,
            "epoch": kept.best_epoch,
            "epochs": tuned.epochs,
            "phases": [phase.model_dump(mode="json", exclude_defaults=True) for phase in prepared.phases],
        },
        tuned=backbone if moved and name != "scratch" else None,
    )


def too_much_for_lora(setting: Setting, budget: float) -> str:
    """Says why adapters are not tried; empty when they are."""
    return _too_long(setting, budget, epochs=LORA_EPOCHS, passes=2)


def too_much_for_full(setting: Setting, budget: float) -> str:
    """Says why all blocks are not trained; empty when they are."""
    return _too_few(setting, FEWEST_FOR_FULL) or _too_long(setting, budget, epochs=4, passes=3)


def too_much_for_scratch(setting: Setting, budget: float) -> str:
    """Says why nothing is trained from scratch; empty when it is."""
    epochs = int(np.asarray(SCRATCH.epochs))
    return _too_few(setting, FEWEST_FOR_SCRATCH) or _too_long(setting, budget, epochs=epochs, passes=3)


def _too_few(setting: Setting, fewest: int) -> str:
    if setting.rows_per_class >= fewest:
        return ""
    return f"{setting.rows_per_class:.0f} training rows a class, fewer than {fewest}"


def _too_long(setting: Setting, budget: float, *, epochs: int, passes: int) -> str:
    minutes = setting.estimated_minutes(epochs=epochs, passes=passes)
    return "" if minutes <= budget else f"about {minutes:,.0f} minutes by its size, more than --budget {budget:g}"

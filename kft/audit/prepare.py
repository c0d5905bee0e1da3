"""From a split to what the checks look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kft.audit.view import AuditView
from kft.data.assign import SPLITS
from kft.data.split import DataSplit
from kft.recipe.schema import RecipeSpec
from kft.tasks.registry import TASKS

if TYPE_CHECKING:
    from kft.model.backbones import Backbone
    from kft.train.progress import Progress


def prepare_view(
    spec: RecipeSpec, split: DataSplit, backbone: Backbone, progress: Progress, *, features: bool = True
) -> AuditView:
    """Counts the tokens of each text.

    Args:
        spec: The recipe.
        split: The data.
        backbone: Its tokenizer counts.
        progress: Shows what goes on.
        features: Whether the backbone is run.
    """
    task = TASKS.get(spec.task)
    tokens = {}
    if backbone.tokenizer is not None and task.modality == "text":
        for name in SPLITS:
            tokens[name] = backbone.tokenizer.encode(split.part(name).inputs, spec.model.max_tokens)[1]
    return AuditView(split, task, spec, tokens=tokens)

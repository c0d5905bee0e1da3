"""The language model of a comparison: the decoder that the recipe names, or the backbone where it is one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kft.errors import ModelError

if TYPE_CHECKING:
    from kft.compare.setting import Setting
    from kft.model.backbones import Backbone

PROMPTING = "prompting"


def load_language_model(setting: Setting) -> Backbone | None:
    """Returns what is prompted; None where no decoder is named and the backbone is none.

    Raises:
        ModelError: What ``compare.language_model`` names is no decoder, or cannot be loaded.
    """
    from kft.model.language import causal_lm, require_decoder
    from kft.train.start import load_for

    spec, named = setting.spec, setting.spec.compare.language_model
    if named is None or (named == spec.model.backbone and spec.model.blocks is None):
        found = setting.backbone
    else:
        model = spec.model.model_copy(
            update={"backbone": named, "blocks": None, "weights": "pretrained", "start_from": None}
        )
        found = load_for(spec.model_copy(update={"model": model}), setting.progress.note)
    try:
        require_decoder(found)
        causal_lm(found.model)
    except ModelError as error:
        if named is None:
            return None
        raise ModelError(
            error.problem,
            where="compare.language_model",
            received=named,
            expected=error.expected,
            next_step="--language-model gemma3-270m --accept-terms gemma",
        ) from None
    return found


def wanted_language_model(setting: Setting, approaches: Sequence[str] | None) -> Backbone | None:
    """Returns what approach ``prompting`` asks; None where it is not tried, or can ask nothing.

    Args:
        setting: The data that choices may see.
        approaches: Which were asked for; None: all.

    Raises:
        ModelError: See ``load_language_model``.
    """
    kind = setting.task.kind
    if (approaches is not None and PROMPTING not in approaches) or setting.task.reads.files:
        return None
    return setting.language_model if kind.one_class and not kind.learning.per_token else None


def asked_identity(setting: Setting, model: Backbone | None) -> dict[str, str]:
    """Returns what a comparison that goes on has to agree in with what was begun: what is asked, and how.

    One that was begun when `prompting` was another approach, `names`, has no such key.
    """
    if model is None:
        return {"way of prompting": "none"}
    asked = setting.spec.compare.model_dump_json() + model.files.hash
    return {"way of prompting": hashlib.sha256(asked.encode()).hexdigest()}

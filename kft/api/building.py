"""The builders, for people who bring a loop of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kft import runtime

if TYPE_CHECKING:
    import keras

    from kft.features.boundary import SplitModel
    from kft.model.backbones import Backbone
    from kft.model.freeze import FreezeTable
    from kft.recipe.schema import AugmentSpec, FreezeRule, LoraSpec


def load_backbone(
    name: str,
    *,
    dropout: float = 0.1,
    report: Callable[[str], None] | None = None,
    allow: Sequence[str] = (),
    weights: str = "pretrained",
    seed: int = 0,
) -> Backbone:
    """Loads a pretrained backbone and its tokenizer; see ``kft.model.backbones.load_backbone``."""
    runtime.start()
    from kft.model import backbones

    return backbones.load_backbone(name, dropout=dropout, report=report, allow=allow, weights=weights, seed=seed)


def build_model(
    backbone: Backbone,
    *,
    head: str = "classification",
    classes: int,
    dropout: float = 0.1,
    pooling: str = "auto",
    image_size: int | None = None,
    lora: LoraSpec | None = None,
    augment: AugmentSpec | None = None,
    seed: int = 0,
) -> keras.Model:
    """Attaches a head to a backbone: a plain keras.Model; see ``kft.model.build.build_model``."""
    runtime.start()
    from kft.model import build

    return build.build_model(
        backbone,
        head=head,
        classes=classes,
        dropout=dropout,
        pooling=pooling,
        image_size=image_size,
        lora=lora,
        augment=augment,
        seed=seed,
    )


def freeze(model: keras.Model, rule: str | Mapping[str, Any] | FreezeRule, *, norm: str = "frozen") -> FreezeTable:
    """Sets what trains and returns the table; see ``kft.model.freeze.freeze``."""
    runtime.start()
    from kft.model import freeze as room

    return room.freeze(model, rule, norm=norm)


def merge_lora(model: keras.Model) -> int:
    """Adds adapters to their kernels and takes them away; see ``kft.model.lora.merge_lora``."""
    runtime.start()
    from kft.model import lora

    return lora.merge_lora(model)


def split_at_boundary(model: keras.Model) -> SplitModel:
    """Cuts a model where training begins; see ``kft.features.boundary.split_at_boundary``."""
    runtime.start()
    from kft.features import boundary

    return boundary.split_at_boundary(model)

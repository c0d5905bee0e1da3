"""What an image backbone wants of an image: its size, and how pixels become numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.errors import ModelError

if TYPE_CHECKING:
    import keras

SIZE = 224
"""Where neither the model nor its files say more: what ImageNet's models were trained at."""


@dataclass(frozen=True)
class ImageInput:
    """What the backbone wants of an image; the model's input is ``(rgb - offset) / scale`` of pixels from 0 to 255.

    Attributes:
        height: Pixels.
        width: Pixels.
        offset: Subtracted, one value a channel.
        scale: Then divided by, one value a channel.
    """

    height: int
    width: int
    offset: tuple[float, float, float]
    scale: tuple[float, float, float]


def image_input(path: Path, model: keras.Model) -> ImageInput:
    """Reads what lies beside the weights: preprocessor_config.json (Hugging Face), image_converter.json (keras-hub).

    A ``.keras`` file gets pixels as they are, because such a model can scale them itself.

    Args:
        path: The backbone's folder or file.
        model: Its flat model, for the size where it is fixed.

    Raises:
        ModelError: The folder does not say how pixels become numbers.
    """
    _, height, width, _ = model.inputs[0].shape
    size = (height or SIZE, width or SIZE)
    if path.suffix == ".pth":
        return ImageInput(*size, offset=(127.0,) * 3, scale=(128.0,) * 3)
    if path.suffix == ".keras":
        return ImageInput(*size, offset=(0.0,) * 3, scale=(1.0,) * 3)
    for name, read in (("preprocessor_config.json", _hugging_face), ("image_converter.json", _keras_hub)):
        if (path / name).is_file():
            settings = json.loads((path / name).read_text(encoding="utf-8"))
            found, offset, scale = read(settings)
            return ImageInput(height or found[0] or SIZE, width or found[1] or SIZE, offset, scale)
    raise ModelError(
        "the folder does not say how the backbone wants its pixels",
        where=str(path),
        received="neither preprocessor_config.json nor image_converter.json",
        expected="one of them",
        next_step="copy it from where the weights came from",
    )


Triple = tuple[float, float, float]


def _hugging_face(settings: dict[str, Any]) -> tuple[tuple[int, int], Triple, Triple]:
    said = settings.get("size") or 0
    sides = said if isinstance(said, dict) else {"height": int(said), "width": int(said)}
    size = (sides.get("height", 0), sides.get("width", 0))
    factor = float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0
    normalise = settings.get("do_normalize", True)
    mean = _triple(settings.get("image_mean", 0.0) if normalise else 0.0)
    deviation = _triple(settings.get("image_std", 1.0) if normalise else 1.0)
    # (x * factor - mean) / deviation
    return size, _triple([each / factor for each in mean]), _triple([each / factor for each in deviation])


def _keras_hub(description: dict[str, Any]) -> tuple[tuple[int, int], Triple, Triple]:
    settings = description.get("config", {})
    size = settings.get("image_size") or (0, 0)
    factor = _triple(1.0 if settings.get("scale") is None else settings["scale"])
    shift = _triple(settings.get("offset") or 0.0)
    # x * factor + shift
    offset = _triple([-each / by for each, by in zip(shift, factor, strict=True)])
    return (int(size[0] or 0), int(size[1] or 0)), offset, _triple([1 / by for by in factor])


def _triple(value: float | Sequence[float]) -> Triple:
    values = [float(value)] * 3 if isinstance(value, int | float) else [float(each) for each in value]
    first, second, third = values * 3 if len(values) == 1 else values
    return first, second, third

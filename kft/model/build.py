"""Attaches a head to a backbone: one flat functional keras.Model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from kft.errors import ModelError, UsageError
from kft.model.backbones import Backbone
from kft.model.graph import call_again, nodes_in_order
from kft.model.heads import FEWEST, HEADS
from kft.model.language import LANGUAGE, with_targets
from kft.model.lora import add_lora
from kft.model.masked import MASKED, with_hidden
from kft.model.pooling import POOLINGS
from kft.model.window_layers import OF_WINDOW, VECTORS, WindowVectors, in_windows
from kft.recipe.schema import ModelSpec, RecipeSpec
from kft.recipe.training import LoraSpec

if TYPE_CHECKING:
    from kft.tasks.task import AnswerSpace, Task

AUGMENT = "images_augment"
"""The layer that changes training images at random; it has a state of its own, so nothing above it is stored."""
PLAIN = ModelSpec()


def build_model(
    backbone: Backbone,
    *,
    head: str = "classification",
    classes: int,
    spec: ModelSpec = PLAIN,
    lora: LoraSpec | None = None,
    augment: keras.layers.Layer | None = None,
) -> keras.Model:
    """Builds a plain keras.Model from a backbone and a task head.

    The graph is flat: the backbone's layers are the model's own layers, not one nested layer, so that it can
    be cut at the boundary between frozen and trainable work. Weights are shared with the backbone.

    Args:
        backbone: From ``kft.load_backbone``.
        head: ``classification``, ``multi-label``, ``regression``, ``tagging``, ``embedding``; or ``language``, without
            weights of its own: see ``kft.model.language.with_targets``; or ``masked``: see
            ``kft.model.masked.with_hidden``.
        classes: How wide the last layer is: classes, labels, tags, 1 for a number, or 0 for an embedding as wide as the
            backbone's vectors.
        spec: The recipe's part on the model: dropout before the last layer, pooling, image size; its backbone plays no
            part here.
        pooling: ``mean``, ``cls``, ``max``, ``attention``, ``last``, or ``auto``: what suits the backbone.
        image_size: Pixels a side; default: the backbone's own.
        lora: Adapters to add; they train under the freeze rule ``lora``.
        augment: A layer that changes images at random while training, from ``augmentation``.

    Returns:
        A model from the backbone's inputs (``token_ids``, ``padding_mask`` and the like, ``int32[batch, tokens]``; or
        ``images``, ``uint8[batch, height, width, 3]``) to logits ``float32[batch, classes]``, or
        ``float32[batch, tokens, classes]`` for tagging.

    Raises:
        UsageError: The head is unknown, does not fit the backbone, or there are too few classes.
        ModelError: The adapters' targets match no layer.

    Example:
        >>> import kft
        >>> model = kft.build_model(kft.load_backbone("minilm-l6"), classes=5)  # doctest: +SKIP
        >>> model.output.shape  # doctest: +SKIP
        (None, 5)
    """
    if head in (LANGUAGE, MASKED):
        own = spec.weights == "pretrained"
        model = with_targets(backbone) if head == LANGUAGE else with_hidden(backbone, pretrained=own)
        if lora is not None:
            add_lora(model, lora)
        return model
    attach, fewest = HEADS.get(head), FEWEST.get(head, 1)
    if classes < fewest:
        problem = "a classifier needs two classes" if fewest == 2 else "a head needs outputs"
        raise UsageError(problem, received=f"classes={classes}", expected=f"classes >= {fewest}")
    if backbone.image is not None:
        if head == "tagging":
            raise UsageError("images have no tokens to tag", received=f"{backbone.name}, head {head!r}")
        inputs, features = _from_pixels(backbone, spec.image.size, augment)
        mask = None
    else:
        inputs, features = backbone.model.input, backbone.features
        mask = inputs["padding_mask"]
    if spec.pooling == "cls" and len(features.shape) != 3:
        raise UsageError(
            "this backbone has no first token", where="model.pooling", received="cls", expected="mean, max or attention"
        )
    how = backbone.pooling if spec.pooling == "auto" else spec.pooling
    if spec.in_windows:
        features, mask = _window_vectors(backbone, spec, how)
        how = spec.windows.pooling  # a document is a sequence of windows as a text is one of tokens
    outputs = attach(features, mask, units=classes, dropout=spec.dropout, pooling=how)
    model = keras.Model(inputs, outputs, name="kft_model")
    if lora is not None:
        add_lora(model, lora)
    return model


def build_for(spec: RecipeSpec, task: Task, space: AnswerSpace, backbone: Backbone) -> keras.Model:
    """Builds the model that a recipe asks for; the same again for whoever loads its weights.

    Raises:
        ModelError: The backbone reads other inputs than the task has.
    """
    if not backbone.reads(task.reads):
        raise ModelError(
            f"{spec.task} does not fit this backbone",
            where="model.backbone",
            received=f"{backbone.name}, which reads {backbone.modality}s",
            expected=f"a backbone for {task.reads.medium}s",
            next_step=f"kft models --modality {task.reads.medium}",
        )
    adapters = [phase.unfreeze.lora for phase in spec.train.phases or () if phase.unfreeze.lora is not None]
    augment = None
    if spec.train.augment is not None:
        from kft.model.augment import augmentation

        augment = augmentation(spec.train.augment, spec.seed, name=AUGMENT)
    return build_model(
        backbone,
        head=task.kind.learning.head,
        classes=task.kind.learning.units(space),
        spec=spec.model,
        lora=adapters[0] if adapters else None,
        augment=augment,
    )


def _window_vectors(backbone: Backbone, spec: ModelSpec, how: str) -> tuple[Any, Any]:
    """Returns the vectors of a document's windows, ``float[batch, most, width]``, and which of them are real."""
    assert backbone.tokenizer is not None  # the tasks that may ask for windows read texts
    features, mask = in_windows(backbone.model, backbone.features, spec.max_tokens)
    vectors = POOLINGS.get(how)(name=OF_WINDOW, dtype="float32")(features, padding_mask=mask)
    settings = {"size": spec.max_tokens, "most": spec.windows.most, "overlap": spec.overlap}
    layer = WindowVectors(**settings, sides=backbone.tokenizer.special_sides(), name=VECTORS, dtype="float32")
    return layer(vectors, backbone.model.input["padding_mask"])


def _from_pixels(backbone: Backbone, size: int | None, augment: keras.layers.Layer | None) -> tuple[Any, Any]:
    """Returns an input of raw pixels and the backbone's features, its own layers called again."""
    from kft.model.normalise import normalisation_layer

    assert backbone.image is not None
    height, width = (size, size) if size else (backbone.image.height, backbone.image.width)
    # Fixed, so that every shape above is known: features of unknown height would pass for tokens.
    pixels = keras.Input((height, width, 3), dtype="uint8", name="images")
    x: Any = pixels
    if augment is not None:
        x = augment(x)
    x = normalisation_layer(backbone.image.offset, backbone.image.scale)(x)
    (given,) = keras.tree.flatten(backbone.model.input)
    return pixels, call_again(nodes_in_order(backbone.model), {id(given): x}, backbone.features)

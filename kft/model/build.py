"""Attaches a head to a backbone: one flat functional keras.Model."""

from __future__ import annotations

import keras

from kft.errors import UsageError
from kft.model.backbones import Backbone
from kft.model.heads import HEADS


def build_model(backbone: Backbone, *, head: str = "classification", classes: int, dropout: float = 0.1) -> keras.Model:
    """Builds a plain keras.Model from a backbone and a task head.

    The graph is flat: the backbone's layers are the model's own layers, not one nested layer, so that it can
    be cut at the boundary between frozen and trainable work. Weights are shared with the backbone.

    Args:
        backbone: From ``kft.load_backbone``.
        head: The registered head's name.
        classes: How many classes the head tells apart, at least 2.
        dropout: Dropout before the last layer.

    Returns:
        A model from ``{"token_ids", "segment_ids", "padding_mask"}``, each ``int32[batch, tokens]``, to logits
        ``float32[batch, classes]``.

    Raises:
        UsageError: The head is unknown or there are fewer than two classes.

    Example:
        >>> import kft
        >>> model = kft.build_model(kft.load_backbone("minilm-l6"), classes=5)  # doctest: +SKIP
        >>> model.output.shape  # doctest: +SKIP
        (None, 5)
    """
    if classes < 2:
        raise UsageError("a classifier needs two classes", received=f"classes={classes}", expected="classes >= 2")
    attach = HEADS.get(head)
    inputs = backbone.model.input
    logits = attach(backbone.features, inputs["padding_mask"], classes=classes, dropout=dropout)
    return keras.Model(inputs, logits, name="kft_classifier")

"""The peers that run in kft's own environment: plain Keras `fit`, and keras-hub's classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from kft_side import Rows

from kft.packages import PACKAGES

BATCH_SIZE = 32


def p99(rows: Rows) -> int:
    """Returns the padded length that holds 99 % of the training texts: what a careful person sets."""
    from kft.model.backbones import load_backbone

    _, lengths = load_backbone("minilm-l6").tokenizer.encode(list(rows.split.train.inputs), 512)
    return int(np.ceil(np.percentile(lengths, 99)))


def padded(texts: Any, length: int) -> dict[str, np.ndarray]:
    """Returns texts as arrays of one length."""
    from kft.model.backbones import load_backbone

    found, _ = load_backbone("minilm-l6").tokenizer.encode(list(texts), length)
    ids = np.zeros((len(found), length), np.int32)
    mask = np.zeros((len(found), length), np.int32)
    for row, tokens in enumerate(found):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return {"token_ids": ids, "segment_ids": np.zeros_like(ids), "padding_mask": mask}


def keras_fit(rows: Rows, unfreeze: str, epochs: int, lr: float) -> Any:
    """Trains kft's own model with Keras `fit`: the lower layers frozen by trainable=False, nothing stored."""
    import keras

    import kft

    keras.utils.set_random_seed(0)
    model = kft.build_model(kft.load_backbone("minilm-l6"), classes=len(rows.split.labels))
    kft.freeze(model, unfreeze)
    model.compile(
        keras.optimizers.AdamW(lr, weight_decay=0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    length = p99(rows)
    model.fit(
        padded(rows.split.train.inputs, length),
        rows.targets("train"),
        validation_data=(padded(rows.split.valid.inputs, length), rows.targets("valid")),
        batch_size=BATCH_SIZE,
        epochs=epochs,
        verbose=0,
    )
    return model


def keras_hub_fit(rows: Rows, epochs: int, lr: float, *, callbacks: Sequence[Any] = (), seed: int = 0) -> Any:
    """Trains keras-hub's own text classifier, all of it, at the p99 length; returns it with its logits."""
    import keras
    import keras_hub

    import kft
    from kft import assets

    keras.utils.set_random_seed(seed)
    folder = str(assets.fetch(PACKAGES.get("minilm-l6")))
    length = p99(rows)
    tokenizer = keras_hub.models.BertTokenizer.from_preset(folder, strip_accents=True)
    classifier = keras_hub.models.BertTextClassifier(
        backbone=keras_hub.models.BertBackbone.from_preset(folder),
        num_classes=len(rows.split.labels),
        preprocessor=keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=length),
    )
    classifier.compile(
        optimizer=keras.optimizers.AdamW(lr, weight_decay=0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    classifier.fit(
        np.array(rows.split.train.inputs),
        rows.targets("train"),
        validation_data=(np.array(rows.split.valid.inputs), rows.targets("valid")),
        batch_size=BATCH_SIZE,
        epochs=epochs,
        callbacks=list(callbacks),
        verbose=0,
    )
    assert kft.__version__
    return classifier

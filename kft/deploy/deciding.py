"""The last layers of an exported graph: from logits to the answer that is given. kft/answer/decide.py in Keras's ops.

Keras alone, so that a ``.keras`` file can bring this file along. tests/deploy/test_graph.py holds both to the same
answers.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

SMALLEST = 1e-12


def most_probable(probabilities: Any) -> tuple[Any, Any]:
    """Returns the place of the largest value of each row, the first of several, ``int32``, and the value.

    Not ``ops.argmax``, which no converter knows in the form that Keras gives it.
    """
    largest, count = ops.max(probabilities, axis=-1), probabilities.shape[-1]
    places = ops.where(ops.equal(probabilities, ops.expand_dims(largest, -1)), ops.arange(count, dtype="int32"), count)
    return ops.min(places, axis=-1), largest


@keras.saving.register_keras_serializable(package="kft")
class OneClass(keras.layers.Layer):
    """One class of many: temperature, the rule, and what tells foreign inputs.

    Args:
        temperature: What logits are divided by.
        threshold: Less confident answers are withheld; 0 withholds none.
        place: The one class whose answers the threshold is for; None for all.
        scope: ``limit``, and mean and deviation of ``distance`` and ``unsure``, of ``kft.answer.decide.Scope``.
        known: ``(rows, width)`` of the training vectors; the weight ``known`` holds them.

    Call arguments:
        logits: ``float32[batch, classes]``.
        vectors: ``float32[batch, width]``; only where there is a scope.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        threshold: float = 0.0,
        place: int | None = None,
        scope: dict[str, Any] | None = None,
        known: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.own: dict[str, Any] = {
            "temperature": temperature,
            "threshold": threshold,
            "place": place,
            "scope": scope,
            "known": known,
        }
        if known is not None:
            self.known = self.add_weight(
                name="known", shape=tuple(known), dtype="float32", trainable=False, initializer="zeros"
            )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.own}

    def call(self, logits: Any, vectors: Any = None) -> dict[str, Any]:
        probabilities = ops.softmax(logits / self.own["temperature"], axis=-1)
        label, confidence = most_probable(probabilities)
        withheld = confidence < self.own["threshold"]
        if self.own["place"] is not None:
            withheld = ops.logical_and(withheld, ops.equal(label, self.own["place"]))
        foreign = ops.zeros_like(withheld)
        if self.own["scope"] is not None:
            foreign = self._foreignness(vectors, confidence) > self.own["scope"]["limit"]
        return {
            "probabilities": probabilities,
            "label": label,
            "confidence": confidence,
            "abstain": ops.logical_or(withheld, foreign),
            "foreign": foreign,
        }

    def _foreignness(self, vectors: Any, confidence: Any) -> Any:
        """Returns ``float32[batch]``: how far an input lies from all training examples, and how unsure the model is."""
        lengths = ops.sqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True))
        units = vectors / ops.maximum(lengths, SMALLEST)
        alike = ops.matmul(units, ops.transpose(self.known))
        scope = self.own["scope"]
        (far, far_deviation), (doubt, doubt_deviation) = scope["distance"], scope["unsure"]
        return (1 - ops.max(alike, axis=-1) - far) / far_deviation + (1 - confidence - doubt) / doubt_deviation


@keras.saving.register_keras_serializable(package="kft")
class SeveralLabels(keras.layers.Layer):
    """The probability of each label by itself, and how probable it is that all are as said.

    Args:
        thresholds: From which probability on each label is said, which is then an output too; None: one half.
    """

    def __init__(self, thresholds: list[float] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.own = {"thresholds": thresholds}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.own}

    def call(self, logits: Any) -> dict[str, Any]:
        probabilities = ops.sigmoid(logits)
        thresholds = self.own["thresholds"]
        if thresholds is None:
            said = {}
            each = ops.maximum(probabilities, 1 - probabilities)
        else:
            said = {"said": probabilities >= ops.convert_to_tensor(thresholds, "float32")}
            each = ops.where(said["said"], probabilities, 1 - probabilities)
        return {"probabilities": probabilities, **said, "confidence": ops.prod(each, axis=-1)}


@keras.saving.register_keras_serializable(package="kft")
class InUnits(keras.layers.Layer):
    """A number in the units of the training labels."""

    def __init__(self, mean: float = 0.0, std: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.own = {"mean": mean, "std": std}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.own}

    def call(self, outputs: Any) -> dict[str, Any]:
        return {"value": outputs[:, 0] * self.own["std"] + self.own["mean"]}


@keras.saving.register_keras_serializable(package="kft")
class WordTags(keras.layers.Layer):
    """The most probable tag of each token, and its probability; what counts are the first tokens of words."""

    def call(self, logits: Any) -> dict[str, Any]:
        label, confidence = most_probable(ops.softmax(logits, axis=-1))
        return {"label": label, "confidence": confidence}

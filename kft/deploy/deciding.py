"""The last layers of an exported graph: from logits to the answer that is given. kft/answer/decide.py in Keras's ops.

Keras alone, so that a ``.keras`` file can bring this file along. tests/deploy/test_graph.py holds both to the same
answers.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

SMALLEST = 1e-12


def most_probable(probabilities: Any) -> tuple[Any, Any]:
    """Returns the place of the largest value of each row, the first of several, ``int32``, and the value.

    Not ``ops.argmax``, which no converter knows in the form that Keras gives it.
    """
    largest, count = ops.max(probabilities, axis=-1), probabilities.shape[-1]
    places = ops.where(ops.equal(probabilities, ops.expand_dims(largest, -1)), ops.arange(count, dtype="int32"), count)
    return ops.min(places, axis=-1), largest


class Scoped(keras.layers.Layer):
    """Base: tells foreign inputs, as ``kft.answer.decide.Scope`` does.

    Args:
        scope: ``limit``, and mean and deviation of ``distance`` and ``unsure``, which may be None, of such a scope.
        known: ``(rows, width)`` of the training vectors; the weight ``known`` holds them.
        own: What else a layer is made with.
    """

    def __init__(
        self, scope: dict[str, Any] | None, known: tuple[int, int] | None, own: dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.own: dict[str, Any] = {**own, "scope": scope, "known": known}
        if known is not None:
            self.known = self.add_weight(
                name="known", shape=tuple(known), dtype="float32", trainable=False, initializer="zeros"
            )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.own}

    def _withheld(self, vectors: Any, sure: Any = None, withheld: Any = None) -> dict[str, Any]:
        """Returns ``abstain`` and ``foreign``, ``bool[batch]``; nothing where no answer is ever withheld.

        Args:
            vectors: ``float32[batch, width]``; only where there is a scope.
            sure: ``float32[batch]``: the largest probability; only of one class of many.
            withheld: ``bool[batch]``: what a rule withholds; None without one.
        """
        if self.own["scope"] is not None:
            foreign = self._foreignness(vectors, sure) > self.own["scope"]["limit"]
        elif withheld is not None:
            foreign = ops.zeros_like(withheld)
        else:
            return {}
        return {"abstain": foreign if withheld is None else ops.logical_or(withheld, foreign), "foreign": foreign}

    def _foreignness(self, vectors: Any, sure: Any) -> Any:
        """Returns ``float32[batch]``: how far an input lies from all training examples, and how unsure the model is."""
        lengths = ops.sqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True))
        units = vectors / ops.maximum(lengths, SMALLEST)
        alike = ops.matmul(units, ops.transpose(self.known))
        (far, deviation), unsure = self.own["scope"]["distance"], self.own["scope"]["unsure"]
        score = (1 - ops.max(alike, axis=-1) - far) / deviation
        return score if unsure is None else score + (1 - sure - unsure[0]) / unsure[1]


@keras.saving.register_keras_serializable(package="kft")
class OneClass(Scoped):
    """One class of many: temperature, the rule, and what tells foreign inputs.

    Args:
        temperature: What logits are divided by.
        threshold: Less confident answers are withheld; 0 withholds none.
        place: The one class whose answers the threshold is for; None for all.
        scope: As of ``Scoped``.
        known: Likewise.

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
        super().__init__(scope, known, {"temperature": temperature, "threshold": threshold, "place": place}, **kwargs)

    def call(self, logits: Any, vectors: Any = None) -> dict[str, Any]:
        probabilities = ops.softmax(logits / self.own["temperature"], axis=-1)
        label, confidence = most_probable(probabilities)
        withheld = confidence < self.own["threshold"]
        if self.own["place"] is not None:
            withheld = ops.logical_and(withheld, ops.equal(label, self.own["place"]))
        said = {"probabilities": probabilities, "label": label, "confidence": confidence}
        return {**said, **self._withheld(vectors, confidence, withheld)}


@keras.saving.register_keras_serializable(package="kft")
class SeveralLabels(Scoped):
    """The probability of each label by itself, and how probable it is that all are as said.

    Args:
        thresholds: From which probability on each label is said, which is then an output too; None: one half.
        scope: As of ``Scoped``.
        known: Likewise.
    """

    def __init__(
        self,
        thresholds: list[float] | None = None,
        scope: dict[str, Any] | None = None,
        known: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, known, {"thresholds": thresholds}, **kwargs)

    def call(self, logits: Any, vectors: Any = None) -> dict[str, Any]:
        probabilities = ops.sigmoid(logits)
        thresholds = self.own["thresholds"]
        if thresholds is None:
            said = {}
            each = ops.maximum(probabilities, 1 - probabilities)
        else:
            said = {"said": probabilities >= ops.convert_to_tensor(thresholds, "float32")}
            each = ops.where(said["said"], probabilities, 1 - probabilities)
        confidence = ops.prod(each, axis=-1)
        return {"probabilities": probabilities, **said, "confidence": confidence, **self._withheld(vectors)}


@keras.saving.register_keras_serializable(package="kft")
class InUnits(Scoped):
    """A number in the units of the training labels.

    Args:
        mean: Of these labels.
        std: Likewise.
        interval: ``edges``, ``reaches`` and ``widest`` of ``kft.records.rules.IntervalRule``; None without.
        scope: As of ``Scoped``.
        known: Likewise.
    """

    def __init__(
        self,
        mean: float = 0.0,
        std: float = 1.0,
        interval: dict[str, Any] | None = None,
        scope: dict[str, Any] | None = None,
        known: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, known, {"mean": mean, "std": std, "interval": interval}, **kwargs)

    def call(self, outputs: Any, vectors: Any = None) -> dict[str, Any]:
        value, interval = outputs[:, 0] * self.own["std"] + self.own["mean"], self.own["interval"]
        if interval is None:
            return {"value": value, **self._withheld(vectors)}
        edges, reach = interval["edges"], ops.full_like(value, interval["reaches"][0])
        if edges:
            past = ops.cast(ops.expand_dims(value, -1) >= ops.convert_to_tensor(edges, "float32"), "int32")
            reach = ops.take(ops.convert_to_tensor(interval["reaches"], "float32"), ops.sum(past, axis=-1), axis=0)
        too_wide = 2 * reach > (np.inf if interval["widest"] is None else interval["widest"])
        return {"value": value, "low": value - reach, "high": value + reach, **self._withheld(vectors, None, too_wide)}


@keras.saving.register_keras_serializable(package="kft")
class WordTags(Scoped):
    """The most probable tag of each token, and its probability; what counts are the first tokens of words.

    Args:
        scope: As of ``Scoped``.
        known: Likewise.
    """

    def __init__(
        self, scope: dict[str, Any] | None = None, known: tuple[int, int] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(scope, known, {}, **kwargs)

    def call(self, logits: Any, vectors: Any = None) -> dict[str, Any]:
        label, confidence = most_probable(ops.softmax(logits, axis=-1))
        return {"label": label, "confidence": confidence, **self._withheld(vectors)}

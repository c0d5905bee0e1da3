"""A trained model ready to answer: raw texts in, label names and probabilities out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.data.batches import Ragged, choose_edges
from kft.data.source import text_source
from kft.errors import RunError
from kft.metrics.classification import softmax
from kft.recipe.load import load_recipe
from kft.rundir import RunFolder

if TYPE_CHECKING:
    import keras

    from kft.features.inference import Inference
    from kft.model.backbones import TextTokenizer


@dataclass(frozen=True)
class Prediction:
    """One answer.

    Attributes:
        label: The most probable label.
        confidence: Its probability.
        abstain: Whether the model declines to answer; always False until an abstention threshold is set.
        probabilities: Every label's probability.
    """

    label: str
    confidence: float
    abstain: bool
    probabilities: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Returns the documented form."""
        return {
            "label": self.label,
            "confidence": self.confidence,
            "abstain": self.abstain,
            "probabilities": self.probabilities,
        }


@dataclass(frozen=True)
class Predictor:
    """A model with its tokenizer and label names."""

    model: keras.Model
    tokenizer: TextTokenizer
    labels: tuple[str, ...]
    max_tokens: int
    batch_size: int

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Returns ``float64[texts, labels]``, in the order of the texts."""
        from kft.features.inference import run_in_batches

        if not texts:
            return np.zeros((0, len(self.labels)))
        rows, _ = self.tokenizer.encode(texts, self.max_tokens)
        tokens = Ragged.from_rows(rows)
        source = text_source(tokens, choose_edges(tokens.lengths)).select(
            tuple(tensor.name for tensor in self.model.inputs)
        )
        (logits,) = run_in_batches(self._inference, source)
        return softmax(np.asarray(logits))

    @cached_property
    def _inference(self) -> Inference:
        import keras

        from kft.features.inference import make_inference

        # The same graph with its inputs as a list, which is how batches come.
        return make_inference(keras.Model(self.model.inputs, self.model.outputs[0]), self.batch_size)

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Returns one prediction a text."""
        return [to_prediction(row, self.labels) for row in self.probabilities(texts)]

    def with_weights(self, arrays: Mapping[str, np.ndarray]) -> Predictor:
        """Puts other weights into the model, which is shared, and returns the predictor.

        Arrays that are left out keep what the model holds, so a probe's checkpoint is its head alone.
        """
        from kft.train.checkpoint import restore

        unknown = sorted(set(arrays) - {variable.path for variable in self.model.weights})
        if unknown:
            raise RunError(
                "the checkpoint holds weights that the model does not have",
                received=", ".join(unknown[:3]) + (" ..." if len(unknown) > 3 else ""),
                expected="the layers of this model; receipt.json names the versions it was trained with",
                next_step="install those versions, or train again",
            )
        restore([variable for variable in self.model.weights if variable.path in arrays], arrays)
        return self


def to_prediction(probabilities: np.ndarray, labels: Sequence[str]) -> Prediction:
    """Returns the documented form of one row of probabilities."""
    best = int(probabilities.argmax())
    return Prediction(
        label=labels[best],
        confidence=float(probabilities[best]),
        abstain=False,
        probabilities={label: float(value) for label, value in zip(labels, probabilities, strict=True)},
    )


def load_predictor(run: RunFolder) -> Predictor:
    """Builds the run's model with the pretrained weights and a head that still awaits a checkpoint.

    Raises:
        RunError: The run folder is incomplete.
        ModelError: The backbone on disk is not the one the run was trained from.
    """
    from kft.errors import ModelError
    from kft.model.backbones import load_backbone
    from kft.model.build import build_model

    spec = load_recipe(run.recipe).spec
    receipt = run.read_json(run.receipt)
    backbone = load_backbone(spec.model.backbone)
    if backbone.weights_hash != receipt["weights_hash"]:
        raise ModelError(
            "the backbone's weights are not those the run was trained from",
            where=spec.model.backbone,
            received=f"sha256 {backbone.weights_hash}",
            expected=f"sha256 {receipt['weights_hash']}",
            next_step="restore the backbone's folder, or train again",
        )
    return Predictor(
        model=build_model(backbone, classes=len(receipt["labels"])),
        tokenizer=backbone.tokenizer,
        labels=tuple(receipt["labels"]),
        max_tokens=spec.model.max_tokens,
        batch_size=spec.train.batch_size,
    )

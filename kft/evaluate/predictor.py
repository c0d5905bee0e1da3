"""A trained model ready to answer: raw inputs in, label names and probabilities, numbers or spans out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.data.batches import Ragged
from kft.errors import RunError
from kft.evaluate.fitted import Fitted, read_fitted
from kft.recipe.load import load_recipe
from kft.rundir import RunFolder
from kft.tasks.classes import Prediction
from kft.tasks.registry import TASKS
from kft.tasks.task import Answer, AnswerKind, AnswerSpace

if TYPE_CHECKING:
    import keras

    from kft.features.inference import Inference
    from kft.model.backbones import Backbone
    from kft.model.encode import Reader
    from kft.recipe.schema import RecipeSpec

NOTHING_FITTED = Fitted()


@dataclass(frozen=True)
class Predictor:
    """A model that reads raw inputs and gives answers.

    Attributes:
        model: From inputs to outputs.
        reader: Turns raw inputs into the model's.
        kind: What is answered.
        space: Everything that an answer can be.
        spec: The recipe it was trained by.
        backbone: Whose layers the model shares; None where nobody asks.
        fitted: Temperature and threshold.
    """

    model: keras.Model
    reader: Reader
    kind: AnswerKind
    space: AnswerSpace
    spec: RecipeSpec
    backbone: Backbone | None = None
    fitted: Fitted = NOTHING_FITTED

    def answers(self, inputs: Sequence[Any], *, keep: bool = False) -> Any:
        """Returns one answer an input, in their order: probabilities, numbers or spans, as the metrics take them.

        Probabilities are those of the model itself, before calibration.
        """
        from kft.features.inference import run_in_batches

        encoded = self.reader.read(inputs, keep=keep)
        source = encoded.source.select(tuple(tensor.name for tensor in self.model.inputs))
        (found,) = run_in_batches(self._inference, source)
        return self._as_answers(found, encoded.offsets)

    def head_answers(self, inputs: Sequence[Any]) -> Any:
        """Does what ``answers`` does for a head on the pretrained backbone; frozen work comes from the store."""
        from kft.features.boundary import frozen_blocks, split_at_boundary
        from kft.features.inference import make_inference, run_in_batches
        from kft.features.reuse import reuse_features
        from kft.features.store import make_front
        from kft.model.freeze import freeze

        freeze(self.model, "none")
        split = split_at_boundary(self.model)
        if set(split.names) == {tensor.name for tensor in split.front.inputs}:  # images that change at random, say
            return self.answers(inputs, keep=True)
        encoded = self.reader.read(inputs, keep=True)
        blocks = frozen_blocks(self.model, split)
        about = {"model": self.backbone.name if self.backbone else "model", "phase": "evaluate"}
        (source,) = reuse_features(make_front(split), [encoded.source], blocks, self.spec.features, about=about)
        (found,) = run_in_batches(make_inference(split.back, self.spec.train.batch_size), source)
        return self._as_answers(found, encoded.offsets)

    def _as_answers(self, found: Any, offsets: Any) -> Any:
        rows = [found.row(place) for place in range(len(found))] if isinstance(found, Ragged) else found
        return self.kind.answers(rows, self.space, offsets)

    @cached_property
    def _inference(self) -> Inference:
        import keras

        from kft.features.inference import make_inference

        # The same graph with its inputs as a list, which is how batches come.
        return make_inference(keras.Model(self.model.inputs, self.model.outputs[0]), self.spec.train.batch_size)

    def predict(self, inputs: Sequence[Any]) -> list[Answer]:
        """Returns one prediction an input, as a person reads it."""
        if not inputs:
            return []
        texts = [given if isinstance(given, str) else "" for given in inputs]
        answers = self.fitted.temperature.apply(self.answers(inputs))
        predictions = [
            self.kind.prediction(answer, self.space, text) for answer, text in zip(answers, texts, strict=True)
        ]
        withheld = zip(predictions, self.fitted.abstains(answers), strict=True)
        return [_withheld(found) if abstain else found for found, abstain in withheld]

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


def _withheld(answer: Answer) -> Answer:
    assert isinstance(answer, Prediction)  # only the probabilities of one class of many have a threshold
    return replace(answer, abstain=True)


def load_predictor(run: RunFolder, backbone: Backbone | None = None) -> Predictor:
    """Builds the run's model with the pretrained weights and a head that still awaits a checkpoint.

    What was fitted after training belongs to the best checkpoint.

    Args:
        run: The run.
        backbone: The one it was trained from, where that is at hand as it was loaded; default: it is loaded.

    Raises:
        RunError: The run folder is incomplete.
        ModelError: The backbone on disk is not the one the run was trained from.
    """
    from kft.errors import ModelError
    from kft.model.backbones import load_for
    from kft.model.build import build_for
    from kft.model.encode import make_reader

    spec = load_recipe(run.recipe).spec
    task = TASKS.get(spec.task)
    receipt = run.read_json(run.receipt)
    backbone = backbone or load_for(spec)
    if backbone.weights_hash != receipt["weights_hash"]:
        raise ModelError(
            "the backbone's weights are not those the run was trained from",
            where=spec.model.backbone,
            received=f"sha256 {backbone.weights_hash}",
            expected=f"sha256 {receipt['weights_hash']}",
            next_step="restore the backbone's folder, or train again",
        )
    space = AnswerSpace(tuple(receipt["labels"]), receipt["mean"], receipt["std"])
    return Predictor(
        model=build_for(spec, task, space, backbone),
        reader=make_reader(task, backbone, spec.model),
        kind=task.kind,
        space=space,
        spec=spec,
        backbone=backbone,
        fitted=read_fitted(run) or NOTHING_FITTED,
    )

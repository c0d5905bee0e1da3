"""A trained model ready to answer: raw inputs in, label names and probabilities, numbers or spans out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answer.fitted import Fitted, read_fitted
from kft.errors import RunError
from kft.feed.batches import Ragged
from kft.records.document import read_document
from kft.records.receipt import Receipt
from kft.records.run_folder import RunFolder
from kft.tasks.classes import Prediction
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS
from kft.tasks.task import Answer, AnswerKind, AnswerSpace

if TYPE_CHECKING:
    import keras

    from kft.features.inference import Inference
    from kft.feed.source import Source
    from kft.model.backbones import Backbone
    from kft.model.encode import Reader
    from kft.recipe.schema import RecipeSpec

NOTHING_FITTED = Fitted()
FOREIGN, UNSURE = "unlike the training examples (out of scope)", "not sure enough"
"""Why an answer is withheld, in words."""


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
        fitted: Temperature, threshold and scope.
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
        return self.answers_and_vectors(inputs, keep=keep, vectors=False)[0]

    def answers_and_vectors(
        self, inputs: Sequence[Any], *, keep: bool = False, vectors: bool = True
    ) -> tuple[Any, np.ndarray | None]:
        """Returns what ``answers`` does, and ``float32[n, width]``: what the head's last layer read, in the same pass.

        Args:
            inputs: Raw inputs.
            keep: Whether decoded images are kept on disk.
            vectors: Whether they are wanted; None else.
        """
        encoded = self.reader.read(inputs, keep=keep)
        source = encoded.source.select(tuple(tensor.name for tensor in self.model.inputs))
        return self._outputs(self._inference_with_vectors if vectors else self._inference, source, encoded.offsets)

    def head_answers(self, inputs: Sequence[Any], *, vectors: bool = False) -> tuple[Any, np.ndarray | None]:
        """Answers with a head on the pretrained backbone: frozen work comes from the feature store.

        Args:
            inputs: Raw inputs.
            vectors: Whether what the head's last layer read is wanted as well; see ``answers_and_vectors``.
        """
        from kft.features.boundary import frozen_blocks, split_at_boundary
        from kft.features.reuse import reuse_features
        from kft.features.store import make_front
        from kft.model.freeze import freeze

        freeze(self.model, "none")
        split = split_at_boundary(self.model)
        if set(split.names) == {tensor.name for tensor in split.front.inputs}:  # images that change at random, say
            return self.answers_and_vectors(inputs, keep=True, vectors=vectors)
        encoded = self.reader.read(inputs, keep=True)
        blocks = frozen_blocks(self.model, split)
        about = {"model": self.backbone.name if self.backbone else "model", "phase": "evaluate"}
        (source,) = reuse_features(make_front(split), [encoded.source], blocks, self.spec.features, about=about)
        return self._outputs(self._traced(split.back, vectors), source, encoded.offsets)

    def _outputs(self, inference: Inference, source: Source, offsets: Any) -> tuple[Any, np.ndarray | None]:
        from kft.features.inference import run_in_batches

        found, *more = run_in_batches(inference, source)
        rows = [found.row(place) for place in range(len(found))] if isinstance(found, Ragged) else found
        vectors = np.asarray(more[0]) if more else None
        return self.kind.judging.answers(rows, self.space, offsets), vectors

    @cached_property
    def _inference(self) -> Inference:
        return self._traced(self.model, False)

    @cached_property
    def _inference_with_vectors(self) -> Inference:
        return self._traced(self.model, True)

    def _traced(self, model: keras.Model, vectors: bool) -> Inference:
        import keras

        from kft.features.inference import make_inference
        from kft.model.heads import with_vectors

        # The same graph with its inputs as a list, which is how batches come.
        graph = with_vectors(model) if vectors else keras.Model(model.inputs, model.outputs[0])
        return make_inference(graph, self.spec.train.batch_size)

    def predict(self, inputs: Sequence[Any]) -> list[Answer]:
        """Returns one prediction an input, as a person reads it."""
        if not inputs:
            return []
        texts = [given if isinstance(given, str) else "" for given in inputs]
        raw, vectors = self.answers_and_vectors(inputs, vectors=self.fitted.scope is not None)
        answers = self.fitted.temperature.apply(raw)
        predictions = [
            self.kind.judging.prediction(answer, self.space, text) for answer, text in zip(answers, texts, strict=True)
        ]
        foreign = self.fitted.foreign(answers, vectors)
        withheld = zip(predictions, self.fitted.abstains(answers, vectors), foreign, strict=True)
        return [_withheld(found, FOREIGN if far else UNSURE) if abstain else found for found, abstain, far in withheld]

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


def _withheld(answer: Answer, why: str) -> Answer:
    assert isinstance(answer, Prediction)  # only the probabilities of one class of many have a threshold
    return replace(answer, abstain=True, why=why)


def count_withheld(answers: Sequence[Answer]) -> str:
    """Returns how many answers are withheld, and why, in words; empty where none is.

    Example:
        >>> unsure = Prediction("spam", 0.6, True, {"spam": 0.6, "ham": 0.4}, why=UNSURE)
        >>> count_withheld([unsure, unsure, Prediction("ham", 0.9, False, {})])
        '2 of 3 answers withheld: 2 not sure enough'
    """
    why = Counter(answer.why for answer in answers if isinstance(answer, Prediction) and answer.abstain)
    if not why:
        return ""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in why.items())
    return f"{why.total():,} of {len(answers):,} answers withheld: {reasons}"


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
    receipt = read_document(Receipt, run.receipt)
    backbone = backbone or load_for(spec)
    if backbone.weights_hash != receipt.weights_hash:
        raise ModelError(
            "the backbone's weights are not those the run was trained from",
            where=spec.model.backbone,
            received=f"sha256 {backbone.weights_hash}",
            expected=f"sha256 {receipt.weights_hash}",
            next_step="restore the backbone's folder, or train again",
        )
    space = AnswerSpace(receipt.labels, receipt.mean, receipt.std)
    return Predictor(
        model=build_for(spec, task, space, backbone),
        reader=make_reader(task, backbone, spec.model),
        kind=task.kind,
        space=space,
        spec=spec,
        backbone=backbone,
        fitted=read_fitted(run) or NOTHING_FITTED,
    )

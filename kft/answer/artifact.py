"""The artifact: raw inputs in, label names and probabilities, numbers or spans out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answer.decide import NOTHING, Decisions
from kft.feed.batches import Ragged
from kft.tasks.decode import FOREIGN, UNSURE
from kft.tasks.task import Answer, AnswerKind, AnswerSpace
from kft.tasks.windows import NAMING, evidence_of

if TYPE_CHECKING:
    import keras

    from kft.features.inference import Inference
    from kft.features.store import Front
    from kft.feed.source import Source
    from kft.model.backbones import Backbone
    from kft.model.encode import Reader
    from kft.recipe.schema import RecipeSpec

SHORT = 8
"""Tokens of the example that a graph is traced with: any number will do, the axis is free."""


@dataclass(frozen=True)
class Computed:
    """What a model takes and gives of some inputs.

    Attributes:
        source: The inputs as the model takes them.
        outputs: ``float32[n, units]``, or for tagging one ``float32[tokens, units]`` an input.
        vectors: ``float32[n, width]``: what the head's last layer read; None where that was not wanted.
        offsets: Where each token stands; only for tagging.
        windows: ``float32[n, most, 1 + units]`` of texts in windows: see ``kft.model.evidence``; None elsewhere.
        spans: Where these stand in their texts.
        sides: ``float32[2 * n, width]``: the vectors that outputs compare, of first texts and then of second ones; None
            where an input is one row.
    """

    source: Source
    outputs: Any
    vectors: np.ndarray | None
    offsets: Any
    windows: np.ndarray | None = None
    spans: Sequence[np.ndarray] | None = None
    sides: np.ndarray | None = None


@dataclass(frozen=True)
class Artifact:
    """All that turns a raw input into an answer. Nothing of it changes: other weights are another artifact.

    Attributes:
        graph: From inputs to outputs; nobody assigns its weights once an artifact holds it.
        reader: Turns raw inputs into the graph's.
        kind: What is answered: it decodes the outputs.
        space: Everything that an answer can be.
        spec: The recipe it was trained by.
        backbone: Whose layers the graph shares; None where nobody asks.
        decisions: Temperature, rule and scope.
        weights: What the weights are where they are other than the graph's own, by their paths.
        checkpoint: Hash of the checkpoint that the weights are of; empty where they are of none.
    """

    graph: keras.Model
    reader: Reader
    kind: AnswerKind
    space: AnswerSpace
    spec: RecipeSpec
    backbone: Backbone | None = None
    decisions: Decisions = NOTHING
    weights: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    checkpoint: str = ""
    _traced: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)  # the same graph, ready to run

    def of_documents(self) -> Artifact:
        """Returns the same for documents, where inputs are queries otherwise."""
        return replace(self, reader=self.reader.of_documents())

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
        found = self.computed(inputs, keep=keep, vectors=vectors)
        return self._judged(found), found.vectors

    def computed(self, inputs: Sequence[Any], *, keep: bool = False, vectors: bool = True) -> Computed:
        """Returns what the model takes and gives, before anything is made of it; see ``answers_and_vectors``."""
        encoded = self.reader.read(inputs, keep=keep)
        found = self._run(*self._ready(encoded.source, vectors), encoded.offsets, vectors)
        return replace(found, spans=encoded.spans)

    def _ready(self, source: Source, vectors: bool) -> tuple[Inference, Source]:
        """Returns what runs, and on what: in int8 the head, on features that are computed here and kept nowhere."""
        if not self.spec.features.in_int8:
            return self._whole(vectors), source.select(tuple(tensor.name for tensor in self.graph.inputs))
        from kft.features.store import compute_features

        parts = self._once("parts", self._cut)
        assert parts is not None  # only texts are computed in int8, and none changes at random
        front, back, _ = parts
        return self._back(back, vectors), compute_features(front, source)

    def warm(self) -> None:
        """Traces the graph, so that the first answer does not wait for it."""
        if self.spec.features.in_int8:
            text = ("a", "b") if self.reader.task.reads.pairs else "a"
            self.computed([text], vectors=self.decisions.scope is not None)
            return
        inference = self._whole(self.decisions.scope is not None)
        windows = self.reader.windows
        short = SHORT if windows is None else windows.size
        shapes = ((inference.rows(1), *(size or short for size in tensor.shape[1:])) for tensor in self.graph.inputs)
        inference(tuple(np.zeros(shape, tensor.dtype) for shape, tensor in zip(shapes, self.graph.inputs, strict=True)))

    def head_answers(self, inputs: Sequence[Any], *, vectors: bool = False) -> tuple[Any, np.ndarray | None]:
        """Answers with a head on the pretrained backbone: frozen work comes from the feature store.

        Args:
            inputs: Raw inputs.
            vectors: Whether what the head's last layer read is wanted as well; see ``answers_and_vectors``.
        """
        from kft.features.reuse import reuse_features

        parts = self._once("parts", self._cut)
        # What is stored of tokens does not say which of a batch are real, as their mean has to know.
        if parts is None or (vectors and self.kind.learning.per_token):
            return self.answers_and_vectors(inputs, keep=True, vectors=vectors)
        front, back, blocks = parts
        encoded = self.reader.read(inputs, keep=True)
        about = {"model": self.backbone.name if self.backbone else "model", "phase": "evaluate"}
        (source,) = reuse_features(front, [encoded.source], blocks, self.spec.features, about=about)
        found = self._run(self._back(back, vectors), source, encoded.offsets, vectors)
        return self._judged(found), found.vectors

    def _run(self, inference: Inference, source: Source, offsets: Any, vectors: bool) -> Computed:
        from kft.features.inference import run_in_batches

        found, *more = run_in_batches(inference, source)
        rows = [found.row(place) for place in range(len(found))] if isinstance(found, Ragged) else found
        sides = None
        if (join := self.kind.learning.joined) is not None:
            sides = np.asarray(rows)
            rows = join(sides)
        arrays = [np.asarray(each) for each in more]
        read = arrays.pop(0) if vectors else None
        return Computed(source, rows, read, offsets, arrays[0] if arrays else None, sides=sides)

    def _judged(self, found: Computed) -> Any:
        return self.kind.judging.answers(found.outputs, self.space, found.offsets)

    def _back(self, back: keras.Model, vectors: bool) -> Inference:
        rows = self.spec.train.batch_size
        return self._once(f"back, vectors {vectors}", lambda: self._trace(back, vectors, rows))

    def _whole(self, vectors: bool) -> Inference:
        rows = self.spec.train.batch_size
        return self._once(
            f"whole, vectors {vectors}", lambda: self._trace(self.graph, vectors, rows, self.names_windows)
        )

    @property
    def names_windows(self) -> bool:
        """Whether an answer names the windows that decided."""
        return self.reader.windows is not None and self.kind.labels.form in NAMING

    def _cut(self) -> tuple[Front, keras.Model, list[str]] | None:
        """Cuts the graph below the head; None where nothing is frozen there: images that change at random, say."""
        from kft.features.boundary import frozen_blocks, split_at_boundary
        from kft.features.store import make_front
        from kft.model.freeze import as_if, what_trains

        with as_if(self.graph, what_trains(self.graph, "none")):
            split = split_at_boundary(self.graph)
            if set(split.names) == {tensor.name for tensor in split.front.inputs}:
                return None
            return (
                make_front(split, self.weights, self.spec.features.precision),
                split.back,
                frozen_blocks(self.graph, split),
            )

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        """Returns what was made before for this graph, also by an artifact that decides otherwise."""
        if name not in self._traced:
            self._traced[name] = make()
        return self._traced[name]

    def _trace(self, model: keras.Model, vectors: bool, rows: int, windows: bool = False) -> Inference:
        import keras

        from kft.features.inference import make_inference
        from kft.features.overlay import lay_over
        from kft.model.evidence import window_answers
        from kft.model.heads import with_vectors
        from kft.model.real_tokens import on_real_tokens

        # The same graph with its inputs as a list, which is how batches come.
        graph = with_vectors(model) if vectors else keras.Model(model.inputs, model.outputs[0])
        if windows:
            graph = keras.Model(graph.inputs, [*graph.outputs, window_answers(model)])
        return make_inference(lay_over(on_real_tokens(graph), self.weights), rows)

    def predict(self, inputs: Sequence[Any]) -> list[Answer]:
        """Returns one prediction an input, as a person reads it."""
        if not inputs:
            return []
        return self.named(inputs, self.computed(inputs, vectors=self.decisions.scope is not None))

    def named(self, inputs: Sequence[Any], found: Computed) -> list[Answer]:
        """Returns predictions from what was computed of the same inputs."""
        texts = [given if isinstance(given, str) else "" for given in inputs]
        answers = self.decisions.temperature.apply(self._judged(found))
        space = self.space.cut_by(self.decisions.labels, self.decisions.interval)
        predictions: list[Any] = [
            self.kind.judging.prediction(answer, space, text) for answer, text in zip(answers, texts, strict=True)
        ]
        if found.windows is not None:
            predictions = [self._with_evidence(said, found, row) for row, said in enumerate(predictions)]
        foreign = self.decisions.foreign(answers, found.vectors)
        withheld = zip(predictions, foreign | self.decisions.unsure(answers), foreign, strict=True)
        return [
            replace(said, abstain=True, why=FOREIGN if far else UNSURE) if abstain else said
            for said, abstain, far in withheld
        ]

    def _with_evidence(self, said: Any, found: Computed, row: int) -> Answer:
        assert found.windows is not None and found.spans is not None
        form, units = self.kind.labels.form, (self.space.mean, self.space.std)
        entries = evidence_of(found.windows[row], found.spans[row], form, vars(said), self.space.labels, units)
        return replace(said, evidence=tuple(entries))


def why_withheld(answers: Sequence[Answer]) -> Counter[str]:
    """Returns how many answers are withheld, by why.

    Example:
        >>> from kft.tasks.classes import Prediction
        >>> unsure = Prediction("spam", 0.6, True, {"spam": 0.6, "ham": 0.4}, why=UNSURE)
        >>> why_withheld([unsure, unsure, Prediction("ham", 0.9, False, {})])
        Counter({'not sure enough': 2})
    """
    return Counter(answer.why for answer in answers if answer.abstain)


def say_withheld(why: Counter[str], answers: int) -> str:
    """Returns how many of so many answers are withheld, and why, in words; empty where none is.

    Example:
        >>> say_withheld(Counter({UNSURE: 2}), 3)
        '2 of 3 answers withheld: 2 not sure enough'
    """
    if not why:
        return ""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in why.items())
    return f"{why.total():,} of {answers:,} answers withheld: {reasons}"

"""What every approach is given where responses are written, and what each gives back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answer.artifact import Artifact
from kft.answer.write import SamplingParams, Writer
from kft.compare.saved import Recalled, Saved
from kft.data.examples import Examples
from kft.model.encode import make_reader
from kft.model.prompts import PLACE, PromptReader
from kft.recipe.schema import ONE_TURN, RecipeSpec
from kft.split.data_split import Selection, labels_of
from kft.tasks.registry import TASKS

if TYPE_CHECKING:
    from kft.features.inference import Inference
    from kft.model.backbones import Backbone
    from kft.train.progress import Progress

ROWS = 16
"""Prompts that are read, or answered, at a time."""


@dataclass(frozen=True)
class WritingSetting:
    """What the approaches are given.

    Attributes:
        spec: The recipe.
        split: Its data; the test split is not among them.
        test: Test's prompts; nobody sees what is right.
        progress: Told what goes on.
        budget: Minutes that one approach may take, by its size.
        runs: Runs that were tuned before, by the approach that they are.
        backbone: Pretrained; approaches that tune load their own.
        saved: Where what is written is kept, answer by answer.
    """

    spec: RecipeSpec
    split: Selection
    test: Examples
    progress: Progress = field(repr=False)
    budget: float
    backbone: Backbone = field(repr=False)
    saved: Saved = field(repr=False)
    runs: Mapping[str, Artifact] = field(default_factory=dict, repr=False)

    @cached_property
    def plain(self) -> Selection:
        """The data without passages."""
        train, valid = (without_passages(part) for part in (self.split.train, self.split.valid))
        return replace(self.split, train=train, valid=valid)

    @cached_property
    def reader(self) -> PromptReader:
        """As the recipe has it."""
        found = make_reader(TASKS.get(self.spec.task), self.backbone, self.spec.model).writing
        assert found is not None  # causal-lm writes
        return found

    @cached_property
    def weighs(self) -> tuple[Inference, tuple[str, ...]]:
        """The untuned model as it weighs responses, traced once, and the names of what it takes."""
        import keras

        from kft.features.inference import make_inference
        from kft.model.language import with_targets

        model = with_targets(self.backbone)
        graph = keras.Model(model.inputs, model.outputs[0])  # its inputs as a list, which is how batches come
        return make_inference(graph, ROWS), tuple(each.name for each in graph.inputs)

    @cached_property
    def responses(self) -> list[str]:
        """Those of train."""
        return responses_of(self.split.train)

    @cached_property
    def whole(self) -> PromptReader:
        """Reads whole prompts that nothing was trained on: as long as the model has positions for."""
        room = self.backbone.max_tokens - self.reader.response_tokens
        return replace(self.reader, template=PLACE, prompt_tokens=max(1, room), chat=None, turns=ONE_TURN)

    def cut(self, prompts: Sequence[str]) -> list[str]:
        """Returns prompts that lose their end where training cuts it, so that all approaches are told the same."""
        _, lost = self.reader.prompts(prompts)
        tokenizer, room = self.reader.tokenizer, self.reader.prompt_tokens
        found = list(prompts)
        for row in np.flatnonzero(lost):
            _, offsets, _ = tokenizer.encode_with_offsets([found[row]], room)
            found[row] = found[row][: int(offsets[0][:, 1].max(initial=0))]
        return found


def responses_of(part: Examples) -> list[str]:
    """Returns the right responses."""
    return [str(label) for label in labels_of(part)]


def without_passages(part: Examples) -> Examples:
    """Returns prompts alone."""
    return part if part.passages is None else replace(part, passages=None)


@dataclass(frozen=True)
class Completions:
    """What an approach wrote, and what that took.

    Attributes:
        texts: One a prompt.
        prompt_tokens: That were read, all prompts together.
        unfinished: Answers without an end.
        seconds: Wall time.
    """

    texts: list[str]
    prompt_tokens: int
    unfinished: int
    seconds: float


def write_all(
    given: WritingSetting,
    make: Callable[[], Writer],
    prompts: Sequence[str],
    asking: SamplingParams,
    recalled: Recalled,
) -> Completions:
    """Writes answers to prompts, those of like length together; what was written before a kill is not written again.

    Args:
        given: The comparison.
        make: Traces the model; not called where nothing is left to write.
        prompts: As the writer reads them.
        asking: How answers are written.
        recalled: What was written.
    """
    left = sorted((text for text in dict.fromkeys(prompts) if recalled.get(text) is None), key=len)
    with given.progress.task("writing answers", len(left)) as tick:
        writer = make() if left else None
        for start in range(0, len(left), ROWS):
            part, started = left[start : start + ROWS], time.perf_counter()
            assert writer is not None
            found = writer.write(part, asking, tick)
            seconds = (time.perf_counter() - started) / len(part)
            recalled.keep(
                {
                    text: [each.text, each.prompt_tokens, each.finish == "length", seconds]
                    for text, each in zip(part, found, strict=True)
                }
            )
    rows = [recalled.get(text) for text in prompts]
    return Completions([row[0] for row in rows], *(sum(row[place] for row in rows) for place in (1, 2, 3)))


@dataclass(frozen=True)
class WritingApproach:
    """An approach that is ready to write.

    Attributes:
        write: Prompts to answers.
        trained: Parameters that were trained.
        bytes: What is kept of it, the model included where it needs one.
        own_bytes: Beside the untuned model.
        chosen: What was chosen on valid.
        before: Wall seconds of choosing that a call spent which was cut short.
    """

    write: Callable[[Examples], Completions]
    trained: int = 0
    bytes: int = 0
    own_bytes: int = 0
    chosen: Mapping[str, Any] = field(default_factory=dict)
    before: float = 0.0

"""How likely a language model finds text that it was not tuned on, before and after: perplexity as a forgetting meter.

A model that was tuned at too high a rate, or for too long, writes its own task's words into everything; text of another
kind is then less likely to it than before. The texts are those of the retain set: written for kft, or a person's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kft.answer.artifact import Artifact
from kft.forgetting.retain import RetainSet, find_retain
from kft.metrics.intervals import estimate, paired_difference
from kft.metrics.language import METRICS, Spoken
from kft.recipe.schema import NO_TURN, RecipeSpec
from kft.records.estimate import Estimate
from kft.records.general_text import GeneralText

PLAIN = "{prompt}"


def general_texts(spec: RecipeSpec) -> RetainSet | None:
    """Returns the texts; None where the recipe wants none, or nothing was learned before tuning.

    Raises:
        DataError: A file of them cannot be read or used.
    """
    return None if spec.model.weights == "random" else find_retain(spec)[0]


def losses_of(artifact: Artifact, texts: Sequence[Any]) -> list[Spoken]:
    """Returns how surprising each token of each text is; without what ends a text, which tuning teaches by itself.

    Args:
        artifact: Of a model that writes.
        texts: Whole ones, without prompts; a long one loses its end.
    """
    writing = artifact.reader.writing
    assert writing is not None
    plain = replace(writing, turns=NO_TURN, chat=None, template=PLAIN)
    reading = replace(artifact, reader=replace(artifact.reader, writing=plain))
    _, cut = plain.responses(list(texts))
    answers = reading.answers([("", text) for text in texts])
    return [
        each if short else replace(each, losses=each.losses[:-1], hits=each.hits[:-1])
        for each, short in zip(answers, cut, strict=True)
    ]


def compare_losses(name: str, before: Sequence[Spoken], after: Sequence[Spoken]) -> GeneralText | None:
    """Returns the perplexity of both and their ratio; None where no text has a token that anything could be said of.

    Args:
        name: What the texts are called.
        before: Of the untuned model.
        after: Of the tuned one, text by text.
    """
    both = [(one, other) for one, other in zip(before, after, strict=True) if len(one.losses)]
    if not both:
        return None
    first, second = ([pair[side] for pair in both] for side in (0, 1))
    truth, perplexity, loss = [""] * len(both), METRICS["perplexity"], METRICS["token_log_loss"]
    gap = paired_difference(loss, truth, second, first)
    ratio = Estimate(*(float(np.exp(each)) for each in (gap.value, gap.low, gap.high)))
    return GeneralText(name, len(both), estimate(perplexity, truth, first), estimate(perplexity, truth, second), ratio)

"""What labels of examples come to, hard or soft: what is learned, what a split keeps the shares of, what is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kft.data.examples import Examples
from kft.errors import DataError
from kft.tasks.responses import Grounded
from kft.tasks.task import AnswerKind, AnswerSpace


def learned_targets(examples: Examples, kind: AnswerKind, space: AnswerSpace) -> np.ndarray:
    """Returns what a head learns of examples: ``float32[n, classes]`` where labels are soft.

    Else ``int32[n]`` of classes, and ``float32[n, units]`` of several labels or of a number.
    """
    if examples.shares is not None:
        return examples.shares.of(space.labels)
    return np.asarray(kind.learning.targets(_known(examples), space, None))


def read_with_labels(examples: Examples, kind: AnswerKind) -> list[Any]:
    """Returns what a model reads to learn of examples, or to be judged by their labels: mostly their inputs.

    A language model reads each prompt with its response.
    """
    return list(zip(prompts_of(examples), _known(examples), strict=True)) if kind.writes else examples.inputs


def prompts_of(examples: Examples) -> list[Any]:
    """Returns what a language model is asked: the inputs, each with its passages where there are any."""
    if examples.passages is None:
        return examples.inputs
    return [Grounded(text, tuple(own)) for text, own in zip(examples.inputs, examples.passages, strict=True)]


def label_shares(examples: Examples, kind: AnswerKind, space: AnswerSpace) -> list[float]:
    """Returns what who reads nothing knows of the labels; see ``Judging.shares``. Of soft labels the mean shares."""
    if examples.shares is not None:
        return examples.shares.of(space.labels).mean(axis=0, dtype=np.float64).tolist()
    return kind.judging.shares(_known(examples), space)


def strata_of(whole: Examples, kind: AnswerKind) -> np.ndarray:
    """Returns ``str[n]``: what a split keeps the shares of.

    A class that is nowhere the largest share of a soft label has a row of its own there, which train gets: valid and
    test could else hold all that is said of it.
    """
    strata = kind.labels.strata(_known(whole))
    if whole.shares is None:
        return strata
    strata, seen = strata.copy(), set(_known(whole))
    for place, name in enumerate(whole.shares.classes):
        column = whole.shares.values[:, place]
        if column.any() and name not in seen:
            strata[int(column.argmax())] = name
    return strata


def named_in(examples: Examples) -> list[Any]:
    """Returns the labels; of soft ones every class that has a share, row by row."""
    if examples.shares is None:
        return _known(examples)
    return [examples.shares.classes[place] for place in np.nonzero(examples.shares.values)[1]]


def require_choices(parts: Mapping[str, Examples], choices: Sequence[str]) -> None:
    """Refuses responses of train and valid that are none of the choices, where there are any: they are never written.

    Raises:
        DataError: Says how many, and one of them.
    """
    for name, part in parts.items():
        others = outside(part, choices)
        if others:
            raise DataError(
                "a response is none of the choices, so that it would never be written",
                where=f"{name}, model.choices",
                received=f"{others[0]!r:.200} and {len(others) - 1:,} others of {len(part):,} rows",
                expected="one of " + ", ".join(map(repr, choices[:10])) + (" ..." if len(choices) > 10 else ""),
                next_step="add it to model.choices, or mend the row; a space counts",
            )


def outside(part: Examples, choices: Sequence[str]) -> list[str]:
    """Returns the responses that are none of the choices; none are where there are no choices."""
    return [each for each in map(str, _known(part)) if each not in choices] if choices else []


def never_first(train: Examples, space: AnswerSpace) -> list[str]:
    """Says which classes are nowhere the largest share of a soft label, as a list of no or one sentence."""
    if train.shares is None:
        return []
    never = sorted(set(space.labels) - set(_known(train)))
    few = ", ".join(map(repr, never[:5])) + (f" and {len(never) - 5:,} more" if len(never) > 5 else "")
    return [f"{few}: of no training row the largest share, so that accuracy and F1 hardly see it"] if never else []


def _known(examples: Examples) -> list[Any]:
    assert examples.labels is not None  # only labelled examples are asked
    return list(examples.labels)

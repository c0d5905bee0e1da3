"""The most confident mistakes of a run, each with the training examples that lie nearest to it.

A wrong answer that a model is sure of has a reason, and the reason is often in the training data: a neighbour with a
wrong label, two labels for one thing, or nothing alike at all. Nearest is by the cosine of the frozen backbone's
pooled vectors, those of the feature store: what a head on the pretrained backbone would see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kft.data.examples import Examples, Input
from kft.data.personal import conceal
from kft.metrics.neighbours import nearest_first, unit_rows
from kft.records.csv_file import read_table
from kft.records.mistakes import DecidingPassage, Mistake, Mistakes, NearExample, Shown
from kft.records.run_folder import RunFolder
from kft.split.data_split import DataSplit, labels_of

MOST, NEIGHBOURS = 20, 3
"""Mistakes that are kept, and training examples beside each."""
MOST_CHARACTERS = 2000
"""Of a text that is kept."""

Vectorise = Callable[[Sequence[Input]], np.ndarray]
"""Inputs to ``float[n, width]``."""
Explain = Callable[[Sequence[Input]], Sequence[Sequence[Mapping[str, Any]]]]
"""Inputs to the windows that decided each answer; see ``kft.tasks.windows.evidence_of``."""
PASSAGES, PASSAGE_CHARACTERS = 3, 600
"""Parts of a text that are kept beside a mistake, and characters of each."""


def find_mistakes(
    run: RunFolder, split: DataSplit, vectorise: Vectorise, explain: Explain = lambda inputs: [()] * len(inputs)
) -> Mistakes:
    """Returns the content of mistakes.json.

    Args:
        run: An evaluated run: its predictions.csv says what was answered.
        split: Its data.
        vectorise: Turns inputs into the vectors that neighbours are found by; called once, and not at all where
            nothing is wrong.
        explain: Says what of each text decided; likewise. Default: nothing is known.
    """
    wrong = worst_answers(read_predictions(run))
    place = {str(identifier): at for at, identifier in enumerate(split.test.ids)}
    kept = [row for row in wrong[:MOST] if row["id"] in place]
    found = split.test.take(np.array([place[row["id"]] for row in kept], int))
    near = _neighbours(split.train, found, vectorise) if kept else []
    told = explain(found.inputs) if kept else []
    written = split.kind.labels.written
    mistakes = [
        Mistake(
            id=row["id"],
            input=_shown(given),
            target=row["target"],
            prediction=row["prediction"],
            confidence=float(row["confidence"]) if row["confidence"] else None,
            cost=None,
            neighbours=tuple(
                NearExample(
                    id=str(split.train.ids[at]),
                    input=_shown(split.train.inputs[at]),
                    label=written(labels_of(split.train)[at]),
                    similarity=round(similarity, 4),
                )
                for at, similarity in beside
            ),
            passages=tuple(_passages(given, windows)),
        )
        for row, given, beside, windows in zip(kept, found.inputs, near, told, strict=True)
    ]
    return Mistakes("test", len(wrong), tuple(mistakes), predictions_hash(run))


def read_predictions(run: RunFolder) -> list[dict[str, str]]:
    """Returns the rows of predictions.csv; none where there is no such file."""
    return read_table(run.predictions) if run.predictions.is_file() else []


def predictions_hash(run: RunFolder) -> str:
    """Returns the sha256 of predictions.csv: what mistakes.json belongs to."""
    return hashlib.sha256(run.predictions.read_bytes()).hexdigest() if run.predictions.is_file() else ""


def worst_answers(rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Returns the wrong answers, the most confident first; numbers, which have no confidence, by the size of the error.

    Args:
        rows: Of predictions.csv.

    Example:
        >>> rows = [("a", "x", "x", ".9"), ("b", "x", "y", ".6"), ("c", "y", "x", ".8")]
        >>> names = ("id", "target", "prediction", "confidence")
        >>> [row["id"] for row in worst_answers([dict(zip(names, row)) for row in rows])]
        ['c', 'b']
        >>> numbers = [("a", "1", "2", ""), ("b", "1", "5", "")]
        >>> [row["id"] for row in worst_answers([dict(zip(names, row)) for row in numbers])]
        ['b', 'a']
    """
    wrong = [row for row in rows if row["target"] != row["prediction"]]
    return sorted(wrong, key=lambda row: -_weight(row))


def _weight(row: Mapping[str, str]) -> float:
    if row["confidence"]:
        return float(row["confidence"])
    try:
        return abs(float(row["target"]) - float(row["prediction"]))
    except ValueError:  # no span was found: there is none to be sure of
        return 0.0


def _neighbours(train: Examples, found: Examples, vectorise: Vectorise) -> list[list[tuple[int, float]]]:
    """Returns, for each example, the places of its nearest training examples and their cosines."""
    vectors = unit_rows(vectorise([*train.inputs, *found.inputs]).astype(np.float32))
    alike = vectors[len(train) :] @ vectors[: len(train)].T
    nearest = nearest_first(alike, NEIGHBOURS)
    return [[(int(at), float(alike[row, at])) for at in places] for row, places in enumerate(nearest)]


def _passages(given: Input, windows: Sequence[Mapping[str, Any]]) -> Iterator[DecidingPassage]:
    """Yields what decided: of several labels the first window of each, else those that say most."""
    several = len({each.get("label") for each in windows}) > 1
    first = {each.get("label"): each for each in reversed(windows)}
    for each in [*reversed(first.values())][:PASSAGES] if several else windows[:1]:
        assert isinstance(given, str)  # only one text is read in windows
        text = conceal(given, each["start"], min(each["end"], each["start"] + PASSAGE_CHARACTERS))
        said = f"{each['value']:.4g}" if "value" in each else f"{each['label']} {each['confidence']:.3f}"
        yield DecidingPassage(text, each["start"], each["end"], round(each["weight"], 4), said)


def _shown(given: Input) -> Shown:
    """Returns an input as JSON: the path of an image, a text or two, shortened and with personal data masked."""
    if isinstance(given, Path):
        return str(given)
    texts = tuple(conceal(text, 0, MOST_CHARACTERS) for text in ((given,) if isinstance(given, str) else given))
    return texts[0] if isinstance(given, str) else texts

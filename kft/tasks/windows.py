"""Windows over a long text: pieces of one length that overlap, each with the tokenizer's own special tokens.

NumPy alone, and what decodes answers: what ships carries this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.tasks.decode import sigmoid, softmax

SHOWN = 3
"""Windows that an answer names for each label."""
FORMS = {"class": softmax, "set": sigmoid}
"""By the form of the labels: what makes probabilities of a window's outputs."""
NUMBER = "number"
"""The form of labels whose windows say numbers. Answers of other forms name no windows."""
NAMING = (*FORMS, NUMBER)
MOST_TOKENS = 16384
"""Tokens that are computed at a time where texts are in windows: as many as 32 texts of 512 have."""


@dataclass(frozen=True)
class Windows:
    """How a text is cut into windows.

    Attributes:
        size: Tokens of a window, special tokens counted; the last one of a text is filled up to it.
        overlap: Tokens that a window has in common with the one before it, at least 1.
        most: Windows of a text; what lies behind them is not read.
    """

    size: int
    overlap: int
    most: int

    def starts(self, tokens: int, special: int) -> list[int]:
        """Returns where each window of a text begins.

        Args:
            tokens: Of the text, without special ones.
            special: Special tokens of a window.

        Example:
            >>> Windows(size=6, overlap=1, most=9).starts(10, special=2), Windows(6, 1, 9).starts(3, special=2)
            ([0, 3, 6], [0])
        """
        room = self.size - special
        step = room - self.overlap
        return list(range(0, max(tokens - self.overlap, 1), step))[: self.most]

    def reach(self, special: int) -> int:
        """Returns how many tokens of a text are read, special ones counted.

        Example:
            >>> Windows(size=6, overlap=1, most=3).reach(special=2)
            12
        """
        return self.size + (self.most - 1) * (self.size - special - self.overlap)


@dataclass(frozen=True)
class Windowed:
    """One text in windows.

    Attributes:
        ids: ``int32[windows * size]``: the windows behind one another; the last one ends in zeros.
        real: ``int32[windows * size]``: 1 for a token, 0 for what fills the last window up.
        document: ``int32[tokens]``: the text as far as it is read, each token once, between its special tokens.
        spans: ``int32[windows, 2]``: where each window stands in the text, in characters: first, and past the last.
    """

    ids: np.ndarray
    real: np.ndarray
    document: np.ndarray
    spans: np.ndarray


def in_windows(ids: np.ndarray, offsets: np.ndarray, special: Sequence[bool], windows: Windows) -> Windowed:
    """Cuts a text's token ids into windows.

    Args:
        ids: ``int32[tokens]``: of the whole text, special ones before and behind it.
        offsets: ``int32[tokens, 2]``: where each stands in the text, in characters.
        special: Of each token, whether the tokenizer has added it.
        windows: How.

    Example:
        >>> found = in_windows(np.array([1, 5, 6, 7, 2]), np.zeros((5, 2), int), [1, 0, 0, 0, 1], Windows(4, 1, 9))
        >>> found.ids.tolist(), found.document.tolist()
        ([1, 5, 6, 2, 1, 6, 7, 2], [1, 5, 6, 7, 2])
    """
    (own,) = np.nonzero(~np.asarray(special, bool))
    first, past = (int(own[0]), int(own[-1]) + 1) if len(own) else (len(ids), len(ids))
    before, text, behind, places = ids[:first], ids[first:past], ids[past:], offsets[first:past]
    room = windows.size - len(before) - len(behind)
    starts = windows.starts(len(text), len(before) + len(behind))
    pieces = [np.concatenate([before, text[start : start + room], behind]) for start in starts]
    filled = np.zeros((len(starts), windows.size), np.int32)
    real = np.zeros((len(starts), windows.size), np.int32)
    spans = np.zeros((len(starts), 2), np.int32)
    for place, (start, piece) in enumerate(zip(starts, pieces, strict=True)):
        filled[place, : len(piece)], real[place, : len(piece)] = piece, 1
        if len(text):
            spans[place] = places[start, 0], places[min(start + room, len(text)) - 1, 1]
    document = np.concatenate([before, text[: starts[-1] + room], behind])
    return Windowed(filled.ravel(), real.ravel(), document.astype(np.int32), spans)


def evidence(found: np.ndarray, spans: np.ndarray, form: str, places: Mapping[str, int]) -> list[dict[str, Any]]:
    """Returns the windows that decided, those that say most for a label first.

    Args:
        found: ``float[most, 1 + units]``: of each window its share in the document, and what it would answer alone.
        spans: ``int32[windows, 2]``: where each stands in the text.
        form: Of the labels, one of ``FORMS``.
        places: The labels that are answered, each with its place among the units.

    Returns:
        One entry a window: ``label``, for which it speaks; ``start`` and ``end``, in characters of the text as it was
        read; ``weight``, its share in the document; ``confidence``, the label's probability by this window alone.

    Example:
        >>> windows = np.array([[0.5, 0.0, 0.0], [0.5, 9.0, 0.0], [0.0, 0.0, 0.0]])
        >>> found = evidence(windows, np.array([[0, 40], [30, 60]]), "class", {"spam": 0})
        >>> [(each["start"], each["end"], round(each["confidence"], 3)) for each in found]
        [(30, 60, 1.0), (0, 40, 0.5)]
    """
    weights, sure = found[: len(spans), 0].astype(np.float64), FORMS[form](found[: len(spans), 1:])
    entries = []
    for label, place in places.items():
        for window in np.argsort(-weights * sure[:, place], kind="stable")[:SHOWN].tolist():
            start, end = spans[window].tolist()
            given = {"weight": float(weights[window]), "confidence": float(sure[window, place])}
            entries.append({"label": label, "start": start, "end": end, **given})
    return entries


def number_evidence(
    found: np.ndarray, spans: np.ndarray, value: float, units: tuple[float, float]
) -> list[dict[str, Any]]:
    """Returns the windows that decided a number: those that draw it most from the mean to where it is.

    Args:
        found: ``float[most, 2]``: of each window its share in the document, and the number that it would answer alone,
            standardised.
        spans: ``int32[windows, 2]``: where each stands in the text.
        value: What is answered.
        units: Mean and standard deviation of the training labels.

    Returns:
        One entry a window: ``start``, ``end`` and ``weight`` as of ``evidence``; ``value``, the number that the window
        would answer alone.

    Example:
        >>> windows = np.array([[0.5, 0.1], [0.25, 2.0], [0.25, -1.0], [0.0, 0.0]])
        >>> found = number_evidence(windows, np.array([[0, 40], [30, 60], [50, 90]]), 4.0, (3.0, 1.0))
        >>> [(each["start"], each["value"]) for each in found]
        [(30, 5.0), (0, 3.1), (50, 2.0)]
    """
    mean, deviation = units
    weights, away = found[: len(spans), 0].astype(np.float64), found[: len(spans), 1].astype(np.float64)
    order = np.argsort(-weights * away * np.sign(value - mean), kind="stable")[:SHOWN].tolist()
    places = {window: spans[window].tolist() for window in order}
    return [
        {"start": start, "end": end, "weight": float(weights[at]), "value": float(away[at] * deviation + mean)}
        for at, (start, end) in places.items()
    ]


def evidence_of(
    found: np.ndarray, spans: np.ndarray, form: str, said: Mapping[str, Any], labels: Sequence[str], units: Any
) -> list[dict[str, Any]]:
    """Returns the windows that decided an answer, of whatever form.

    Args:
        found: What each window would answer alone; see ``kft.model.evidence``.
        spans: ``int32[windows, 2]``: where each stands in the text.
        form: Of the labels, one of ``NAMING``.
        said: The answer's fields; of no label, the most probable one is spoken for.
        labels: All that can be answered.
        units: Of numbers: mean and standard deviation of the training labels.
    """
    if form == NUMBER:
        return number_evidence(found, spans, said["value"], units)
    names = said["labels"] if "labels" in said else [said["label"]]
    names = names or [max(said["probabilities"], key=said["probabilities"].get)]
    return evidence(found, spans, form, {name: labels.index(name) for name in names})

"""Names what the graph has decided: one answer an input, as ``kft predict`` prints it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kft.tasks.decode import FOREIGN, UNSURE, join_words

Outputs = Mapping[str, np.ndarray]
"""Of one input, by name; see kft/deploy/graph.py."""


def name_class(outputs: Outputs, labels: Sequence[str]) -> dict[str, Any]:
    """Returns the answer of one class; ``why`` is there where it is withheld.

    Example:
        >>> given = {"label": 1, "confidence": 0.75, "abstain": False, "probabilities": np.array([0.25, 0.75])}
        >>> name_class(given, ("ham", "spam"))["label"]
        'spam'
    """
    answer = {
        "label": labels[int(outputs["label"])],
        "confidence": float(outputs["confidence"]),
        "abstain": bool(outputs["abstain"]),
        "probabilities": _by_name(outputs, labels),
    }
    return answer | _why(outputs)


def name_labels(outputs: Outputs, labels: Sequence[str]) -> dict[str, Any]:
    """Returns the answer of several labels: those that the graph says, or where it names none by one half."""
    probabilities = _by_name(outputs, labels)
    reached = outputs["said"] if "said" in outputs else outputs["probabilities"] >= 0.5
    return {
        "labels": [label for label, said in zip(labels, reached, strict=True) if said],
        "confidence": float(outputs["confidence"]),
        "abstain": bool(outputs.get("abstain", False)),
        "probabilities": probabilities,
        **_why(outputs),
    }


def name_number(outputs: Outputs, labels: Sequence[str]) -> dict[str, Any]:
    """Returns the answer that is a number, with the interval around it where the graph gives one."""
    answer = {"value": float(outputs["value"]), "abstain": bool(outputs.get("abstain", False))}
    ends = {"interval": [float(outputs["low"]), float(outputs["high"])]} if "low" in outputs else {}
    return {**answer, **ends, **_why(outputs)}


def name_vector(outputs: Outputs, labels: Sequence[str]) -> dict[str, Any]:
    """Returns the answer that is a vector."""
    return {"vector": [round(float(value), 7) for value in outputs["embedding"]], "abstain": False}


def name_spans(outputs: Outputs, labels: Sequence[str], offsets: np.ndarray, text: str) -> dict[str, Any]:
    """Returns the answer of spans.

    Args:
        outputs: ``label`` and ``confidence`` of each token.
        labels: The kinds of span.
        offsets: From ``kft.tasks.words.mark_words``.
        text: What was read.
    """
    starts = np.flatnonzero(offsets[:, 2])
    found = join_words(outputs["label"][starts], outputs["confidence"][starts], labels, offsets) if len(starts) else ()
    spans = [
        {"start": start, "end": end, "label": label, "confidence": sure, "text": text[start:end]}
        for start, end, label, sure in found
    ]
    return {"spans": spans, "abstain": bool(outputs.get("abstain", False)), **_why(outputs)}


def _why(outputs: Outputs) -> dict[str, str]:
    """Returns ``why`` where the answer is withheld."""
    if not outputs.get("abstain", False):
        return {}
    return {"why": FOREIGN if outputs["foreign"] else UNSURE}


def _by_name(outputs: Outputs, labels: Sequence[str]) -> dict[str, float]:
    return {label: float(value) for label, value in zip(labels, outputs["probabilities"], strict=True)}


NAMERS: dict[str, Callable[[Outputs, Sequence[str]], dict[str, Any]]] = {
    "class": name_class,
    "set": name_labels,
    "number": name_number,
    "documents": name_vector,
}
"""By the form of the labels; spans want to know more."""

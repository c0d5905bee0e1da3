"""Gauges of answers and of vectors: how sure the model is, what it answers, how far from what is known it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kft.metrics.neighbours import unit_rows
from kft.monitor.gauges.gauge import Gauge, Values, coarse, share
from kft.monitor.known import DIRECTIONS, KnownRows

ANSWERS = (
    Gauge("confidence", "scores", "how sure the model is of its answer", "probability", weight=2.0),
    Gauge("entropy", "scores", "how evenly the probability lies over what may be answered", "nats", weight=2.0),
    Gauge("withheld", "scores", "1 where the answer is withheld", "0 or 1"),
    Gauge("value", "scores", "the number that is answered", "of the labels", weight=3.0),
    Gauge("class", "classes", "the answered class; of several labels the likeliest", "code", weight=3.0, codes=True),
    Gauge("labels", "classes", "how many labels are answered", "labels", weight=2.0),
    Gauge("spans", "classes", "how many spans are answered", "spans", weight=2.0),
    Gauge("tagged", "classes", "share of a text's characters that stand in spans", weight=2.0),
)
VECTORS = (
    Gauge("distance", "foreign", "1 less the cosine to the nearest valid vector", "0 to 2", weight=3.0),
    Gauge("norm", "foreign", "length of the vector", "length"),
    *(
        Gauge(f"direction_{at}", "foreign", f"principal direction {at} of the valid vectors", "length")
        for at in range(1, DIRECTIONS + 1)
    ),
)
DIGITS = 4
"""Of a score, after the point: it is then the same in a table of answers, which has six, and however many rows are
computed at once; see ``coarse``."""
NUMBER_BITS, VECTOR_BITS = 16, 12
"""Of an answer that is a number, and of what is made of vectors; see ``coarse``."""
Outputs = Mapping[str, np.ndarray]
"""Of the graph: ``[rows, ...]`` by name."""


def measure_class(outputs: Outputs, answers: Sequence[Mapping[str, Any]], withholds: bool) -> Values:
    """Returns the gauges of answers that are one class of many."""
    return {
        "confidence": _rounded(outputs["confidence"]),
        "entropy": _rounded(entropy(outputs["probabilities"])),
        "class": outputs["label"],
        **_withheld(outputs, withholds),
    }


def measure_labels(outputs: Outputs, answers: Sequence[Mapping[str, Any]], withholds: bool) -> Values:
    """Returns the gauges of answers that are several labels."""
    probabilities = outputs["probabilities"]
    return {
        "confidence": _rounded(outputs["confidence"]),
        "entropy": _rounded(entropy(probabilities) + entropy(1 - probabilities)),
        "labels": np.array([len(answer["labels"]) for answer in answers]),
        "class": probabilities.argmax(axis=1),
        **_withheld(outputs, withholds),
    }


def measure_number(outputs: Outputs, answers: Sequence[Mapping[str, Any]], withholds: bool) -> Values:
    """Returns the gauge of answers that are a number."""
    return {"value": coarse(outputs["value"], NUMBER_BITS), **_withheld(outputs, withholds)}


def measure_vector(outputs: Outputs, answers: Sequence[Mapping[str, Any]], withholds: bool) -> Values:
    """Returns no gauge: what an answer that is a vector says is seen in the vectors alone."""
    return {}


def measure_spans(outputs: Outputs, answers: Sequence[Mapping[str, Any]], withholds: bool) -> Values:
    """Returns the gauges of answers that are spans; ``confidence`` is the mean of a text's words."""
    covered = [sum(span["end"] - span["start"] for span in answer["spans"]) for answer in answers]
    return {
        "confidence": _rounded(outputs["confidence"]),
        "spans": np.array([len(answer["spans"]) for answer in answers]),
        "tagged": share(np.array(covered), outputs["characters"]),
        **_withheld(outputs, withholds),
    }


def _withheld(outputs: Outputs, withholds: bool) -> Values:
    return {"withheld": outputs["abstain"]} if withholds else {}


FORMS: dict[str, Callable[[Outputs, Sequence[Mapping[str, Any]], bool], Values]] = {
    "class": measure_class,
    "set": measure_labels,
    "number": measure_number,
    "documents": measure_vector,
    "spans": measure_spans,
}
"""By the form of the labels."""


def measure_vectors(vectors: np.ndarray, known: KnownRows) -> Values:
    """Returns the gauges of vectors.

    Args:
        vectors: ``float32[rows, width]``.
        known: What is known of the valid split.
    """
    vectors = vectors.astype(np.float32)
    found = {"norm": coarse(np.linalg.norm(vectors, axis=1), VECTOR_BITS)}
    if known.vectors is not None:
        alike = unit_rows(vectors) @ unit_rows(known.vectors.astype(np.float32)).T
        found["distance"] = _rounded(1 - alike.max(axis=1))
    if known.mean is not None and known.directions is not None:
        along = (vectors - known.mean) @ known.directions.T
        found |= {f"direction_{at}": coarse(values, VECTOR_BITS) for at, values in enumerate(along.T, 1)}
    return found


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.round(np.asarray(values, np.float64), DIGITS) + 0.0  # no -0.0


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Returns the entropy of each row, in nats.

    Example:
        >>> entropy(np.array([[1.0, 0.0], [0.5, 0.5]])).round(3).tolist()
        [0.0, 0.693]
    """
    values = probabilities.astype(np.float64)
    return -(values * np.log(np.maximum(values, 1e-300))).sum(axis=1) + 0.0

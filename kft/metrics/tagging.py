"""Metrics of spans in texts: an entity counts as found where start, end and label are all right (CoNLL-2003)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kft.errors import UsageError
from kft.metrics.metric import Form, Metric, share


class Span(NamedTuple):
    """A labelled part of a text, ``text[start:end]``."""

    start: int
    end: int
    label: str


Spans = Sequence[Sequence[Span]] | np.ndarray


def check_spans(targets: Spans, answers: Spans) -> None:
    """Refuses targets and answers that are not one list of spans an example.

    Raises:
        UsageError: There is not one answer for each target, or there are none.
    """
    if len(targets) != len(answers) or len(targets) == 0:
        raise UsageError(
            "targets and answers do not fit",
            received=f"{len(targets)} and {len(answers)} lists of spans",
            expected="one list an example, and at least one example",
        )


def _unseen(targets: Spans, answers: Spans, better: bool, rng: np.random.Generator) -> tuple[Spans, Spans]:
    """A text with entities of which all are found, or another is said in place of each."""
    rows = [row for row in rng.permutation(len(targets)) if len(targets[row])][:1]
    truth: Spans = [targets[row] for row in rows]
    return truth, truth if better else [[Span(-1 - place, 0, "") for place in range(len(spans))] for spans in truth]


def _all_found(targets: Spans, answers: Spans) -> np.ndarray:
    both = zip(targets, answers, strict=True)
    return np.array([{*map(tuple, there)} == {tuple(span[:3]) for span in said} for there, said in both], bool)


SPANS = Form(check_spans, _unseen, _all_found)
"""One list of spans a text on both sides."""


def _counts(targets: Spans, answers: Spans) -> np.ndarray:
    """Found entities, entities, said entities."""
    rows = [
        (len({*map(tuple, there)} & {tuple(span[:3]) for span in said}), len(there), len(said))
        for there, said in zip(targets, answers, strict=True)
    ]
    return np.array(rows, np.float64)


def _f1(sums: np.ndarray) -> np.ndarray:
    found, there, said = np.moveaxis(sums, -1, 0)
    return 2 * found / np.maximum(there + said, 1e-12)


def _precision(sums: np.ndarray) -> np.ndarray:
    return share(sums[..., [0, 2]])


def _recall(sums: np.ndarray) -> np.ndarray:
    return share(sums[..., [0, 1]])


def _f1_hits(counts: np.ndarray) -> np.ndarray:
    """F1 is the share of the found among the mean of those that are there and those that are said."""
    return np.stack([counts[:, 0], counts[:, 1:].mean(axis=1)], axis=1)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("entity_f1", True, _counts, _f1, SPANS, hits=_f1_hits),
        Metric("entity_precision", True, _counts, _precision, SPANS, hits=lambda counts: counts[:, [0, 2]]),
        Metric("entity_recall", True, _counts, _recall, SPANS, hits=lambda counts: counts[:, [0, 1]]),
    )
}

"""Metrics of spans in texts: an entity counts as found where start, end and label are all right (CoNLL-2003)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from kft.errors import UsageError
from kft.metrics.metric import Form, Metric, mean, share


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


def _check_words(targets: Any, answers: Any) -> None:
    check_spans(targets, answers)
    if any(len(tags) != len(said) for tags, said in zip(targets, answers, strict=True)):
        raise UsageError(
            "targets and answers do not fit",
            received="another number of answers than of words in a text",
            expected="one row of log-probabilities a word",
        )


def _unseen_words(targets: Any, answers: Any, better: bool, rng: np.random.Generator) -> tuple[Any, Any]:
    """A text of which all words are right, or else one more is wrong; as sure as it was."""
    rows = [row for row in rng.permutation(len(targets)) if len(targets[row])][:1]
    turned = []
    for tags, said in ((targets[row], answers[row].copy()) for row in rows):
        places, order = np.arange(len(tags)), np.argsort(-said, axis=1, kind="stable")
        first = order[:, 0]
        wrong = np.where((first == tags) & (places == rng.integers(len(tags))), order[:, 1], first)
        other = tags if better else wrong
        said[places, first], said[places, other] = said[places, other], said[places, first].copy()
        turned.append(said)
    return [targets[row] for row in rows], turned


def _words_right(targets: Any, answers: Any) -> np.ndarray:
    both = zip(targets, answers, strict=True)
    return np.array([bool((said.argmax(axis=1) == tags).all()) for tags, said in both])


def _word_losses(targets: Any, answers: Any) -> np.ndarray:
    """A text's losses, summed over its words, and its words."""
    both = zip(targets, answers, strict=True)
    return np.array([(-said[np.arange(len(tags)), tags].sum(dtype=np.float64), len(tags)) for tags, said in both])


WORD_LOSS = Metric("word_log_loss", False, _word_losses, mean, Form(_check_words, _unseen_words, _words_right))
"""Mean log loss of the tags over all words. Targets are one ``int[words]`` a text, answers ``float[words, tags]``, the
log-probabilities. It is no metric of a run: it sees gains that a few hundred entities do not show."""

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("entity_f1", True, _counts, _f1, SPANS, hits=_f1_hits),
        Metric("entity_precision", True, _counts, _precision, SPANS, hits=lambda counts: counts[:, [0, 2]]),
        Metric("entity_recall", True, _counts, _recall, SPANS, hits=lambda counts: counts[:, [0, 1]]),
    )
}

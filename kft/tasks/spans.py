"""Labelled spans within a text, found by tagging its tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.metrics.classification import class_rows
from kft.metrics.tagging import METRICS, Span
from kft.recipe.schema import DataSpec
from kft.records.metrics import ClassRow
from kft.tasks.cells import as_objects, as_text
from kft.tasks.classes import cross_entropy
from kft.tasks.decode import find_spans, log_softmax
from kft.tasks.task import OTHERS, AnswerKind, AnswerSpace, Judging, Labelling, Learning, Objective, Offsets

IGNORED, OUTSIDE = 0, 1
"""Targets of a token: no part of the loss (special tokens, the later parts of a word), and of no span; then, for
label k, ``2 + 2 k`` begins a span and ``3 + 2 k`` goes on with it (the IOB2 scheme)."""


@dataclass(frozen=True)
class SaidSpan:
    """A span that the model found: ``text[start:end]``, and the least probability among its words' tags."""

    start: int
    end: int
    label: str
    confidence: float
    text: str


@dataclass(frozen=True)
class SpansPrediction:
    """One answer.

    Attributes:
        spans: What was found, in order.
        abstain: Whether the model declines to answer; always False until an abstention threshold is set.
    """

    spans: list[SaidSpan]
    abstain: bool


def _parse(cell: object, text: object, spec: DataSpec) -> tuple[tuple[Span, ...], str]:
    """Reads spans as JSON objects, or one tag a word; empty where there is none."""
    values = cell
    if isinstance(values, str) and values.lstrip().startswith("["):
        try:
            values = json.loads(values)
        except ValueError as error:
            return (), f"label is no JSON: {error}"
    if isinstance(values, str) or values is None:
        values = as_text(values).split()
    if not isinstance(values, (list, tuple)):
        return (), f"label is no list of spans or tags: a {type(cell).__name__}"
    try:
        if values and isinstance(values[0], Mapping):
            return _spans_of(values, joined(text)), ""
        return _spans_of_tags([as_text(value) for value in values], words(text)), ""
    except (KeyError, TypeError, ValueError) as error:
        reason = f"a span lacks {error}" if isinstance(error, KeyError) else str(error)
        return (), f"label does not fit the text: {reason}"


def _written(label: Sequence[Sequence[Any]]) -> str:
    """Returns a JSON list of [start, end, label]."""
    return json.dumps([list(span[:3]) for span in label], ensure_ascii=False)


def _strata(labels: Sequence[Sequence[Span]]) -> np.ndarray:
    """The kinds of span that a text holds."""
    return np.array([" ".join(sorted({span.label for span in label})) for label in labels], dtype=object)


def _targets(labels: Sequence[Sequence[Span]], space: AnswerSpace, offsets: Offsets) -> list[np.ndarray]:
    """Returns one ``int32[tokens]`` a text; see ``IGNORED``."""
    assert offsets is not None
    return [_tags(label, space, places) for label, places in zip(labels, offsets, strict=True)]


def _objective(space: AnswerSpace, label_smoothing: float) -> Objective:
    """The mean over a text's words of the tags' cross-entropy, so that each text counts once."""
    import tensorflow as tf

    def over_words(targets: Any, values: Any) -> Any:
        counted = tf.cast(targets != IGNORED, tf.float32)
        return tf.reduce_sum(values * counted, axis=1) / tf.maximum(tf.reduce_sum(counted, axis=1), 1.0)

    def losses(targets: Any, outputs: Any) -> Any:
        return over_words(targets, cross_entropy(tf.maximum(targets - 1, 0), outputs))

    def hits(targets: Any, outputs: Any) -> Any:
        said = tf.argmax(outputs, axis=-1, output_type=tf.int32)
        return over_words(targets, tf.cast(tf.equal(said, targets - 1), tf.float32))

    return Objective(losses, hits, (None,), "int32")


def _loss(targets: Sequence[np.ndarray], outputs: Sequence[np.ndarray], space: AnswerSpace) -> float:
    """Returns the mean over texts of the mean over words, in nats."""
    total = 0.0
    for tags, logits in zip(targets, outputs, strict=True):
        here = np.flatnonzero(tags != IGNORED)
        if len(here):
            picked = log_softmax(logits[here])[np.arange(len(here)), tags[here] - 1]
            total -= float(picked.mean())
    return total / max(1, len(targets))


def _answers(outputs: Sequence[np.ndarray], space: AnswerSpace, offsets: Offsets) -> np.ndarray:
    assert offsets is not None
    found = [find_spans(logits, space.labels, places) for logits, places in zip(outputs, offsets, strict=True)]
    return as_objects(found)


def _prediction(answer: Sequence[Any], space: AnswerSpace, text: str = "") -> SpansPrediction:
    spans = [SaidSpan(start, end, label, sure, text[start:end]) for start, end, label, sure in answer]
    return SpansPrediction(spans, abstain=False)


def _by_label(truth: Any, answers: Any, space: AnswerSpace) -> list[ClassRow]:
    places = {label: place for place, label in enumerate(space.labels)}
    hits, there, found = (np.zeros(len(places), np.int64) for _ in range(3))
    for right, said in zip(truth, answers, strict=True):
        spans = {tuple(span[:3]) for span in right}
        for span in right:
            there[places[span[2]]] += 1
        for span in said:
            found[places[span[2]]] += 1
            hits[places[span[2]]] += tuple(span[:3]) in spans
    return class_rows(space.labels, hits, there, found)


def _row(truth: Any, answer: Any, space: AnswerSpace) -> tuple[str, str, str]:
    """Two JSON lists, and the least of the confidences."""
    return _written(truth), _written(answer), f"{min(span[3] for span in answer):.6f}" if answer else ""


def words(text: object) -> list[str]:
    """Returns a text's words: its own list, or what whitespace parts."""
    return [as_text(word) for word in text] if isinstance(text, (list, tuple)) else as_text(text).split()


def joined(text: object) -> str:
    """Returns a text as it is; words in a list are joined by spaces."""
    return " ".join(words(text)) if isinstance(text, (list, tuple)) else as_text(text)


def _spans_of(values: Sequence[Any], text: str) -> tuple[Span, ...]:
    found = sorted(Span(int(value["start"]), int(value["end"]), as_text(value["label"]).strip()) for value in values)
    end = 0
    for span in found:
        if not end <= span.start < span.end <= len(text) or not span.label:
            problem = "overlaps the one before" if span.start < end else "is empty, unnamed or beyond the text"
            raise ValueError(f"the span {span.start} to {span.end} {problem}")
        end = span.end
    return tuple(found)


def _spans_of_tags(tags: Sequence[str], parts: Sequence[str]) -> tuple[Span, ...]:
    if tags and len(tags) != len(parts):
        raise ValueError(f"{len(tags)} tags for {len(parts)} words")
    found: list[Span] = []
    start, before = 0, "O"
    for tag, word in zip(tags, parts, strict=False):
        end = start + len(word)
        label = tag[2:] if tag[:2] in ("B-", "I-") else tag
        if tag not in ("O", ""):
            if found and before == label and not tag.startswith("B-"):
                found[-1] = Span(found[-1].start, end, label)
            else:
                found.append(Span(start, end, label))
        before = "O" if tag in ("O", "") else label
        start = end + 1
    return tuple(found)


def _tags(label: Sequence[Span], space: AnswerSpace, offsets: np.ndarray) -> np.ndarray:
    tags = np.where(offsets[:, 2] > 0, OUTSIDE, IGNORED).astype(np.int32)
    for span in label:
        inside = np.flatnonzero((tags != IGNORED) & (offsets[:, 0] < span.end) & (offsets[:, 1] > span.start))
        begins = 2 + 2 * space.labels.index(span.label)
        tags[inside] = begins + 1
        tags[inside[:1]] = begins
    return tags


SPANS = AnswerKind(
    # Labels are tuples of Span; answers are tuples of (start, end, label, confidence). A word is tagged at its first
    # token, as is usual (Devlin et al., 2019), so that a span is never cut within a word.
    labels=Labelling(
        form="spans",
        parse=_parse,
        space=lambda labels: AnswerSpace(tuple(sorted({span.label for label in labels for span in label}))),
        lack=lambda space: "" if space.labels else "no span in any text: there is nothing to find",
        strata=_strata,
        names=lambda label: tuple(span.label for span in label),
        written=_written,
        noun="kinds of span",
    ),
    learning=Learning(
        head="tagging",
        solver="softmax",
        hits_name="token_accuracy",
        # Outside, and two for each kind of span; the place of ignored tokens is never said.
        units=lambda space: 1 + 2 * len(space.labels),
        targets=_targets,
        objective=_objective,
        loss=_loss,
        per_token=True,
    ),
    judging=Judging(
        metrics=METRICS,
        baseline_name="nothing found",
        answers=_answers,
        truth=lambda labels, space: as_objects([tuple(label) for label in labels]),
        constant=lambda shares, space, n: as_objects([()] * n),
        prediction=_prediction,
        row=_row,
        by_label=_by_label,
    ),
    refuses={
        "data.html": OTHERS,  # its spans count the characters of the text as it stands
        "data.redact": "a placeholder would move the labelled spans: redact the texts before they are labelled",
        "model.pooling": "{task} answers for each token, so nothing is pooled",
    },
)

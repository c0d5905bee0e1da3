"""Labelled spans within a text, found by tagging its tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from kft.errors import DataError
from kft.metrics.by_class import class_row
from kft.metrics.proportions import Groups, group_codes
from kft.metrics.tagging import METRICS, WORD_LOSS, Span
from kft.recipe.schema import DataSpec
from kft.records.fields import unwritten
from kft.records.metrics import ClassRow
from kft.tasks.cells import as_objects, as_text, kind_problem
from kft.tasks.classes import cross_entropy
from kft.tasks.decode import find_spans, join_words, log_softmax
from kft.tasks.span_cells import IN_WORDS, SpanRow, cell_values, count_edges, find_unit, raw_spans, read_spans
from kft.tasks.tags import find_form, join_tags, tell_tags
from kft.tasks.task import (
    NO_RECALL,
    OTHERS,
    AnswerKind,
    AnswerSpace,
    FinerMetric,
    Judging,
    LabelColumn,
    Labelling,
    Learning,
    Objective,
    Offsets,
)
from kft.tasks.words import pieces, trimmed

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
        abstain: Whether the model declines to answer: the text looks foreign (``evaluate.out_of_scope``).
        why: Why it declines, in words; no part of the documented form.
    """

    spans: list[SaidSpan]
    abstain: bool
    why: str = unwritten("")


def _parse(cell: object, text: object, spec: DataSpec) -> tuple[tuple[Span, ...], str]:
    """Reads spans as objects or triples, or one tag a word; empty where there is none."""
    try:
        values = cell_values(cell)
        whole, places = joined(text), _places(text)
        if not values:
            return (), ""
        if _are_spans(values):
            listed = places if isinstance(text, (list, tuple)) else ()
            return read_spans(raw_spans(values), whole, spec.offsets or "characters", listed), ""
        tags = _as_tags(values)
        if len(tags) != len(places):
            places = _places_with_gaps(tags, whole, places)
        form = spec.tags or find_form(tags, "a row")
        return tuple(_kept(join_tags(tags, places, form), whole)), ""
    except DataError as error:
        return (), f"label cannot be read: {error.problem}"
    except ValueError as error:
        return (), str(error) if str(error).startswith("label") else f"label does not fit the text: {error}"


def _settle(column: LabelColumn, spec: DataSpec) -> DataSpec:
    """Finds what tags mean and what offsets count, one for all rows."""
    if spec.tags is not None and spec.offsets is not None:
        return spec
    tags, spans = _readable(column)
    found: dict[str, str] = {}
    if spec.tags is None and tags:
        found["tags"] = find_form(sorted({tag for row in tags for tag in row}), column.where)
    _refuse_numbered(spans, column.where)
    if spec.offsets is None and spans:
        found["offsets"] = find_unit(spans)[0]
    return spec.model_copy(update=found)


def _refuse_numbered(spans: Sequence[SpanRow], where: str) -> None:
    kinds = sorted({raw.label for row in spans for raw in row.raws})
    if kinds and all(kind.lstrip("-").isdigit() for kind in kinds):
        raise DataError(
            "the kinds of span are numbers, and nothing says what they mean",
            where=where,
            received=", ".join(kinds[:6]) + (" ..." if len(kinds) > 6 else ""),
            expected="names such as PER",
            next_step="write the names in their place",
        )


def _notes(column: LabelColumn, spec: DataSpec) -> tuple[str, ...]:
    """Says how tags and offsets were read, where that was found and not named."""
    tags, spans = _readable(column)
    found = []
    if spec.tags is None and tags:
        found.append(tell_tags(tags, find_form(sorted({tag for row in tags for tag in row}), column.where)))
    if spans:
        unit, why = (spec.offsets, "") if spec.offsets is not None else find_unit(spans)
        if why:
            found.append(f"the offsets of spans count {IN_WORDS[unit]}: {why}; data.offsets names it")
        edges = count_edges(spans, unit)
        if edges:
            total = sum(len(row.raws) for row in spans)
            found.append(f"{edges:,} of {total:,} spans begin or end with white space, which is left out of them")
    return tuple(found)


def _readable(column: LabelColumn) -> tuple[list[list[str]], list[SpanRow]]:
    """Returns the rows of tags and the rows of spans that can be read; what is wrong with others is said row by row."""
    tags: list[list[str]] = []
    spans: list[SpanRow] = []
    for cell, text in zip(column.cells, column.texts, strict=True):
        try:
            values = cell_values(cell)
            if _are_spans(values):
                listed = _places(text) if isinstance(text, (list, tuple)) else ()
                spans.append(SpanRow(raw_spans(values), joined(text), listed))
            elif values:
                tags.append(_as_tags(values))
        except ValueError:
            continue
    return tags, spans


def _are_spans(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, (Mapping, list, tuple)) for value in values)


def _as_tags(values: Sequence[Any]) -> list[str]:
    for value in values:
        problem = kind_problem(value, "label")
        if problem:
            raise ValueError(problem if isinstance(value, str) else "label mixes tags with something else")
    return [as_text(value) for value in values]


def _places(text: object) -> list[tuple[int, int]]:
    """Returns where the words of a text stand: those of a list, or what white space parts."""
    if not isinstance(text, (list, tuple)):
        return pieces(as_text(text))
    ends = list(accumulate(len(word) + 1 for word in words(text)))
    return [(end - 1 - len(word), end - 1) for word, end in zip(words(text), ends, strict=True)]


def _places_with_gaps(tags: Sequence[str], text: str, places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns the places of what single spaces part, where a tool has counted the nothing between two spaces as a word.

    Raises:
        ValueError: There are not as many of them as tags either.
    """
    parts = text.split(" ")
    if len(parts) != len(tags):
        raise ValueError(f"{len(tags)} tags for {len(places)} words")
    ends = list(accumulate(len(part) + 1 for part in parts))
    return [(end - 1 - len(part), end - 1) for part, end in zip(parts, ends, strict=True)]


def _kept(spans: Sequence[Span], text: str) -> Iterator[Span]:
    """Yields spans without white space at their edges; a word of a list may be empty."""
    for span in spans:
        start, end = trimmed(span.start, span.end, text)
        if start == end:
            raise ValueError("a word that holds nothing is tagged as a span")
        yield Span(start, end, span.label)


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


def _word_tags(targets: Sequence[np.ndarray]) -> np.ndarray:
    """Returns one ``int[words]`` a text: the tags of its words, counted from 0."""
    return as_objects([tags[tags != IGNORED] - 1 for tags in targets])


def _word_chances(targets: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> np.ndarray:
    """Returns one ``float[words, tags]`` a text: the log-probabilities of its words' tags."""
    both = zip(targets, outputs, strict=True)
    return as_objects([log_softmax(np.asarray(logits)[tags != IGNORED]) for tags, logits in both])


def _answers(outputs: Sequence[np.ndarray], space: AnswerSpace, offsets: Offsets) -> np.ndarray:
    assert offsets is not None
    found = [find_spans(logits, space.labels, places) for logits, places in zip(outputs, offsets, strict=True)]
    return as_objects(found)


def _prediction(answer: Sequence[Any], space: AnswerSpace, text: str = "") -> SpansPrediction:
    spans = [SaidSpan(start, end, label, sure, text[start:end]) for start, end, label, sure in answer]
    return SpansPrediction(spans, abstain=False)


def _by_label(truth: Any, answers: Any, space: AnswerSpace, groups: Groups | None) -> list[ClassRow]:
    codes = group_codes(groups, len(truth))
    rows = []
    for label in space.labels:
        counts = np.zeros((3, len(truth)))
        for place, (right, said) in enumerate(zip(truth, answers, strict=True)):
            there = {tuple(span[:3]) for span in right if span[2] == label}
            found = [tuple(span[:3]) for span in said if span[2] == label]
            counts[:, place] = sum(span in there for span in found), len(there), len(found)
        rows.append(class_row(label, counts[0], counts[1], counts[2], codes))
    return rows


def _row(truth: Any, answer: Any, space: AnswerSpace) -> tuple[str, str, str]:
    """Two JSON lists, and the least of the confidences."""
    return _written(truth), _written(answer), f"{min(span[3] for span in answer):.6f}" if answer else ""


def words(text: object) -> list[str]:
    """Returns a text's words: its own list, or what whitespace parts."""
    return [as_text(word) for word in text] if isinstance(text, (list, tuple)) else as_text(text).split()


def joined(text: object) -> str:
    """Returns a text as it is; words in a list are joined by spaces."""
    return " ".join(words(text)) if isinstance(text, (list, tuple)) else as_text(text)


def _tags(label: Sequence[Span], space: AnswerSpace, offsets: np.ndarray) -> np.ndarray:
    tags = np.where(offsets[:, 2] > 0, OUTSIDE, IGNORED).astype(np.int32)
    for span in label:
        inside = np.flatnonzero((tags != IGNORED) & (offsets[:, 0] < span.end) & (offsets[:, 1] > span.start))
        begins = 2 + 2 * space.labels.index(span.label)
        tags[inside] = begins + 1
        tags[inside[:1]] = begins
    return tags


def lost_spans(labels: Sequence[Sequence[Span]], space: AnswerSpace, offsets: Offsets) -> list[tuple[int, Span]]:
    """Returns the spans, by the number of their text, that do not come back when their tags are decoded.

    No answer can ever match them: they begin or end inside a word, or lie behind what is cut.

    Args:
        labels: Each text's spans.
        space: Their kinds.
        offsets: Where tokens stand.
    """
    assert offsets is not None
    found: list[tuple[int, Span]] = []
    for number, (label, places) in enumerate(zip(labels, offsets, strict=True)):
        tags = _tags(label, space, places)
        said = np.maximum(tags[places[:, 2] > 0] - OUTSIDE, 0)
        back = {span[:3] for span in join_words(said, np.ones(len(said)), space.labels, places)}
        found.extend((number, span) for span in label if tuple(span) not in back)
    return found


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
        moved=lambda label, by: tuple(Span(span[0] + by, span[1] + by, span[2]) for span in label),
        settle=_settle,
        notes=_notes,
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
        lost=lost_spans,
        look=FinerMetric(WORD_LOSS, _word_tags, _word_chances),
    ),
    judging=Judging(
        metrics=METRICS,
        baseline_name="nothing found",
        answers=_answers,
        truth=lambda labels, space: as_objects([tuple(label) for label in labels]),
        constant=lambda shares, space, n: as_objects([()] * n),
        prediction=_prediction,
        given=lambda document: SpansPrediction(
            **{**document, "spans": [SaidSpan(**each) for each in document["spans"]]}
        ),
        row=_row,
        by_label=_by_label,
        gates=("slices.worst.entity_f1", "edge_cases.pass_rate"),
        undefined=lambda truth: "" if any(map(len, truth)) else f"no text has a span: {NO_RECALL}",
        as_label=lambda prediction: tuple(Span(said.start, said.end, said.label) for said in prediction.spans),
    ),
    keys=("data.tags", "data.offsets", "evaluate.suite", "evaluate.out_of_scope"),
    refuses={
        "compare": OTHERS,
        "data.document": "its spans count the characters of a text that stands beside them",
        "data.html": OTHERS,  # its spans count the characters of the text as it stands
        "data.redact": "a placeholder would move the labelled spans: redact the texts before they are labelled",
        "model.long_text": "{task} answers for each token, and a token would stand in two windows or behind a gap",
        "model.pooling": "{task} answers for each token, so nothing is pooled",
    },
)

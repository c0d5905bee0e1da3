"""Spans that no answer can match: those that begin or end inside a word, or lie beyond the cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from kft.audit.check import Check
from kft.audit.texts import counted
from kft.audit.view import AuditView
from kft.data.examples import Examples
from kft.metrics.tagging import Span
from kft.records.findings import Finding
from kft.split.assign import SPLITS
from kft.split.data_split import labels_of
from kft.tasks.words import word_places

MANY = 0.1
"""Share of the spans from which on a figure says more about the annotation than about the model."""


def check_spans(view: AuditView) -> Iterable[Finding]:
    """Decodes the targets of every text and counts the spans that do not come back."""
    if not view.task.kind.learning.per_token:
        return
    lost: list[tuple[str, str, Span, bool]] = []
    total = 0
    for name in SPLITS:
        part = view.split.part(name)
        offsets = view.offsets.get(name) or [word_places(text) for text in part.inputs]
        total += sum(map(len, labels_of(part)))
        lost += _lost(view, part, offsets)
    for kind, what, advice in (
        (
            "inside-a-word",
            "have an end inside a word, or share one with another: no answer can ever match them",
            "Let them begin and end where words do; where all are off by as much, data.offsets says what is counted.",
        ),
        ("cut", "lie beyond the cut: no answer can ever find them", "Raise model.max_tokens, or split these texts."),
    ):
        rows = [each for each in lost if each[3] == (kind == "cut")]
        if rows:
            yield _finding(kind, rows, total, what, advice)


def _lost(view: AuditView, part: Examples, offsets: Sequence[np.ndarray]) -> Iterable[tuple[str, str, Span, bool]]:
    learning = view.task.kind.learning
    for place, span in learning.lost(list(labels_of(part)), view.split.space, offsets):
        read = int(offsets[place][:, 1].max(initial=0))
        cut = span.end > read and bool(part.inputs[place][max(read, span.start) : span.end].strip())
        yield str(part.ids[place]), part.inputs[place], span, cut


def _finding(kind: str, rows: Sequence[tuple[str, str, Span, bool]], total: int, what: str, advice: str) -> Finding:
    share = len(rows) / total
    by_row: dict[str, list[str]] = {}
    for identifier, text, span, _ in rows:
        by_row.setdefault(identifier, []).append(f"{text[span.start : span.end]!r} in {_around(text, span)!r}")
    said = list(dict.fromkeys(each for several in by_row.values() for each in several))
    return Finding(
        "spans",
        "error" if share >= MANY else "warning",
        counted(len(rows), total, "spans", f"{what}, such as {', '.join(said[:3])}."),
        advice,
        share,
        tuple(by_row),
        {"kind": kind, "spans": ["; ".join(several) for several in by_row.values()]},
    )


def _around(text: str, span: Span) -> str:
    """The words that a span stands in."""
    places = word_places(text)
    touched = places[(places[:, 0] < span.end) & (places[:, 1] > span.start)]
    first, last = (touched[0, 0], touched[-1, 1]) if len(touched) else (span.start, span.end)
    return text[min(first, span.start) : max(last, span.end)]


CHECK = Check("spans", "labelled spans that no answer can match", check_spans, medium="text", rank=36)

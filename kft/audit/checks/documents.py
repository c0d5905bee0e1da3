"""Documents that queries are answered with: those that stand there twice, that no query reaches, that were learned."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kft.audit.check import Check
from kft.audit.view import AuditView
from kft.data.corpus import Corpus
from kft.data.examples import Examples
from kft.records.estimate import percent
from kft.records.findings import Finding
from kft.split.assign import SPLITS
from kft.split.near import each_pair
from kft.split.together import find_copies

NAME = "documents"
UNREACHED = 0.5
"""Share of documents that no query reaches, from which on it is said."""
LEARNED = 0.025
"""Share of test's queries whose documents all have a query in train, from which on it is said."""
SHOWN = 50


def check_documents(view: AuditView) -> Iterable[Finding]:
    """Looks at the documents, where there are any."""
    corpus = view.split.corpus
    if corpus is None:
        return
    yield from find_twice(corpus)
    yield from find_unreached(corpus, [view.split.part(name) for name in SPLITS])
    yield from find_learned(corpus, view.split.train, view.split.test)


def find_twice(corpus: Corpus) -> Iterable[Finding]:
    """Finds documents that are copies or near-copies of others: which of them is found is chance.

    Example:
        >>> corpus = Corpus(np.array(["a", "b"]), ["How to return a parcel.", "How to return a parcel"])
        >>> [found.rows for found in find_twice(corpus)]
        [('b',)]
    """
    best: dict[int, tuple[float, int]] = {}
    for one, other, alike in each_pair(find_copies(corpus.texts).pairs):
        if alike > best.get(other, (0.0, 0))[0]:
            best[other] = alike, one
    if not best:
        return
    rows = sorted(best, key=lambda row: (-best[row][0], row))[:SHOWN]
    exact = sum(alike == 1 for alike, _ in best.values())
    yield Finding(
        NAME,
        "warning" if len(best) / len(corpus) >= 0.01 else "note",
        f"{len(best):,} of {len(corpus):,} documents say what another says, {exact:,} of them to the letter: which one "
        "is found first is chance, and counts as wrong where a query names the other.",
        "Keep one of each, or name all of them for the queries that they answer.",
        len(best) / len(corpus),
        rows=tuple(str(corpus.ids[row]) for row in rows),
        details={"copy_of": [str(corpus.ids[best[row][1]]) for row in rows]},
    )


def find_unreached(corpus: Corpus, parts: Iterable[Examples]) -> Iterable[Finding]:
    """Says how many documents no labelled query reaches: whether those are found nobody measures."""
    named = {name for part in parts for label in _labels(part) for name in label}
    rows = [str(name) for name in corpus.ids if name not in named]
    share = len(rows) / len(corpus)
    if share >= UNREACHED:
        yield Finding(
            NAME,
            "note",
            f"No query reaches {len(rows):,} of {len(corpus):,} documents ({percent(share)}): whether they are found "
            "is not measured.",
            "Nothing needs mending where the queries are drawn from what people ask; else label queries for some.",
            share / 2,
            rows=tuple(rows[:SHOWN]),
        )


def find_learned(corpus: Corpus, train: Examples, test: Examples) -> Iterable[Finding]:
    """Says how many test queries ask for documents that train has queries for: they are easier than new ones."""
    known = set(corpus.keys_of(name for label in _labels(train) for name in label).tolist())
    learned = [place for place, label in enumerate(_labels(test)) if set(corpus.keys_of(label).tolist()) <= known]
    share = len(learned) / max(1, len(test))
    if share >= LEARNED:
        yield Finding(
            NAME,
            "warning",
            f"{len(learned):,} of {len(test):,} test queries ({percent(share)}) ask for documents that have a query in "
            "train: the figures do not say how documents without one are found.",
            "--set data.test=15% keeps queries that share a document on one side.",
            share,
            rows=tuple(str(test.ids[place]) for place in learned[:SHOWN]),
        )


def _labels(part: Examples) -> np.ndarray:
    assert part.labels is not None  # only labelled queries are read
    return part.labels


CHECK = Check(NAME, "documents twice, unreached or learned", check_documents, medium="text", rank=75)

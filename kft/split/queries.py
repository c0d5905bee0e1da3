"""Queries with the documents that answer them: each query once, and those that share a document on one side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kft.data.corpus import Corpus, corpus_of_labels, read_corpus
from kft.data.examples import Examples, RejectedRow
from kft.data.parts import Locate, name_parts, open_source, read_tables
from kft.data.tables import Rows, refuse_rejected
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.split.near import as_pairs, groups_of, join_groups
from kft.tasks.cells import as_objects
from kft.tasks.task import Task

SHOWN = 5


@dataclass(frozen=True)
class QuerySplit:
    """Queries of each split, and what they are answered with.

    Attributes:
        parts: The queries, by split: each once, with the ids of all its documents.
        corpus: The documents.
        rejected: Rows of documents that cannot be used.
    """

    parts: dict[str, Examples]
    corpus: Corpus
    rejected: tuple[RejectedRow, ...]


def answer_others(
    examples: Examples, key: str, spec: DataSpec, task: Task, base: Path, locate: Locate
) -> tuple[Examples, Corpus]:
    """Returns other queries than a run's own, each once, and the run's documents; see ``find_answers``.

    Raises:
        DataError: Documents stand in no table, so that these queries would be ranked among their own alone.
    """
    if spec.documents is None:
        raise DataError(
            "other queries are ranked among the documents of data.documents, and the run has none",
            where=key,
            received=f"{len(examples):,} rows whose label column holds the documents themselves",
            expected="a run whose data.documents names a table of all documents",
            next_step="write the documents into a table (id, text), name it in data.documents, and train again",
        )
    found = find_answers({key: examples}, _tables(spec, task, base, locate), spec)
    return found.parts[key], found.corpus


def read_documents(spec: DataSpec, task: Task, base: Path, locate: Locate) -> Corpus:
    """Returns the documents of ``data.documents`` alone: no row of any split is read.

    Raises:
        DataError: One cannot be used.
    """
    corpus, rejected = read_corpus(_tables(spec, task, base, locate), spec)
    refuse_rejected(rejected, spec)
    return corpus


def _tables(spec: DataSpec, task: Task, base: Path, locate: Locate) -> tuple[Rows, ...]:
    assert spec.documents is not None  # where there are none, nobody asks for them
    parts = open_source(spec.documents, base, locate)
    return tuple(read_tables(parts, name_parts(parts), spec, task=task, base=base))


def find_answers(parts: Mapping[str, Examples], tables: tuple[Rows, ...], spec: DataSpec) -> QuerySplit:
    """Joins the rows of one query, reads the documents, and groups queries that share one.

    Args:
        parts: The examples of each split that has a source; labels are tuples of ids, or of documents themselves.
        tables: Of ``data.documents``; none where labels are the documents.
        spec: The recipe's data part.

    Raises:
        DataError: A query names a document that is not there, or a document cannot be used.
    """
    corpus, rejected = read_corpus(tables, spec) if tables else (corpus_of_labels(parts.values(), spec), ())
    refuse_rejected(rejected, spec)
    made = {}
    for key, part in parts.items():
        joined = _each_once(part, spec.negative)
        _require_known(joined, corpus, key, spec)
        made[key] = replace(joined, groups=_grouped(joined, corpus, key))
    return QuerySplit(made, corpus, rejected)


def _each_once(part: Examples, negative: str | None) -> Examples:
    """Returns each query once, in the place of its first row, with the documents and the negatives of all its rows."""
    assert part.labels is not None  # only labelled rows are read
    first: dict[str, int] = {}
    named: dict[int, dict[str, None]] = {}
    for row, (query, label) in enumerate(zip(part.inputs, part.labels, strict=True)):
        named.setdefault(first.setdefault(query, row), {}).update(dict.fromkeys(label))
    kept = part.take(np.array(list(named), np.int64))
    if negative is not None and negative in part.columns:
        apart: dict[str, dict[str, None]] = {query: {} for query in first}
        for query, name in zip(part.inputs, part.columns[negative], strict=True):
            apart[query] |= {name: None} if name else {}
        others = {name: values for name, values in kept.columns.items() if name != negative}  # no slices by documents
        kept = replace(kept, columns=others, negatives=as_objects([tuple(each) for each in apart.values()]))
    return replace(kept, labels=as_objects([tuple(each) for each in named.values()]), notes=part.notes)


def _require_known(part: Examples, corpus: Corpus, key: str, spec: DataSpec) -> None:
    assert part.labels is not None
    named = [(name, row) for row, label in zip(part.ids, part.labels, strict=True) for name in label]
    named += [(name, row) for row, names in zip(part.ids, _apart(part), strict=True) for name in names]
    lost = [f"{name[:60]!r} ({row})" for name, row in named if name not in corpus.places]
    if lost:
        raise DataError(
            f"{len(lost):,} documents that rows of {key} name are not there",
            where="data.documents",
            received=", ".join(lost[:SHOWN]) + (" ..." if len(lost) > SHOWN else ""),
            expected=f"ids of its {len(corpus):,} documents",
            next_step="add these documents, or take the rows out",
        )


def _grouped(part: Examples, corpus: Corpus, key: str) -> np.ndarray | None:
    """Returns which queries belong together: those of a group, and those that share a document; None where none do."""
    assert part.labels is not None
    seen: dict[int, int] = {}
    pairs = []
    for row, label in enumerate(part.labels):
        for document in corpus.keys_of(label).tolist():
            first = seen.setdefault(document, row)
            if first != row:
                pairs.append((first, row, 1.0))
    shared = groups_of(as_pairs(pairs), len(part)) if pairs else None
    joined = join_groups(part.groups, shared)
    if joined is None or (part.groups is not None and shared is None):
        return part.groups
    return as_objects([f"{key}:{part.ids[row]}" for row in joined])


def _apart(part: Examples) -> Sequence[tuple[str, ...]]:
    """Returns the documents that each query's rows name as no answer."""
    return [()] * len(part) if part.negatives is None else part.negatives.tolist()


def learnable(corpus: Corpus, parts: Mapping[str, Examples]) -> Corpus:
    """Returns the documents that selection may see: all but those that only test names, and copies of their texts."""

    def keys(*splits: str) -> set[int]:
        named = [name for key in splits for label in parts[key].labels for name in label]  # type: ignore[union-attr]
        named += [name for key in splits for names in _apart(parts[key]) for name in names]
        return set(corpus.keys_of(named).tolist())

    sealed = keys("test") - keys("train", "valid")
    return corpus.take(np.array([row for row, key in enumerate(corpus.keys) if key not in sealed], np.int64))

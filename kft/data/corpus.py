"""The documents that queries are answered with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kft.data.columns import require_column
from kft.data.examples import Examples, RejectedRow
from kft.data.tables import Rows, row_texts
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.cells import as_objects, as_text

ID, TEXT = "id", "text"


@dataclass(frozen=True)
class Corpus:
    """Documents, each with an id of its own.

    Attributes:
        ids: ``str[n]``.
        texts: One each, as a model reads it.
    """

    ids: np.ndarray
    texts: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def places(self) -> dict[str, int]:
        """Which document has which id."""
        return {str(name): place for place, name in enumerate(self.ids)}

    @cached_property
    def keys(self) -> np.ndarray:
        """``int64[n]``: the first document of the same text: two with one text are one document to a model.

        Example:
            >>> Corpus(np.array(["a", "b", "c"]), ["one", "two", "one"]).keys.tolist()
            [0, 1, 0]
        """
        first: dict[str, int] = {}
        return np.array([first.setdefault(text, place) for place, text in enumerate(self.texts)], np.int64)

    def keys_of(self, names: Iterable[str]) -> np.ndarray:
        """Returns the keys of documents by their ids, each once, in their order."""
        return np.array(list(dict.fromkeys(int(self.keys[self.places[name]]) for name in names)), np.int64)

    def take(self, rows: np.ndarray) -> Corpus:
        return Corpus(self.ids[rows], [self.texts[row] for row in rows])

    def as_examples(self) -> Examples:
        """Returns the documents as examples without labels, for hashes."""
        return Examples(as_objects([f"document\t{name}" for name in self.ids]), list(self.texts), None, None)


def read_corpus(tables: Sequence[Rows], spec: DataSpec) -> tuple[Corpus, tuple[RejectedRow, ...]]:
    """Returns the documents of tables with the columns id and text, and the rows that cannot be used.

    Raises:
        DataError: A column is missing.
    """
    ids: list[str] = []
    texts: list[str] = []
    rejected: list[RejectedRow] = []
    seen: set[str] = set()
    for rows in tables:
        for column in (ID, TEXT):
            require_column(rows.frame, column, "data.documents", rows.name, expected="the columns id and text")
        names = [as_text(cell).strip() for cell in rows.frame[ID]]
        for row, (name, (text, problem)) in enumerate(zip(names, row_texts(rows.frame[TEXT], spec), strict=True)):
            if not problem and (not name or not name.isprintable()):
                problem = "document without an id that can be printed"
            if not problem and name in seen:
                problem = f"id of two documents: {name!r}"
            if problem:
                rejected.append(RejectedRow(f"{rows.name}:{row + 1}", rows.name, row + 1, problem))
                continue
            seen.add(name)
            ids.append(name)
            texts.append(text)
    return Corpus(as_objects(ids), texts), tuple(rejected)


def corpus_of_labels(parts: Iterable[Examples], spec: DataSpec) -> Corpus:
    """Returns the documents that stand in labels themselves, where no table names them: the text is the id.

    Raises:
        DataError: One has no text left once it is read.
    """
    named: dict[str, None] = {}
    for part in parts:
        for label in part.labels if part.labels is not None else ():
            named |= dict.fromkeys(label)
        named |= dict.fromkeys(text for text in part.columns.get(spec.negative or "", ()) if text)
    read = list(row_texts(list(named), spec))
    wrong = [f"{name[:60]!r}: {problem}" for name, (_, problem) in zip(named, read, strict=True) if problem]
    if wrong:
        raise DataError(
            f"{len(wrong):,} documents that rows name cannot be read",
            where="data.train, data.valid or data.test",
            received=wrong[0],
            expected="documents with text",
            next_step="mend these rows, or take them out",
        )
    return Corpus(as_objects(list(named)), [text for text, _ in read])

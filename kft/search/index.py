"""An index that was opened: queries in, documents out, each with the passage that answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kft.errors import RunError, UsageError
from kft.metrics.neighbours import unit_rows
from kft.records.fields import absent
from kft.records.index import AboutIndex, read_index
from kft.search.contents import Contents
from kft.search.duplicates import ALIKE, Duplicates, find_duplicates
from kft.search.models import Embedder, digest_of, is_backbone, open_model, run_of
from kft.search.ranking import RetrievalScores, judge
from kft.search.scores import Hits, Scorer, best_documents

QUERIES_AT_ONCE = 32
"""That are compared with all passages together: 200,000 of them are 25 MB of cosines."""


@dataclass(frozen=True)
class Result:
    """A document that was found, and its passage that comes nearest.

    Attributes:
        document: Its id.
        score: From 0 to 1.
        cosine: By vectors, from 0.
        words: How much of the query's words the passage holds, from 0 to 1; rare words count more.
        passage: The passage's number in the index.
        start: Where it begins in the document's text, in characters.
        stop: Where it ends.
        text: What stands there.
    """

    document: str
    score: float
    cosine: float
    words: float
    passage: int
    start: int
    stop: int
    text: str


@dataclass(frozen=True)
class SearchAnswer:
    """What a query found.

    Attributes:
        query: As it was asked.
        abstain: Whether no document is a good answer, by the index's promise; None where nothing is promised.
        results: The nearest documents, the nearest first, also where none is good.
        unread: Tokens at the query's end that the model does not read; its words count all the same.
    """

    query: str
    abstain: bool | None
    results: tuple[Result, ...]
    unread: int = absent(0)


@dataclass(frozen=True)
class Index:
    """An index, opened once to be asked often. Several threads may ask it at once.

    Attributes:
        dest: Its folder.
        about: Its index.json.
        contents: Its files.
        shipped: The model that makes vectors of queries.
        scorer: Compares.
    """

    dest: Path
    about: AboutIndex
    contents: Contents = field(repr=False)
    shipped: Embedder = field(repr=False)
    scorer: Scorer = field(repr=False)

    def search(self, query: str, k: int = 10) -> SearchAnswer:
        """Returns the documents that come nearest to a query.

        Args:
            query: A question, or some words.
            k: How many at most.

        Raises:
            UsageError: The query is empty, or k is below 1.
            DataError: It holds what is no character.
        """
        if not isinstance(query, str) or not query.strip():
            raise UsageError("the query is empty", received=repr(query)[:80], expected="a question, or some words")
        if k < 1:
            raise UsageError("there is nothing to find", where="k", received=str(k), expected="at least 1")
        (near,) = self.find([query])
        scores = near.weighed(self.about.weighing.words)
        _, places = best_documents(scores, self.contents.passages[near.places, 0], k)
        results = tuple(self._result(near, scores, place) for place in places)
        promise = self.about.promise
        abstain = None
        if promise is not None and promise.threshold is not None:
            abstain = bool(scores[places[0]] < promise.threshold)
        reader = self.shipped.about.reader
        tokens = len(self.shipped.tokenizer.encode(reader.query + query).ids)
        return SearchAnswer(query, abstain, results, max(0, tokens - reader.max_tokens))

    def find(self, queries: Sequence[str]) -> Iterator[Hits]:
        """Yields what is near each query."""
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            part = list(queries[start : start + QUERIES_AT_ONCE])
            vectors = self.shipped.vectors(part)[:, : self.about.embedding.width]
            yield from self.scorer.find(unit_rows(vectors), part)

    def evaluate(self, queries: Mapping[str, Sequence[str]]) -> RetrievalScores:
        """Returns how well labelled queries are answered.

        Args:
            queries: The ids of the documents that answer each.
        """
        return judge(self.contents, self.find, queries, self.about.weighing, self.about.promise)

    def duplicates(self, at_least: float = ALIKE, tick: Callable[[int], None] = lambda count: None) -> Duplicates:
        """Returns documents that are nearly alike.

        Args:
            at_least: The cosine from which on two passages are.
            tick: Is told of passages that are done.

        Raises:
            UsageError: ``at_least`` is not above 0 and at most 1.
        """
        if not 0 < at_least <= 1:
            raise UsageError("no cosine to compare with", received=str(at_least), expected="above 0, at most 1")
        return find_duplicates(self.contents, self.scorer.rows, at_least, tick)

    def _result(self, near: Hits, scores: np.ndarray, place: int) -> Result:
        number = int(near.places[place])
        passage = self.contents.passage(number)
        figures = (float(each[place]) for each in (scores, near.cosines, near.shares))
        score, cosine, words = (round(figure, 6) for figure in figures)
        return Result(passage.document, score, cosine, words, number, passage.start, passage.stop, passage.text)


def open_index(dest: Path, artifact: Path | None = None) -> Index:
    """Opens an index, after comparing its files and those of the model with their hashes.

    Args:
        dest: From ``kft index``.
        artifact: Where the artifact or run lies now that made it; default: where it lay then.

    Raises:
        RunError: There is no index, or it is damaged or of a newer kft; there is no such model, or it is another one.
        UsageError: A package is not installed.
    """
    about = read_index(dest)
    folder = Path(about.embedding.folder) if artifact is None else artifact
    if artifact is None and not folder.is_dir() and not is_backbone(folder):
        raise RunError(
            f"{_kind(about)} that made this index is gone",
            where=str(dest),
            received=f"no folder {folder}",
            expected=f"{about.embedding.name}, version {about.embedding.version}",
            next_step="name the folder where it lies now with --artifact",
        )
    require_same(about, folder, dest, only_asks=True)
    contents = Contents(dest / about.folder)
    return Index(dest, about, contents, open_model(folder), Scorer(contents, about.approximate))


def _kind(about: AboutIndex) -> str:
    return f"the {about.embedding.of}"


def require_same(about: AboutIndex, folder: Path, dest: Path, *, only_asks: bool = False) -> None:
    """Refuses a model that did not make an index: vectors of two models cannot be compared.

    Args:
        about: What is said of the index.
        folder: Of the model.
        dest: Of the index.
        only_asks: Whether it makes vectors of queries alone. Then a run serves an index that its artifact has made, and
            an artifact one of its run, where it was proved to answer as that.

    Raises:
        RunError: It is another one, or none.
    """
    name, version, digest = digest_of(folder)
    if digest == about.embedding.digest or (
        only_asks and about.embedding.run and run_of(folder) == about.embedding.run
    ):
        return
    raise RunError(
        f"{_kind(about)} is not the one that made this index",
        where=str(dest),
        received=f"{name}, version {version}, in {folder}",
        expected=f"{about.embedding.name}, version {about.embedding.version}, {_kind(about)}",
        next_step="name that one, or build a new index with this one: kft index MODEL DOCUMENTS -o ANOTHER",
    )

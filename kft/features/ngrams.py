"""A linear model on the words of texts: what a backbone has to beat. It needs none, and a second or so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.features.sparse import solve_sparse
from kft.features.views.view import Goal, folds_of
from kft.runtime import one_blas_thread
from kft.tasks.decode import softmax

STRENGTHS = (0.3, 3.0, 30.0)
"""Inverse penalties C that are tried."""
MOST_NGRAMS = 50_000
CHOOSING_ROWS = 4000
"""Rows that a strength is chosen by, about: all folds of few labels, one of many."""


@dataclass(frozen=True, eq=False)
class Worded:
    """Labelled texts.

    Attributes:
        inputs: Texts, or pairs of them.
        targets: ``int[n]`` for softmax, or shares of the classes; else ``float32[n, units]``.
        goal: What is answered.
        counts: ``float32[n]``: how much each counts.
    """

    inputs: Sequence[Any]
    targets: np.ndarray
    goal: Goal
    counts: np.ndarray

    def take(self, rows: np.ndarray) -> Worded:
        """Returns these alone, in this order."""
        return Worded([self.inputs[row] for row in rows], self.targets[rows], self.goal, self.counts[rows])


@dataclass(frozen=True, eq=False)
class WordsModel:
    """A solved linear model.

    Attributes:
        read: Texts, or pairs of them, to sparse rows.
        kernel: ``float32[n-grams, units]``.
        bias: ``float32[units]``.
        goal: What is answered.
        strength: The inverse penalty C.
        own_bytes: What has to be kept of it.
    """

    read: Callable[[Sequence[Any]], Any]
    kernel: np.ndarray
    bias: np.ndarray
    goal: Goal
    strength: float
    own_bytes: int

    @property
    def ngrams(self) -> int:
        """How many words, pairs of words or pieces it reads."""
        return len(self.kernel)

    @property
    def trained(self) -> int:
        return self.kernel.size + self.bias.size

    def outputs(self, inputs: Sequence[Any]) -> np.ndarray:
        """Returns ``float32[n, units]``: logits or standardised numbers."""
        return np.asarray(self.read(inputs) @ self.kernel + self.bias, np.float32)

    def answer(self, inputs: Sequence[Any]) -> np.ndarray:
        """Returns probabilities ``float64[n, classes]``, for one class of many."""
        return softmax(self.outputs(inputs))


def solve_words(
    train: tuple[Sequence[Any], np.ndarray],
    valid_inputs: Sequence[Any],
    classes: int,
    score: Callable[[np.ndarray], float],
) -> WordsModel:
    """Solves logistic regression on TF-IDF of words for each strength, and keeps the best on valid.

    Args:
        train: Texts, or pairs of them, and ``int[n]``, the class of each, or shares ``float[n, classes]``.
        valid_inputs: Likewise of valid.
        classes: How many there are; train need not have all.
        score: From probabilities of valid to what is maximised.

    Example:
        >>> texts, targets = ["good phone", "bad phone"] * 10, np.array([0, 1] * 10)
        >>> found = solve_words((texts, targets), texts, 2, lambda given: float((given.argmax(1) == targets).mean()))
        >>> found.answer(["a good one"]).argmax()
        np.int64(0)
    """
    inputs, targets = train
    models = fit_words(Worded(inputs, targets, Goal("softmax", classes), np.ones(len(targets), np.float32)), STRENGTHS)
    return max(models, key=lambda model: score(model.answer(valid_inputs)))


def fit_words(worded: Worded, strengths: Sequence[float]) -> list[WordsModel]:
    """Solves the linear model on TF-IDF of words, once for each strength."""
    read, size = ngram_reader(worded.inputs)
    rows, found = read(worded.inputs), []
    with one_blas_thread():
        for strength in strengths:
            kernel, bias = solve_sparse(rows, worded.targets, worded.counts, worded.goal, strength)
            found.append(WordsModel(read, kernel, bias, worded.goal, strength, 4 * (kernel.size + bias.size) + size))
    return found


def words_out_of_fold(worded: Worded, fold_of: np.ndarray) -> tuple[float, np.ndarray]:
    """Answers each text by a model that saw nothing of its fold, its vocabulary included.

    Args:
        worded: Labelled texts.
        fold_of: ``int[n]``: the fold of each.

    Returns:
        The strength of the least loss, and ``float32[n, units]``.

    Example:
        >>> texts, targets = ["good phone", "bad phone"] * 10, np.array([0, 1] * 10)
        >>> worded = Worded(texts, targets, Goal("softmax", 2), np.ones(20, np.float32))
        >>> words_out_of_fold(worded, np.arange(20) // 2 % 5)[1].argmax(axis=1).tolist() == targets.tolist()
        True
    """
    found = np.zeros((len(fold_of), worded.goal.units), np.float32)
    folds = folds_of(fold_of, None)
    choosing = max(1, min(len(folds), round(CHOOSING_ROWS / len(fold_of))))
    tried = np.zeros((len(STRENGTHS), *found.shape), np.float32)
    judged = np.flatnonzero(np.isin(fold_of, folds[:choosing]))
    for fold in folds[:choosing]:
        (held,) = np.nonzero(fold_of == fold)
        models = fit_words(worded.take(np.flatnonzero(fold_of != fold)), STRENGTHS)
        for outputs, model in zip(tried, models, strict=True):
            outputs[held] = model.outputs(worded.take(held).inputs)
    part = worded.take(judged)
    losses = [(worded.goal.losses(outputs[judged], part.targets) * part.counts).sum() for outputs in tried]
    best = int(np.argmin(losses))
    found[judged] = tried[best][judged]
    for fold in folds[choosing:]:
        (held,) = np.nonzero(fold_of == fold)
        (model,) = fit_words(worded.take(np.flatnonzero(fold_of != fold)), STRENGTHS[best : best + 1])
        found[held] = model.outputs(worded.take(held).inputs)
    return STRENGTHS[best], found


def ngram_reader(inputs: Sequence[Any]) -> tuple[Callable[[Sequence[Any]], Any], int]:
    """Returns what turns texts into sparse TF-IDF rows, and the bytes of its vocabulary.

    Of a pair of texts come the rows of both, and their product, which is large where they share words.

    Args:
        inputs: Training texts, or pairs of them: the vocabulary is theirs.

    Example:
        >>> read, _ = ngram_reader(["good phone", "bad phone"])
        >>> read(["good"]).shape
        (1, 5)
    """
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    pairs = isinstance(inputs[0], tuple)
    texts = [text for pair in inputs for text in pair] if pairs else list(inputs)
    spaces = float(np.mean([" " in text.strip() for text in texts]))
    how = {"token_pattern": r"\w+|[^\w\s]", "ngram_range": (1, 2)}
    if spaces < 0.5:
        how = {"analyzer": "char", "ngram_range": (1, 3)}
    vectorizer = TfidfVectorizer(**how, sublinear_tf=True, max_features=MOST_NGRAMS, dtype=np.float32).fit(texts)
    size = sum(len(term.encode()) + 4 for term in vectorizer.vocabulary_)

    def read(given: Sequence[Any]) -> Any:
        if not pairs:
            return vectorizer.transform(given)
        first, second = (vectorizer.transform([pair[place] for pair in given]) for place in (0, 1))
        return hstack([first, second, first.multiply(second)], format="csr")

    return read, size

"""A linear model on the words of texts: what a backbone has to beat. It needs none, and a second or so."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

STRENGTHS = (0.3, 3.0, 30.0)
"""Inverse penalties C that are tried on valid."""
MOST_NGRAMS = 50_000


@dataclass(frozen=True)
class WordsModel:
    """A solved linear model.

    Attributes:
        answer: Texts, or pairs of them, to probabilities ``float64[n, classes]``.
        strength: The inverse penalty C that valid chose.
        ngrams: How many words, pairs of words or pieces it reads.
        trained: Parameters.
        own_bytes: What has to be kept of it.
    """

    answer: Callable[[Sequence[Any]], np.ndarray]
    strength: float
    ngrams: int
    trained: int
    own_bytes: int


def solve_words(
    train: tuple[Sequence[Any], np.ndarray],
    valid_inputs: Sequence[Any],
    classes: int,
    score: Callable[[np.ndarray], float],
) -> WordsModel:
    """Solves logistic regression on TF-IDF of words for each strength, and keeps the best on valid.

    Args:
        train: Texts, or pairs of them, and ``int[n]``, the class of each.
        valid_inputs: Likewise of valid.
        classes: How many there are; train need not have all.
        score: From probabilities of valid to what is maximised.

    Example:
        >>> texts, targets = ["good phone", "bad phone"] * 10, np.array([0, 1] * 10)
        >>> found = solve_words((texts, targets), texts, 2, lambda given: float((given.argmax(1) == targets).mean()))
        >>> found.answer(["a good one"]).argmax()
        np.int64(0)
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    inputs, targets = train
    read, size = ngram_reader(inputs)
    rows, valid_rows = read(inputs), read(valid_inputs)
    found: list[tuple[float, float, Any]] = []
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        # A strength that has not converged competes as it is: valid decides.
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, max_iter=200, tol=1e-3).fit(rows, targets)
            found.append((score(_whole(model, valid_rows, classes)), strength, model))
    _, strength, model = max(found, key=lambda each: each[0])
    trained = model.coef_.size + model.intercept_.size
    return WordsModel(
        answer=lambda given: _whole(model, read(given), classes),
        strength=strength,
        ngrams=rows.shape[1],
        trained=trained,
        own_bytes=4 * trained + size,
    )


def _whole(model: Any, rows: Any, classes: int) -> np.ndarray:
    """Returns probabilities of all classes, also of those that training rows lack."""
    answers = np.zeros((rows.shape[0], classes))
    answers[:, model.classes_] = model.predict_proba(rows)
    return answers


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

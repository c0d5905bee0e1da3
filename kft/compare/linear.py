"""Without a backbone: the majority class, and a linear model on words (or on the colours of small thumbnails)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kft.compare.setting import Setting
from kft.compare.solution import Solution
from kft.tasks.decode import softmax

STRENGTHS = (0.3, 3.0, 30.0)
"""Inverse penalties C that are tried on valid."""
MOST_NGRAMS = 50_000
THUMBNAIL = 16
"""Pixels a side of what a linear model sees of an image."""


def fit_majority(setting: Setting) -> Solution:
    """The training split's shares of the classes, whatever is asked."""
    judging, space = setting.task.kind.judging, setting.split.space
    shares = judging.shares(list(setting.split.train.labels), space)  # type: ignore[arg-type]  # labelled
    return Solution(lambda inputs: judging.constant(shares, space, len(inputs)), setting.classes, 8 * setting.classes)


def fit_linear(setting: Setting) -> Solution:
    """Solves the linear model for each strength and keeps the best on valid."""
    return _fit_pixels(setting) if setting.task.reads.files else _fit_words(setting)


def _fit_words(setting: Setting) -> Solution:
    """TF-IDF of words and pairs of words; of characters where texts have no spaces."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    inputs, targets = setting.split.train.inputs, setting.targets(setting.split.train)
    valid_targets = setting.targets(setting.split.valid)
    read, size = ngram_reader(inputs)
    rows, valid_rows = read(inputs), read(setting.split.valid.inputs)
    sign = -1 if setting.lower_is_better else 1
    found: list[tuple[float, float, Any]] = []
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        # A strength that has not converged competes as it is: valid decides.
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, max_iter=200, tol=1e-3).fit(rows, targets)
            value = sign * setting.metric.value(valid_targets, _whole(model, valid_rows, setting.classes))
            found.append((value, strength, model))
    _, strength, model = max(found, key=lambda each: each[0])
    trained = model.coef_.size + model.intercept_.size
    return Solution(
        answer=lambda given: _whole(model, read(given), setting.classes),
        trained=trained,
        own_bytes=4 * trained + size,
        chosen={"C": strength, "ngrams": rows.shape[1]},
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


def _fit_pixels(setting: Setting) -> Solution:
    """Softmax regression on the colours of thumbnails."""
    from kft.features.probe import ProbeRows, solve_probe

    parts = (setting.split.train, setting.split.valid)
    train, valid = (ProbeRows(thumbnails(part.inputs), setting.targets(part)) for part in parts)
    probe = solve_probe(train, valid, setting.classes, score=scorer(setting))
    return Solution(
        answer=lambda inputs: softmax(thumbnails(inputs) @ probe.kernel + probe.bias),
        trained=probe.kernel.size + probe.bias.size,
        own_bytes=probe.kernel.nbytes + probe.bias.nbytes,
        chosen={"C": probe.strength, "pixels": f"{THUMBNAIL} x {THUMBNAIL}"},
    )


def thumbnails(paths: Sequence[Path]) -> np.ndarray:
    """Returns ``float32[n, 768]``: the colours of 16 x 16 pixels, from 0 to 1."""
    from kft.data.images import ImageSizing, decode_image

    sizing = ImageSizing(THUMBNAIL, THUMBNAIL, "stretch")
    return np.stack([decode_image(Path(path), sizing).reshape(-1) for path in paths]).astype(np.float32) / 255


def scorer(setting: Setting) -> Callable[[np.ndarray], float]:
    """Returns what scores outputs on valid by the comparison's metric; higher is better."""
    targets = setting.targets(setting.split.valid)
    sign = -1 if setting.lower_is_better else 1
    return lambda outputs: sign * setting.metric.value(targets, softmax(outputs))

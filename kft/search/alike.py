"""How near documents are to queries, for a comparison: by words, by vectors that are made when asked for, by both."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kft.answer.artifact import Artifact
from kft.data.corpus import Corpus
from kft.search.words import WordIndex, index_words, load_words, save_words

Alike = Callable[[Sequence[str], Corpus], np.ndarray]
"""From queries and a corpus to ``float32[queries, documents]``."""
Encode = Callable[[Sequence[str], str], tuple[np.ndarray, float]]
"""From texts and their side, ``query`` or ``document``, to ``float32[n, width]`` and the wall seconds it takes."""


def by_words() -> Alike:
    """Returns BM25, over the most that a query could reach; a corpus is counted once."""
    known: dict[int, tuple[Corpus, WordIndex]] = {}  # the corpus too: an object that is gone leaves its id to another

    def alike(queries: Sequence[str], corpus: Corpus) -> np.ndarray:
        if id(corpus) not in known:
            with tempfile.TemporaryDirectory(prefix="kft-words-") as folder:
                save_words(index_words(corpus.texts), Path(folder))
                known[id(corpus)] = corpus, load_words(Path(folder))
        return known[id(corpus)][1].shares(queries)

    return alike


def by_vectors(encode: Encode, took: list[float], known: dict[str, np.ndarray]) -> Alike:
    """Returns what compares vectors.

    Args:
        encode: Makes them.
        took: Gets the seconds that documents' vectors take.
        known: Gets these: a document's vector is computed once, in whichever corpus it stands.
    """

    def alike(queries: Sequence[str], corpus: Corpus) -> np.ndarray:
        missing = [text for text in dict.fromkeys(corpus.texts) if text not in known]
        if missing:
            vectors, seconds = encode(missing, "document")
            known.update(zip(missing, vectors, strict=True))
            took.append(seconds)
        return encode(queries, "query")[0] @ np.stack([known[text] for text in corpus.texts]).T

    return alike


def answers_of(artifact: Artifact) -> Encode:
    """Returns what makes vectors of texts as a run would, and stores none."""

    def answer(texts: Sequence[str], side: str) -> tuple[np.ndarray, float]:
        started = time.perf_counter()
        found = (artifact.of_documents() if side == "document" else artifact).answers(texts)
        return found, time.perf_counter() - started

    return answer


def mixed(words: np.ndarray, cosines: np.ndarray, weight: float) -> np.ndarray:
    """Returns both, weighed."""
    return (weight * words + (1 - weight) * np.maximum(cosines, 0)).astype(np.float32)

"""The approaches where queries are answered with documents."""

from __future__ import annotations

import numpy as np

from kft.compare.vector_verdict import Field
from kft.data.examples import Examples

WITH_WORDS = "+words"
"""Ends the name of a tuned approach whose vectors are weighed with BM25, as ``kft index`` does."""
TUNED = ("head", "lora", "top", "full")
SEARCHES = Field(
    names=("bm25", "frozen", "hybrid", *(each for name in TUNED for each in (name, name + WITH_WORDS))),
    # What learns nothing from labelled queries but the weight of words.
    enough={
        "bm25": "words are enough: search needs no vectors",
        "frozen": "the backbone's own vectors are enough: do not tune",
        "hybrid": "words and the backbone's own vectors together are enough: do not tune",
    },
    rows="queries",
    where="documents are found",
    # Words beside vectors are no dearer, and an index has them.
    beside={"frozen": "hybrid", **{name: name + WITH_WORDS for name in TUNED}},
)


def counts_of(part: Examples) -> np.ndarray:
    """Returns ``int64[n]``: how many documents answer each query."""
    assert part.labels is not None  # only labelled queries are read
    return np.array([len(label) for label in part.labels], np.int64)

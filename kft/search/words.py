"""Passages by their words: BM25 (Robertson and Zaragoza, 2009), as the package bm25s computes it.

A score is divided by the most that a query could reach, the sum of its words' weights; words that no passage holds
count too. So it is a share from 0 to 1 that means the same for every query: how much of it a passage holds.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kft.extras import require

if TYPE_CHECKING:
    import bm25s
    import regex

MODULE = "bm25s"
ALONE = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
"""Scripts that set no spaces between words: each character counts as one."""


@dataclass(frozen=True)
class WordIndex:
    """The words of all passages.

    Attributes:
        bm25: Their scores, by word and passage.
        weights: ``float64[words]``: what each word of the vocabulary is worth at most.
        unknown: What a word is worth that no passage holds.
    """

    bm25: bm25s.BM25
    weights: np.ndarray
    unknown: float

    def shares(self, queries: Sequence[str]) -> np.ndarray:
        """Returns ``float32[queries, passages]``: how much of each query's words each passage holds."""
        found = np.zeros((len(queries), self.bm25.scores["num_docs"]), np.float32)
        for row, query in enumerate(queries):
            words = split_words(query)
            known = [place for word in words if (place := self.bm25.vocab_dict.get(word)) is not None]
            most = self.weights[known].sum() + (len(words) - len(known)) * self.unknown
            if known and most > 0:
                found[row] = self.bm25.get_scores_from_ids(known) / most
        return found


def split_words(text: str) -> list[str]:
    r"""Returns the words of a text, whatever their case and width.

    Example:
        >>> split_words("The Parser's 2nd \uff21\uff22, \u6f22\u5b57")
        ['the', 'parser', 's', '2nd', 'ab', '漢', '字']
    """
    return _pattern().findall(unicodedata.normalize("NFKC", text).casefold())


def _pattern() -> regex.Pattern[str]:
    import regex

    return regex.compile(rf"(?V1){ALONE}|[\w--{ALONE}]+")  # regex keeps it


def index_words(texts: Iterable[str]) -> bm25s.BM25:
    """Returns the scores of all words in all passages.

    Raises:
        UsageError: The extra is not installed.
    """
    require_package(MODULE, "the words of passages")
    import bm25s

    vocabulary: dict[str, int] = {"": 0}  # bm25s needs one
    rows = [[vocabulary.setdefault(word, len(vocabulary)) for word in split_words(text)] for text in texts]
    made = bm25s.BM25(method="lucene")
    if not any(rows):  # an average length of nothing
        rows[0] = [0]
    made.index((rows, vocabulary), show_progress=False)
    return made


def save_words(made: bm25s.BM25, folder: Path) -> None:
    """Writes them into a folder."""
    made.save(folder, show_progress=False)


def load_words(folder: Path) -> WordIndex:
    """Returns what ``save_words`` wrote; the scores stay on the disk.

    Raises:
        UsageError: The extra is not installed.
    """
    require_package(MODULE, "the words of passages")
    import bm25s

    loaded = bm25s.BM25.load(folder, mmap=True, show_progress=False)
    holding = np.diff(np.asarray(loaded.scores["indptr"], np.int64)).astype(np.float64)
    n = loaded.scores["num_docs"]

    def worth(passages: np.ndarray) -> np.ndarray:
        return np.log1p((n - passages + 0.5) / (passages + 0.5))

    return WordIndex(loaded, worth(holding), float(worth(np.zeros(1))[0]))


def require_package(module: str, what: str) -> None:
    """Refuses to go on without a package of the extra.

    Raises:
        UsageError: It is not installed.
    """
    require("search", [module], f"{what} are searched with {module}, which is not installed")

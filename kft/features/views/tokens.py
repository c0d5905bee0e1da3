"""A linear model on token ids and pairs of neighbouring ones: words say what vectors don't.

TF-IDF of what the backbone's tokenizer gives, so that it needs nothing but token ids and can live in an exported graph.
Pairs are told apart by a hash, which a graph can compute; two that share one count as the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.features.sparse import solve_sparse
from kft.features.views.view import Goal, Lesson, ViewInput, answers_out_of_fold
from kft.feed.batches import Ragged

STRENGTH = 30.0
"""Inverse penalty C: the best of several on four text sets, by little."""
BUCKETS = 2**18
"""Hash values of pairs."""
FACTOR = 1_000_003
"""A prime that a first token's id is multiplied by."""
FEW_ROWS = 1000
"""From so many rows on, what stands in one of them alone is left out."""
MOST_COLUMNS = 50_000
"""The most frequent are kept."""


@dataclass(frozen=True, eq=False)
class TokensView:
    """A solved linear model.

    Attributes:
        column_of_token: ``int32[tokens]``: the place of a token's weights; 0: it has none.
        column_of_pair: ``int32[BUCKETS]``: likewise of a pair's hash.
        rarity: ``float32[columns + 1]``: inverse document frequency; 0 at place 0.
        kernel: ``float32[columns + 1, units]``: zeros at place 0.
        bias: ``float32[units]``.
        goal: What is answered.
    """

    column_of_token: np.ndarray
    column_of_pair: np.ndarray
    rarity: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    goal: Goal
    name = "tokens"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"C": STRENGTH, "tokens and pairs": len(self.rarity) - 1}

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        names = ("column_of_token", "column_of_pair", "rarity", "kernel", "bias")
        return {name: getattr(self, name) for name in names}

    def outputs(self, seen: ViewInput) -> np.ndarray:
        assert seen.tokens is not None
        rows = self._reader.read(seen.tokens)
        return self.goal.normalised(np.asarray(rows @ self.kernel + self.bias, np.float32))

    @property
    def _reader(self) -> _Reader:
        return _Reader(self.column_of_token, self.column_of_pair, self.rarity)


def out_of_fold(lesson: Lesson, fold_of: np.ndarray, only: int | None = None) -> tuple[float, np.ndarray]:
    """Answers each example by a model that saw nothing of its fold, its vocabulary included.

    Args:
        lesson: Labelled examples, with tokens.
        fold_of: ``int[n]``: the fold of each.
        only: The one fold that is answered, and chosen by; default: all of them.

    Returns:
        The strength, and ``float32[n, units]``.
    """
    return STRENGTH, answers_out_of_fold(lesson, fold_of, lambda part: fit(part, STRENGTH), only)


def fit(lesson: Lesson, strength: float) -> TokensView:
    """Learns the vocabulary and solves the model."""
    assert lesson.seen.tokens is not None
    reader = _learn(lesson.seen.tokens, fewest=1 if len(lesson) < FEW_ROWS else 2)
    rows = reader.read(lesson.seen.tokens)
    kernel, bias = solve_sparse(rows, lesson.targets, lesson.counts, lesson.goal, strength)
    kernel[0] = 0
    return TokensView(reader.column_of_token, reader.column_of_pair, reader.rarity, kernel, bias, lesson.goal)


@dataclass(frozen=True, eq=False)
class _Reader:
    """From token ids to rows of TF-IDF; see ``TokensView``."""

    column_of_token: np.ndarray
    column_of_pair: np.ndarray
    rarity: np.ndarray

    def read(self, tokens: Ragged) -> Any:
        """Returns a sparse ``float32[n, columns + 1]``: ``(1 + ln count) * rarity``, each row of length one."""
        from scipy.sparse import csr_matrix

        owner, singles, pairs = _places(tokens)
        known = singles < len(self.column_of_token)
        columns = np.where(known, self.column_of_token[np.where(known, singles, 0)], 0)
        columns = np.concatenate([columns, self.column_of_pair[pairs[1]]])
        owners = np.concatenate([owner, pairs[0]])
        shape = (len(tokens), len(self.rarity))
        counts = csr_matrix((np.ones(len(columns), np.float32), (owners, columns)), shape=shape)
        counts.sum_duplicates()
        counts.data = (1 + np.log(counts.data)) * self.rarity[counts.indices]
        lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
        counts.data /= np.repeat(np.maximum(lengths, 1e-12), np.diff(counts.indptr)).astype(np.float32)
        counts.eliminate_zeros()
        return counts


def _places(tokens: Ragged) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Returns whose each token is, its id, and owner and hash of each pair of neighbours."""
    owner = np.repeat(np.arange(len(tokens)), tokens.lengths)
    ids = tokens.values.astype(np.int64)
    (inside,) = np.nonzero(owner[:-1] == owner[1:])
    return owner, ids, (owner[inside], (ids[inside] * FACTOR + ids[inside + 1]) % BUCKETS)


def _learn(tokens: Ragged, fewest: int) -> _Reader:
    """Gives a column to each token and pair that stands in at least so many examples; 0 stands for the others."""
    owner, singles, (owners, pairs) = _places(tokens)
    size = int(singles.max(initial=0)) + 1
    keys, places = np.concatenate([singles, size + pairs]), size + BUCKETS
    stands = np.unique(np.concatenate([owner, owners]) * places + keys) % places
    counts = np.bincount(stands, minlength=places)
    (kept,) = np.nonzero(counts >= fewest)
    if len(kept) > MOST_COLUMNS:
        kept = np.sort(kept[np.argsort(-counts[kept], kind="stable")[:MOST_COLUMNS]])
    column = np.zeros(places, np.int32)
    column[kept] = 1 + np.arange(len(kept))
    rarity = np.log((1 + len(tokens)) / (1 + counts[kept])) + 1  # smoothed, as if one example held everything
    return _Reader(column[:size], column[size:], np.append(0, rarity).astype(np.float32))

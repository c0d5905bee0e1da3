"""Copies and near-copies among texts: candidates by MinHash, then verified word by word."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from kft.split.hashed_texts import TYPO, candidates, hash_texts, normal_words
from kft.split.near import Pairs, as_pairs, sorted_pairs

COPY = 0.92
"""From this similarity on, two texts are copies in any data: one word in thirteen differs, or one in four by a typo."""
LOOSER = (0.9, 0.85, 0.8)
"""What copies are taken from where the data allow it: one word in ten differs, in seven, in five."""
CROWDED = 0.01
"""Share of rows that a looser limit may pair besides. Where more pair, people ask different things in nearly the same
words, and a word that differs says nothing: 18 % of the questions in BANKING77, .1 to .5 % of reviews (docs/log.md)."""
SHORTEST_WITH_TYPO = 3
"""Letters of a word from which on one wrong letter is a typo: "my" and "me" are two words."""
VERIFIED_AT_ONCE = 2000
LONG = 64
"""Words beyond which their order plays no part: what is left of two long texts is compared as two bags of words."""


def near_texts(texts: Sequence[str], at_least: float = COPY) -> Pairs:
    """Finds texts that are copies of each other but for case, punctuation, accents, typos, or a word among many.

    Texts with the same letters and digits in the same order have similarity 1: of each set of such, every one is
    paired with the first. Among the sets, candidates are those whose MinHash signatures of character trigrams agree
    in a band (Broder, 1997; Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, ch. 3); the similarity of two is
    ``1 - distance / words of the longer``, the distance being the number of words added, dropped, replaced, or
    swapped with their neighbour, of which a typo counts ``TYPO``. Deterministic; 10,000 questions take about a second.

    Args:
        texts: Any texts.
        at_least: The lowest similarity to report, not below .7: what is less alike may not become a candidate.

    Returns:
        The pairs, each once.

    Example:
        >>> found = near_texts(["Where is my new card?", "where is my NEW card", "Where is my nwe card", "Hello"])
        >>> [(int(i), int(j), round(float(s), 3)) for i, j, s in zip(*found)]
        [(0, 1, 1.0), (0, 2, 0.94)]
    """
    found = _pairs_of(tuple(texts), at_least, None)
    assert found is not None
    return found


def copies_among(texts: Sequence[str], measured: np.ndarray | None = None) -> Pairs:
    """Finds copies and near-copies, taken as loosely as the data allow: see ``LOOSER`` and ``CROWDED``.

    Args:
        texts: Any texts.
        measured: ``bool[n]``: the rows that say how crowded the data are, such as those of train, lest copies between
            splits count as crowding; default: all.

    Example:
        >>> found = copies_among([f"{word} is the word of this very day" for word in ("rain", "snow")] + ["hello"] * 98)
        >>> int((found.second < 2).sum())
        0
    """
    every = tuple(texts)
    counted = np.ones(len(every), bool) if measured is None else measured
    kept = near_texts(every, COPY)
    crowd = _Crowd(counted, int(_paired(kept, counted).sum() + CROWDED * counted.sum()))
    for least in LOOSER:
        looser = _pairs_of(every, least, crowd)
        if looser is None:
            break  # a still looser limit pairs no fewer
        kept = looser
    return kept


class _Crowd(NamedTuple):
    """Which rows count, and how many of them may be paired: with more, the search ends."""

    counted: np.ndarray
    most: int


def _paired(pairs: Pairs, counted: np.ndarray) -> np.ndarray:
    """Returns ``bool[n]``: the rows that count and are paired with another one that counts."""
    paired = np.zeros(len(counted), bool)
    chosen = counted[pairs.first] & counted[pairs.second]
    paired[pairs.first[chosen]] = paired[pairs.second[chosen]] = True
    return paired


def _pairs_of(texts: tuple[str, ...], at_least: float, crowd: _Crowd | None) -> Pairs | None:
    """Returns the pairs that are so much alike; None as soon as they are a crowd."""
    hashed = hash_texts(texts)
    copies = np.flatnonzero(hashed.same != np.arange(len(texts)))
    kept = [Pairs(hashed.same[copies], copies, np.ones(len(copies)))]
    words = lru_cache(maxsize=2**14)(lambda row: normal_words(texts[row]))
    bags = lru_cache(maxsize=2**12)(lambda row: Counter(words(row)))
    paired = None if crowd is None else _paired(kept[0], crowd.counted)
    for places in candidates(hashed, at_least):
        for start in range(0, len(places), VERIFIED_AT_ONCE):
            found = []
            for one, other in hashed.rows[places[start : start + VERIFIED_AT_ONCE]].tolist():
                if not _can_reach(bags(one), bags(other), at_least):
                    continue
                reached = similarity(words(one), words(other), at_least)
                if reached >= at_least:
                    found.append((one, other, reached))
            kept.append(as_pairs(found))
            if crowd is not None and paired is not None:
                paired |= _paired(kept[-1], crowd.counted)
                if int(paired.sum()) > crowd.most:
                    return None
    return sorted_pairs(*(np.concatenate(column) for column in zip(*kept, strict=True)))


def _can_reach(one: Counter[str], other: Counter[str], at_least: float) -> bool:
    """Whether two texts can be so alike, even if all words that differ were typos: what ``similarity`` asks first.

    It is asked of many pairs of long texts, and hardly any passes.
    """
    longest = max(one.total(), other.total(), 1)
    few, many = (one, other) if len(one) <= len(other) else (other, one)
    common = sum(min(count, many[word]) for word, count in few.items() if word in many)
    return 1 - TYPO * (longest - common) / longest >= at_least


def similarity(one: Sequence[str], other: Sequence[str], at_least: float = 0.0) -> float:
    """Returns how alike two sequences of words are, from 0 to 1; see ``near_texts``.

    Args:
        one: Words.
        other: Words.
        at_least: Where it is clear early that they are less alike than this, 0 is returned.

    Example:
        >>> similarity(["where", "is", "it"], ["where", "is", "my", "bag"])
        0.5
    """
    longest = max(len(one), len(other), 1)
    start, stop = 0, 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    while stop < min(len(one), len(other)) - start and one[-1 - stop] == other[-1 - stop]:
        stop += 1
    left, right = one[start : len(one) - stop], other[start : len(other) - stop]
    more, fewer = (left, right) if len(left) >= len(right) else (right, left)
    without = Counter(more) - Counter(fewer)
    alone = without.total()
    if 1 - TYPO * alone / longest < at_least:  # even if all that differs were typos
        return 0.0
    if max(len(left), len(right)) > LONG:
        return 1 - alone / longest
    typos = sum(count for word, count in without.items() if any(_cost(word, against) < 1 for against in set(fewer)))
    if 1 - (alone - (1 - TYPO) * typos) / longest < at_least:
        return 0.0
    return max(0.0, 1 - _distance(left, right, (1 - at_least) * longest) / longest)


def _distance(one: Sequence[str], other: Sequence[str], most: float) -> float:
    """Damerau-Levenshtein distance of words (optimal string alignment); or infinite, above ``most``."""
    rows = [[float(column) for column in range(len(other) + 1)]]
    for i, word in enumerate(one, start=1):
        row = [float(i)]
        for j, against in enumerate(other, start=1):
            best = min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + _cost(word, against))
            if i > 1 and j > 1 and word == other[j - 2] and one[i - 2] == against:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        if min(row) > most and min(rows[-1]) > most:  # two rows, because a swap reaches over one
            return math.inf
        rows.append(row)
    return rows[-1][-1]


@lru_cache(maxsize=2**16)
def _cost(one: str, other: str) -> float:
    if one == other:
        return 0.0
    return TYPO if _is_typo(one, other) else 1.0


def _is_typo(one: str, other: str) -> bool:
    """Whether one letter is missing, added, wrong, or swapped with the next; never a digit, never a plural's s."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1 or len(long) < SHORTEST_WITH_TYPO or not (one + other).isalpha():
        return False
    if long == short + "s":
        return False
    start = next((k for k, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    rest, against = short[start:], long[start:]
    if len(short) < len(long):
        return rest == against[1:]
    return rest[1:] == against[1:] or (rest[:2] == against[1::-1] and rest[2:] == against[2:])

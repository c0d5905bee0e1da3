"""Copies and near-copies among texts: candidates by MinHash, then verified word by word."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from kft.split.hashed_texts import TYPO, HashedTexts, candidates, hash_texts, is_among, normal_words
from kft.split.near import Copies, Pairs, same_pairs, sorted_pairs

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
MOST_COMPARED = 5_000_000
"""Pairs that are compared word by word, in some two minutes. Thousands of texts that are nearly alike have more."""
EDGE = 1e-9
"""A similarity that lies so close to a limit may be on either side of it by rounding alone."""
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
    hashed = hash_texts(texts)
    found = _pairs_of(texts, hashed, at_least, _Verified(at_least), None)
    assert found is not None
    return found


def copies_among(texts: Sequence[str], measured: np.ndarray | None = None) -> Copies:
    """Finds copies and near-copies, taken as loosely as the data allow: see ``LOOSER`` and ``CROWDED``.

    Args:
        texts: Any texts.
        measured: ``bool[n]``: the rows that say how crowded the data are, such as those of train, lest copies between
            splits count as crowding; default: all.

    Example:
        >>> found = copies_among([f"{word} is the word of this very day" for word in ("rain", "snow")] + ["hello"] * 98)
        >>> int((found.pairs.second < 2).sum())
        0
    """
    hashed = hash_texts(texts)
    counted = np.ones(len(texts), bool) if measured is None else measured
    verified = _Verified(min(LOOSER))
    kept = _pairs_of(texts, hashed, COPY, verified, None)
    assert kept is not None
    crowd = _Crowd(counted, int(_paired(kept, counted).sum() + CROWDED * counted.sum()))
    for least in LOOSER if not verified.ended else ():
        looser = _pairs_of(texts, hashed, least, verified, crowd)
        if looser is None:
            break  # a still looser limit pairs no fewer
        kept = looser
    return Copies(
        kept,
        hashed.same,
        searched=len(hashed.rows),
        neighbours=hashed.neighbours if hashed.many else 0,
        compared=MOST_COMPARED if verified.ended else 0,
    )


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


class _Verified:
    """How alike pairs are that were compared word by word, lest a looser limit compares them again.

    Args:
        floor: The loosest limit there will be; pairs that are less alike count as 0.
    """

    def __init__(self, floor: float) -> None:
        self.floor = floor
        self.left, self.ended = MOST_COMPARED, False
        self._keys, self._alike = np.empty(0, np.int64), np.empty(0)
        self._new: list[tuple[np.ndarray, np.ndarray]] = []

    def known(self, keys: np.ndarray) -> np.ndarray:
        """Returns ``float64[n]`` for pairs of earlier limits; nan for others."""
        found = np.full(len(keys), np.nan)
        there = is_among(keys, self._keys)
        found[there] = self._alike[np.searchsorted(self._keys, keys[there])]
        return found

    def remember(self, keys: np.ndarray, alike: np.ndarray) -> None:
        """Keeps pairs of this limit, where none comes twice."""
        self.left -= len(keys)
        self._new.append((keys, alike))

    def end_limit(self) -> None:
        """Sorts in what was found at this limit."""
        keys, alike = (np.concatenate(column) for column in zip((self._keys, self._alike), *self._new, strict=True))
        order = np.argsort(keys)
        self._keys, self._alike, self._new = keys[order], alike[order], []


def _pairs_of(
    texts: Sequence[str], hashed: HashedTexts, at_least: float, verified: _Verified, crowd: _Crowd | None
) -> Pairs | None:
    """Returns the pairs that are so much alike; None as soon as they are a crowd.

    Where more than ``verified.left`` pairs are to be compared, the search has ended after these; at a looser limit
    with None.
    """
    kept = [same_pairs(hashed.same)]
    words = lru_cache(maxsize=2**14)(lambda row: normal_words(texts[row]))
    bags = lru_cache(maxsize=2**12)(lambda row: Counter(words(row)))

    def compare(rows: Sequence[int], least: float) -> float:
        one, other = words(rows[0]), words(rows[1])
        if max(len(one), len(other)) > LONG and not _can_reach(bags(rows[0]), bags(rows[1]), least):
            return 0.0
        return similarity(one, other, least)

    paired = None if crowd is None else _paired(kept[0], crowd.counted)
    for places in candidates(hashed, at_least):
        keys = places[:, 0] * len(hashed.rows) + places[:, 1]
        known = verified.known(keys)
        unknown = int(np.isnan(known).sum())
        over = unknown > verified.left
        if over:
            some = slice(None, None, -(-unknown // max(verified.left, 1)))  # of all rows, not of the first alone
            places, keys, known = places[some], keys[some], known[some]
        for start in range(0, len(places), VERIFIED_AT_ONCE):
            part = slice(start, start + VERIFIED_AT_ONCE)
            rows, alike = hashed.rows[places[part]], known[part]
            new = np.flatnonzero(np.isnan(alike))
            alike[new] = [compare(pair, verified.floor) for pair in rows[new].tolist()]
            verified.remember(keys[part][new], alike[new])
            for place in np.flatnonzero(np.abs(alike - at_least) < EDGE).tolist():
                alike[place] = compare(rows[place].tolist(), at_least)  # which rounds by its own limit
            near = alike >= at_least
            kept.append(Pairs(rows[near, 0], rows[near, 1], alike[near]))
            if crowd is not None and paired is not None:
                paired |= _paired(kept[-1], crowd.counted)
                if int(paired.sum()) > crowd.most:
                    return None
        if over:
            verified.ended = True
            if crowd is not None:
                return None
            break
    verified.end_limit()
    return sorted_pairs(*(np.concatenate(column) for column in zip(*kept, strict=True)))


def _can_reach(one: Counter[str], other: Counter[str], at_least: float) -> bool:
    """Whether two texts can be so alike, even if all words that differ were typos: what ``similarity`` asks first.

    It is asked of many pairs of long texts, and hardly any passes; of short ones ``similarity`` knows it at once.
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
    without = _without(more, fewer)
    alone = len(without)
    if 1 - TYPO * alone / longest < at_least:  # even if all that differs were typos
        return 0.0
    if max(len(left), len(right)) > LONG:
        return 1 - alone / longest
    against = set(fewer)
    typos = sum(_is_near(word, against) for word in without)
    if 1 - (alone - (1 - TYPO) * typos) / longest < at_least:
        return 0.0
    return max(0.0, 1 - _distance(left, right, (1 - at_least) * longest) / longest)


def _without(more: Sequence[str], fewer: Sequence[str]) -> list[str]:
    """Returns the words of one text that are left when those of another are taken out, each as often as it is there."""
    if len(fewer) > 8:
        return [*(Counter(more) - Counter(fewer)).elements()]
    rest, left = list(fewer), []
    for word in more:
        if word in rest:
            rest.remove(word)
        else:
            left.append(word)
    return left


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


def _is_near(word: str, others: Iterable[str]) -> bool:
    """Whether a word is one of others, or a typo away from one."""
    for other in others:
        alike = -2 < len(word) - len(other) < 2 and (word[:1] == other[:1] or word[-1:] == other[-1:])
        if alike and _cost(word, other) < 1:
            return True
    return False


def _is_typo(one: str, other: str) -> bool:
    """Whether one letter is missing, added, wrong, or swapped with the next; never a digit, never a plural's s."""
    short, long = (one, other) if len(one) <= len(other) else (other, one)
    if len(long) - len(short) > 1 or len(long) < SHORTEST_WITH_TYPO:
        return False
    if short[0] != long[0] and short[-1] != long[-1]:  # of three letters and more, a typo leaves one of the ends
        return False
    if not (one + other).isalpha() or long == short + "s":
        return False
    start = next((k for k, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    rest, against = short[start:], long[start:]
    if len(short) < len(long):
        return rest == against[1:]
    return rest[1:] == against[1:] or (rest[:2] == against[1::-1] and rest[2:] == against[2:])

"""Copies and near-copies among texts: candidates by MinHash, then verified word by word."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from kft.split.near import Pairs, as_pairs

COPY = 0.92
"""From this similarity on, two texts are copies in any data: one word in thirteen differs, or one in four by a typo."""
LOOSER = (0.9, 0.85, 0.8)
"""What copies are taken from where the data allow it: one word in ten differs, in seven, in five."""
CROWDED = 0.01
"""Share of rows that a looser limit may pair besides. Where more pair, people ask different things in nearly the same
words, and a word that differs says nothing: 18 % of the questions in BANKING77, .1 to .5 % of reviews (docs/log.md)."""
TYPO = 0.3
"""What a word with one wrong letter counts, where another word counts 1."""
SHORTEST_WITH_TYPO = 3
"""Letters of a word from which on one wrong letter is a typo: "my" and "me" are two words."""
BANDS, BAND_ROWS = 32, 4
"""Texts that share half of their character trigrams meet in some band with a chance of .87, two thirds .999."""
LEAST_SHARED = 0.45
"""Texts whose estimated Jaccard similarity lies below are no candidates: copies lie above .6."""
NEIGHBOURS = 64
"""How many others of one bucket a text is compared with: a thousand texts of one template stay a thousand times 64."""
CHUNK_TEXTS, CHUNK_PAIRS = 4096, 20_000
LONG = 64
"""Words beyond which their order plays no part: what is left of two long texts is compared as two bags of words."""
SEED = 20_251
APOSTROPHES = re.compile("['\u2019\u02bc`\u00b4]")
# A character of a script that puts no spaces between words stands for a word.
WORDS = re.compile(
    r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+"
)


def normal_words(text: str) -> tuple[str, ...]:
    """Returns the words of a text without case, accents, punctuation and white space.

    A text without any word (signs, emoji) is one word: itself.

    Example:
        >>> normal_words("Don't  PANIC, caf\u00e9!")
        ('dont', 'panic', 'cafe')
    """
    folded = unicodedata.normalize("NFKD", APOSTROPHES.sub("", text)).casefold()
    plain = "".join(character for character in folded if not unicodedata.combining(character))
    return tuple(WORDS.findall(unicodedata.normalize("NFKC", plain))) or (text.strip(),)


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
    return _near_texts(tuple(texts), at_least)


@lru_cache(maxsize=4)  # an audit asks several times for the same texts
def _near_texts(texts: tuple[str, ...], at_least: float) -> Pairs:
    alike = _may_be_alike(texts)
    found = [(one, other, 1.0) for one, other in alike.equal]
    for one, other in alike.candidates:
        if not _can_reach(alike.bags[one], alike.bags[other], at_least):
            continue
        reached = similarity(alike.words[one], alike.words[other], at_least)
        if reached >= at_least:
            found.append((one, other, reached))
    return as_pairs(found)


class _MayBeAlike(NamedTuple):
    """Words of each text, pairs with the same letters, other pairs worth comparing, and the words of these as bags."""

    words: list[tuple[str, ...]]
    equal: list[tuple[int, int]]
    candidates: list[tuple[int, int]]
    bags: dict[int, Counter[str]]


@lru_cache(maxsize=1)
def _may_be_alike(texts: tuple[str, ...]) -> _MayBeAlike:
    words = [normal_words(text) for text in texts]
    first: dict[str, int] = {}
    equal = []
    for row, own in enumerate(words):
        same = first.setdefault("".join(own), row)
        if same != row:
            equal.append((same, row))
    rows = list(first.values())
    candidates = [(rows[one], rows[other]) for one, other in _candidates([" ".join(words[row]) for row in rows])]
    return _MayBeAlike(words, equal, candidates, {row: Counter(words[row]) for pair in candidates for row in pair})


def _can_reach(one: Counter[str], other: Counter[str], at_least: float) -> bool:
    """Whether two texts can be so alike, even if all words that differ were typos: what ``similarity`` asks first.

    It is asked of many pairs of long texts, and hardly any passes.
    """
    longest = max(one.total(), other.total(), 1)
    few, many = (one, other) if len(one) <= len(other) else (other, one)
    common = sum(min(count, many[word]) for word, count in few.items() if word in many)
    return 1 - TYPO * (longest - common) / longest >= at_least


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
    counted = np.ones(len(texts), bool) if measured is None else measured

    def paired(pairs: Pairs) -> int:
        chosen = counted[pairs.first] & counted[pairs.second]
        return len(np.union1d(pairs.first[chosen], pairs.second[chosen]))

    kept = near_texts(texts, COPY)
    own = paired(kept)
    for least in LOOSER:
        looser = near_texts(texts, least)
        if paired(looser) - own > CROWDED * counted.sum():
            break  # a still looser limit pairs no fewer, and comparing so many is what takes time
        kept = looser
    return kept


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


def _candidates(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yields pairs of different texts that may be alike, each once."""
    signatures = _signatures(texts)
    found = [np.empty(0, np.int64)]
    for band in np.split(signatures, BANDS, axis=1):
        pairs = _bucket_pairs(band)
        for part in np.split(pairs, range(CHUNK_PAIRS, len(pairs), CHUNK_PAIRS)):
            one, other = np.divmod(part, len(texts))
            found.append(part[(signatures[one] == signatures[other]).mean(axis=1) >= LEAST_SHARED])
    one, other = np.divmod(np.unique(np.concatenate(found)), len(texts))
    yield from zip(one.tolist(), other.tolist(), strict=True)


def _bucket_pairs(band: np.ndarray) -> np.ndarray:
    """Returns ``one * n + other`` for texts whose signatures agree in a band; in a full bucket, for neighbours."""
    count = len(band)
    order = np.lexsort(band.T[::-1])
    _, bucket = np.unique(band[order], axis=0, return_inverse=True)
    found = [np.empty(0, np.int64)]
    for distance in range(1, NEIGHBOURS + 1):
        together = np.flatnonzero(bucket[distance:] == bucket[:-distance])
        if not together.size:
            break
        pair = np.sort([order[together], order[together + distance]], axis=0)
        found.append(pair[0] * count + pair[1])
    return np.concatenate(found)


def _signatures(texts: Sequence[str]) -> np.ndarray:
    """Returns ``uint32[n, BANDS * BAND_ROWS]``: of each text, the lowest of its trigrams' hashes by each function.

    The functions are multiply-shift hashes (Dietzfelbinger et al., 1997) of the three characters' codes.
    """
    rng = np.random.Generator(np.random.PCG64(SEED))
    odd = rng.integers(0, 2**63, BANDS * BAND_ROWS, np.uint64) * np.uint64(2) + np.uint64(1)
    signatures = np.empty((len(texts), len(odd)), np.uint32)
    for start in range(0, len(texts), CHUNK_TEXTS):
        part = [f"  {text} " for text in texts[start : start + CHUNK_TEXTS]]
        codes = np.frombuffer("".join(part).encode("utf-32-le"), np.uint32).astype(np.uint64)
        starts = np.cumsum([0, *map(len, part)][:-1])
        mixed = codes * np.uint64(0x9E3779B97F4A7C15)
        mixed[:-1] += np.roll(codes, -1)[:-1] * np.uint64(0xC2B2AE3D27D4EB4F)
        mixed[:-2] += np.roll(codes, -2)[:-2] * np.uint64(0x165667B19E3779F9)
        mixed ^= mixed >> np.uint64(29)
        for column, factor in enumerate(odd):
            hashed = (mixed * factor) >> np.uint64(32)
            signatures[start : start + len(part), column] = np.minimum.reduceat(hashed, starts)
    return signatures

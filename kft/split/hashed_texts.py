"""Texts as numbers: which of many are the same, and which pairs may be nearly so, found without comparing all pairs."""

from __future__ import annotations

import hashlib
import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

TYPO = 0.3
"""What a word with one wrong letter counts, where another word counts 1."""
BAND_ROWS = 4
BANDS = 32
"""Texts that share half of their character trigrams meet in some band with a chance of .87, two thirds .999."""
LEAST_SHARED = 0.45
"""Texts whose estimated Jaccard similarity lies below are no candidates: copies lie above .6."""
NEIGHBOURS = 64
"""How many others of one bucket a text is compared with: a thousand texts of one template stay a thousand times 64."""
MANY_TEXTS = 100_000
"""With more different texts, half of the bands are built, and each text has the fewer neighbours the more there are."""
BANDS_OF_MANY, FEWEST_NEIGHBOURS = 16, 8
MOST_SEARCHED = 1_000_000
"""Of more different texts, so many drawn at random are searched for near-copies; the same ones are found among all."""
COUNTERS = 32
"""Each word counts in one of so many counters of its text: what two texts differ by there, they differ by in words."""
CHUNK_TEXTS, CHUNK_PAIRS = 1024, 100_000
SEED = 20_251
APOSTROPHES = re.compile("['\u2019\u02bc`\u00b4]")
# A character of a script that puts no spaces between words stands for a word.
WORDS = re.compile(
    r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+"
)
_PLAIN_WORDS = re.compile("[a-z0-9]+")


def normal_words(text: str) -> tuple[str, ...]:
    """Returns the words of a text without case, accents, punctuation and white space.

    A text without any word (signs, emoji) is one word: itself.

    Example:
        >>> normal_words("Don't  PANIC, caf\u00e9!")
        ('dont', 'panic', 'cafe')
    """
    if text.isascii():  # the same in a tenth of the time
        return tuple(_PLAIN_WORDS.findall(text.replace("'", "").replace("`", "").lower())) or (text.strip(),)
    folded = unicodedata.normalize("NFKD", APOSTROPHES.sub("", text)).casefold()
    plain = "".join(character for character in folded if not unicodedata.combining(character))
    return tuple(WORDS.findall(unicodedata.normalize("NFKC", plain))) or (text.strip(),)


@dataclass(frozen=True)
class HashedTexts:
    """The different texts among some, ``m`` of ``n``, as numbers.

    Attributes:
        same: ``int64[n]``: for each text, the first one with the same letters and digits in the same order.
        rows: ``int64[m]``: the texts that are the first of their kind, in order; of more than ``MOST_SEARCHED`` those
            with the lowest digests, which hang on neither the order nor the other texts.
        bands: For each band ``uint[m]``: texts that agree there may be alike.
        signatures: ``uint[m, bands * BAND_ROWS]``, by which likeness is estimated; of many texts their lowest bytes.
        many: Whether there are more than ``MANY_TEXTS``.
        words: ``int64[m]``: how many words each has.
        counters: ``uint8[m, COUNTERS]``: of its words.
        fixed: ``uint64[m]``: of its words with a digit or sign, and their places: none of them can be a typo.
    """

    same: np.ndarray
    rows: np.ndarray
    bands: tuple[np.ndarray, ...]
    signatures: np.ndarray
    many: bool
    words: np.ndarray
    counters: np.ndarray
    fixed: np.ndarray

    @property
    def neighbours(self) -> int:
        """With how many others of its bucket a text is compared."""
        if not self.many:
            return NEIGHBOURS
        return max(FEWEST_NEIGHBOURS, NEIGHBOURS * MANY_TEXTS // len(self.rows))


def hash_texts(texts: Sequence[str]) -> HashedTexts:
    """Reads texts twice, in pieces: which are the same, then the numbers of those that are not."""
    digests = np.empty(len(texts), "S16")
    for row, text in enumerate(texts):
        digests[row] = hashlib.blake2b("".join(normal_words(text)).encode("utf-8", "replace"), digest_size=16).digest()
    _, first, kind = np.unique(digests, return_index=True, return_inverse=True)
    rows = np.sort(first[:MOST_SEARCHED])  # in the order of their digests
    many = len(rows) > MANY_TEXTS
    odd = _odd_numbers(BANDS_OF_MANY if many else BANDS)
    signatures = np.empty((len(rows), len(odd)), np.uint8 if many else np.uint32)
    bands = tuple(np.empty(len(rows), np.uint32 if many else np.uint64) for _ in range(len(odd) // BAND_ROWS))
    words, fixed = np.empty(len(rows), np.int64), np.zeros(len(rows), np.uint64)
    counters = np.empty((len(rows), COUNTERS), np.uint8)
    for start in range(0, len(rows), CHUNK_TEXTS):
        part = slice(start, start + CHUNK_TEXTS)
        own = [normal_words(texts[row]) for row in rows[part].tolist()]
        signed = _signatures([" ".join(each) for each in own], odd)
        signatures[part] = signed & np.uint32(255) if many else signed
        for band, keys in zip(bands, _band_keys(signed), strict=True):
            band[part] = keys >> np.uint64(32) if many else keys
        words[part] = [len(each) for each in own]
        counters[part], fixed[part] = _count_words(own, words[part])
    return HashedTexts(first[kind], rows, bands, signatures, many, words, counters, fixed)


def candidates(hashed: HashedTexts, at_least: float) -> Iterator[np.ndarray]:
    """Yields ``int64[pairs, 2]``: places in ``hashed.rows`` of different texts that may be so much alike.

    They come band by band, each pair once: whoever has seen enough need not ask for the rest.
    """
    seen, count = np.empty(0, np.int64), len(hashed.rows)
    totals = _byte_sums(hashed.counters)
    for band in hashed.bands:
        found = [np.empty(0, np.int64)]
        for one, other in _bucket_pairs(band, hashed):
            for start in range(0, len(one), CHUNK_PAIRS):
                pair = one[start : start + CHUNK_PAIRS], other[start : start + CHUNK_PAIRS]
                kept = np.flatnonzero(_may_reach(hashed, totals, *pair, at_least))
                first, second = pair[0][kept], pair[1][kept]
                agree = np.count_nonzero(hashed.signatures[first] == hashed.signatures[second], axis=1)
                shared = agree / hashed.signatures.shape[1] >= LEAST_SHARED
                found.append(first[shared] * count + second[shared])
        new = np.sort(np.concatenate(found))
        new = new[~is_among(new, seen)]
        seen = merged(seen, new)
        yield np.stack(np.divmod(new, max(1, count)), axis=1)


def is_among(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns ``bool[n]``: which values stand in a sorted array.

    Example:
        >>> is_among(np.array([1, 4, 9]), np.array([4, 5])).tolist()
        [False, True, False]
    """
    if not known.size:
        return np.zeros(len(values), bool)
    return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values


def merged(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns two sorted arrays as one."""
    return np.sort(np.concatenate([one, other]), kind="stable")  # which takes sorted runs as they are


def _may_reach(
    hashed: HashedTexts, totals: np.ndarray, one: np.ndarray, other: np.ndarray, at_least: float
) -> np.ndarray:
    """Returns ``bool[pairs]``: which may have that similarity, judged by numbers; none that has it is left out.

    Where less than one whole word may differ, all that may differ is typos: places and other words are the same.

    Args:
        hashed: The texts.
        totals: ``int64[m]``: the sums of their counters.
        one: Places of texts.
        other: Likewise.
        at_least: The similarity.
    """
    longest = np.maximum(hashed.words[one], hashed.words[other])
    typos_alone = 1 - 1 / longest < at_least - 1e-9
    may = ~typos_alone | ((hashed.words[one] == hashed.words[other]) & (hashed.fixed[one] == hashed.fixed[other]))
    left = np.flatnonzero(may)
    both = _byte_sums(np.maximum(hashed.counters[one[left]], hashed.counters[other[left]]))
    alone = both - np.minimum(totals[one[left]], totals[other[left]])
    may[left] = TYPO * alone <= (1 - at_least) * longest[left] + 1e-9
    return may


def _byte_sums(rows: np.ndarray) -> np.ndarray:
    """Returns ``int64[n]``: the sum of each row of ``uint8[n, COUNTERS]``, eight bytes at a time."""
    eights = rows.view(np.uint64)
    odd = np.uint64(0x00FF00FF00FF00FF)
    pairs = ((eights & odd) + ((eights >> np.uint64(8)) & odd)).sum(axis=1)  # four sums of 16 bits side by side
    return ((pairs * np.uint64(0x0001000100010001)) >> np.uint64(48)).astype(np.int64)


def _bucket_pairs(band: np.ndarray, hashed: HashedTexts) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields texts that agree in a band, the lower place first; in a full bucket, neighbours alone.

    Among many texts, neighbours are those with the same numbers in the same places.
    """
    order = np.lexsort((hashed.words, hashed.fixed, band)) if hashed.many else np.argsort(band, kind="stable")
    bucket = band[order]
    together = np.arange(len(order))
    for distance in range(1, hashed.neighbours + 1):
        together = together[together + distance < len(order)]
        together = together[bucket[together] == bucket[together + distance]]
        if not together.size:
            return
        one, other = order[together], order[together + distance]
        yield np.minimum(one, other), np.maximum(one, other)


def _count_words(texts: Sequence[Sequence[str]], counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hashes = np.array([zlib.crc32(word.encode("utf-8", "replace")) for words in texts for word in words], np.uint64)
    place = np.array([place for words in texts for place in range(len(words))], np.uint64)
    whole = np.array([not word.isalpha() for words in texts for word in words], bool)
    text = np.repeat(np.arange(len(texts)), counts)
    counted = np.bincount(
        text * COUNTERS + (hashes % np.uint64(COUNTERS)).astype(np.int64), minlength=len(texts) * COUNTERS
    )
    fixed = np.zeros(len(texts), np.uint64)
    mixed = (hashes + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) * (place * np.uint64(2) + np.uint64(1))
    np.add.at(fixed, text[whole], mixed[whole])
    return np.minimum(counted, 255).astype(np.uint8).reshape(len(texts), COUNTERS), fixed


def _odd_numbers(bands: int) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(SEED))
    every = rng.integers(0, 2**63, BANDS * BAND_ROWS, np.uint64) * np.uint64(2) + np.uint64(1)
    return every[: bands * BAND_ROWS]


def _band_keys(signatures: np.ndarray) -> Iterator[np.ndarray]:
    """Yields for each band ``uint64[n]``: texts with the same number agree in all rows of the band."""
    for band in np.split(signatures.astype(np.uint64), signatures.shape[1] // BAND_ROWS, axis=1):
        mixed = band[:, 0]
        for column in band.T[1:]:
            mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9) + column
        yield (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0x94D049BB133111EB)


def _signatures(texts: Sequence[str], odd: np.ndarray) -> np.ndarray:
    """Returns ``uint32[n, functions]``: of each text, the lowest of its trigrams' hashes by each function.

    The functions are multiply-shift hashes (Dietzfelbinger et al., 1997) of the three characters' codes.
    """
    signatures = np.empty((len(texts), len(odd)), np.uint32)
    part = [f"  {text} " for text in texts]
    codes = np.frombuffer("".join(part).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    starts = np.cumsum([0, *map(len, part)][:-1])
    mixed = codes * np.uint64(0x9E3779B97F4A7C15)
    mixed[:-1] += np.roll(codes, -1)[:-1] * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed[:-2] += np.roll(codes, -2)[:-2] * np.uint64(0x165667B19E3779F9)
    mixed ^= mixed >> np.uint64(29)
    hashed = np.empty_like(mixed)
    for column, factor in enumerate(odd):
        np.multiply(mixed, factor, out=hashed)
        signatures[:, column] = np.minimum.reduceat(hashed, starts) >> np.uint64(32)
    return signatures

"""Gauges of texts: their length, their characters, their script, how surprising their tokens are.

All rows of a block are looked at together, as one array of code points and one of token ids.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from kft.monitor.gauges.gauge import Gauge, Values, share
from kft.monitor.known import KnownRows

TEXTS = (
    Gauge("tokens", "input", "how many tokens the model is given", "tokens"),
    Gauge("characters", "input", "how many characters a text has", "characters"),
    Gauge(
        "characters_a_token",
        "input",
        "characters a token: another language falls apart into more of them",
        "characters",
    ),
    Gauge("digits", "input", "share of characters that are digits"),
    Gauge("capitals", "input", "share of letters that are capitals"),
    Gauge("punctuation", "input", "share of characters that are punctuation, symbols or emoji"),
    Gauge("beyond_ascii", "input", "share of letters that are none of a to z"),
    Gauge("script", "input", "the script of most letters", "code", codes=True),
    Gauge("first_share", "input", "share of a pair's characters that its first text has"),
    Gauge("unknown_tokens", "input", "share of tokens that the tokenizer does not know"),
    Gauge("surprise", "vocabulary", "how rare a text's tokens are in the valid split, on average", "nats", weight=3.0),
    Gauge("new_tokens", "vocabulary", "share of tokens that the valid split does not have", weight=2.0),
    Gauge("cut", "broken", "1 where a text is as long as the model reads: the rest is cut off", "0 or 1"),
    Gauge(
        "garbled",
        "broken",
        "share of characters that a wrong encoding leaves: \u00c3\u00a9, \ufffd, controls",
    ),
)
SCRIPTS = (
    *("latin", "greek", "cyrillic", "armenian", "hebrew", "arabic", "devanagari", "other indic", "thai"),
    *("georgian", "hangul", "kana", "han", "other"),
)
"""By their code."""
RANGES = (
    *((0x0000, "latin"), (0x0370, "greek"), (0x0400, "cyrillic"), (0x0530, "armenian"), (0x0590, "hebrew")),
    *((0x0600, "arabic"), (0x0700, "other"), (0x0750, "arabic"), (0x0780, "other"), (0x08A0, "arabic")),
    *((0x0900, "devanagari"), (0x0980, "other indic"), (0x0E00, "thai"), (0x0E80, "other"), (0x10A0, "georgian")),
    *((0x1100, "hangul"), (0x1200, "other"), (0x1E00, "latin"), (0x1F00, "greek"), (0x2000, "other")),
    *((0x2E80, "han"), (0x3040, "kana"), (0x3100, "other"), (0x3130, "hangul"), (0x3190, "other"), (0x31F0, "kana")),
    *((0x3200, "other"), (0x3400, "han"), (0xA000, "other"), (0xA640, "cyrillic"), (0xA6A0, "other")),
    *((0xAC00, "hangul"), (0xD7B0, "other"), (0xF900, "han"), (0xFB00, "latin"), (0xFB13, "other")),
    *((0xFB50, "arabic"), (0xFE00, "other"), (0xFE70, "arabic"), (0xFF00, "latin"), (0xFF66, "kana")),
    *((0xFFA0, "hangul"), (0xFFE0, "other"), (0x20000, "han"), (0x40000, "other")),
)
"""Where blocks of a script begin, near enough: letters alone are asked."""
TABLE = 0x20000
"""Code points whose class stands in a table; those beyond are rare letters of Chinese, and marks."""
OTHER, LETTER, CAPITAL, DIGIT, PUNCTUATION, BROKEN = range(6)
TWICE_READ = tuple(map(ord, bytes(range(0x80, 0xC0)).decode("cp1252", "ignore")))
"""What Windows shows for a later byte of a letter in UTF-8 that was read as its own encoding."""
TWO_BYTES = (0xC2, 0xC3, 0xC4, 0xC5, 0xD0, 0xD1)
"""First bytes of letters in UTF-8: Latin and Cyrillic."""


@dataclass(frozen=True)
class TokenizerLimits:
    """What is asked of a model's tokenizer.

    Attributes:
        max_tokens: Longer texts are cut.
        unknown: The id of what it does not know; None where it knows all.
        special: Ids that it adds to every text.
        pairs: Whether an input is two texts, with a tab between them.
    """

    max_tokens: int
    unknown: int | None = None
    special: Collection[int] = ()
    pairs: bool = False


def measure_texts(
    texts: Sequence[str], tokens: Sequence[np.ndarray], spelling: TokenizerLimits, known: KnownRows
) -> Values:
    """Returns the gauges of texts.

    Args:
        texts: As they were decoded.
        tokens: Ids of each, as the model is given them.
        spelling: Of its tokenizer.
        known: What is known of the valid split.
    """
    lengths = np.array([len(row) for row in tokens], np.int64)
    found = _measure_characters(texts, pairs=spelling.pairs)
    whole = lengths < spelling.max_tokens  # of others there is no saying which characters the tokens cover
    return {
        "tokens": lengths.astype(np.float64),
        **found,
        "characters_a_token": share(np.where(whole, found["characters"], 0), np.where(whole, lengths, 0)),
        "cut": (~whole).astype(np.float64),
        **_measure_tokens(tokens, lengths, spelling, known),
    }


def _measure_characters(texts: Sequence[str], *, pairs: bool) -> Values:
    lengths = np.array([len(text) for text in texts], np.int64)
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    rows, within = np.repeat(np.arange(len(texts)), lengths), np.minimum(points, TABLE - 1)
    classes = _classes()[within]
    # Beyond the table are letters of Chinese and, from here on, marks without a look of their own.
    classes = np.where(points < TABLE, classes, np.where(points < 0x40000, LETTER, OTHER))
    counts = np.bincount(rows * 6 + classes, minlength=6 * len(texts)).reshape(-1, 6)
    is_letter = (classes == LETTER) | (classes == CAPITAL)
    letters = counts[:, LETTER] + counts[:, CAPITAL]
    of_letters, rows_of_letters = points[is_letter], rows[is_letter]
    begins, codes = _scripts()
    scripts = codes[np.searchsorted(begins, of_letters, side="right") - 1]
    by_script = np.bincount(rows_of_letters * len(SCRIPTS) + scripts, minlength=len(texts) * len(SCRIPTS))
    found = {
        "characters": lengths.astype(np.float64),
        "digits": share(counts[:, DIGIT], lengths),
        "capitals": share(counts[:, CAPITAL], letters),
        "punctuation": share(counts[:, PUNCTUATION], lengths),
        "beyond_ascii": share(np.bincount(rows_of_letters[of_letters > 127], minlength=len(texts)), letters),
        "script": np.where(letters > 0, by_script.reshape(-1, len(SCRIPTS)).argmax(axis=1), np.nan),
        "garbled": share(counts[:, BROKEN] + _read_twice(points, rows, len(texts)), lengths),
    }
    if pairs:
        found["first_share"] = share(np.array([max(0, text.find("\t")) for text in texts]), lengths - 1)
    return found


def _read_twice(points: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """Returns of each row how many letters were written in UTF-8 and read as something else."""
    middle = (points >= 0x80) & (points <= 0xBF) | np.isin(points, TWICE_READ)
    two = np.isin(points[:-1], TWO_BYTES) & middle[1:]
    two[:-1] |= (points[:-2] >= 0xE0) & (points[:-2] <= 0xF0) & middle[1:-1] & middle[2:]
    return np.bincount(rows[:-1][two & (rows[:-1] == rows[1:])], minlength=count)


def _measure_tokens(
    tokens: Sequence[np.ndarray], lengths: np.ndarray, spelling: TokenizerLimits, known: KnownRows
) -> Values:
    ids, rows = (
        np.concatenate([*tokens, np.zeros(0, np.int64)]).astype(np.int64),
        np.repeat(np.arange(len(tokens)), lengths),
    )
    own = ~np.isin(ids, list(spelling.special))
    ids, rows = ids[own], rows[own]
    count = np.bincount(rows, minlength=len(tokens))
    found = {}
    if spelling.unknown is not None:
        found["unknown_tokens"] = share(np.bincount(rows[ids == spelling.unknown], minlength=len(tokens)), count)
    if known.counts is not None:
        seen = known.counts[known.cells(ids)].astype(np.float64)
        # One more of each: a token that never came is rare, and not impossible.
        surprise = -np.log((seen + 1) / (float(known.counts.sum()) + len(known.counts)))
        found["surprise"] = share(np.bincount(rows, surprise, minlength=len(tokens)), count)
        found["new_tokens"] = share(np.bincount(rows[seen == 0], minlength=len(tokens)), count)
    return found


@cache
def _classes() -> np.ndarray:
    """Returns what each code point of the table is."""
    of = {"Lu": CAPITAL, "Lt": CAPITAL, "Nd": DIGIT, "Cc": BROKEN, "Co": BROKEN, "Cs": BROKEN}
    of_first = {"L": LETTER, "P": PUNCTUATION, "S": PUNCTUATION}
    kinds = (unicodedata.category(chr(point)) for point in range(TABLE))
    table = np.array([of.get(kind, of_first.get(kind[0], OTHER)) for kind in kinds], np.int64)
    table[[ord(each) for each in "\t\n\r"]] = OTHER
    table[0xFFFD] = BROKEN
    return table


@cache
def _scripts() -> tuple[np.ndarray, np.ndarray]:
    begins, names = zip(*RANGES, strict=True)
    return np.array(begins), np.array([SCRIPTS.index(name) for name in names])

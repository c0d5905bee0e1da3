"""What a tokenizer throws away: how the words of a text are written, and what stands around them, as hashed features.

A tokenizer without capitals reads NULL and null alike, and cuts ``dirfd`` into pieces. What is tagged in technical
prose often shows in just that: case, digits, underscores, brackets behind a name, endings, the words to both sides.
Each word gets one number a feature, a place in a table, so that a linear model on them is a sum of rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from zlib import crc32

import numpy as np

BUCKETS = 2**18
"""Places for features; place 0 is that of none."""
WORD_FEATURES = "word_features"
"""The model's input that holds them."""
REACH = 3
"""Neighbours to each side."""
_RUN, _LONG_RUN = re.compile(r"(.)\1+", re.DOTALL), re.compile(r"(.)\1\1+", re.DOTALL)
_FIRST, _SECOND, _THIRD = (np.uint64(value) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_CACHED = 2**16


def word_features(texts: Sequence[str], offsets: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns ``int32[tokens, FEATURES]`` a text: the places of what is known of each word, at its first token.

    Args:
        texts: As they were tokenized, with capitals.
        offsets: From ``mark_words``, ``int32[tokens, 3]`` a text.

    Example:
        >>> (found,) = word_features(["See NULL."], [np.array([[0, 0, 0], [0, 3, 1], [4, 8, 1], [8, 9, 1]])])
        >>> found.shape == (4, FEATURES), bool((found[0] == 0).all()), int(found[1:].min()) > 0
        (True, True, True)
    """
    parts = [_words_of(text, places) for text, places in zip(texts, offsets, strict=True)]
    of_words = _hashed(parts)
    found, start = [], 0
    for part, places in zip(parts, offsets, strict=True):
        rows = np.zeros((len(places), FEATURES), np.int32)
        rows[part.first] = of_words[start : start + len(part)]
        found.append(rows)
        start += len(part)
    return found


@dataclass(frozen=True, eq=False)
class _Words:
    """The words of one text; the names that underscores join them to; what stands between two gaps.

    Attributes:
        first: ``int[words]``: the first token of each word.
        words: Their letters.
        names: Words joined by underscores, as one: what a programmer calls a name.
        name_of: ``int[words]``: the name that each word is part of.
        opens: ``bool[words]``: whether it is the first word of its name.
        gaps: ``bool[names]``: whether there is a gap before it.
        around: For each word, the letters before it and behind it up to the next gaps.
    """

    first: np.ndarray
    words: list[str]
    names: list[str]
    name_of: np.ndarray
    opens: np.ndarray
    gaps: np.ndarray
    around: list[tuple[str, str]]

    def __len__(self) -> int:
        return len(self.words)


def _words_of(text: str, places: np.ndarray) -> _Words:
    first = np.flatnonzero(places[:, 2])
    if not len(first):
        none = np.zeros(0, np.int64)
        return _Words(none, [], [], none, none.astype(bool), none.astype(bool), [])
    starts = places[first, 0]
    ends = np.maximum.reduceat(places[:, 1], first)  # a word ends where its last token does, as in ``join_words``
    words = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    touches = np.append(False, ends[:-1] >= starts[1:])
    line = np.array([word == "_" for word in words])
    opens = ~(touches & (line | np.append(False, line[:-1])))
    heads, tails = _runs(opens)
    lead, trail = _runs(~touches)
    piece = np.cumsum(~touches) - 1
    bounds = zip(starts[lead][piece], starts, ends, ends[trail][piece], strict=True)
    return _Words(
        first=first,
        words=words,
        names=[text[starts[head] : ends[tail]] for head, tail in zip(heads, tails, strict=True)],
        name_of=np.cumsum(opens) - 1,
        opens=opens,
        gaps=~touches[heads],
        around=[(text[begin:start], text[end:stop]) for begin, start, end, stop in bounds],
    )


def _runs(opens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first and the last of each run that begins where ``opens`` says so."""
    first = np.flatnonzero(opens)
    return first, np.append(first[1:], len(opens)) - 1


def _hashed(parts: Sequence[_Words]) -> np.ndarray:
    """Returns ``int32[words of all texts, FEATURES]``."""
    if not sum(map(len, parts)):
        return np.zeros((0, FEATURES), np.int32)
    blank = [""] * REACH  # between two texts, so that no neighbour is another text's
    names = list(chain.from_iterable([*blank, *part.names] for part in parts)) + blank
    words = list(chain.from_iterable([*blank, *part.words] for part in parts)) + blank
    name, word = _table(names, _name_atoms), _table(words, _word_atoms)
    before = np.cumsum([REACH] + [REACH + len(part.names) for part in parts[:-1]])
    at = np.concatenate([part.name_of + start for part, start in zip(parts, before, strict=True)])
    starts = np.cumsum([REACH] + [REACH + len(part) for part in parts[:-1]])
    here = np.concatenate([np.arange(len(part)) + start for part, start in zip(parts, starts, strict=True)])
    inside = np.concatenate([~part.opens for part in parts]).astype(np.uint64)
    place = np.concatenate([part.name_of for part in parts])
    gaps = np.zeros(len(names), bool)
    for part, start in zip(parts, before, strict=True):
        gaps[start : start + len(part.names)] = part.gaps
    pieces = np.array([_around_atoms(*each) for part in parts for each in part.around], np.uint64)
    again = _again(name, [len(part.names) for part in parts], before)[at]
    columns = [
        *_own(name, at, word, here, inside),
        *(_mix(40 + number, pieces[:, number], inside) for number in range(pieces.shape[1])),
        *_neighbours(name, at, word, here),
        _mix(90, gaps[at], gaps[at + 1]),
        _mix(91, np.minimum(place, 4)),
        _mix(92, np.minimum(place, 1), name.shape[at]),
        _mix(93, np.minimum(place, 1), name.shape[at], name.shape[at + 1]),
        _mix(94, again, name.low[at + 1] == crc32(b"(")),
    ]
    assert len(columns) == FEATURES, len(columns)
    return np.stack(columns, axis=1)


@dataclass(frozen=True, eq=False)
class _Table:
    """Numbers of each string, by what they say of it: ``uint64[strings]``; ``more`` has a row for each further one."""

    low: np.ndarray
    exact: np.ndarray
    shape: np.ndarray
    rough: np.ndarray
    more: np.ndarray


def _table(strings: Sequence[str], atoms: Callable[[str], tuple[int, ...]]) -> _Table:
    values = np.array([atoms(string) for string in strings], np.uint64).T
    return _Table(values[0], values[1], values[2], values[3], values[4:])


@lru_cache(_CACHED)
def _name_atoms(name: str) -> tuple[int, ...]:
    low, shape = name.lower(), _shape(name)
    kind = (
        1 * any(map(str.isdigit, name))
        + 2 * ("_" in name.strip("_"))
        + 4 * name.startswith("_")
        + 8 * name.isupper()
        + 16 * (len(name) == 1)
        + 32 * name.istitle()
    )
    ends = (low[:1], low[:2], low[:3], low[-1:], low[-2:], low[-3:], low[-4:])
    whole = (_code(low), _code(name), _code(_long(shape)), _code(_short(shape)))
    return (*whole, kind, min(len(name), 12), *map(_code, ends))


@lru_cache(_CACHED)
def _word_atoms(word: str) -> tuple[int, ...]:
    shape = _shape(word)
    return _code(word.lower()), _code(word), _code(_long(shape)), _code(_short(shape))


@lru_cache(_CACHED)
def _around_atoms(before: str, behind: str) -> tuple[int, ...]:
    lead, tail = _short(_shape(before)), _short(_shape(behind))
    slashes = min(before.count("/") + behind.count("/"), 3)
    return _code(lead[-4:]), _code(tail[:4]), _code(lead), _code(before[:1]), slashes + 4 * before.startswith("/")


def _code(text: str) -> int:
    return crc32(text.encode("utf-8", "surrogatepass"))


def _shape(text: str) -> str:
    return "".join("X" if c.isupper() else "x" if c.isalpha() else "0" if c.isdigit() else c for c in text)


def _long(shape: str) -> str:
    """Returns a shape with runs of more than two cut to two."""
    return _LONG_RUN.sub(r"\1\1", shape)


def _short(shape: str) -> str:
    return _RUN.sub(r"\1", shape)


def _own(name: _Table, at: np.ndarray, word: _Table, here: np.ndarray, inside: np.ndarray) -> list[np.ndarray]:
    """What a word and its name are."""
    return [
        _mix(1, word.low[here]),
        _mix(2, word.exact[here]),
        _mix(3, word.shape[here]),
        _mix(4, name.low[at], inside),
        _mix(5, name.exact[at]),
        _mix(6, name.shape[at], inside),
        _mix(7, name.rough[at], inside),
        *(_mix(10 + number, values[at], inside) for number, values in enumerate(name.more)),
    ]


def _neighbours(name: _Table, at: np.ndarray, word: _Table, here: np.ndarray) -> list[np.ndarray]:
    """What stands to both sides, alone, in pairs, and beside the shape of the word's name."""
    low, shape = name.low, name.shape
    steps = [step for step in range(-REACH, REACH + 1) if step]
    return [
        *(_mix(50 + step, low[at + step]) for step in steps),
        *(_mix(60 + step, shape[at + step]) for step in steps),
        *(_mix(70 + step, word.low[here + step]) for step in (-2, -1, 1, 2)),
        _mix(75, low[at - 1], low[at + 1]),
        _mix(76, low[at - 2], low[at - 1]),
        _mix(77, low[at + 1], low[at + 2]),
        _mix(78, shape[at], low[at - 1]),
        _mix(79, shape[at], low[at + 1]),
        _mix(80, low[at], low[at - 1]),
        _mix(81, low[at], low[at + 1]),
        _mix(82, shape[at - 1], shape[at], shape[at + 1]),
        _mix(83, shape[at], shape[at + 1], shape[at + 2], shape[at + 3]),
    ]


def _again(name: _Table, counts: Sequence[int], before: np.ndarray) -> np.ndarray:
    """Returns ``uint64[names]``: whether a name stands elsewhere in its text (1), and in front of a bracket (2)."""
    found = np.zeros(len(name.low), np.uint64)
    text = np.zeros(len(name.low), np.uint64)
    for number, (start, count) in enumerate(zip(before, counts, strict=True)):
        text[start : start + count] = number + 1
    key = text << np.uint64(32) | name.low
    _, at, times = np.unique(key, return_inverse=True, return_counts=True)
    called = np.zeros(len(times), bool)
    called[at[:-1][name.low[1:] == crc32(b"(")]] = True
    found += (times[at] > 1).astype(np.uint64)
    return found + np.uint64(2) * called[at].astype(np.uint64)


def _mix(template: int, *parts: np.ndarray) -> np.ndarray:
    """Returns ``int32[words]``: the place of what a template says of each word."""
    value = np.full(len(parts[0]), template, np.uint64) * _FIRST
    for part in parts:
        value = (value ^ part.astype(np.uint64)) * _SECOND
        value = (value ^ (value >> np.uint64(29))) * _THIRD
    return (value >> np.uint64(33)).astype(np.int64) % (BUCKETS - 1) + 1


FEATURES = 7 + 9 + 5 + 12 + 4 + 9 + 5
"""Numbers a word."""

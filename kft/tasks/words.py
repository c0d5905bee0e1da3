"""Words of a text, as tagging counts them: Unicode's word boundaries (UAX #29), every punctuation mark apart.

A word that is tagged is never cut: where a letter carries marks (accents of their own, Hebrew points, Arabic vowels,
the signs of Hindi), or an invisible character stands inside (a soft hyphen, a joiner), it stays one word. A character
of a script that writes without spaces is a word of its own, as UAX #29 has it: so a span can begin at any of them.
Apostrophes, hyphens and underscores are words of their own, as they always were: a span can end before any of them.
"""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import regex

_EDGE = regex.compile(r"\b", regex.WORD | regex.V1)
_CLUSTER = regex.compile(r"\X", regex.V1)
_PLAIN = np.array([chr(code).isalnum() for code in range(128)])
_WORD = re.compile(r"\S+")


def word_numbers(text: str) -> np.ndarray:
    """Returns ``int64[characters]``: the number of the word that each character belongs to.

    Example:
        >>> word_numbers("O'Brien.").tolist(), word_numbers("cafe\u0301 \u65e5\u672c").tolist()
        ([0, 1, 2, 2, 2, 2, 2, 3], [0, 0, 0, 0, 0, 1, 2, 3])
    """
    if not text:
        return np.zeros(0, np.int64)
    if text.isascii():
        inside = _PLAIN[np.frombuffer(text.encode(), np.uint8)]
        return np.concatenate([[0], np.cumsum(~(inside[1:] & inside[:-1]))])
    clusters = {match.start() for match in _CLUSTER.finditer(text)}
    edges = {match.start() for match in _EDGE.finditer(text)}
    begins = np.zeros(len(text), np.int64)
    before = False
    for place, character in enumerate(text):
        within = character.isalnum() or (before and _attaches(character))
        goes_on = place not in clusters or (place not in edges and within and before)
        begins[place] = place > 0 and not goes_on
        before = within or (before and place not in clusters)
    return np.cumsum(begins)


def mark_words(offsets: np.ndarray, text: str) -> np.ndarray:
    """Adds to each token's first and last character whether it begins a word: ``int32[tokens, 3]``.

    Marks that a tokenizer leaves out belong to the letter before them, and an invisible character at the end of a word
    does not: so a word ends where a person says that it does.

    Args:
        offsets: ``int32[tokens, 2]``; (0, 0) for special tokens.
        text: What was tokenized.

    Example:
        >>> mark_words(np.array([[0, 0], [0, 2], [2, 5], [5, 6], [0, 0]]), "Hello.")[:, 2].tolist()
        [0, 1, 0, 1, 0]
    """
    marked = np.zeros((len(offsets), 3), np.int32)
    marked[:, :2] = offsets
    numbers, plain, last = word_numbers(text), text.isascii(), -1
    for place, (start, end) in enumerate(offsets):
        if end <= start:
            last = -1
            continue
        if not plain:
            marked[place, 1] = end_of_letters(text, numbers, int(start), int(end))
        marked[place, 2] = numbers[start] != last and marked[place, 1] > start
        last = numbers[end - 1]
    return marked


def end_of_letters(text: str, numbers: np.ndarray, start: int, end: int) -> int:
    """Returns where a token ends: behind the marks of its last letter, before invisible characters."""
    word = numbers[end - 1]
    while end < len(text) and numbers[end] == word and unicodedata.category(text[end])[0] == "M":
        end += 1
    while end > start and is_invisible(text[end - 1]):
        end -= 1
    return end


def word_places(text: str) -> np.ndarray:
    """Returns ``int32[words, 3]``: what ``mark_words`` would say of a tokenizer whose tokens are the words.

    Example:
        >>> word_places("Ada left.").tolist()
        [[0, 3, 1], [4, 8, 1], [8, 9, 1]]
    """
    starts = np.flatnonzero(np.diff(word_numbers(text), prepend=-1))
    ends = np.append(starts, len(text))[1:]
    places = [(start, end) for start, end in zip(starts, ends, strict=True) if not text[start:end].isspace()]
    return mark_words(np.array(places, np.int32).reshape(-1, 2), text)


def is_invisible(character: str) -> bool:
    """Whether nobody sees a character at the edge of a word: white space, joiners, marks of direction."""
    return character.isspace() or unicodedata.category(character) in ("Cf", "Cc")


def trimmed(start: int, end: int, text: str) -> tuple[int, int]:
    """Returns a span without white space and invisible characters at its edges.

    Example:
        >>> trimmed(0, 6, "Marie left")
        (0, 5)
    """
    while start < end and is_invisible(text[start]):
        start += 1
    while end > start and is_invisible(text[end - 1]):
        end -= 1
    return start, end


def pieces(text: str) -> list[tuple[int, int]]:
    """Returns where each part between white space stands: what one tag a word counts as words.

    Example:
        >>> pieces(" Ada  left")
        [(1, 4), (6, 10)]
    """
    return [match.span() for match in _WORD.finditer(text)]


def _attaches(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] == "M" or category == "Cf"

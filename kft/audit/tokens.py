"""Single tokens that go with a label, and the signs by which a planted one differs from a word that says something.

A word of the subject ("passcode" in questions about passcodes) goes with its class just as well as a leaked mark. But
it is part of the language: it has its usual neighbours ("my passcode") and its rivals (where it is missing, "password"
stands instead). A mark that was added has neither: its neighbours are any, or it stands at one end of every text, and
its presence tells nothing of the rest.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_TOKEN = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]")
FIXED, FREE = 0.9, 0.2
"""Share of a token's rows in which it stands at the same end; and share of its most usual neighbour on either side, up
to which it has no usual neighbours."""
INDEPENDENT = 0.05
MOST_ROWS = 500
"""Rows of a class that the test of independence reads: with many more, any trifle would show."""


@dataclass(frozen=True)
class TokenSigns:
    """How a token stands in the texts of one class.

    Attributes:
        at_end: Share of its rows in which it is the first token, or the last, whichever is more.
        neighbour: Share of its most usual neighbour, on the side that has the more usual one.
        dependence: p-value (Fisher's exact test, Bonferroni) of the word whose presence goes most with the token's;
            1 where the class has no text without the token.
        odd: Whether letters and digits are mixed in it, as in no word.
    """

    at_end: float
    neighbour: float
    dependence: float
    odd: bool

    @property
    def looks_added(self) -> bool:
        """Whether its place or form is not that of a word in a sentence."""
        return self.at_end >= FIXED or self.neighbour <= FREE or self.odd

    @property
    def tells_nothing(self) -> bool:
        """Whether its presence is independent of the rest of the text."""
        return self.dependence > INDEPENDENT


def tokenize(text: str) -> list[str]:
    """Returns words and marks, in small letters.

    Example:
        >>> tokenize("Can't pay, zx9!")
        ["can't", 'pay', ',', 'zx9', '!']
    """
    return _TOKEN.findall(text.lower())


def frequent_tokens(tokens: Sequence[Sequence[str]], fewest: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yields each token that stands in enough texts, with the places of these texts.

    Example:
        >>> [(token, rows.tolist()) for token, rows in frequent_tokens([["a", "b", "a"], ["a"]], 2)]
        [('a', [0, 1])]
    """
    rows: dict[str, list[int]] = {}
    for place, text in enumerate(tokens):
        for token in set(text):
            rows.setdefault(token, []).append(place)
    for token in sorted(rows):
        if len(rows[token]) >= fewest:
            yield token, np.array(rows[token])


def read_signs(token: str, tokens: Sequence[Sequence[str]]) -> TokenSigns:
    """Looks how a token stands in texts.

    Args:
        token: In some of the texts.
        tokens: The texts of one class.

    Example:
        >>> signs = read_signs("zx9", [["the", "card", "zx9"], ["my", "pin", "zx9"], ["lost", "it"]])
        >>> signs.at_end, signs.odd, signs.tells_nothing
        (1.0, True, True)
    """
    having = [list(text) for text in tokens if token in text]
    lacking = [text for text in tokens if token not in text]
    ends = [_ends(text, token) for text in having]
    left = Counter(text[place - 1] if place else "" for text in having for place in [text.index(token)])
    right = Counter(([*text, ""])[place + 1] for text in having for place in [text.index(token)])
    return TokenSigns(
        at_end=float(max(np.mean(ends, axis=0))),
        neighbour=max(counts.most_common(1)[0][1] for counts in (left, right)) / len(having),
        dependence=_dependence(token, having[:MOST_ROWS], lacking[:MOST_ROWS]),
        odd=any(map(str.isdigit, token)) and any(map(str.isalpha, token)),
    )


def _ends(text: Sequence[str], token: str) -> tuple[bool, bool]:
    """Whether the token is the first, and whether it is the last but for marks such as a full stop."""
    last = len(text) - 1
    while last > 0 and text[last] != token and not text[last][0].isalnum():
        last -= 1
    return text[0] == token, text[last] == token


def _dependence(token: str, having: Sequence[Sequence[str]], lacking: Sequence[Sequence[str]]) -> float:
    if not having or not lacking:
        return 1.0
    inside = Counter(word for text in having for word in set(text) - {token})
    outside = Counter(word for text in lacking for word in set(text))
    words = sorted(
        word
        for word in inside | outside
        if inside[word] + outside[word] >= 3 and not _twins(inside[word] / len(having), outside[word] / len(lacking))
    )
    if not words:
        return 1.0
    p_values = [_fisher(inside[word], outside[word], len(having), len(lacking)) for word in words]
    return min(1.0, min(p_values) * len(words))


def _twins(inside: float, outside: float) -> bool:
    """Whether two tokens come and go together, as the parts of one mark do ("ref" and ":")."""
    return inside >= FIXED and outside <= 1 - FIXED


def _fisher(first: int, second: int, n_first: int, n_second: int) -> float:
    """Returns twice the smaller tail of the hypergeometric distribution (Fisher's exact test of two shares)."""
    drawn, total = first + second, n_first + n_second
    support = np.arange(max(0, drawn - n_second), min(drawn, n_first) + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])  # of factorials

    def choose(n: int, k: np.ndarray) -> np.ndarray:
        return logs[n] - logs[k] - logs[n - k]

    chances = np.exp(choose(n_first, support) + choose(n_second, drawn - support) - choose(total, np.array(drawn)))
    lower, upper = chances[support <= first].sum(), chances[support >= first].sum()
    return min(1.0, 2 * float(min(lower, upper)))

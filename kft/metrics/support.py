"""How much of an answer stands in the context that it has to come from: its names, its numbers and its other words.

It compares words, and knows nothing of what they say together. So it sees a name, a number or a word that the context
does not hold, in any language that puts spaces between words; it is blind to a negation, to two facts that changed
places, and to a wrong fact that stands elsewhere in the context. docs/evaluation.md has what each comes to.
"""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import takewhile
from typing import Any

NUMBER, NAME, WORD = "number", "name", "word"
"""What is looked for: 3.5 or seven; a name in the middle of a sentence, or what is spelled like one of code, such as
O_RDONLY, libfoo2, /etc/passwd; any other word that says something."""
_TOKEN = re.compile(r"[^\W_]+(?:(?:[-+./:@'\u2019]|_+|,(?=\d{3}(?!\d)))[^\W_]+)*|_+[^\W_]+(?:_+[^\W_]+)*")
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_INSIDE = re.compile(r"[^\W_]+")
_NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve"
_SPELLED = {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split())}
_ENDS_SENTENCE = re.compile(r"(?:^|[.!?:;\n\"\u201c(\[{*])\s*$")
_SHORTEST = 3
"""Letters of a word that says something; of scripts that write words in one or two characters, one."""
LIKENESS, WHOLE, FEWEST_ALIKE = 0.6, 0.5, 4
"""Two words are forms of one where so large a share of the longer is their common beginning, the second where that is
all of the shorter, and so many letters."""
_FUNCTION_WORDS = """
a about above after again all also although always among an and another any are around as at be because been
before being below between both but by can cannot could did do does doing done down during each either else etc
even ever every few for from further get gets got had has have having he her here hers him his how however i if
in into is it its itself just let like many may me might more most much must my near neither never no nor not
now of off often on once only onto or other others our out over own per perhaps please rather said same say says
she should since so some still such than that the their them then there these they this those though through
thus to too under until up upon us very via was we were what when where whether which while who whom whose why
will with within without would yes yet you your according answer context following given mentioned text
"""
_SAY_NOTHING = frozenset(_FUNCTION_WORDS.split())


@dataclass(frozen=True)
class SupportedWord:
    """A word of an answer that its context has to hold.

    Attributes:
        text: As it stands in the answer.
        kind: ``number``, ``name`` or ``word``.
        start: Where it begins in the answer.
        supported: Whether the context holds it.
    """

    text: str
    kind: str
    start: int
    supported: bool


@dataclass(frozen=True)
class Support:
    """What a context says of an answer.

    Attributes:
        found: The answer's numbers, names and other words that say something, in their order.
    """

    found: tuple[SupportedWord, ...]

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Those that the context does not hold, each once."""
        return tuple(dict.fromkeys(each.text for each in self.found if not each.supported))

    @property
    def share(self) -> float:
        """The share that the context does not hold; of an answer that says nothing, 0."""
        return sum(not each.supported for each in self.found) / max(1, len(self.found))


def support(answer: str, context: str) -> Support:
    """Returns which names, numbers and content words of an answer its context holds.

    Of an answer that is JSON, the values are looked at: its keys are the form that was asked for.

    Args:
        answer: What was written.
        context: What it has to come from.

    Example:
        >>> found = support("Ship 4 lamps to Oslo.", "Three lamps were to be shipped to Bergen.")
        >>> found.unsupported, round(found.share, 2)
        (('4', 'Oslo'), 0.5)
        >>> support('{"lamps": 3}', "Three lamps.").unsupported
        ()
    """
    held = _held(context)
    return Support(
        tuple(
            SupportedWord(text, kind, start, held.holds(text, kind))
            for part, offset in _parts(answer)
            for text, kind, start in _said(part, offset)
        )
    )


def _parts(answer: str) -> Iterator[tuple[str, int]]:
    """Yields the texts that an answer is made of, each with where it begins: all of it, or the values of JSON."""
    try:
        values = [*_values(json.loads(answer))] if answer.lstrip()[:1] in ("{", "[") else None
    except (ValueError, RecursionError):
        values = None
    if values is None:
        yield answer, 0
        return
    behind = 0
    for value in values:
        place = answer.find(json.dumps(value, ensure_ascii=False)[1:-1], behind)
        start = place if place >= 0 else behind  # spelled with escapes: about here
        yield value, start
        behind = max(behind, start)


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _values(each)
    elif isinstance(value, list):
        for each in value:
            yield from _values(each)
    elif value is not None and not isinstance(value, bool):
        yield value if isinstance(value, str) else json.dumps(value)


def _said(text: str, offset: int) -> Iterator[tuple[str, str, int]]:
    """Yields what in a text says something: as it stands there, its kind, and where it begins."""
    for match in _TOKEN.finditer(text):
        token, start = match.group(), match.start()
        if token[-2:] in ("'s", "\u2019s"):
            token = token[:-2]
        kind = _kind(token, bool(_ENDS_SENTENCE.search(text[max(0, start - 8) : start])))
        if kind:
            yield token, kind, offset + start


def _kind(token: str, first: bool) -> str:
    folded = token.casefold()
    if _NUMBER.fullmatch(token) or folded in _SPELLED:
        return NUMBER
    if folded in _SAY_NOTHING:
        return ""
    if any(mark.isdigit() or mark in "_/@:." for mark in token) or any(mark.isupper() for mark in token[1:]):
        return NAME
    if not first and token[0].isupper():
        return NAME
    return WORD if len(token) >= _SHORTEST or not token.isascii() else ""


@dataclass(frozen=True)
class _Held:
    """What a context holds: numbers by their value, words without accents and capitals, and those sorted."""

    numbers: frozenset[str]
    words: frozenset[str]
    ordered: tuple[str, ...]

    def holds(self, token: str, kind: str) -> bool:
        if kind == NUMBER:
            return _value(token) in self.numbers
        key = _key(token)
        if key in self.words:
            return True
        parts = _INSIDE.findall(key)
        if kind == NAME:
            return all(part in self.words or (part.isdigit() and _value(part) in self.numbers) for part in parts)
        return all(part in _SAY_NOTHING or self._has_form(part) for part in parts)

    def _has_form(self, word: str) -> bool:
        """Whether a form of a word is there: among those that begin with the same letters, which stand together."""
        if word in self.words:
            return True
        beginning = word[:FEWEST_ALIKE]
        near = self.ordered[bisect_left(self.ordered, beginning) :]
        return any(_alike(word, other) for other in takewhile(lambda other: other.startswith(beginning), near))


@lru_cache(maxsize=64)
def _held(context: str) -> _Held:
    tokens = _TOKEN.findall(context)
    words = {_key(token) for token in tokens} | {_key(part) for token in tokens for part in _INSIDE.findall(token)}
    numbers = {_value(token) for token in tokens if _NUMBER.fullmatch(token) or token.casefold() in _SPELLED}
    return _Held(frozenset(numbers), frozenset(words), tuple(sorted(words)))


def _alike(one: str, other: str) -> bool:
    common = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    shorter, longer = sorted((len(one), len(other)))
    return common >= max(FEWEST_ALIKE, (WHOLE if common == shorter else LIKENESS) * longer)


def _key(token: str) -> str:
    """Returns a word without accents and capitals, and without the ending of a possessive."""
    plain = unicodedata.normalize("NFKD", token.casefold())
    bare = "".join(mark for mark in plain if not unicodedata.combining(mark)).replace("\u2019", "'")
    return bare.removesuffix("'s")


def _value(token: str) -> str:
    """Returns a number as one text, however it is written."""
    digits = _SPELLED.get(token.casefold(), token.replace(",", ""))
    try:
        return f"{Decimal(digits).normalize():f}"
    except InvalidOperation:
        return digits

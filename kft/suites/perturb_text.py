"""Changes to texts. All but ``negate`` leave the meaning as a person reads it (Ribeiro et al., 2020, "CheckList").

Each takes the text, random numbers and, where the suite gives one, a text of its own. Where there is nothing to change
(no accent to strip, no name to swap) the text comes back as it is, and makes no case. Words are those of English where
words matter: ``names``, ``negate``, ``polite``, ``irrelevant`` and ``keywords``. In a sentence the order of words has a
meaning, so ``reorder`` is for queries.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

import numpy as np

from kft.suites.perturbation import Perturbation, TextChange, register_perturbation

KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
SHORTEST_WORD, TYPO_EVERY = 4, 10
"""Only words of so many letters get a typo, and one word in so many; at least one."""
FEWEST_WORDS = 6
"""A shorter text is not cut in half: what is left would say too little."""
FIRST_NAMES = (
    "Anna|James|Maria|David|Sofia|Michael|Elena|Robert|Fatima|Thomas|Laura|Daniel|Julia|Peter|Amina|Paul|Emma|John|Sara"
    "|Ahmed|Linda|Carlos|Nina|George|Yuki|Martin|Olga|Kevin|Priya|Mary|Omar|Lucy|Jack|Wei|Susan|Ivan|Alice|Kofi"
)
AUXILIARIES = (
    "is|are|was|were|am|can|could|will|would|should|must|has|have|had|do|does|did|may|might"
    "|it's|that's|i'm|they're|we're|you're"
)
FUNCTION_WORDS = (
    "a|an|the|of|for|to|in|on|at|by|with|from|and|or|as|i|my|me|we|our|us|you|your|it|its|that|this|these|those|there"
    "|what|which|who|how|when|where|please|is|are|was|were|be|been|can|could|will|would|should|do|does|did"
)
_FUNCTION = re.compile(rf"(?<![\w'])(?:{FUNCTION_WORDS})(?![\w'\u2019])\s*", re.IGNORECASE)
_NAME = re.compile(rf"\b(?:{FIRST_NAMES})\b")
_NUMBER = re.compile(r"(?<![\w.,])\d+(?![\w]|[.,]\d)")
_NOT = re.compile(r"\s+not\b", re.IGNORECASE)
_SHORT_NOT = re.compile(r"(?<=\w)n['\u2019]t\b", re.IGNORECASE)
_CANNOT = re.compile(r"\b(ca)n['\u2019]t\b|\b(wo)n['\u2019]t\b|\b(can)not\b", re.IGNORECASE)
_AUXILIARY = re.compile(rf"(?<![\w'])(?:{AUXILIARIES})(?![\w'\u2019])", re.IGNORECASE)


def add_typos(text: str, rng: np.random.Generator, given: str = "") -> str:
    """Hits a neighbouring key, or two keys in the wrong order, in one word of ten; of two equal letters one is lost.

    Example:
        >>> add_typos("The battery died", np.random.default_rng(0))
        'The battery diwd'
    """
    words = [found for found in re.finditer(r"[^\W\d_]+", text) if len(found.group()) >= SHORTEST_WORD]
    if not words:
        return text
    count = max(1, len(words) // TYPO_EVERY)
    letters = list(text)
    for place in rng.choice(len(words), count, replace=False):
        at = words[place].start() + int(rng.integers(1, len(words[place].group()) - 1))
        neighbours = _neighbours(letters[at])
        if neighbours and rng.random() < 0.5:
            letters[at] = str(rng.choice(neighbours))
        elif letters[at] != letters[at + 1]:
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        else:
            letters[at] = ""
    return "".join(letters)


def _neighbours(letter: str) -> list[str]:
    for row in KEYBOARD:
        at = row.find(letter)
        if at >= 0:
            return [row[place] for place in (at - 1, at + 1) if 0 <= place < len(row)]
    return []  # a capital or another alphabet: its letters change places instead


def in_capitals(text: str, rng: np.random.Generator, given: str = "") -> str:
    """All letters large."""
    return text.upper()


def in_small_letters(text: str, rng: np.random.Generator, given: str = "") -> str:
    """All letters small."""
    return text.lower()


def drop_punctuation(text: str, rng: np.random.Generator, given: str = "") -> str:
    """Takes marks out, but for those inside words and numbers.

    Example:
        >>> drop_punctuation("Well, it can't pay 3.50!", np.random.default_rng(0))
        "Well it can't pay 3.50"
    """
    return re.sub(r"(?<!\w)[^\w\s]+|[^\w\s]+(?!\w)", "", text)


def add_punctuation(text: str, rng: np.random.Generator, given: str = "") -> str:
    """Ends in several marks instead of one.

    Example:
        >>> add_punctuation("It works.", np.random.default_rng(0))
        'It works...'
    """
    bare = text.rstrip().rstrip(".!?")
    return bare + str(rng.choice([marks for marks in ("...", "!!!", " !", "?!") if bare + marks != text]))


def add_spaces(text: str, rng: np.random.Generator, given: str = "") -> str:
    r"""Doubles some spaces, and adds some around the text.

    Example:
        >>> add_spaces("It works.", np.random.default_rng(0))
        '  It  works. \n'
    """
    first = " " in text
    parts = text.split(" ")
    for place in range(len(parts) - 1):
        parts[place] += "  " if first or rng.random() < 0.3 else " "
        first = False
    return "  " + "".join(parts) + " \n"


def first_half(text: str, rng: np.random.Generator, given: str = "") -> str:
    """Keeps the first half of the words, as where a text is cut.

    Example:
        >>> first_half("It worked well until the battery died", np.random.default_rng(0))
        'It worked well until'
    """
    words = text.split()
    return " ".join(words[: (len(words) + 1) // 2]) if len(words) >= FEWEST_WORDS else text


def swap_names(text: str, rng: np.random.Generator, given: str = "") -> str:
    """Puts another first name for each; the same one for the same name.

    Example:
        >>> swap_names("Ask Anna", np.random.default_rng(0))
        'Ask Michael'
    """
    found = sorted(set(_NAME.findall(text)))
    others = rng.permutation([name for name in FIRST_NAMES.split("|") if name not in found])
    swapped = dict(zip(found, map(str, others), strict=False))
    return _NAME.sub(lambda match: swapped.get(match.group(), match.group()), text)


def swap_numbers(text: str, rng: np.random.Generator, given: str = "") -> str:
    """Puts another number of as many digits for each whole number.

    Example:
        >>> swap_numbers("room 12, 3.5 stars", np.random.default_rng(0))
        'room 86, 3.5 stars'
    """

    def other(match: re.Match[str]) -> str:
        digits = match.group()
        first = str(rng.choice([digit for digit in "123456789" if digit != digits[0]]))
        return first + "".join(map(str, rng.integers(0, 10, len(digits) - 1)))

    return _NUMBER.sub(other, text)


def negate(text: str, rng: np.random.Generator, given: str = "") -> str:
    """Turns the first statement around: puts a "not" after its first auxiliary verb, or takes the "not" out.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> negate("The battery is good.", rng), negate("It wasn't loud.", rng), negate("I like it.", rng)
        ('The battery is not good.', 'It was loud.', 'I like it.')
    """
    for pattern, positive in ((_CANNOT, _without_not), (_SHORT_NOT, ""), (_NOT, "")):
        if pattern.search(text):
            return pattern.sub(positive, text, count=1)
    return _AUXILIARY.sub(lambda match: f"{match.group()} not", text, count=1)


def _without_not(match: re.Match[str]) -> str:
    ca, wo, can = match.groups()
    return can or (f"{ca}n" if ca else f"{wo[0]}ill")


def strip_accents(text: str, rng: np.random.Generator, given: str = "") -> str:
    """Takes accents off letters.

    Example:
        >>> strip_accents("déjà vu", np.random.default_rng(0))
        'deja vu'
    """
    parts = unicodedata.normalize("NFKD", text)
    bare = "".join(mark for mark in parts if not unicodedata.combining(mark))
    return bare if bare != parts else text


def be_polite(text: str, rng: np.random.Generator, given: str = "") -> str:
    """Puts a greeting before the text.

    Example:
        >>> be_polite("It broke.", np.random.default_rng(0))
        'Dear team, It broke.'
    """
    return str(rng.choice(["Hello, ", "Hi there, ", "Good morning, ", "Dear team, "])) + text


def add_irrelevant(text: str, rng: np.random.Generator, given: str = "") -> str:
    """Adds a sentence that says nothing of the subject.

    Example:
        >>> add_irrelevant("It broke.", np.random.default_rng(0))
        'It broke. My name is on the form.'
    """
    extra = ("I am writing this on a Tuesday.", "It is raining here today.", "My name is on the form.")
    return f"{text.rstrip()} {rng.choice(extra)}"


def reorder(text: str, rng: np.random.Generator, given: str = "") -> str:
    """Says the end first: what stands behind a place between two words comes before it.

    Example:
        >>> reorder("play music over the network", np.random.default_rng(0))
        'network play music over the'
    """
    words = text.rstrip(".!?").split()
    if len(words) < 2:
        return text
    at = int(rng.integers(1, len(words)))
    return " ".join([*words[at:], *words[:at]]) + text[len(text.rstrip(".!?")) :]


def keep_keywords(text: str, rng: np.random.Generator, given: str = "") -> str:
    """Leaves articles, pronouns, prepositions and auxiliaries out, as people do who type into a search field.

    Example:
        >>> keep_keywords("How do I play music over the network?", np.random.default_rng(0))
        'play music over network?'
        >>> keep_keywords("Is there IT support in the US?", np.random.default_rng(0))
        'IT support US?'
    """
    # In capitals "IT" and "US" are names.
    without = _FUNCTION.sub(
        lambda word: word[0] if word[0].strip().isupper() and len(word[0].strip()) > 1 else "", text
    )
    kept = re.sub(r"\s+(?=[,.:;!?])", "", without).strip()
    return kept if len(re.findall(r"\w+", kept)) > 1 else text


def remove(text: str, rng: np.random.Generator, given: str) -> str:
    """Takes a word or mark out, in large and small letters.

    Example:
        >>> remove("zz-ref It broke.", np.random.default_rng(0), "ZZ-ref")
        'It broke.'
    """
    bare = _whole(given).sub("", text)
    return re.sub(r"[ \t]{2,}", " ", bare).strip() if bare != text else text


def append(text: str, rng: np.random.Generator, given: str) -> str:
    """Puts a word or mark after the text, unless the text holds it.

    Example:
        >>> append("It broke.", np.random.default_rng(0), "zz-ref")
        'It broke. zz-ref'
    """
    return text if _whole(given).search(text) else f"{text.rstrip()} {given}"


def prepend(text: str, rng: np.random.Generator, given: str) -> str:
    """Puts a word or mark before the text, unless the text holds it.

    Example:
        >>> prepend("It broke.", np.random.default_rng(0), "zz-ref")
        'zz-ref It broke.'
    """
    return text if _whole(given).search(text) else f"{given} {text.lstrip()}"


def _whole(given: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(given)}(?!\w)", re.IGNORECASE)


def _register(
    name: str,
    change: TextChange,
    about: str,
    keeps: Literal["places", "start", "end"] | None = None,
    *,
    takes_text: bool = False,
) -> None:
    register_perturbation(Perturbation(name, about, "text", change, takes_text, keeps))


_register("typos", add_typos, "a neighbouring key, or two letters in the wrong order, in one word of ten", "places")
_register("upper", in_capitals, "all letters large", "places")
_register("lower", in_small_letters, "all letters small", "places")
_register("no-punctuation", drop_punctuation, "marks taken out, but for those inside words and numbers")
_register("punctuation", add_punctuation, "several marks at the end", "start")
_register("spaces", add_spaces, "more spaces between the words and around the text")
_register("half", first_half, f"the first half of the words, from {FEWEST_WORDS} words on")
_register("names", swap_names, "other first names")
_register("numbers", swap_numbers, "other whole numbers", "places")
_register("negate", negate, 'a "not" put in or taken out: the label should change')
_register("no-accents", strip_accents, "accents taken off letters", "places")
_register("polite", be_polite, "a greeting before the text", "end")
_register("irrelevant", add_irrelevant, "a sentence that says nothing of the subject", "start")
_register("reorder", reorder, "the end said first: words behind a place come before it")
_register("keywords", keep_keywords, "articles, pronouns, prepositions and auxiliaries left out")
_register("remove", remove, "the word or mark in `text` taken out", takes_text=True)
_register("append", append, "the word or mark in `text` put after it", "start", takes_text=True)
_register("prepend", prepend, "the word or mark in `text` put before it", "end", takes_text=True)

"""How labels are spelled: one spelling of what differs in form alone, and differences that nobody can see, in words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from kft.tasks.cells import as_text

_INVISIBLE = re.compile("[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""Characters that show nothing and change no letter beside them, as U+200C and U+200D do inside words and emoji."""
_EDGES = re.compile("^[\\s\u200c\u200d]+|[\\s\u200c\u200d]+$")
_INTEGRAL = re.compile(r"([+-]?\d+)\.0*")
_DECIMAL = re.compile(r"[+-]?\d+\.\d+", re.ASCII)
_GAPS = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
_BOOLEANS = ("true", "false")
_LARGEST = 1e15
"""A larger float is not sure to be the whole number that it prints."""
_ALIKE = str.maketrans("\u2010\u2011\u2012\u2013\u2014\u2212\u2018\u2019\u201c\u201d", "------''\"\"")


def spelled(value: Any) -> str:
    """Returns a label in the one spelling of all that differ in form alone; empty where there is none.

    Booleans are ``true`` and ``false`` whatever the file, ``1.0`` is ``1``, letters with accents are composed (NFC);
    white space around and characters without a shape are left out. Upper and lower case, and white space inside, stay.

    Example:
        >>> spelled(True), spelled("TRUE"), spelled(1.0), spelled("1.0"), spelled(" cafe\u0301\u200b ") == "caf\u00e9"
        ('true', 'true', '1', '1', True)
        >>> spelled("Billing"), spelled("1.5"), spelled("1.0.1"), spelled(None)
        ('Billing', '1.5', '1.0.1', '')
    """
    if isinstance(value, (float, np.floating)) and float(value).is_integer() and abs(float(value)) < _LARGEST:
        return str(int(value))
    text = as_text(value)
    if not text.isascii():
        text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    text = _EDGES.sub("", text)
    if text.lower() in _BOOLEANS:
        return text.lower()
    number = _INTEGRAL.fullmatch(text) if "." in text else None
    return text if number is None else "0" if number[1] == "-0" else number[1]


def folded(label: str) -> str:
    """Returns what labels share that differ by case, white space or Unicode form alone.

    Example:
        >>> folded("Sign  Up") == folded("sign\u00a0up") == folded("signup"), folded("1.50") == folded("1.5")
        (True, True)
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold()).translate(_ALIKE)
    shown = "".join(c for c in text if unicodedata.category(c) != "Cf" and not "\ufe00" <= c <= "\ufe0f")
    text = _GAPS.sub("", " ".join(shown.split()))
    return (repr(float(text)) if _DECIMAL.fullmatch(text) else text) or label


LONGEST = 60
"""Characters of a label that is shown whole."""


def difference(one: str, other: str) -> str:
    """Returns two labels, with the code points in which they differ where people may not see it.

    Example:
        >>> difference("Billing", "billing"), difference("a", "bä")
        ("'Billing' and 'billing'", "'a' has U+0061, 'bä' has U+0062 U+00E4")
    """
    if one.isascii() and other.isascii() and max(len(one), len(other)) <= LONGEST:
        return f"{one!r} and {other!r}"
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    rest = min(len(one), len(other)) - start
    tails = zip(reversed(one), reversed(other), strict=False)
    end = next((at for at, (a, b) in enumerate(tails) if a != b or at == rest), rest)
    inside = (one[start : len(one) - end], other[start : len(other) - end])
    return ", ".join(f"{_shown(text)} has {_points(part)}" for text, part in zip((one, other), inside, strict=True))


def respelled(unknown: Sequence[str], known: Sequence[str]) -> str:
    """Says which of some unknown labels are known ones in another spelling; empty where none is.

    Example:
        >>> respelled(["billing"], ["Billing", "refund"])
        "; known in another spelling: 'Billing' and 'billing'"
    """
    alike = {folded(name): name for name in known}
    found = [difference(alike[folded(name)], name) for name in unknown if folded(name) in alike]
    return f"; known in another spelling: {'; '.join(found[:3])}" if found else ""


def _shown(label: str) -> str:
    return repr(label if len(label) <= LONGEST else label[: LONGEST - 3] + "...")


def _points(text: str) -> str:
    """The first code points of a text."""
    points = " ".join(f"U+{ord(character):04X}" for character in text[:6])
    return points + (" ..." if len(text) > 6 else "") or "nothing there"

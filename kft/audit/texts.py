"""What checks of texts share: the texts of examples, whatever the task reads, and figures in words."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from kft.data.examples import Examples
from kft.records.estimate import percent

TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]{0,15}(?:\s[^<>]{0,300})?/?>")
"""An HTML tag."""


def texts_of(examples: Examples) -> list[str]:
    r"""Returns each example's text; two texts are joined by a line break.

    Example:
        >>> import numpy as np
        >>> texts_of(Examples(np.array(["a"]), [("one", "two")], None, None))
        ['one\ntwo']
    """
    return ["\n".join(given) if isinstance(given, tuple) else str(given) for given in examples.inputs]


def ids_of(examples: Examples) -> list[str]:
    """Returns the ids of examples as plain texts.

    Example:
        >>> import numpy as np
        >>> ids_of(Examples(np.array(["a"]), ["one"], None, None))
        ['a']
    """
    return [str(identifier) for identifier in examples.ids]


def without_markup(text: str) -> str:
    """Returns a text without HTML tags and entities.

    Example:
        >>> without_markup("<p>fine &amp; good</p>").strip()
        'fine & good'
    """
    return html.unescape(TAG.sub(" ", text)) if "<" in text or "&" in text else text


SINGULAR = {"are": "is", "have": "has", "were": "was", "hold": "holds", "lie": "lies", "begin": "begins", "say": "says"}
"""Verbs that a count is followed by, and what they are after 1."""


def counted(n: int, total: int, noun: str, what: str = "") -> str:
    """Returns a count with its share, and what is said of so many.

    Args:
        n: How many.
        total: Of how many.
        noun: In the plural: it goes with the total.
        what: Begins with a verb in the plural, which follows the count.

    Example:
        >>> counted(3, 120, "texts"), counted(1, 10_000, "texts", "hold HTML tags")
        ('3 of 120 texts (2.5 %)', '1 of 10,000 texts (under 0.1 %) holds HTML tags')
    """
    verb, space, rest = what.partition(" ")
    said = f" {SINGULAR.get(verb, verb) if n == 1 else verb}{space}{rest}" if what else ""
    return f"{n:,} of {total:,} {noun} ({percent(n / max(total, 1))}){said}"


def kinds_of_copies(exact: int, near: int) -> str:
    """Returns what so many rows are of others.

    Example:
        >>> kinds_of_copies(0, 1), kinds_of_copies(3, 0), kinds_of_copies(2, 5)
        ('a near-copy', 'exact copies', 'copies (2 exact, 5 near-copies)')
    """
    if exact and near:
        return f"copies ({exact:,} exact, {near:,} {'near-copies' if near > 1 else 'near-copy'})"
    several = exact + near > 1
    if exact:
        return "exact copies" if several else "an exact copy"
    return "near-copies" if several else "a near-copy"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Returns names for a sentence, the first few of many.

    Example:
        >>> listed(["a", "b", "c"], most=2)
        'a, b and 1 more'
    """
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")

"""What checks of texts share: the texts of examples, whatever the task reads, and figures in words."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from kft.data.examples import Examples

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


def counted(n: int, total: int, noun: str) -> str:
    """Returns a count with its share.

    Example:
        >>> counted(3, 120, "texts"), counted(1, 10_000, "texts")
        ('3 of 120 texts (2.5 %)', '1 of 10,000 texts (under 0.1 %)')
    """
    share = n / max(total, 1)
    shown = "under 0.1 %" if 0 < share < 0.001 else f"{share * 100:.1f} %"
    return f"{n:,} of {total:,} {noun} ({shown})"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Returns names for a sentence, the first few of many.

    Example:
        >>> listed(["a", "b", "c"], most=2)
        'a, b and 1 more'
    """
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")

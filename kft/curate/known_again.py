"""Whether a row is the one that somebody was shown: files change between a check and what is made of it."""

from __future__ import annotations

from kft.data.clean import clean_input
from kft.recipe.schema import DataSpec

BEGINNING = 60
"""Characters of a text that tell one row from another."""
HIDDEN = ("***", "(not shown)")
"""What stands in a text that holds personal data, and is not shown as it is."""


def is_another(shown: str, cell: object, spec: DataSpec) -> bool:
    """Whether a row's text is another than the one that was shown, as far as can be told.

    Args:
        shown: As a table of corrections has it: on one line, shortened; of a pair both, with a line between. Empty: it
            was not.
        cell: The row's text; of pairs the first.
        spec: Says how texts are cleaned.

    Example:
        >>> spec = DataSpec(train="a.csv")
        >>> is_another("It broke…", "It  broke at once", spec), is_another("It broke", "It works", spec)
        (False, True)
    """
    begins = _one_line(shown.partition(" | ")[0].rstrip("…")[:BEGINNING])
    if not begins or not isinstance(cell, str) or any(hidden in shown for hidden in HIDDEN):
        return False
    return not _one_line(str(clean_input(cell, spec))).startswith(begins)


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())

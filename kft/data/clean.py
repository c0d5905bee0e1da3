"""What is done to every text before a model reads it: the same in training, evaluation and answering."""

from __future__ import annotations

from typing import Any

from kft.data.entities import unescaped
from kft.data.examples import Input
from kft.data.personal import redact
from kft.recipe.schema import DataSpec
from kft.tasks.cells import as_text


def clean_text(text: str, spec: DataSpec) -> str:
    """Returns a text as the recipe wants it read; nothing changes what was cleaned before.

    Args:
        text: As it stands in the data.
        spec: The recipe's data part: ``html`` and ``redact``.

    Example:
        >>> clean_text("Mail me: jane@example.com", DataSpec(train="a.csv", redact=("email",)))
        'Mail me: [EMAIL]'
    """
    decoded = unescaped(text) if spec.html == "unescape" else text
    return redact(decoded, spec.redact) if spec.redact else decoded


def clean_cell(cell: Any, spec: DataSpec) -> Any:
    """Returns a cell of a table with its text cleaned; what is no text (the words of a list) stays as it is.

    Example:
        >>> spec = DataSpec(train="a.csv", redact=("card",))
        >>> clean_cell(4111111111111111, spec), clean_cell(["two", "words"], spec)
        ('[CARD]', ['two', 'words'])
    """
    if isinstance(cell, (int, float)) and spec.redact:
        cell = as_text(cell)  # as it is when a model answers
    return clean_text(cell, spec) if isinstance(cell, str) else cell


def clean_input(given: Input, spec: DataSpec) -> Input:
    """Returns an input with its texts cleaned; images are left alone.

    Example:
        >>> spec = DataSpec(train="a.csv", redact=("email",))
        >>> clean_input(("jane@example.com", "who?"), spec)
        ('[EMAIL]', 'who?')
    """
    if isinstance(given, tuple):
        return clean_cell(given[0], spec), clean_cell(given[1], spec)
    return clean_text(given, spec) if isinstance(given, str) else given

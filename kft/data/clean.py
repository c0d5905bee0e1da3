"""What is done to every text before a model reads it: the same in training, evaluation and answering."""

from __future__ import annotations

from kft.data.examples import Input
from kft.data.personal import redact
from kft.recipe.schema import DataSpec


def clean_text(text: str, spec: DataSpec) -> str:
    """Returns a text as the recipe wants it read.

    Args:
        text: As it stands in the data.
        spec: The recipe's data part: ``redact``.

    Example:
        >>> clean_text("Mail me: jane@example.com", DataSpec(train="a.csv", redact=("email",)))
        'Mail me: [EMAIL]'
    """
    return redact(text, spec.redact) if spec.redact else text


def clean_input(given: Input, spec: DataSpec) -> Input:
    """Returns an input with its texts cleaned; images are left alone.

    Example:
        >>> spec = DataSpec(train="a.csv", redact=("email",))
        >>> clean_input(("jane@example.com", "who?"), spec)
        ('[EMAIL]', 'who?')
    """
    if isinstance(given, str):
        return clean_text(given, spec)
    if isinstance(given, tuple):
        return clean_text(given[0], spec), clean_text(given[1], spec)
    return given

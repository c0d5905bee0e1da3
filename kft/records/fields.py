"""What a dataclass says of a field beside its type. The standard library alone, so that what ships can import it."""

from __future__ import annotations

import dataclasses
from typing import Any


def absent(default: Any = None, without: tuple[str, ...] = ()) -> Any:
    """Declares a field that stands in the document only where its value is not the default.

    Args:
        default: What a document that lacks the key says.
        without: Keys of the record in this field that stand only in that record's own document.
    """
    return dataclasses.field(default=default, metadata={"absent": True, "without": without})


def unwritten(default: Any = None) -> Any:
    """Declares a field that stands in no document."""
    return dataclasses.field(default=default, metadata={"unwritten": True}, repr=False, compare=False)


def rounded(digits: int, default: Any = dataclasses.MISSING) -> Any:
    """Declares a number that is written with so many digits after the point."""
    return dataclasses.field(default=default, metadata={"digits": digits})

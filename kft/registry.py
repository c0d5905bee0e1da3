"""Registries: a name to an object. A duplicate raises, a miss suggests the nearest name.

A registry is also the list that the command line shows, so there is one definition of what exists.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from kft.errors import KftError, UsageError

T = TypeVar("T")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name closest to ``name``, or None when nothing is close.

    Example:
        >>> nearest("bakbone", ["backbone", "dropout"])
        'backbone'
    """
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


class Registry(Generic[T]):
    """An ordered mapping from a unique name to an object.

    Args:
        kind: What the entries are, for messages, such as "backbone".
        next_step: What an error about a miss tells the person to try.

    Example:
        >>> heads = Registry("head")
        >>> heads.register("classification", "entry")
        'entry'
        >>> heads.get("classification"), heads.names()
        ('entry', ('classification',))
    """

    def __init__(self, kind: str, next_step: str | None = None) -> None:
        self.kind = kind
        self.next_step = next_step
        self._entries: dict[str, T] = {}

    def register(self, name: str, entry: T) -> T:
        """Adds an entry; raises ValueError when the name is taken."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is already registered")
        self._entries[name] = entry
        return entry

    def get(self, name: str, error: Callable[..., KftError] = UsageError) -> T:
        """Returns the entry; raises ``error`` with the nearest name and the full list on a miss."""
        if name in self._entries:
            return self._entries[name]
        hint = nearest(name, self._entries)
        raise error(
            f"unknown {self.kind} {name!r}" + (f"; did you mean {hint!r}?" if hint else ""),
            received=name,
            expected="one of " + ", ".join(self._entries),
            next_step=self.next_step,
        )

    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def __iter__(self) -> Iterator[T]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

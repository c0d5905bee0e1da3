"""Items of a JSON answer: how many of what should be found was found, whatever fields stay empty.

A field whose list is empty is right by saying nothing, so that where most are empty whoever finds nothing has most
fields right. An empty field holds no item: saying nothing wins nothing here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Any

Item = tuple[tuple[str, ...], bool, Hashable]
"""Where a value stands, whether it is true or false (which Python takes for 1 and 0), and the value."""


def items_of(fields: dict[str, Any] | None) -> Counter[Item]:
    """Returns the items of a JSON object: each element of a list, in any order, and every other value.

    Nothing is said by null, an empty text, an empty list and an empty object. What holds others is looked into.

    Args:
        fields: The object; None, which is no object, has no items.

    Example:
        >>> found = items_of({"name": ["open", "close"], "size": 3, "path": [], "note": None})
        >>> sorted(str(value) for _, _, value in found)
        ['3', 'close', 'open']
    """
    return Counter(_items(fields, ())) if fields else Counter()


def _items(value: Any, place: tuple[str, ...]) -> Iterator[Item]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _items(each, (*place, key))
    elif isinstance(value, list):
        for each in value:
            yield from _items(each, place)
    elif value is not None and value != "":
        yield place, isinstance(value, bool), value


def shared_items(right: dict[str, Any] | None, said: dict[str, Any] | None) -> tuple[int, int, int]:
    """Returns how many items two objects share, how many the right one has, and how many the other.

    Example:
        >>> shared_items({"name": ["open"], "path": []}, {"name": ["open", "open"], "path": ["/etc"]})
        (1, 1, 3)
    """
    wanted, given = items_of(right), items_of(said)
    return (wanted & given).total(), wanted.total(), given.total()

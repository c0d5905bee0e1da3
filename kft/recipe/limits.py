"""What a YAML file of kft's may be, so that none takes the machine: size, depth, values; and what its texts may hold.

The limits stand in docs/security.md. They are far above what people write: a recipe has some 3 KB and 60 values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent, ScalarEvent

from kft.characters import acting_in, visible

MOST_BYTES = 1_000_000
MOST_VALUES = 10_000
"""Keys and values, each counted as often as an alias repeats it."""
DEEPEST = 40
COLUMNS = (
    "columns",
    "text",
    "text_pair",
    "image",
    "label",
    "id",
    "group",
    "time",
    "slices",
    "sensitive",
    "bins",
    "context",
)
FREE = (
    "model.template",
    "model.context_template",
    "data.label_separator",
    "evaluate.threshold.label",
    "evaluate.retain.text",
    "evaluate.retain.label",
)
"""With the columns of ``data``: what has to be called as the data call it. Elsewhere stand names and paths."""


_HALVES = re.compile("[\ud800-\udfff]")
_LONG_NUMBER = re.compile(r"[-+]?[0-9][0-9a-fA-FxXoO_:.+-]{99,}\Z")


class TooMuch(ValueError):
    """A limit is exceeded; the text says which."""


def require_bounded(text: str) -> None:
    """Refuses YAML that would take long to read, or grow when it is read.

    Args:
        text: The whole file, or one value.

    Raises:
        TooMuch: It is longer, deeper or holds more than the limits allow, or an alias stands inside what it repeats.
        YAMLError: It is no YAML.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MOST_BYTES:
        raise TooMuch(f"{size:,} bytes, of at most {MOST_BYTES:,}")
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []  # of each collection that is not closed: its anchor, the count before it
    count = 0
    for event in YAML(typ="rt").parse(text):
        if isinstance(event, AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_):
                raise TooMuch(f"the alias *{event.anchor} stands inside what it repeats")
            count += sizes.get(event.anchor, 1)
        elif isinstance(event, NodeEvent):
            count += 1
            if isinstance(event, ScalarEvent) and _LONG_NUMBER.match(event.value):
                raise TooMuch(f"a number of {len(event.value):,} characters")
            if isinstance(event, ScalarEvent) and event.anchor:
                sizes[event.anchor] = 1
            if isinstance(event, CollectionStartEvent):
                open_.append((event.anchor, count - 1))
        elif isinstance(event, CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = count - before
        if len(open_) > DEEPEST:
            raise TooMuch(f"more than {DEEPEST} levels of values inside each other")
        if count > MOST_VALUES:
            raise TooMuch(f"more than {MOST_VALUES:,} values, aliases counted as what they repeat")


def texts_in(values: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields the dotted key and the text of every text in a document; a key is a text of its own.

    Example:
        >>> list(texts_in({"data": {"columns": ["a", 1]}}))
        [('data', 'data'), ('data.columns', 'columns'), ('data.columns', 'a')]
    """
    if isinstance(values, Mapping):
        for name, value in values.items():
            key = f"{prefix}.{name}" if prefix else str(name)
            yield key, str(name)
            yield from texts_in(value, key)
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from texts_in(value, prefix)
    elif isinstance(values, str):
        yield prefix, values


def acting_texts(values: Any) -> list[tuple[list[str], str]]:
    """Returns the parts of the key, and what is wrong, of each text with a control character where none belongs."""
    found = []
    for key, text in texts_in(values):
        section, _, rest = key.partition(".")
        free = key in FREE or (section == "data" and rest.partition(".")[0] in COLUMNS)
        own = free and text != key.rpartition(".")[2] and not _HALVES.search(text)
        acting = "" if own else acting_in(text)
        if acting:
            said = f"received '{visible(text)}' with {acting}, expected no control characters"
            found.append((visible(key).split("."), said))
    return found

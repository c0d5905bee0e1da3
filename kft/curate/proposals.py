"""Columns beside inputs and labels: which could be the id, a group, a time; and what the rest are called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from kft.curate.likely_task import is_number
from kft.data.examples import Columns
from kft.data.split_names import words_in
from kft.errors import DataError
from kft.split.times import read_times, shown_time
from kft.tasks.cells import as_text

ID_WORDS = {"id", "ids", "uid", "uuid", "guid", "key", "nr", "no", "number", "ref", "reference"}
# fmt: off
GROUP_WORDS = {
    "group", "customer", "client", "user", "account", "patient", "person", "author", "writer", "speaker", "reviewer",
    "subject", "session", "thread", "conversation", "document", "doc", "source", "page", "case", "order", "product",
    "item", "article", "film", "movie", "book", "company", "family", "site", "device", "camera", "shelf", "scene",
    "batch", "package", "url", "domain", "study", "visit",
}
# fmt: on
"""What one customer, document or shelf is called, of which several rows can come."""
FEWEST_GROUPS, LARGEST_GROUP = 10, 0.2
"""With fewer groups, or one that holds a larger share of the rows, a split by group would hardly be one."""
ROWS_EACH = 1.25
"""Rows of one value on average, below which nearly each row has its own: a name of rows, not of groups."""
TIME_WORDS = {"date", "time", "datetime", "timestamp", "created", "updated", "day", "month", "year", "week", "when"}
DATE = re.compile(r"\d{4}-\d\d|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{1,2} \w{3,9} \d{4}|\w{3,9} \d{1,2}, \d{4}")
MOST_PARTS = 50
"""Different values of a column by which figures may be sliced; numbers may have more, as they are cut into thirds."""
LOOKED_AT = 50
"""Cells in which a date is looked for before a whole column is read as dates."""


@dataclass(frozen=True)
class Proposals:
    """What the other columns of a table could be.

    Attributes:
        id: A column that names each row.
        group: One whose values several rows share, such as a customer.
        time: One of dates.
        others: Every other one.
        slices: Those of them by whose values figures may be shown.
        said: For people: each proposal with what was seen.
    """

    id: str | None = None
    group: str | None = None
    time: str | None = None
    others: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    said: tuple[tuple[str, str], ...] = ()


def propose(frame: pd.DataFrame, columns: Columns) -> Proposals:
    """Looks at every column that is neither input nor label.

    Example:
        >>> frame = pd.DataFrame({"text": "abc", "label": "x", "ticket_id": range(30), "customer": [*range(15)] * 2})
        >>> found = propose(frame, Columns("text", "label"))
        >>> found.id, found.group
        ('ticket_id', 'customer')
    """
    found: dict[str, tuple[str, str]] = {}
    parts = set()
    rest = [str(name) for name in frame.columns if name not in columns.named]
    for name in rest:
        cells = [as_text(value).strip() for value in frame[name]]
        different = values_of(cells)
        if len(different) > 1 and (len(different) <= MOST_PARTS or all(map(is_number, different))):
            parts.add(name)
        for kind, said in _kinds(name, cells, frame):
            if kind not in found:
                found[kind] = (name, said)
                break
    taken = {name for name, _ in found.values()}
    others = tuple(name for name in rest if name not in taken)
    return Proposals(
        **{kind: name for kind, (name, _) in found.items()},
        others=others,
        slices=tuple(name for name in others if name in parts and name.strip()),
        said=tuple((kind, f"column {name!r}, {said}") for kind, (name, said) in sorted(found.items())),
    )


def values_of(cells: Sequence[str]) -> set[str]:
    """Returns the different values of a column; none where most of its cells are empty.

    Example:
        >>> sorted(values_of(["b", "a", "", "b"])), values_of(["a", "", "", ""])
        (['a', 'b'], set())
    """
    filled = [cell for cell in cells if cell]
    return set(filled) if 2 * len(filled) >= len(cells) else set()


def _kinds(name: str, cells: Sequence[str], frame: pd.DataFrame) -> list[tuple[str, str]]:
    """What a column can be, and why."""
    words = {word.lower() for word in words_in(name)}
    counts = Counter(cells)
    kinds = []
    if words & (TIME_WORDS | {"at", "on"}) or any(DATE.search(cell) for cell in cells[:LOOKED_AT]):
        kinds += _time(name, frame)
    if not all(cells):
        return kinds
    if len(counts) == len(cells) and words & ID_WORDS and all(map(str.isprintable, cells)):
        kinds.append(("id", "another in each row"))
    largest = max(counts.values(), default=0)
    several = FEWEST_GROUPS <= len(counts) <= len(cells) / ROWS_EACH and largest <= LARGEST_GROUP * len(cells)
    if several and words & (GROUP_WORDS | ID_WORDS) and not kinds:
        kinds.append(("group", f"{len(counts):,} values, up to {largest:,} rows each"))
    return kinds


def _time(name: str, frame: pd.DataFrame) -> list[tuple[str, str]]:
    try:
        times = read_times([(name, frame)], name, name, ())
    except DataError:
        return []
    if times is None or not times.are_dates:
        return []
    first, last = (shown_time(value, True) for value in (times.values.min(), times.values.max()))
    return [("time", f"from {first} to {last}")]

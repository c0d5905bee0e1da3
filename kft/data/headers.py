"""Whether a table's first line holds names, or is its first row."""

from __future__ import annotations

from collections.abc import Sequence

from kft.data.columns import LABEL_NAMES
from kft.data.dialects import WORDS
from kft.data.examples import Columns
from kft.data.reading import Table
from kft.data.tables import Rows
from kft.errors import DataError
from kft.tasks.cells import as_text
from kft.tasks.inputs import FIRST_NAMES, IMAGE_NAMES, PAIR_NAMES, TEXT_NAMES

USUAL = {*TEXT_NAMES, *FIRST_NAMES, *PAIR_NAMES, *IMAGE_NAMES, *LABEL_NAMES, "id", "v1", "v2"}


def like_a_row(rows: Sequence[Rows], columns: Columns) -> str:
    """Returns why the first line of a file looks like a row, or nothing where it can be names.

    One usual name, such as text or label, is enough to tell names. Otherwise the name of the label column tells a row
    where it stands in that column as a value.

    Args:
        rows: What was read.
        columns: Those of inputs and labels.
    """
    for part in rows:
        names = [str(name) for name in part.frame.columns]
        if not _has_header(part.table) or any(name.strip().lower() in USUAL for name in names):
            continue
        for name in (columns.label,):
            if name in names and name in {as_text(cell).strip() for cell in part.frame[name]}:
                return f"{part.name}: its first line looks like a row: {name!r} is a value of its own column"
    return ""


def _has_header(table: Table | None) -> bool:
    return table is not None and table.separator in WORDS


def drafted_columns(rows: Sequence[Rows], columns: Columns) -> tuple[str, ...]:
    """Names the columns of a file without a header: text, label, and the others by their place.

    Example:
        >>> import pandas as pd
        >>> drafted_columns([Rows("a.csv", pd.DataFrame(columns=["so good", "yes", "7"]))], Columns("so good", "yes"))
        ('text', 'label', 'column_3')
    """
    known = {columns.text: "text", columns.label: "label", columns.pair: "text_pair"}
    return tuple(known.get(name, f"column_{place}") for place, name in enumerate(rows[0].frame.columns, 1))


def refuse_row_as_header(rows: Sequence[Rows], columns: Columns) -> None:
    """Refuses a file whose first row would be lost as names.

    Raises:
        DataError: Says which columns to name.
    """
    reason = like_a_row(rows, columns)
    if reason:
        names = drafted_columns(rows, columns)
        raise DataError(
            "the file has no header",
            where=rows[0].name,
            received=reason.partition(": ")[2],
            expected="names of columns in the first line, or in data.columns",
            next_step=f"--set 'data.columns=[{', '.join(names)}]' --set data.text=text --set data.label=label; or "
            "write the names into the first line",
        )

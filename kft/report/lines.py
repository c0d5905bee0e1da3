"""The worst rows of a finding in a few lines of text, for a terminal."""

from __future__ import annotations

from kft.records.findings import Finding
from kft.report.details import PAIRS, grids_of, rows_of
from kft.report.examples import ExampleIndex
from kft.report.html import number

LINES, CHARACTERS = 2, 44


def worst_lines(finding: Finding, index: ExampleIndex) -> tuple[str, ...]:
    """Returns a line for each of the worst rows, or pairs; masked where they hold personal data.

    Args:
        finding: What was found.
        index: Finds the rows.

    Returns:
        At most two lines, what matters most first; none where the finding is on the data as a whole.
    """
    table = rows_of(finding, index)
    if table.ids:
        return tuple(
            ", ".join(
                [_row(ids, index), *(f"{title} {number(values[place])}" for title, values in table.columns.items())]
            )
            for place, ids in enumerate(table.ids[:LINES])
        )
    grids = [grid for grid in grids_of(finding, index) if grid.title == PAIRS]
    return tuple(", ".join(map(number, row)) for grid in grids for row in grid.rows[:LINES])


def _row(ids: tuple[str, ...], index: ExampleIndex) -> str:
    """One example with its label, or two with the text of the first: copies differ little."""
    example = index.show(ids[0], CHARACTERS)
    texts = "".join(f'  "{text}"' for text in example.texts)
    label = f"  {example.label}" if example.label and len(ids) == 1 else ""
    return f"{' = '.join(ids)}{texts}{label}"

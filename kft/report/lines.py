"""The worst rows of a finding in a few lines of text, for a terminal."""

from __future__ import annotations

from kft.audit.finding import Finding
from kft.report.details import PAIRS, columns_of, example_pairs, grids_of
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
    pairs = example_pairs(finding, index)
    if pairs:
        return tuple(f"{first} = {second}{_text(first, index)}" for first, second, _ in pairs[:LINES])
    if finding.rows:
        columns = columns_of(finding).items()
        return tuple(
            ", ".join([_row(row, index), *(f"{title} {number(values[place])}" for title, values in columns)])
            for place, row in enumerate(finding.rows[:LINES])
        )
    grids = [grid for grid in grids_of(finding, index) if grid.title == PAIRS]
    return tuple(", ".join(map(number, row)) for grid in grids for row in grid.rows[:LINES])


def _row(identifier: str, index: ExampleIndex) -> str:
    label = index.show(identifier).label
    return f"{identifier}{_text(identifier, index)}" + (f"  {label}" if label else "")


def _text(identifier: str, index: ExampleIndex) -> str:
    return "".join(f'  "{text}"' for text in index.show(identifier, CHARACTERS).texts)

"""What results look like: a few pieces, shown as HTML in a notebook and as one screen of plain text elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

LEFT = "text-align:left;vertical-align:top"
"""Notebooks centre or right-align cells; words read better from the left."""
WIDTH, ROWS, LINES = 110, 12, 40
"""Characters, rows of a table, and lines of a text, that plain text shows; it says how many more there are."""


@dataclass(frozen=True)
class Line:
    """Parts of one line; those that are empty say nothing.

    Example:
        >>> Line("test, 40 examples", "", "kept: <top>").as_html()
        '<p>test, 40 examples · kept: &lt;top&gt;</p>'
    """

    parts: tuple[str, ...]

    def __init__(self, *parts: Any) -> None:
        object.__setattr__(self, "parts", tuple(str(part) for part in parts if str(part)))

    def as_html(self) -> str:
        return f"<p>{' · '.join(map(escape, self.parts))}</p>"

    def as_text(self) -> Any:
        return " · ".join(self.parts)


@dataclass(frozen=True)
class ShownTable:
    """A table whose first column names the rows.

    Attributes:
        header: Titles of the columns; none leaves the head out.
        rows: One value a column; a line break in it starts a new line.

    Example:
        >>> print(ShownTable(("", "accuracy"), [("this <model>", "0.9")]).as_html())
        <table><thead><tr><th style="text-align:left;vertical-align:top"></th>...
        >>> "this &lt;model&gt;" in ShownTable((), [("this <model>",)]).as_html()
        True
    """

    header: Sequence[Any]
    rows: Sequence[Sequence[Any]]

    def as_html(self) -> str:
        head = f"<thead><tr>{''.join(_cell('th', title) for title in self.header)}</tr></thead>" if self.header else ""
        body = "".join(
            f"<tr>{''.join(_cell('td' if place else 'th', value) for place, value in enumerate(row))}</tr>"
            for row in self.rows
        )
        return f"<table>{head}<tbody>{body}</tbody></table>"

    def as_text(self) -> Any:
        from rich import box
        from rich.table import Table as Grid
        from rich.text import Text

        more = len(self.rows) - ROWS
        grid = Grid(
            box=box.SIMPLE_HEAD if self.header else None,
            show_header=bool(self.header),
            padding=(0, 2, 0, 0),
            caption=f"... and {more:,} more rows" if more > 0 else None,
            caption_justify="left",
        )
        for title in self.header or [""] * max(map(len, self.rows), default=0):
            grid.add_column(Text(str(title)))
        for row in self.rows[:ROWS]:
            grid.add_row(*(Text(str(value)) for value in row))
        return grid


def _cell(tag: str, value: Any) -> str:
    return f'<{tag} style="{LEFT}">{escape(str(value)).replace(chr(10), "<br>")}</{tag}>'


@dataclass(frozen=True)
class FileLink:
    """A file, which a notebook opens where it can reach it.

    Example:
        >>> FileLink(Path("runs/a b/report.html")).as_html()
        '<p><a href="runs/a%20b/report.html" target="_blank">runs/a b/report.html</a></p>'
    """

    path: Path

    def as_html(self) -> str:
        return f'<p><a href="{quote(str(self.path))}" target="_blank">{escape(str(self.path))}</a></p>'

    def as_text(self) -> Any:
        return str(self.path)


@dataclass(frozen=True)
class Verbatim:
    """A text that is shown as it is."""

    text: str

    def as_html(self) -> str:
        return f"<pre>{escape(self.text)}</pre>"

    def as_text(self) -> Any:
        lines = self.text.rstrip("\n").split("\n")
        more = len(lines) - LINES
        return "\n".join([*lines[:LINES], *([f"... and {more:,} more lines"] if more > 0 else [])])


Piece = Line | ShownTable | FileLink | Verbatim


class Showing(Protocol):
    """What says how it is shown."""

    def shown(self) -> Iterable[Piece]:
        """The pieces, in order."""


Shown = TypeVar("Shown", bound=type[Showing])


def shows(kind: Shown) -> Shown:
    """Makes a class of results show themselves: in a notebook, and in a terminal where nothing is longer than a screen.

    Example:
        >>> @shows
        ... @dataclass(frozen=True)
        ... class Found:
        ...     n: int
        ...
        ...     def shown(self):
        ...         return [Line(f"{self.n} rows"), ShownTable(("", "share"), [("train", "0.8")])]
        >>> print(Found(3))
        3 rows
                 share
         ───────────────
         train   0.8
    """
    for name, show in (("_repr_html_", _in_html), ("__repr__", _in_plain)):
        setattr(kind, name, show)
    return kind


def _in_html(result: Showing) -> str:
    return "".join(piece.as_html() for piece in result.shown())


def _in_plain(result: Showing) -> str:
    import io

    from rich.console import Console

    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, force_jupyter=False, highlight=False)
    with console.capture() as captured:
        for piece in result.shown():
            console.print(piece.as_text(), markup=False)
    lines = [line.rstrip() for line in captured.get().split("\n")]
    return "\n".join(line for line in lines if line)

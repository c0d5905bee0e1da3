"""What results look like in a notebook: small tables in its own colours, light or dark, everything escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

LEFT = "text-align:left;vertical-align:top"
"""Notebooks centre or right-align cells; words read better from the left."""


def paragraph(*parts: Any) -> str:
    """Returns the parts that say something as one line.

    Example:
        >>> paragraph("test, 40 examples", "", "kept: <top>")
        '<p>test, 40 examples · kept: &lt;top&gt;</p>'
    """
    return f"<p>{' · '.join(escape(str(part)) for part in parts if str(part))}</p>"


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """Returns a table whose first column names the rows.

    Args:
        header: Titles of the columns; none leaves the head out.
        rows: One value a column; a line break in it starts a new line.
        caption: What the table shows.

    Example:
        >>> print(table(("", "accuracy"), [("this <model>", "0.9")]))
        <table><thead><tr><th style="text-align:left;vertical-align:top"></th>...
        >>> "this &lt;model&gt;" in table((), [("this <model>",)])
        True
    """
    shown = f"<caption>{escape(caption)}</caption>" if caption else ""
    head = f"<thead><tr>{''.join(_cell('th', title) for title in header)}</tr></thead>" if header else ""
    body = "".join(
        f"<tr>{''.join(_cell('td' if place else 'th', value) for place, value in enumerate(row))}</tr>" for row in rows
    )
    return f"<table>{shown}{head}<tbody>{body}</tbody></table>"


def _cell(tag: str, value: Any) -> str:
    return f'<{tag} style="{LEFT}">{escape(str(value)).replace(chr(10), "<br>")}</{tag}>'


def link(path: Path) -> str:
    """Returns a link to a file, which the notebook opens where it can reach it.

    Example:
        >>> link(Path("runs/a b/report.html"))
        '<p><a href="runs/a%20b/report.html" target="_blank">runs/a b/report.html</a></p>'
    """
    return f'<p><a href="{quote(str(path))}" target="_blank">{escape(str(path))}</a></p>'

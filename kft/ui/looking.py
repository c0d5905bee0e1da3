"""The first look at a file, for the page: its columns, its first rows, what could be learnt; and the recipe for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kft.api.drafting import draft
from kft.characters import shorten, visible
from kft.data.examples import NamedColumns
from kft.data.reading import open_table
from kft.errors import KftError, UsageError
from kft.records.files import write_file
from kft.tasks.cells import as_text
from kft.tasks.names import ABOUT
from kft.ui.folder import new_recipe, place_of, source_of
from kft.ui.jobs import ELSEWHERE
from kft.ui.telling import for_the_page, told_error

SHOWN_ROWS, SHOWN_COLUMNS, SHOWN_CHARACTERS = 5, 30, 160
SHOWN_LABELS = 12
KEYS = ("name", "task", "text", "pair", "label")


def look(root: Path, asked: Mapping[str, str]) -> dict[str, Any]:
    """Returns what the page shows of a file or folder: ``columns`` and ``rows`` of a table, and a look or an error.

    Args:
        root: The folder.
        asked: ``name``, and what is known of ``task``, ``text``, ``pair``, ``label``; empty where it is guessed.

    Raises:
        UsageError: The file is outside the folder, or too large.
        DataError: It is gone.
    """
    source = source_of(root, asked["name"])
    path = place_of(root, asked["name"])
    shown: dict[str, Any] = {"columns": [], "rows": [], "look": None, "error": None}
    try:
        if path.is_file():
            shown |= _first_rows(path)
        seen, lengths, _ = draft(source, new_recipe(root, source), **_known(asked))
    except KftError as error:
        return shown | {"error": told_error(error)}
    tokens = [] if lengths is None else [("tokens", lengths.described())]
    said = seen.as_dict() | {
        "summary": [(title, visible(line)) for title, line in (*seen.summary(), *tokens)],
        "warnings": [visible(for_the_page(warning)) for warning in seen.warnings],
        "largest": [(visible(name), count, visible(example)) for name, count, example in seen.largest(SHOWN_LABELS)],
    }
    return shown | {"look": said | {"task_about": seen.task.about}}


def write_recipe(root: Path, asked: Mapping[str, str]) -> str:
    """Writes the recipe for data, as ``kft init`` does, and returns its name.

    Raises:
        KftError: As ``look``, or the data cannot be learnt from, or the folder cannot be written.
    """
    source = source_of(root, asked["name"])
    target = new_recipe(root, source)
    _, _, written = draft(source, target, **_known(asked))
    write_file(target, written, elsewhere=ELSEWHERE)
    return target.name


def _known(asked: Mapping[str, str]) -> dict[str, Any]:
    task = asked.get("task") or None
    if task is not None and task not in ABOUT:
        raise UsageError("there is no such task", received=task[:80], expected=", ".join(ABOUT))
    text, label, pair = (asked.get(name) or None for name in ("text", "label", "pair"))
    return {"task": task, "named": replace(NamedColumns(), text=text, label=label, pair=pair)}


def _first_rows(path: Path) -> dict[str, Any]:
    frame = open_table(path).frame
    columns = [str(name) for name in frame.columns]
    head = frame.iloc[:SHOWN_ROWS, :SHOWN_COLUMNS]
    rows = [[visible(shorten(as_text(cell), SHOWN_CHARACTERS)) for cell in row] for row in head.itertuples(index=False)]
    return {"columns": columns, "rows": rows}

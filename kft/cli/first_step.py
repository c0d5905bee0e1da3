"""What `kft` alone says below its help: the next sensible command for the folder it stands in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from kft.recipe.shipped import TABLES, is_recipe

MOST = 200
"""Entries of a folder that are looked at: help has to come at once, in any folder."""


def first_step(folder: Path) -> str:
    """Returns one command for a person who stands in a folder; looks at names, and at no data.

    A run that stopped comes before one that is done, that before a recipe, and a recipe before a table; of several
    runs or recipes the newest.
    """
    entries = sorted(_entries(folder), key=lambda path: path.name)
    runs = [path for path in (folder, *_entries(folder / "runs")) if (path / "receipt.json").is_file()]
    if runs:
        newest = max(runs, key=lambda path: (path / "receipt.json").stat().st_mtime)
        name = quote(os.path.relpath(newest, folder))
        if not any((newest / file).is_file() for file in ("metrics.json", "compare.json")):
            return f"kft train {name}/recipe.yaml --run {name} --resume goes on with what was stopped"
        if (newest / "metrics.json").is_file() and not (newest / "report.html").is_file():
            return f"kft report {name} writes a page of what was reached"
        return f"kft runs{' ..' if newest == folder else ''} lists what was trained"
    recipes = [path for path in entries if path.suffix in (".yaml", ".yml") and is_recipe(path)]
    if recipes:
        name = quote(max(recipes, key=lambda path: path.stat().st_mtime).name)
        return f"kft check {name} audits the data, then kft train {name}"
    for path in entries:
        if path.suffix in TABLES:
            return f"kft init {quote(path.name)} -o recipe.yaml writes a recipe for it"
    return "kft recipes shows recipes to begin with; kft init DATA writes one for your own data"


def _entries(folder: Path) -> Iterator[Path]:
    try:
        for number, path in enumerate(folder.iterdir()):
            if number < MOST and not path.name.startswith("."):
                yield path
    except OSError:
        return

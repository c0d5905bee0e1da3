"""The recipes that ship with kft, read from the installed package."""

from __future__ import annotations

from pathlib import Path

from kft.errors import UsageError
from kft.registry import nearest

TABLES = (".csv", ".tsv", ".jsonl", ".parquet", ".xlsx")
"""Endings of data: somebody who names such a file in place of a recipe has no recipe yet."""


def recipes_folder() -> Path:
    """Returns the folder of the shipped recipes: inside the wheel, or beside kft/ in a checkout."""
    installed = Path(__file__).parents[1] / "_recipes"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "recipes"


def shipped_recipes() -> dict[str, Path]:
    """Returns name to file, such as ``sentiment/product_reviews``."""
    folder = recipes_folder()
    return {str(path.relative_to(folder).with_suffix("")): path for path in sorted(folder.rglob("*.yaml"))}


def find_recipe(name: str) -> Path:
    """Returns a shipped recipe's file.

    Raises:
        UsageError: No recipe has this name.
    """
    known = shipped_recipes()
    key = name.removesuffix(".yaml")
    if key in known:
        return known[key]
    hint = nearest(key, known)
    raise UsageError(
        f"no shipped recipe is called {name!r}" + (f"; did you mean {hint!r}?" if hint else ""),
        received=name,
        expected="one of " + ", ".join(known),
        next_step="kft recipes",
    )


def purpose(path: Path) -> str:
    """Returns the purpose that a recipe's opening comment states."""
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.lstrip("# ")
        if text.startswith("purpose:"):
            return text.removeprefix("purpose:").strip()
    return ""


def is_recipe(path: Path) -> bool:
    """Whether a YAML file looks like a recipe: it names a task."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return any(line.startswith("task:") for line in file.read(10_000).splitlines())
    except OSError:
        return False

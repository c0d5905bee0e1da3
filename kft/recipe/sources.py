"""How sources of data are written in a recipe: one or several, shares, globs, URLs, ``tfds:``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, overload

from kft.recipe.durations import parse_percent

DATAFRAME = "dataframe"
"""The value of ``data.train`` when Python passed a DataFrame instead of a file."""
TFDS = "tfds:"
URL = re.compile(r"(?!(?:hf|kaggle|https?|ftp|file)://)[a-z][a-z0-9+.-]+://", re.IGNORECASE)
"""What fsspec is asked for: file systems, not websites."""


def parse_share(source: str | tuple[str, ...] | list[str]) -> float | None:
    """Returns the fraction that a source such as ``"15%"`` stands for, or None where it is no share.

    Example:
        >>> parse_share("15%"), parse_share("valid.csv"), parse_share(("a.csv", "b.csv"))
        (0.15, None, None)
    """
    return parse_percent(source) if isinstance(source, str) else None


def is_glob(source: str) -> bool:
    """Whether a source stands for all files that match it; only paths are globs.

    Example:
        >>> is_glob("parts/*.csv"), is_glob("tfds:imdb_reviews?split=train"), is_glob("gs://bucket/a.csv")
        (True, False, False)
    """
    return bool(re.search(r"[*?[]", source)) and not is_named(source)


def is_named(source: str) -> bool:
    """Whether a source is no path: ``package:``, ``tfds:``, a URL."""
    return bool(re.match(r"[a-z][a-z0-9+.-]+:", source, re.IGNORECASE))


@overload
def absolute_source(source: str, base: Path) -> str: ...
@overload
def absolute_source(source: Any, base: Path) -> Any: ...
def absolute_source(source: Any, base: Path) -> Any:
    """Returns a source that means the same from any folder: paths made absolute, anything else as it is.

    Example:
        >>> absolute_source(["package:x", "a.csv", "15%"], Path("/data"))
        ['package:x', '/data/a.csv', '15%']
    """
    if not isinstance(source, str):
        return [absolute_source(one, base) for one in source]
    if source.startswith(TFDS):
        folder, question, split = source.removeprefix(TFDS).partition("?")
        found = tfds_folder(folder, base)
        return source if found is None else f"{TFDS}{found.resolve()}{question}{split}"
    if parse_percent(source) is not None or source == DATAFRAME or is_named(source):
        return source
    return str((base / Path(source).expanduser()).resolve())


def tfds_folder(place: str, base: Path) -> Path | None:
    """Returns the folder that the middle of ``tfds:PLACE?split=SPLIT`` names, or None where it is a data set's name.

    Example:
        >>> tfds_folder("imdb_reviews/plain_text:1.0.0", Path("/data")), tfds_folder("./prepared", Path("/data"))
        (None, PosixPath('/data/prepared'))
    """
    folder = base / Path(place).expanduser()
    return folder if place.startswith((".", "/", "~")) or folder.is_dir() else None

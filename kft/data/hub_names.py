"""Names of classes that Hugging Face's datasets keeps in a parquet file's metadata, in the place of their numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kft.errors import DataError

KEY = b"huggingface"


def class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """Returns the names of each column that holds numbers of classes, or lists of them.

    Example:
        >>> features = {"y": {"names": ["no", "yes"], "_type": "ClassLabel"}, "n": {"_type": "Value"}}
        >>> class_names({KEY: json.dumps({"info": {"features": features}}).encode()})
        {'y': ('no', 'yes')}
    """
    try:
        features = json.loads((metadata or {}).get(KEY, b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    found = {name: _names(feature) for name, feature in features.items()} if isinstance(features, dict) else {}
    return {name: names for name, names in found.items() if names}


def _names(feature: Any) -> tuple[str, ...]:
    """Returns the names in a feature, or in the list that it is."""
    if isinstance(feature, list) and len(feature) == 1:
        return _names(feature[0])
    if not isinstance(feature, dict):
        return ()
    if feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list):
        return tuple(map(str, feature["names"]))
    return _names(feature["feature"]) if "feature" in feature else ()


def name_cells(cells: Sequence[Any], names: Sequence[str], path: Path, column: str) -> list[Any]:
    """Returns cells with names for numbers; -1 and nothing are empty, as in that format.

    Raises:
        DataError: A number has no name.

    Example:
        >>> name_cells([0, [1, -1]], ["no", "yes"], Path("a.parquet"), "y")
        ['no', ['yes', '']]
    """

    def named(cell: Any) -> Any:
        if isinstance(cell, list):
            return [named(each) for each in cell]
        if isinstance(cell, str):
            return cell
        if cell is None or cell == -1:
            return ""
        if not isinstance(cell, int) or not 0 <= cell < len(names):
            raise DataError(
                "a class has a number without a name",
                where=f"{path}, column {column!r}",
                received=repr(cell)[:40],
                expected=f"0 to {len(names) - 1}, for {', '.join(names[:6])}" + (" ..." if len(names) > 6 else ""),
                next_step="write the file again with the metadata that belong to it",
            )
        return names[cell]

    return [named(cell) for cell in cells]

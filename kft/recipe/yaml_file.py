"""Reads a YAML file that a person wrote, and says what is wrong with it as a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from kft.recipe.explain import RECIPE, Document
from kft.registry import nearest


def read_yaml(path: Path, document: Document = RECIPE) -> Any:
    """Reads a YAML file that holds keys.

    Args:
        path: The file.
        document: What it is, for messages.

    Returns:
        A mapping by ruamel.yaml, which knows the line of everything in it; see ``as_plain``.

    Raises:
        KftError: The document's kind of error: there is no such file, it is no YAML, or it holds no keys.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        folder = path.parent
        names = [p.name for p in folder.glob("*.y*ml")] if folder.is_dir() else []
        hint = nearest(path.name, names)
        raise document.error(
            f"no {document.noun} at {path}" + (f"; did you mean {folder / hint}?" if hint else ""),
            received=str(path),
            expected="a YAML file",
            next_step=document.write,
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise document.error(
            f"the {document.noun} cannot be read", where=str(path), received=str(error), expected="a YAML file in UTF-8"
        ) from None
    try:
        raw = YAML(typ="rt").load(text)
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        problem = (error.problem if isinstance(error, MarkedYAMLError) else None) or str(error).splitlines()[0]
        raise document.error(
            f"the {document.noun} is not valid YAML",
            where=f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path),
            received=problem,
            expected="`key: value` pairs, indented with spaces",
            next_step=document.example,
        ) from None
    if not isinstance(raw, Mapping):
        raise document.error(
            f"the {document.noun} {'is empty' if raw is None else 'holds no keys'}",
            where=str(path),
            expected=document.keys,
            next_step=document.write,
        )
    return raw


def as_plain(raw: Any) -> Any:
    """Returns ruamel's containers and scalars as plain Python."""
    if isinstance(raw, Mapping):
        return {str(key): as_plain(value) for key, value in raw.items()}
    if isinstance(raw, (list, tuple)):
        return [as_plain(value) for value in raw]
    if isinstance(raw, bool) or raw is None:
        return raw
    for kind in (int, float, str):
        if isinstance(raw, kind):
            return kind(raw)
    return str(raw)

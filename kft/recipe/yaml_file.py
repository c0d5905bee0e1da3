"""Reads a YAML file that a person wrote, and says what is wrong with it as a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from kft.errors import KftError, require_plain
from kft.recipe.explain import RECIPE, Document
from kft.recipe.limits import DEEPEST, MOST_BYTES, MOST_VALUES, TooMuch, require_bounded
from kft.recipe.shipped import TABLES
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
    require_plain(str(path), f"the {document.noun}'s file name", document.error)
    if path.suffix.lower() in TABLES and path.is_file():
        raise document.error(
            f"{path.name} is a table, not a {document.noun}",
            where=str(path),
            expected="a YAML file",
            next_step=f"kft init {quote(str(path))} -o recipe.yaml writes a recipe for it",
        )
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise _too_much(document, path, f"more than {MOST_BYTES:,} bytes")
        text = content.decode("utf-8-sig")
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
        raw = parse_yaml(text)
    except TooMuch as error:
        raise _too_much(document, path, str(error)) from None
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


def parse_yaml(text: str) -> Any:
    """Returns what a YAML text says, by ruamel.yaml; no text takes long, or grows when it is read.

    Args:
        text: A file, or the value of a setting.

    Raises:
        TooMuch: A limit is exceeded.
        YAMLError: It is no YAML, or a value in it is not what its tag or form promises.
    """
    require_bounded(text)
    try:
        return YAML(typ="rt").load(text)
    except (YAMLError, TooMuch):
        raise
    except Exception as error:  # a date that is none, a number of thousands of digits, a tag that does not fit
        raise YAMLError(
            f"a value cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from None


def _too_much(document: Document, path: Path, received: str) -> KftError:
    return document.error(
        f"the {document.noun} is larger than any that kft reads",
        where=str(path),
        received=received,
        expected=f"at most {MOST_BYTES:,} bytes, {MOST_VALUES:,} values and {DEEPEST} levels (docs/security.md)",
        next_step=document.example,
    )


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

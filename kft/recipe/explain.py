"""Turns pydantic's errors into one message: every error at once, with its key, its line and a near-miss hint."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml.comments import CommentedMap

from kft.characters import visible
from kft.errors import KftError, RecipeError
from kft.recipe.schema import RecipeSpec
from kft.registry import nearest

Misfit = tuple[Sequence[str | int], str]
"""Where in a document, and what is wrong there."""


@dataclass(frozen=True)
class Document:
    """A kind of YAML file that a person writes, and what messages say of it.

    Attributes:
        noun: What it is called.
        model: What it has to fit.
        error: The kind of error.
        keys: What stands at its top.
        write: The command that writes a first one.
        example: How one sees one that works.
        help: Where every key stands.
    """

    noun: str
    model: type[BaseModel]
    error: type[KftError]
    keys: str
    write: str
    example: str
    help: str


RECIPE = Document(
    noun="recipe",
    model=RecipeSpec,
    error=RecipeError,
    keys="`task:`, `data:` and so on",
    write="kft init DATA -o recipe.yaml writes one for your data; kft recipes lists those that ship",
    example="kft recipes show sentiment/product_reviews is a working example",
    help="`kft recipe schema` lists every key",
)


def explain_errors(
    error: ValidationError, lines: CommentedMap | None, where: str, document: Document = RECIPE
) -> KftError:
    """Returns the error for a recipe, or another document, that did not validate.

    Args:
        error: What pydantic found.
        lines: The file as ruamel.yaml read it, which knows the lines; None for a Python mapping.
        where: The file, or "recipe".
        document: What it is.
    """
    found = []
    for issue in error.errors():
        location = tuple(part for part in issue["loc"] if part != "[key]")
        found.append((location, _explain(issue, location, document.model)))
    return recipe_error(found, lines, where, document)


def recipe_error(
    found: Sequence[Misfit],
    lines: CommentedMap | None,
    where: str,
    document: Document = RECIPE,
) -> KftError:
    """Returns one error for everything that is wrong: where in the recipe, or other document, and what."""
    messages = []
    for location, text in found:
        line = _line_of(lines, location)
        message = visible(f"{dotted(location) or document.noun}: {text}") + (f" (line {line})" if line else "")
        if message not in messages:
            messages.append(message)
    count = f"{len(messages)} error{'s' if len(messages) > 1 else ''}"
    return document.error(
        "\n".join([f"the {document.noun} is not valid: {count}", *(f"  - {message}" for message in messages)]),
        where=where,
        next_step=f"mend the lines above; {document.help}",
    )


def dotted(location: Sequence[str | int]) -> str:
    """Returns ``train.phases[1].lr`` for ``("train", "phases", 1, "lr")``; empty for the whole."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def _line_of(lines: Any, location: Sequence[str | int]) -> int | None:
    found, target = None, lines
    for part in location:
        try:
            position = target.lc.key(part) if isinstance(target, CommentedMap) else target.lc.item(part)
            found, target = position[0] + 1, target[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return found


def _explain(issue: Any, location: Sequence[str | int], model: type[BaseModel]) -> str:
    received, kind = issue["input"], issue["type"]
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1], model)
        hint = nearest(str(location[-1]), known)
        return "unknown key" + (f"; did you mean {hint}?" if hint else "") + f" (known: {', '.join(known)})"
    if kind == "missing":
        return "missing; " + _described(location, model)
    expected = _expected(issue, location, model)
    text = f"received {_short(received)}, expected {expected}"
    if isinstance(received, str) and kind in ("literal_error", "enum"):
        hint = nearest(received, re.findall(r"'([^']+)'", expected))
        text += f"; did you mean {hint}?" if hint else ""
    elif kind == "less_than_equal" and isinstance(received, (int, float)) and location[-1] == "lr":
        text += f"; did you mean {received:g}e-5?"
    return text


def _expected(issue: Any, location: Sequence[str | int], model: type[BaseModel]) -> str:
    kind, name = issue["type"], str(location[-1]) if location else "the file"
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        return _range(location, model) or issue["msg"]
    if kind == "value_error":
        return str(issue["ctx"]["error"])
    if kind == "literal_error":
        return str(issue["ctx"]["expected"])
    if kind == "string_pattern_mismatch":
        return "a name of letters, digits, dots, dashes and underscores"
    readable = {
        "int_parsing": "a whole number",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_parsing": "a number",
        "float_type": "a number",
        "string_type": "text",
        "bool_parsing": "true or false",
        "tuple_type": "a list",
        "dict_type": "`key: value` pairs",
        "model_type": "`key: value` pairs",
        "too_short": f"a longer list for {name}",
        "finite_number": "a finite number",
        "too_long": f"at most {issue.get('ctx', {}).get('max_length')} in {name}",
    }
    return readable.get(kind, issue["msg"])


def _field(location: Sequence[str | int], model: Any) -> Any:
    """Returns the schema's field at a location, or None."""
    field = None
    for part in location:
        if isinstance(part, int):
            continue
        if not (isinstance(model, type) and issubclass(model, BaseModel)) or part not in model.model_fields:
            return None
        field = model.model_fields[part]
        model = _model_in(field.annotation)
    return field


def _model_in(annotation: Any) -> Any:
    """Returns the Spec inside an annotation such as ``tuple[PhaseSpec, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


def _known_keys(location: Sequence[str | int], model: type[BaseModel]) -> list[str]:
    named = any(isinstance(part, str) for part in location)
    found = _model_in(getattr(_field(location, model), "annotation", None)) if named else model
    return list(found.model_fields) if found else []


def _described(location: Sequence[str | int], model: type[BaseModel]) -> str:
    field = _field(location, model)
    return f"expected {field.description}" if field is not None and field.description else "a value is needed"


def _range(location: Sequence[str | int], model: type[BaseModel]) -> str | None:
    field = _field(location, model)
    if field is None:
        return None
    low = high = ""
    for limit in field.metadata:
        for sign, attribute in (("<", "gt"), ("<=", "ge")):
            low = f"{getattr(limit, attribute):g} {sign} " if hasattr(limit, attribute) else low
        for sign, attribute in (("<", "lt"), ("<=", "le")):
            high = f" {sign} {getattr(limit, attribute):g}" if hasattr(limit, attribute) else high
    return f"{low}{location[-1]}{high}"


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."

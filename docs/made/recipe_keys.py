"""The page of recipe keys, from the schema that reads recipes."""

import json

from kft.recipe.schema import RecipeSpec
from kft.tasks.registry import TASKS

INTRO = """# Recipe keys

Every key of a recipe, from the schema that `kft train` reads it by. An unknown key is an error that names the nearest
known one. `kft recipe schema` prints the same as JSON Schema, for editors. Any key can be set for one run:
`--set train.batch_size=16`.
"""


def page() -> str:
    """The whole page."""
    schema = RecipeSpec.model_json_schema()
    parts = [INTRO]
    for key, value in schema["properties"].items():
        if "$ref" in value:
            parts += _section(key, _named(value), schema["$defs"])
    top = {key: value for key, value in schema["properties"].items() if "$ref" not in value}
    parts.insert(1, "## At the top\n\n" + _table(top, schema.get("required", []), "", {}))
    parts.append(_of_tasks())
    return "\n\n".join(parts) + "\n"


def _section(key, name, definitions, level=2):
    """Yields a heading and a table for a group of keys, then those of the groups below it."""
    spec = definitions[name]
    yield f"{'#' * level} `{key}`"
    yield spec.get("description", "").replace("``", "`")
    below: dict[str, str] = {}
    yield _table(spec.get("properties", {}), spec.get("required", []), f"{key}.", below)
    for inner, inner_name in below.items():
        yield from _section(inner, inner_name, definitions, min(level + 1, 4))


def _table(properties, required, prefix, below):
    rows = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for name, value in properties.items():
        inner = _named(value)
        if inner:
            below[f"{prefix}{name}"] = inner
        default = "required" if name in required else _default(value)
        cells = (f"`{prefix}{name}`", _kind(value), default, value.get("description", ""))
        rows.append("| " + " | ".join(cell.replace("|", "\\|").replace("[", "\\[") for cell in cells) + " |")
    return "\n".join(rows)


def _named(value):
    """The group of keys that a value is, or may be."""
    options = (value, value.get("items", {}), *value.get("anyOf", ()))
    found = [each.get("$ref") or each.get("items", {}).get("$ref") for each in options if isinstance(each, dict)]
    return next((name.rsplit("/", 1)[1] for name in found if name), None)


def _default(value):
    if "default" not in value:
        return ""
    return "none" if value["default"] is None else f"`{json.dumps(value['default'], ensure_ascii=False)}`"


def _kind(value):
    """A value's kind and limits, in words."""
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_kind(each) for each in value["anyOf"] if each.get("type") != "null"))
    if "enum" in value:
        return ", ".join(f"`{each}`" for each in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if "x-names" in value:
        return f"name of a {value['x-names']}"
    if "$ref" in value:
        return "keys below"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "keys and values"}
    if value.get("type") == "array":
        return f"list of {_kind(value['items'])}" if value.get("items") else "list"
    kind = words.get(value.get("type"), value.get("type", "any"))
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [
        f"{sign} {value[limit]:g}" for limit, sign in limits.items() if limit in value and abs(value[limit]) < 1e9
    ]
    return ", ".join([kind, *bounds])


def _of_tasks():
    rows = ["## Keys of some tasks alone", "", "The other tasks refuse them by name.", ""]
    rows += ["| key | tasks |", "| --- | --- |"]
    for key in sorted({key for task in TASKS for key in task.keys}):
        obeying = [f"`{task.name}`" for task in TASKS if key in task.keys and key not in task.refuses]
        rows.append(f"| `{key}` | {', '.join(obeying)} |")
    return "\n".join(rows)

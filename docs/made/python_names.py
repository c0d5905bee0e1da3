"""The page of public names: what mkdocstrings is to show, read off kft's own list of them."""

import ast
from functools import cache
from pathlib import Path

import kft

ROOT = Path(__file__).parents[2]
INTRO = """# Python

The names of `import kft`: one function a command, and the parts for a training loop of one's own. `import kft` is quick
and loads no TensorFlow. Every function raises a `KftError`, never a bare traceback, where a person can mend something.
"""
EXTENDING = (
    "kft.model.blocks.BlockPatterns",
    "kft.metrics.metric.Metric",
    "kft.audit.check.Check",
    "kft.audit.check.register_check",
    "kft.tasks.task.Task",
    "kft.tasks.registry.register_task",
)
"""What docs/extending.md adds to kft by."""


def page() -> str:
    """The whole page."""
    functions = {name: module for name, module in kft._PUBLIC.items() if not name[0].isupper()}
    parts = [INTRO, "## Functions", *(_shown(f"{module}.{name}", f"kft.{name}") for name, module in functions.items())]
    results = dict.fromkeys(found for name, module in functions.items() for found in _returned(module, name))
    parts += ["## What they return", *(_shown(path, path.rsplit(".", 1)[1]) for path in sorted(results, key=_last))]
    parts += ["## Errors", _shown("kft.errors.KftError", "kft.KftError")]
    parts += ["## To extend kft", *(_shown(path, path) for path in EXTENDING)]
    return "\n\n".join(parts) + "\n"


def _shown(path, heading):
    return f"::: {path}\n    options:\n      heading: {heading}\n      heading_level: 3"


def _last(path):
    return path.rsplit(".", 1)[1]


@cache
def _tree(module):
    return ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))


def _returned(module, name):
    """Yields the paths of kft's own classes in a function's return annotation."""
    tree = _tree(module)
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    names = (
        {node.id for node in ast.walk(function.returns) if isinstance(node, ast.Name)} if function.returns else set()
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kft."):
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name in names)
        if isinstance(node, ast.ClassDef) and node.name in names:
            yield f"{module}.{node.name}"

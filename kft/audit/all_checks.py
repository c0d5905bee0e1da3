"""Every check: the files of kft/audit/checks, found by looking."""

from __future__ import annotations

import importlib
import pkgutil

from kft.audit import checks
from kft.audit.check import CHECKS, register_check
from kft.recipe.explain import recipe_error
from kft.recipe.load import Recipe
from kft.registry import nearest

_found = [
    importlib.import_module(f"{checks.__name__}.{file.name}").CHECK for file in pkgutil.iter_modules(checks.__path__)
]
for _check in sorted(_found, key=lambda check: check.rank):
    register_check(_check)


def require_known_checks(recipe: Recipe) -> None:
    """Refuses a recipe that skips what is no check: it would silently go on being run.

    Raises:
        RecipeError: Lists every unknown name in ``audit.skip``, with the nearest one there is.

    Example:
        >>> from kft.tasks.recipes import load_recipe
        >>> recipe = load_recipe({"task": "text-classification", "data": {"train": "a.csv"}})
        >>> require_known_checks(recipe)
    """
    found = []
    for position, name in enumerate(recipe.spec.audit.skip):
        if name not in CHECKS:
            hint = nearest(name, CHECKS.names())
            text = f"unknown check {name!r}" + (f"; did you mean {hint}?" if hint else "")
            found.append((("audit", "skip", position), f"{text} (known: {', '.join(CHECKS.names())})"))
    if found:
        raise recipe_error(found, None, str(recipe.path or "recipe"))

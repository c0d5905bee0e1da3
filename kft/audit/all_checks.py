"""Every check, registered by being imported: one line here for each file.

The order is that of the list that ``kft check --list`` prints.
"""

from __future__ import annotations

# isort: off
from kft.audit import (  # noqa: F401
    amount,
    size,
    unusable,
    leakage,
    duplicates,
    conflicts,
    imbalance,
    shortcuts,
    lengths,
    encoding,
    language,
    image_quality,
    personal,
    slices,
    sensitive,
    label_noise,
    confusable_classes,
    outliers,
    shift,
    learning_curve,
)

# isort: on
from kft.audit.check import CHECKS
from kft.recipe.explain import recipe_error
from kft.recipe.load import Recipe
from kft.registry import nearest


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

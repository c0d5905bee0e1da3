"""Calls of the public functions: an argument that cannot be meant is one of kft's errors, not a traceback."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, signature
from typing import Any, ParamSpec, TypeVar

from kft.errors import UsageError
from kft.registry import nearest

P = ParamSpec("P")
R = TypeVar("R")

PATH = (str, os.PathLike)
"""Types of what names a file or a folder."""


def are_tables(value: Any) -> bool:
    """Whether a value is a DataFrame, or DataFrames by their names."""
    several = list(value.values()) if isinstance(value, Mapping) else [value]
    return bool(several) and all(hasattr(each, "columns") for each in several)


def _is_recipe(value: Any) -> bool:
    return isinstance(value, (*PATH, Mapping)) or are_tables(value) or hasattr(value, "spec")


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(each, str) for each in value)


KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "recipe": (_is_recipe, "a recipe: a path, a mapping, one from kft.load_recipe, or a DataFrame"),
    "run": (lambda value: isinstance(value, PATH), 'the path of a run folder, such as "runs/recipe-1"'),
    "against": (lambda value: isinstance(value, PATH), "the path of another run folder"),
    "output": (lambda value: isinstance(value, PATH), "a path"),
    "data": (
        lambda value: are_tables(value) or isinstance(value, PATH),
        'a DataFrame, or DataFrames by split: {"train": ..., "test": ...}',
    ),
    "overrides": (_is_list_of_texts, 'a list of settings: ["train.batch_size=16"]'),
    "approaches": (_is_list_of_texts, 'a list of names: ["majority", "probe"]'),
    "backbones": (_is_list_of_texts, 'a list of names: ["minilm-l6", "weights/my-bert"]'),
    "devices": (lambda value: isinstance(value, str), '"auto", "one", "cpu:2", "multi-gpu", "multi-worker" or "tpu"'),
    "resume": (lambda value: isinstance(value, bool), "True or False"),
    "quiet": (lambda value: isinstance(value, bool), "True or False"),
}
"""What arguments of these names can be, in any function; None where that is the default."""


def checked(function: Callable[P, R], name: str) -> Callable[P, R]:
    """Returns a function that refuses unknown, missing and impossible arguments by name.

    Args:
        function: The function.
        name: What people call it, such as ``kft.train``.

    Raises:
        UsageError: By the function that is returned.

    Example:
        >>> def train(recipe, *, quiet=False): ...
        >>> checked(train, "kft.train")("a.yaml", quite=True)
        Traceback (most recent call last):
        ...
        kft.errors.UsageError: kft.train has no argument 'quite'; did you mean 'quiet'?
          received: quite=True
          expected: kft.train(recipe, *, quiet=False)
    """
    known = signature(function)
    takes = {key for key, parameter in known.parameters.items() if parameter.kind is not Parameter.POSITIONAL_ONLY}

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for key, value in kwargs.items():
            if key not in takes:
                hint = nearest(key, takes)
                said = f"; did you mean {hint!r}?" if hint else ""
                raise _refusal(
                    f"{name} has no argument {key!r}{said}", f"{key}={_shown(value)}", f"{name}{_short(known)}"
                )
        try:
            bound = known.bind(*args, **kwargs)
        except TypeError as error:
            received = ", ".join([*map(_shown, args), *(f"{key}={_shown(value)}" for key, value in kwargs.items())])
            raise _refusal(f"{name}: {error}", received or "no argument", f"{name}{_short(known)}") from None
        for key, value in bound.arguments.items():
            fits, expected = KINDS.get(key, (None, ""))
            if fits and not fits(value) and value is not known.parameters[key].default:
                raise _refusal(f"{name} cannot take this as {key!r}", f"{key}={_shown(value)}", expected)
        return function(*args, **kwargs)

    return call


def _refusal(problem: str, received: str, expected: str) -> UsageError:
    return UsageError(problem, received=received, expected=expected)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 and "\n" not in text else f"a {type(value).__name__}"


def _short(known: Any) -> str:
    """Returns a signature without types."""
    plain = [parameter.replace(annotation=Parameter.empty) for parameter in known.parameters.values()]
    return str(known.replace(parameters=plain, return_annotation=Parameter.empty))

"""Names that go: they warn until the version that no longer has them, and stop the build of that version."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from kft import __version__

Taken = ParamSpec("Taken")
Given = TypeVar("Given")


def deprecated(*, since: str, until: str, instead: str) -> Callable[[Callable[Taken, Given]], Callable[Taken, Given]]:
    """Returns a decorator for a function that will go: each place that calls it is warned once.

    Args:
        since: The version that first warns.
        until: The version that no longer has it.
        instead: What to call or to write in its place.

    Raises:
        RuntimeError: This is the version that should no longer have it: remove the function.

    Example:
        >>> @deprecated(since="0.1.0", until="999.0.0", instead="kft.evaluate")
        ... def score(run):
        ...     return run
        >>> with warnings.catch_warnings(record=True) as seen:
        ...     warnings.simplefilter("always")
        ...     _ = score("runs/a")
        >>> print(seen[0].message)
        score is deprecated since kft 0.1.0 and goes in 999.0.0: use kft.evaluate
    """

    def decorate(function: Callable[Taken, Given]) -> Callable[Taken, Given]:
        name = function.__name__
        if _numbers(__version__) >= _numbers(until):
            raise RuntimeError(f"kft {__version__} should no longer have {name}, which was to go in {until}: remove it")

        @functools.wraps(function)
        def warned(*args: Taken.args, **kwargs: Taken.kwargs) -> Given:
            text = f"{name} is deprecated since kft {since} and goes in {until}: use {instead}"
            warnings.warn(text, DeprecationWarning, stacklevel=2)
            return function(*args, **kwargs)

        return warned

    return decorate


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))

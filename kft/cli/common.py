"""Options and output that the commands share."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from kft.recipe.shipped import shipped_recipes
from kft.terminal import SafeConsole, echo, echo_json
from kft.terms import TERMS

if TYPE_CHECKING:
    from kft.recipe.load import Recipe

Command = TypeVar("Command", bound=Callable[..., Any])

WIDEST = 110
"""Columns of a terminal that long lines take at most: wider ones are hard to read."""
_state: dict[str, Any] = {"debug": False}


def debug_wanted() -> bool:
    """Whether --debug was given."""
    return bool(_state["debug"])


def _set_debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    _state["debug"] = value


def debug_option(command: Command) -> Command:
    """Adds --debug."""
    return click.option(
        "--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show the traceback of an error."
    )(command)


def devices_option(command: Command) -> Command:
    """Adds --devices."""
    choices = "auto, one, cpu:N, multi-gpu, multi-worker or tpu; kft doctor shows what auto chooses."
    return click.option("--devices", default="auto", show_default=True, help=choices)(command)


def _accept_terms(context: click.Context, parameter: click.Parameter, name: str | None) -> None:
    if name is not None:
        from kft import assets

        echo(assets.accept_terms(name), err=True)


def terms_option(command: Command) -> Command:
    """Adds --accept-terms, which the commands have that load a backbone."""
    return click.option(
        "--accept-terms",
        type=click.Choice(TERMS.names()),
        expose_value=False,
        callback=_accept_terms,
        help="Accept the terms of use of a backbone's weights, once on this machine; the error that asks has the URL.",
    )(command)


def json_option(command: Command) -> Command:
    """Adds --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")(command)


def output_options(command: Command) -> Command:
    """Adds --json, --quiet and --debug."""
    command = click.option("--quiet", is_flag=True, help="Print no progress.")(command)
    return debug_option(json_option(command))


def load_named(recipe: str, overrides: Sequence[str], seed: int | None = None) -> Recipe:
    """Loads what a person named: a YAML file, or a shipped recipe such as ``sentiment/product_reviews``.

    Args:
        recipe: The name.
        overrides: Settings of ``--set``.
        seed: Overrides the recipe's.
    """
    from kft.tasks.recipes import load_recipe

    path = Path(recipe)
    if not path.exists() and recipe in shipped_recipes():
        path = shipped_recipes()[recipe]
    return load_recipe(path, (*overrides, f"seed={seed}") if seed is not None else overrides)


def with_settings(recipe: str, overrides: Sequence[str]) -> str:
    """Returns a recipe and its settings as they stand on a command line.

    Example:
        >>> with_settings("a.yaml", ["seed=1", "data.columns=[a, b]"])
        "a.yaml --set seed=1 --set 'data.columns=[a, b]'"
    """
    return shlex.join([recipe, *(word for setting in overrides for word in ("--set", setting))])


def print_json(values: Any) -> None:
    """Prints exactly one JSON object on standard output: a record, or what holds records."""
    from kft.records.document import plain

    echo_json(json.dumps(plain(values), ensure_ascii=False))


def console() -> SafeConsole:
    """Returns the console for results: standard output; without a terminal as wide as COLUMNS says, or as a log."""
    made = SafeConsole()
    return made if made.is_terminal or "COLUMNS" in os.environ else SafeConsole(width=120)

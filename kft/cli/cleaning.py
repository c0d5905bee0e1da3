"""`kft clean`: frees what ended runs no longer need, after asking."""

from __future__ import annotations

import sys
from shlex import quote
from typing import TYPE_CHECKING

import rich_click as click
from rich.table import Table
from rich.text import Text

from kft.characters import visible
from kft.cli.common import console, debug_option, print_json
from kft.errors import UsageError
from kft.recipe.durations import format_size
from kft.terminal import echo

if TYPE_CHECKING:
    from kft.api.cleaning import Leftovers


@click.command()
@click.argument("folder", default="runs")
@click.option("--yes", is_flag=True, help="Remove it without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output; only with --yes.")
@debug_option
def clean(folder: str, yes: bool, as_json: bool) -> None:
    """Free what ended runs no longer need, after asking. FOLDER is a run, or a folder of runs (runs/).

    What goes is what --resume would go on from (the optimizer's state, the best weights of each phase), and what
    exports that were killed left. A run that is being trained or was interrupted keeps all. Every other command works
    on with equal figures.
    """
    from kft.api import cleaning

    if not yes and (as_json or not sys.stdin.isatty()):
        raise UsageError(
            "nothing is removed unasked",
            where="kft clean",
            received="--json, where nobody can be asked" if as_json else "no terminal to ask on",
            expected="--yes, or a person at a terminal",
            next_step=f"kft clean {quote(folder)} --yes",
        )
    if as_json:
        found = cleaning.clean(folder)
        print_json({"removed": found.spare, "bytes": found.bytes, "kept": found.kept})
        return
    found = cleaning.find_leftovers(folder)
    _print(found)
    if not found.spare:
        echo(f"nothing in {visible(folder)} can go")
    elif yes or click.confirm(f"Remove {format_size(found.bytes)}? --resume of these runs is over then", err=True):
        gone = cleaning.clean(folder)
        for path, why in gone.kept.items():
            if path not in found.kept:
                echo(f"kept       {visible(path)}: {visible(why)}")
        echo(f"{format_size(gone.bytes)} freed")
    else:
        echo("nothing was removed")


def _print(found: Leftovers) -> None:
    out = console()
    if found.spare:
        table = Table("folder", "what can go", "size")
        table.columns[0].overflow = "fold"
        table.columns[2].justify = "right"
        for each in found.spare:
            table.add_row(Text(visible(each.path)), each.what, format_size(each.bytes))
        out.print(table)
    for path, why in found.kept.items():
        out.tell(f"kept       {visible(path)}: {visible(why)}")


COMMANDS = (clean,)

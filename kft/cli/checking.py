"""`kft check`."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from kft.characters import several, visible
from kft.cli.common import WIDEST, console, load_named, output_options, print_json, terms_option, with_settings
from kft.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kft.api.checking import CheckResult
    from kft.records.findings import Finding

TITLES = {
    "error": ("red", "Errors: a measured figure would be wrong, or training cannot work"),
    "warning": ("yellow", "Warnings: the result suffers"),
    "note": ("blue", "Notes: good to know"),
}


@click.command()
@click.argument("recipe", required=False)
@click.option("--set", "overrides", metavar="K=V", multiple=True, help="Override a setting; may be repeated.")
@click.option("-o", "--output", metavar="DIR", help="A new folder; default audits/<recipe name>-<n>.")
@click.option("--no-features", is_flag=True, help="Only the checks that need no backbone: quick, without TensorFlow.")
@click.option("--list", "list_", is_flag=True, help="List the checks; checks nothing.")
@terms_option
@output_options
def check(
    recipe: str | None,
    overrides: tuple[str, ...],
    output: str | None,
    no_features: bool,
    list_: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Audit the data and the split of RECIPE before training; exit 1 when a measured figure would be wrong.

    Writes findings.json and audit.html, a page with examples and plots. Trains nothing.
    """
    if list_:
        return _list(as_json)
    if recipe is None:
        raise UsageError(
            "no recipe was named", expected="kft check RECIPE", next_step="kft recipes lists those that ship"
        )
    from kft.api import checking as api

    result = api.check(load_named(recipe, overrides), features=not no_features, output=output, quiet=quiet)
    if as_json:
        print_json(result)
    else:
        _print(result, with_settings(recipe, overrides))
    return 1 if result.errors else 0


def _list(as_json: bool) -> int:
    from kft.audit import all_checks  # noqa: F401
    from kft.audit.check import CHECKS

    if as_json:
        keys = ("name", "about", "modalities", "needs_features")
        print_json({"checks": [{key: getattr(each, key) for key in keys} for each in CHECKS]})
        return 0
    table = Table("check", "looks for", "reads", "backbone", box=None, padding=(0, 2, 0, 0))
    for each in CHECKS:
        table.add_row(each.name, each.about, ", ".join(each.modalities), "needed" if each.needs_features else "")
    out = console()
    out.print(table)
    out.print("\nskip       audit: {skip: [NAME]} in a recipe, or --set audit.skip=[NAME]", markup=False)
    return 0


def _print(result: CheckResult, recipe: str) -> None:
    from kft.audit.summary import in_numbers

    out = console()
    for severity, (color, title) in TITLES.items():
        found = [each for each in zip(result.findings, result.examples, strict=True) if each[0].severity == severity]
        if found:
            out.print(Text(f"\n{title}", style=f"bold {color}"))
            out.print(_table(found, color, min(out.width, WIDEST)))
    out.tell(f"\n{in_numbers(result.findings)}; page: {result.page}")
    if result.corrections:
        table = result.output / "corrections.csv"
        out.tell(f"mend       edit {table}, then run:")
        out.tell(f"           kft data apply {recipe} {quote(str(table))} -o mended.csv")
    out.tell(f"next       {'mend the errors, then run kft check again' if result.errors else f'kft train {recipe}'}")


def _table(found: Sequence[tuple[Finding, Sequence[str]]], color: str, width: int) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 1, 0), pad_edge=False, width=width)
    table.add_column(style=color, no_wrap=True, min_width=14)  # so that the three tables align
    table.add_column(justify="right", no_wrap=True, min_width=10)
    table.add_column(ratio=1)
    for finding, examples in found:
        lines = [Text(visible(line), style="dim", no_wrap=True, overflow="ellipsis") for line in examples]
        said = Group(
            Text(visible(finding.message, lines=True)),
            *lines,
            Text.assemble(("→ ", color), visible(finding.advice, lines=True)),
        )
        rows = several(finding.n, "row") if finding.rows else ""
        table.add_row(Text(finding.check), rows, said)
    return table


COMMANDS = (check,)

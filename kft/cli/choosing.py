"""`kft choose`."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

import rich_click as click
from rich.table import Table
from rich.text import Text

from kft.characters import visible
from kft.cli.common import console, devices_option, load_named, output_options, print_json, terms_option, with_settings

if TYPE_CHECKING:
    from kft.api.choosing import ChooseResult

WIDEST = 120
"""Longer lines are hard to read."""


@click.command()
@click.argument("recipe")
@click.option(
    "--backbones",
    metavar="A,B",
    required=True,
    help="Names from kft models, presets, sources or folders; NAME@random: new weights, as a yardstick.",
)
@click.option("--run", "run_folder", metavar="DIR", help="A new folder; default runs/<recipe name>-choose-<n>.")
@click.option("--set", "overrides", metavar="K=V", multiple=True, help="Override a setting; may be repeated.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Override the recipe's seed.")
@devices_option
@terms_option
@output_options
def choose(
    recipe: str,
    backbones: str,
    run_folder: str | None,
    overrides: tuple[str, ...],
    seed: int | None,
    devices: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Measure which backbone suits the data of RECIPE, on train and valid, out of fold; trains nothing.

    One table, and one recommendation: the cheapest that is not significantly worse than the best. What is computed is
    stored, and training reuses it.
    """
    from kft.api import choosing as api

    result = api.choose(
        load_named(recipe, overrides, seed),
        backbones=backbones.split(","),
        run=run_folder,
        devices=devices,
        quiet=quiet,
    )
    if as_json:
        print_json(result)
    else:
        _print(result, recipe, overrides)
    return 0


def _print(result: ChooseResult, recipe: str, overrides: tuple[str, ...]) -> None:
    from kft.compare.choice_table import header, remarks_on, rows_of

    out = console()
    width = min(out.width, WIDEST)
    table = Table(box=None, padding=(0, 2, 1, 0), pad_edge=False, width=width)
    for title in header(result.choice):
        table.add_column(title, overflow="fold")
    for row in rows_of(result.choice):
        # The line breaks within a cell are ours; what comes from names stays one line.
        cells = ("\n".join(map(visible, cell.split("\n"))) for cell in row.cells)
        table.add_row(*map(Text, cells), style="bold" if row.recommended else "")
    out.print(table)
    for word, remark in remarks_on(result.choice):
        out.tell(f"{word:<10} {visible(remark)}", most=width)
    verdict = result.verdict
    out.tell(visible(f"verdict    {verdict.backbone or 'none'}: {verdict.why}"), most=width)
    out.tell(f"measured   on {result.n:,} examples of train and valid, out of fold; 95 % intervals; test unopened")
    out.tell(f"seconds    {result.seconds:.0f}")
    out.tell(f"files      {result.run}: choose.json, choose.md, recipe.yaml, splits.parquet")
    if verdict.backbone is None:
        step = f"kft check {quote(recipe)}"
    else:
        step = f"kft train {with_settings(recipe, [*overrides, *result.settings])}"
    out.tell(f"next       {step}")


COMMANDS = (choose,)

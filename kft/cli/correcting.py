"""`kft data apply`."""

from __future__ import annotations

import rich_click as click

from kft.cli.common import console, debug_option, json_option, load_named, print_json


@click.command()
@click.argument("recipe")
@click.argument("corrections")
@click.option(
    "-o", "--output", metavar="FILE", required=True, help="A new file of the same kind as the data, or a folder."
)
@click.option(
    "--accept",
    "accept",
    type=click.Choice(["label-noise"]),
    multiple=True,
    help="Take every suggestion of this check; without it, only the rows that the table relabels.",
)
@click.option("--set", "overrides", metavar="K=V", multiple=True, help="Override a setting; may be repeated.")
@json_option
@debug_option
def apply(
    recipe: str, corrections: str, output: str, accept: tuple[str, ...], overrides: tuple[str, ...], as_json: bool
) -> None:
    """Write a copy of RECIPE's data, with the rows of CORRECTIONS dropped or relabelled.

    CORRECTIONS is a table with the columns id, action (drop, relabel or keep) and label, as kft check writes it;
    edit it first. The data themselves stay as they are.
    """
    from kft.api import correcting as api

    result = api.apply_corrections(load_named(recipe, overrides), corrections, output, accept=accept)
    if as_json:
        print_json(result)
        return
    out = console()
    for target, source in result.files.items():
        out.tell(f"written    {target}, from {source}")
    done = f"{result.dropped:,} dropped, {result.relabelled:,} relabelled, {result.kept:,} left alone"
    out.tell(f"rows       {done}")
    for note in result.notes:
        out.tell(f"next       {note}")

"""`kft retrain`."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Literal

import rich_click as click
from rich.table import Table
from rich.text import Text

from kft.characters import visible
from kft.cli.common import console, devices_option, output_options, print_json, terms_option

if TYPE_CHECKING:
    from kft.api.retraining import RetrainResult

MOST = 10
"""Ids of broken rows that are listed."""


@click.command()
@click.argument("run")
@click.option("--with", "rows", required=True, metavar="FILE", help="New labelled rows; those without a label wait.")
@click.option("--run", "folder", metavar="DIR", help="A new folder; default runs/<recipe name>-retrain-<n>.")
@click.option(
    "--start",
    type=click.Choice(["auto", "warm", "backbone"]),
    default="auto",
    show_default=True,
    help="Where weights begin: the champion's, the pretrained backbone's, or whichever valid prefers of both.",
)
@click.option("--promote", metavar="SHELF/NAME", help="Let the challenger take the champion's place there, if it may.")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.01,
    show_default=True,
    help="By how much it may be worse on old rows, by the limit of the 95 % interval.",
)
@click.option(
    "--new-labels", is_flag=True, help="Learn labels that RUN does not know, where they have 10 rows or more."
)
@devices_option
@terms_option
@output_options
def retrain(
    run: str,
    rows: str,
    folder: str | None,
    start: Literal["auto", "warm", "backbone"],
    promote: str | None,
    tolerance: float,
    new_labels: bool,
    devices: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Train the next run of RUN from its own recipe, on old and new rows, and compare the two row by row.

    The old test split stays sealed; a part of the new rows is set aside beside it. Run again after it was killed, it
    goes on. With --promote, exit 1 when the challenger may not take the champion's place.
    """
    from kft.api import retraining as api

    result = api.retrain(
        run,
        rows,
        run=folder,
        start=start,
        promote=promote,
        tolerance=tolerance,
        new_labels=new_labels,
        devices=devices,
        quiet=quiet,
    )
    if as_json:
        print_json(result)
    else:
        _print(result)
    return 1 if result.refused else 0


def _print(result: RetrainResult) -> None:
    from kft.api.retraining import HEADER, duel_rows

    out, found = console(), result.found
    rows = found.rows
    table = Table(*HEADER, title="\nchallenger against champion, 95 % intervals", title_justify="left")
    for row in duel_rows(found):
        table.add_row(*map(Text, row))
    out.print(table)
    out.tell(f"new rows   {rows.train:,} train, {rows.valid:,} valid, {rows.test:,} set aside, of {rows.rows:,}")
    left = [(rows.unlabelled, "without a label"), (rows.copies, "copies of older rows or of each other")]
    left += [(rows.contradictory, "with two labels"), (rows.of_test, "near to test rows")]
    if any(count for count, _ in left):
        out.tell("left out   " + ", ".join(f"{count:,} {what}" for count, what in left if count))
    if rows.relabelled:
        out.tell(
            f"relabelled {rows.relabelled:,} of the copies have another label than before: mend it in the old rows"
        )
    out.tell(f"start      {found.start} ({visible(found.start_why)})")
    for duel in (found.old, found.new):
        if duel.broke:
            more = f" and {len(duel.broke) - MOST:,} more" if len(duel.broke) > MOST else ""
            out.tell(f"broken     {visible(', '.join(duel.broke[:MOST]))}{more}")
    out.tell(f"files      {result.folder}: {found.start}/ is the challenger's run, with retrain.json")
    passes = "may be promoted" if found.ruling.passes else "stays behind"
    out.tell(f"ruling     the challenger {passes}: {visible(found.ruling.why)}")
    if result.move is not None:
        move = result.move
        out.tell(f"{move.alias:<10} {visible(result.shelf)} version {move.version}, before it {move.previous}")
    elif result.shelf and found.ruling.passes:
        out.tell(f"unchanged  {visible(result.shelf)} is this challenger already")
    elif found.ruling.passes:
        out.tell("next       the same command with --promote SHELF/NAME")
    else:
        run = quote(found.challenger)
        out.tell(f"next       label more rows; or kft export {run} DEST, kft promote DEST NAME --alias challenger")


COMMANDS = (retrain,)

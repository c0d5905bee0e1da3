"""`kft runs`: what was trained here, and in what two runs differ."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import rich_click as click
from rich.table import Table
from rich.text import Text

from kft.characters import visible
from kft.cli.common import console, debug_option, json_option, print_json
from kft.errors import UsageError
from kft.terminal import echo

if TYPE_CHECKING:
    from kft.api.listing import Listing, SideBySide

HOW_FAR = "on test, or its state"
COLUMNS = ("run", "begun", "task", "backbone", "train", "split", HOW_FAR)
NARROW = 60
"""Below, a figure and its interval stand on two lines, or no room would be left for the run's name."""
WIDE = 110
"""Letters in a line of a terminal that shows all columns; a narrower one shows the first and the last."""


@click.command()
@click.argument("folders", nargs=-1, metavar="[FOLDER | RUN RUN]")
@click.option("-o", "--output", metavar="FILE", help="Write two runs side by side as a page, FILE.html, too.")
@json_option
@debug_option
def runs(folders: tuple[str, ...], output: str | None, as_json: bool) -> None:
    """List the runs and comparisons of FOLDER (runs/), or set two runs side by side: recipes and figures.

    Figures can be compared where the test rows are the same, as they are where the split is; `kft evaluate RUN
    --against OTHER` then has the paired difference and its interval.
    """
    from kft.api import listing

    if len(folders) > 2:
        raise UsageError(
            "two runs are set side by side",
            where="kft runs",
            received=f"{len(folders)} folders",
            expected="a folder of runs, or two runs",
            next_step=f"kft runs {quote(folders[0])} {quote(folders[1])}",
        )
    if output is not None and (len(folders) != 2 or Path(output).suffix != ".html"):
        raise UsageError(
            "a page shows two runs side by side",
            where="kft runs --output",
            received=f"{output}, and {len(folders)} folders",
            expected="two runs, and a name that ends with .html",
            next_step="kft runs RUN RUN -o FILE.html",
        )
    if output is not None and Path(output).exists():
        raise UsageError(
            "the file already exists; it is not overwritten", where=output, next_step="choose another -o FILE.html"
        )
    if len(folders) == 2:
        pair = listing.set_side_by_side(*folders)
        print_json(pair) if as_json else _print_two(pair)
        if output is not None:
            echo(f"written    {visible(str(listing.write_pair(pair, output)))}", err=as_json)
    else:
        found = listing.list_runs(*folders)
        print_json(found) if as_json else _print_all(found)


def _print_all(found: Listing) -> None:
    from kft.api import listing

    out = console()
    if found.runs:
        table = Table(title=visible(found.folder), title_justify="left")
        shown = COLUMNS if out.width >= WIDE else ("run", HOW_FAR)
        longest = max(len(Path(each.run).name) for each in found.runs)
        for name in shown:
            least = min(longest, out.width // 2 - 2) if name == "run" else None
            table.add_column(name, overflow="fold", no_wrap=name == HOW_FAR and out.width >= NARROW, min_width=least)
        for each in found.runs:
            name, backbone = Path(each.run).name or each.run, Path(each.backbone).name
            when, split = each.created[:16].replace("T", " "), each.test[: listing.SPLIT]
            cells = name, when, each.task, backbone, f"{each.train:,}", split
            by_name = dict(zip(COLUMNS, (*cells, each.figure or each.state), strict=True))
            table.add_row(*(Text(visible(by_name[name])) for name in shown))
        out.print(table)
    for path, why in found.unreadable.items():
        out.tell(f"unreadable {visible(path)}: {visible(why)}", style="yellow")
    done = [each.run for each in found.runs if each.figure and not each.approach]
    if not found.runs:
        out.tell(f"no run lies in {visible(found.folder)}/; next: kft train RECIPE")
    elif len(done) > 1:
        out.tell(f"next       kft runs {quote(done[1])} {quote(done[0])} shows in what they differ")


def _print_two(found: SideBySide) -> None:
    from kft.api.listing import notes_of, rows_of

    out = console()
    table = Table()
    table.add_column("", overflow="fold")
    for each in (found.first, found.second):
        table.add_column(Text(visible(each.run)), overflow="fold")
    for row in rows_of(found):
        table.add_row(*(Text(visible(cell)) for cell in row))
    out.print(table)
    for note in notes_of(found):
        out.tell(f"note       {note}", style=None if found.same_test and not found.other_inputs else "yellow")


COMMANDS = (runs,)

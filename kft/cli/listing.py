"""`kft runs`: what was trained here, and in what two runs differ."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import rich_click as click
from rich.table import Table
from rich.text import Text

from kft.characters import visible
from kft.cli.common import console, debug_option, print_json
from kft.errors import UsageError
from kft.records.estimate import metric_title

if TYPE_CHECKING:
    from kft.api.listing import Listing, SideBySide

SPLIT = 6
"""Letters of a split's hash that are shown: enough to tell a person's runs apart."""
HOW_FAR = "on test, or its state"
COLUMNS = ("run", "begun", "task", "backbone", "train", "test split", HOW_FAR)
WIDE = 110
"""Letters in a line of a terminal that shows all columns; a narrower one shows the first and the last."""


@click.command()
@click.argument("folders", nargs=-1, metavar="[FOLDER | RUN RUN]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@debug_option
def runs(folders: tuple[str, ...], as_json: bool) -> None:
    """List the runs and comparisons of FOLDER (runs/), or set two runs side by side: recipes and figures.

    Figures can be compared where the test split is the same; `kft evaluate RUN --against OTHER` then has the paired
    difference and its interval.
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
    if len(folders) == 2:
        pair = listing.set_side_by_side(*folders)
        print_json(pair) if as_json else _print_two(pair)
    else:
        found = listing.list_runs(*folders)
        print_json(found) if as_json else _print_all(found)


def _print_all(found: Listing) -> None:
    out = console()
    if found.runs:
        table = Table(title=visible(found.folder), title_justify="left")
        shown = COLUMNS if out.width >= WIDE else ("run", HOW_FAR)
        for name in shown:
            table.add_column(name, overflow="fold", no_wrap=name == HOW_FAR)
        for each in found.runs:
            when, backbone = each.created[:16].replace("T", " "), Path(each.backbone).name
            cells = Path(each.run).name, when, each.task, backbone, f"{each.train:,}", each.test[:SPLIT]
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
    out, pair = console(), (found.first, found.second)
    table = Table()
    table.add_column("")
    for each in pair:
        table.add_column(Text(visible(each.run)), overflow="fold")
    for title, name in (("begun", "created"), ("state", "state"), ("task", "task"), ("backbone", "backbone")):
        table.add_row(title, *(Text(visible(getattr(each, name))) for each in pair))
    table.add_row("train rows", *(f"{each.train:,}" for each in pair))
    table.add_row("test split", *(each.test[:SPLIT] for each in pair))
    for metric in dict.fromkeys([*found.first.metrics, *found.second.metrics]):
        table.add_row(metric_title(metric), *(str(each.metrics.get(metric, "")) for each in pair))
    for key, values in found.differences.items():
        table.add_row(key, *(Text(visible(json.dumps(each, ensure_ascii=False))) for each in values))
    out.print(table)
    if not found.differences:
        out.tell("recipe     the same in all that decides a result")
    if not found.same_test:
        out.tell("note       the two were scored on other test rows: their figures cannot be compared", style="yellow")
    elif all(each.state == "finished" for each in pair):
        command = f"kft evaluate {quote(found.first.run)} --against {quote(found.second.run)}"
        out.tell(f"next       {command} has the paired difference and its interval")


COMMANDS = (runs,)

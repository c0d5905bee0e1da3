"""`kft queue`."""

from __future__ import annotations

from shlex import quote
from typing import Literal

import rich_click as click

from kft.characters import visible
from kft.cli.common import console, output_options, print_json


@click.command()
@click.argument("artifact")
@click.argument("data")
@click.option("-n", "n", type=click.IntRange(min=1), default=100, show_default=True, help="How many rows.")
@click.option("-o", "--output", required=True, metavar="FILE", help="A new file: .csv, .jsonl; .json for a tool.")
@click.option(
    "--random-share",
    type=click.FloatRange(0.05, 1),
    default=0.3,
    show_default=True,
    help="Of them that are spread over all rows alike: what the estimate for all rows rests on.",
)
@click.option(
    "--for",
    "tool",
    type=click.Choice(["table", "label-studio", "argilla"]),
    default="table",
    show_default=True,
    help="Whose form the file has.",
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of the draw.")
@output_options
def queue(
    artifact: str,
    data: str,
    n: int,
    output: str,
    random_share: float,
    tool: Literal["table", "label-studio", "argilla"],
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Draw the rows of DATA that are worth a label: unsure, foreign, near mistakes, and some of all.

    Each row's chance to be drawn stands in the file, so that the labels stand for all rows: kft monitor --labels uses
    it. Labelled, the file goes into kft retrain --with as it is. ARTIFACT is a folder, or SHELF/NAME.
    """
    from kft.api import queueing as api

    found = api.queue(artifact, data, output, n=n, random_share=random_share, tool=tool, seed=seed, quiet=quiet)
    if as_json:
        print_json(found)
        return
    out = console()
    out.tell(
        f"drawn      {found.n:,} of {found.of:,} rows: " + ", ".join(f"{n:,} {why}" for why, n in found.why.items())
    )
    out.tell(
        f"chances    {found.least_chance:.2g} or more for every row; {found.random_share:.0%} are spread over all alike"
    )
    left = [(found.labelled, "with a label already"), (found.unusable, "that cannot be answered")]
    if any(count for count, _ in left):
        out.tell("left out   " + ", ".join(f"{count:,} {what}" for count, what in left if count))
    out.tell(f"files      {visible(', '.join(map(str, found.files)))}")
    out.tell(f"next       label them, then kft retrain RUN --with {quote(str(found.files[0]))}")


COMMANDS = (queue,)

"""`kft report`."""

from __future__ import annotations

import rich_click as click

from kft.cli.common import WIDEST, console, output_options, print_json, terms_option


@click.command()
@click.argument("run")
@click.option("--compare", "compared", metavar="DIR", help="The folder of a kft compare on the same split, shown too.")
@click.option("--monitor", metavar="DIR", help="What kft monitor -o wrote of an artifact of the run, told too.")
@terms_option
@output_options
def report(run: str, compared: str | None, monitor: str | None, as_json: bool, quiet: bool) -> int:
    """Write RUN/report.html, a page for people, and RUN/card.md, a model card.

    The page answers four questions from the run folder: is it measurable, is the data trustworthy, can the output be
    verified, can it be maintained. It is one file that fetches nothing and runs no script.
    """
    from rich.table import Table
    from rich.text import Text

    from kft.api import reporting as api

    result = api.report(run, compare=compared, monitor=monitor, quiet=quiet)
    if as_json:
        print_json(result.as_dict())
        return 0
    out = console()
    width = min(out.width, WIDEST)
    out.print(Text(result.verdict, style="bold"), width=width)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False, width=width)
    for question, answer in result.answers:
        table.add_row(Text(question), Text(answer))
    out.print(table)
    if result.missing:
        out.tell(f"not shown  the mistakes: {result.missing}")
    for name, path in result.files.items():
        out.tell(f"{name:<10} {path} ({path.stat().st_size / 1024:,.0f} KB)")
    out.tell(f"next       open {result.page}; then fill in what {result.files['card']} leaves to a person")
    return 0


COMMANDS = (report,)

"""`kft ui`."""

from __future__ import annotations

import rich_click as click

from kft.cli.common import debug_option, print_json
from kft.cli.serving import ends_by_signal
from kft.terminal import echo


@click.command()
@click.argument("folder", default=".", required=False)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="Of this machine; 0 takes a free one.",
)
@click.option("--no-browser", is_flag=True, help="Print the address and open no browser.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with the address on standard output.")
@debug_option
def ui(folder: str, port: int, no_browser: bool, as_json: bool) -> None:
    """Open a page in the browser for FOLDER: choose a file, check it, train, read the report, try the model.

    It does what kft init, check, train, report and predict do, for people who do not type. Only this machine reaches
    it, by an address with a token. What was started goes on when the page is closed, and when kft ui is ended.
    """
    from kft.ui.opening import open_page, still_at_work

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url})
        else:
            echo(f"page       {url}\n           Ctrl-C ends it; a training goes on without it", err=True)

    with ends_by_signal():
        try:
            open_page(folder, port=port, browser=not no_browser, ready=ready)
        finally:
            for line in still_at_work():
                echo(f"goes on    {line}; kft ui shows it again", err=True)


COMMANDS = (ui,)

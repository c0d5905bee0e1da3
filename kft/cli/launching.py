"""`kft workers`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from kft.cli.common import debug_option


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("count", type=click.IntRange(1, 64), metavar="N")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
@click.option("--logs", default="workers", show_default=True, help="Folder for the output of all but the first worker.")
@click.option("--restarts", type=click.IntRange(0), default=10, show_default=True, help="At most so many times.")
@debug_option
def workers(count: int, command: tuple[str, ...], logs: str, restarts: int) -> int:
    """Run COMMAND as N local workers that train as one; when one dies, all are started again.

    kft workers 2 -- kft train RECIPE --devices multi-worker --run DIR --resume
    """
    from kft.launch.workers import supervise

    def report(line: str) -> None:
        click.echo(f"workers    {line}", err=True)

    return supervise(count, command, logs=Path(logs), restarts=restarts, report=report)


COMMANDS = (workers,)

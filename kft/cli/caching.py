"""`kft cache list | prune | compact | verify`."""

from __future__ import annotations

import rich_click as click
from rich.table import Table

from kft.cli.common import console, debug_option, json_option, print_json
from kft.errors import UsageError
from kft.recipe.durations import format_size, parse_size
from kft.terminal import echo


@click.group()
def cache() -> None:
    """What kft keeps on disk: fetched weights and data, features of frozen blocks, decoded images, kept answers."""


@cache.command("list")
@json_option
@debug_option
def list_(as_json: bool) -> None:
    """Show what is there, and what it takes."""
    from kft import assets
    from kft.api import machine

    entries = machine.list_cache()
    if as_json:
        print_json({"folder": str(assets.cache_dir()), "entries": entries})
        return
    out = console()
    table = Table("kind", "what", "last used", "size", title=str(assets.cache_dir()), title_justify="left")
    table.columns[-1].justify = "right"
    for entry in entries:
        table.add_row(entry.kind, entry.name, f"{entry.used.astimezone():%Y-%m-%d %H:%M}", format_size(entry.bytes))
    out.print(table)
    out.print(f"{format_size(sum(entry.bytes for entry in entries))} in all")


@cache.command()
@click.option("--max-size", default="0 B", metavar="SIZE", help="Features and images to keep at most, such as '5 GB'.")
@click.option("--packages", is_flag=True, help="Remove fetched weights and data too.")
@json_option
@debug_option
def prune(max_size: str, packages: bool, as_json: bool) -> None:
    """Remove stored features and images, those used longest ago first, and what killed processes left.

    What goes is made again when next needed.
    """
    from kft.api import machine

    try:
        limit = parse_size(max_size)
    except ValueError as error:
        raise UsageError("--max-size is not a size", received=max_size, expected=str(error)) from None
    gone = machine.prune_cache(limit, packages=packages)
    if as_json:
        print_json({"removed": gone})
        return
    for entry in gone:
        echo(f"removed {entry.kind} {entry.name}, {format_size(entry.bytes)}")
    echo(f"{format_size(sum(entry.bytes for entry in gone))} freed")


@cache.command()
@json_option
@debug_option
def compact(as_json: bool) -> None:
    """Join small files of stored features and images, which every change of the data adds.

    Not while a run reads them: it would have to start over.
    """
    from kft.api import machine

    fewer = machine.compact_cache()
    if as_json:
        print_json({"files_fewer": fewer})
        return
    echo(f"{fewer:,} files fewer")


@cache.command()
@json_option
@debug_option
def verify(as_json: bool) -> None:
    """Read everything against its checksums; damaged features and images are removed."""
    from kft.api import machine

    looked, damaged = machine.verify_cache()
    if as_json:
        print_json({"files": looked, "damaged": damaged})
        return
    for line in damaged:
        echo(line)
    echo(f"{looked:,} looked at, {len(damaged):,} damaged")


COMMANDS = (cache,)

"""`kft export`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from kft.cli.common import output_options, print_json, terms_option
from kft.deploy.formats.all_formats import FORMATS, REFUSED
from kft.terminal import echo


@click.command()
@click.argument("run")
@click.argument("destination", metavar="DEST")
@click.option(
    "--format",
    "format_",
    type=click.Choice((*FORMATS.names(), *REFUSED)),
    metavar="|".join(FORMATS.names()),
    default="onnx",
    show_default=True,
    help="Of the model's file.",
)
@click.option("--force", is_flag=True, help="Ship it although a gate fails or a file was changed, and say so in it.")
@click.option("--wheel", is_flag=True, help="Also write it beside DEST as a wheel: pip install brings what it needs.")
@terms_option
@output_options
def export(run: str, destination: str, format_: str, force: bool, wheel: bool, as_json: bool, quiet: bool) -> int:
    """Write RUN as a folder DEST that answers without kft, after proof that it answers as what was evaluated.

    A fresh process, where kft cannot be imported, answers the test split. Exit 1 when a gate of the recipe fails.
    """
    from kft.api import exporting
    from kft.deploy.wheel import write_wheel

    about = exporting.export(run, destination, format=format_, force=force, quiet=quiet)
    written = write_wheel(Path(destination), about, Path(destination).parent) if wheel else None
    if as_json:
        print_json({"artifact": destination, "wheel": written, "about": about})
        return 0
    parity = about.parity
    assert parity is not None
    echo(
        f"{about.name} {about.version} ({about.format}) in {destination}: {parity.n:,} of {parity.of:,} test rows "
        f"answered as they were evaluated, probabilities within {parity.largest:.1e}"
    )
    if written is not None:
        echo(f"pip install {written}")
    return 0


COMMANDS = (export,)

"""`kft data build` and `kft data apply`: data, before any training."""

from __future__ import annotations

from shlex import quote

import rich_click as click

from kft.cli import correcting
from kft.cli.common import console, load_named, output_options, print_json


@click.group()
def data() -> None:
    """Prepare data, apart from any training."""


@data.command()
@click.argument("recipe")
@click.argument("dest")
@click.option("--set", "overrides", metavar="K=V", multiple=True, help="Override a setting; may be repeated.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["tfrecord", "array_record"]),
    default="tfrecord",
    show_default=True,
    help="Format of the files: as_dataset reads tfrecord, as_data_source reads array_record.",
)
@output_options
def build(recipe: str, dest: str, overrides: tuple[str, ...], file_format: str, as_json: bool, quiet: bool) -> None:
    """Write RECIPE's prepared, split data to the folder DEST, for tensorflow-datasets, and a recipe that trains on it.

    DEST must not exist. RECIPE is a YAML file, or the name of a shipped recipe such as sentiment/product_reviews.
    """
    from kft.api import preparing as api

    result = api.build_data(load_named(recipe, overrides), dest, file_format=file_format, quiet=quiet)
    if as_json:
        print_json(result)
        return
    out = console()
    sizes = ", ".join(f"{count:,} {name}" for name, count in result.examples.items())
    out.tell(f"written    {result.folder}: {sizes}; split {result.split_hash[:16]}")
    out.tell("features   " + ", ".join(f"{name} ({kind})" for name, kind in result.features.items()))
    how = "as_dataset" if file_format == "tfrecord" else "as_data_source"
    out.tell(f'reads      tfds.builder_from_directory("{result.folder}").{how}(split="train")')
    out.tell(f"next       kft train {quote(str(result.recipe))}")


data.add_command(correcting.apply)

COMMANDS = (data,)

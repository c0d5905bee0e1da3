"""`kft init`, `kft models`, `kft recipes`, `kft recipe`, `kft doctor`: before the first training."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any

import rich_click as click
from rich import box
from rich.table import Table
from rich.text import Text

from kft.characters import visible
from kft.cli.common import console, debug_option, json_option, print_json
from kft.errors import KftError, UsageError
from kft.model.catalog import CATALOG
from kft.model.sources import on_disk
from kft.recipe.separators import SEPARATORS
from kft.recipe.shipped import find_recipe, is_recipe, purpose, shipped_recipes
from kft.records.files import write_file
from kft.tasks.names import ABOUT
from kft.terminal import echo, styled


def _known_encoding(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    from kft.recipe.values import known_encoding

    try:
        return None if name is None else known_encoding(name)
    except ValueError as error:
        raise click.BadParameter(f"{name!r}: expected {error}") from None


@click.command()
@click.argument("data")
@click.option("-o", "--output", metavar="FILE", required=True, help="Where to write the recipe, such as recipe.yaml.")
@click.option(
    "--task",
    type=click.Choice(list(ABOUT)),
    metavar="TASK",
    help=f"{', '.join(ABOUT)}. Default: by the columns, such as one class a text.",
)
@click.option("--text", metavar="COLUMN", help="The column of texts or image paths; guessed when left out.")
@click.option("--pair", metavar="COLUMN", help="The column of second texts, where two are read together.")
@click.option("--label", metavar="COLUMN", help="The label column; guessed when left out.")
@click.option(
    "--encoding",
    metavar="NAME",
    callback=_known_encoding,
    help="The encoding of files that are not UTF-8, such as windows-1252.",
)
@click.option(
    "--separator",
    type=click.Choice(list(SEPARATORS)),
    help="What separates the columns of a csv, tsv or txt file; detected and shown when left out.",
)
@click.option("--force", is_flag=True, help="Write over a recipe that is there.")
@json_option
@debug_option
def init(
    data: str,
    output: str,
    task: str | None,
    text: str | None,
    pair: str | None,
    label: str | None,
    encoding: str | None,
    separator: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Look at DATA and write a commented recipe for it.

    DATA is a csv, tsv, json, jsonl, parquet or CoNLL file, a glob in quotes ('parts/*.csv'), a folder of images by
    class, package:NAME, 'tfds:NAME?split=train', or gs://BUCKET/FILE.
    """
    from kft.api.drafting import draft
    from kft.data.dialects import Dialect
    from kft.data.examples import NamedColumns

    target = Path(output)
    if target.exists() and not (force and is_recipe(target)):
        raise UsageError(
            f"{'what is there is no recipe' if force else 'the recipe already exists'}; it is not overwritten",
            where=str(target),
            next_step="choose another -o FILE" + ("" if force else ", or write over it with --force"),
        )
    dialect = Dialect(encoding=encoding, separator=None if separator is None else SEPARATORS[separator])
    with _options_of_init():
        look, lengths, written = draft(data, target, task=task, named=NamedColumns(text, label, pair), dialect=dialect)
    write_file(target, written, elsewhere="choose another -o FILE")
    if as_json:
        drafted = {} if lengths is None else {"max_tokens": lengths.drafted}
        print_json({"recipe": str(target), **look.as_dict(), **drafted})
        return
    out = console()
    if look.counts:
        table = Table(title=visible(f"{look.source}: {look.rows:,} rows"), title_justify="left")
        for title in ("label", "rows", "an example"):
            table.add_column(title, justify="right" if title == "rows" else "left")
        for name, count, example in look.largest(8):
            table.add_row(visible(name), f"{count:,}", visible(example))
        out.print(table)
    for title, line in (*look.summary(), *([] if lengths is None else [("tokens", lengths.described())])):
        out.tell(visible(f"{title:<10} {line}"))
    for warning in look.warnings:
        out.tell(visible(f"note       {warning}"), style="yellow")
    out.tell(f"written    {target}\nnext       kft check {quote(str(target))}")


@contextmanager
def _options_of_init() -> Iterator[None]:
    """Names options where an error would name keys of a recipe, which is not there yet."""
    try:
        yield
    except KftError as error:
        step = re.sub(r"set data\.\w+ in the recipe or --set data\.(\w+)=", _option, error.next_step or "")
        step = re.sub(r"set task: ([\w-]+)", r"kft init with --task \1", step)
        error.next_step = (
            step.replace("mend data.train, data.valid or data.test in the recipe", "check the path") or None
        )
        raise


def _option(key: re.Match[str]) -> str:
    """The option of ``kft init`` that names what a key of a recipe does."""
    return {"text_pair": "--pair", "image": "--text"}.get(key[1], f"--{key[1]}") + " "


@click.command()
@click.option("--modality", type=click.Choice(["text", "image"]), help="Only backbones for these.")
@json_option
@debug_option
def models(modality: str | None, as_json: bool) -> None:
    """List the pretrained backbones, and what is already on disk."""
    entries = [entry for entry in CATALOG if modality in (None, entry.modality)]
    rows = [{**dataclasses.asdict(entry), "on_disk": on_disk(entry.source)} for entry in entries]
    if as_json:
        print_json({"models": rows})
        return
    out = console()
    for kind, title in (("text", "Text"), ("image", "Images")):
        chosen = [row for row in rows if row["modality"] == kind]
        if not chosen:
            continue
        # Without a frame: sources are long, and fit into 100 columns only so.
        table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("name", no_wrap=True)
        table.add_column("weights", justify="right", no_wrap=True)
        if kind == "text":
            table.add_column("languages", no_wrap=True)
        table.add_column("licence", no_wrap=True)
        table.add_column("what it is, and where", overflow="fold")
        for row in chosen:
            languages = [row["languages"]] if kind == "text" else []
            size = f"{row['parameters'] / 1e6:.1f} M"
            table.add_row(
                row["name"], size, *languages, row["licence"], Text.assemble(f"{row['about']}\n", _where(row))
            )
        out.print(table)
    out.tell(
        "also       a keras-hub preset (bert_tiny_en_uncased), hf://owner/repo, kaggle://..., a folder, a .keras or\n"
        "           .gguf file\n"
        "next       kft choose RECIPE --backbones A,B: which suits your data; model: {backbone: NAME} in a recipe"
    )


def _where(row: dict[str, Any]) -> Text:
    """The second line of a backbone's cell: whether it can be loaded here and now, and from where."""
    if row["on_disk"]:
        return Text.assemble(("on disk", "green"), (f" {row['source']}", "dim"))
    return Text(f"needs {row['needs']}: {row['source']}", style="dim")


@click.group(invoke_without_command=True)
@json_option
@debug_option
@click.pass_context
def recipes(context: click.Context, as_json: bool) -> None:
    """List the recipes that ship with kft; show one, or copy one to edit."""
    if context.invoked_subcommand is not None:
        return
    found = {name: purpose(path) for name, path in shipped_recipes().items()}
    if as_json:
        print_json({"recipes": [{"name": name, "purpose": text} for name, text in found.items()]})
        return
    table = Table("name", "purpose")
    for name, text in found.items():
        table.add_row(name, text)
    out = console()
    out.print(table)
    out.tell("next       kft recipes copy NAME recipe.yaml")


@recipes.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a shipped recipe."""
    echo(find_recipe(name).read_text(encoding="utf-8"), nl=False)


@recipes.command()
@click.argument("name")
@click.argument("dest")
def copy(name: str, dest: str) -> None:
    """Copy a shipped recipe to DEST, to edit it."""
    target = Path(dest)
    if target.is_dir():
        target = target / find_recipe(name).name
    if target.exists():
        raise UsageError("the file already exists; it is not overwritten", where=str(target))
    write_file(target, find_recipe(name).read_bytes(), elsewhere="choose another DEST")
    echo(f"written    {target}\nnext       kft train {quote(str(target))}", err=True)


@click.group()
def recipe() -> None:
    """About the recipe format."""


@recipe.command()
def schema() -> None:
    """Print the JSON Schema of a recipe, for editors."""
    from kft.tasks.recipes import recipe_schema

    echo(json.dumps(recipe_schema(), indent=2))


@click.command()
@json_option
@debug_option
def doctor(as_json: bool) -> int:
    """Show versions, devices and caches, and what would fail and how to mend it."""
    from kft.api.machine import diagnose

    found = diagnose()
    if as_json:
        print_json(found)
    else:
        out = console()
        for name, version in found["versions"].items():
            out.print(f"{name:<14} {version}", markup=False)
        out.print(f"{'devices':<14} {', '.join(found['devices'])}", markup=False)
        auto = found["auto"]
        out.print(f"{'auto':<14} --devices {auto['devices']}: {auto['why']}", markup=False)
        out.print(f"{'cache':<14} {found['cache']['folder']}, {found['cache']['free_gib']:.1f} GiB free", markup=False)
        for name, state in found["packages"].items():
            out.print(f"{name:<14} {'on disk' if state else 'not on disk; fetched when first needed'}", markup=False)
        for problem in found["problems"]:
            out.tell(f"problem        {problem}", style="red")
        if not found["problems"]:
            out.print(styled("green", "no problems found"))
    return 2 if found["problems"] else 0


COMMANDS = (init, models, recipes, recipe, doctor)

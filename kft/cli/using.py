"""`kft predict`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import rich_click as click

from kft.cli.common import debug_option, devices_option, print_json, terms_option
from kft.data.images import SUFFIXES
from kft.errors import UsageError
from kft.registry import nearest
from kft.terminal import echo

DATA_SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".json", ".parquet", *SUFFIXES)


def looks_like_path(text: str) -> bool:
    """Whether a person who typed this most likely meant a file.

    Example:
        >>> looks_like_path("tickts.csv"), looks_like_path("The battery died after two days.")
        (True, False)
    """
    if text.lower().endswith(DATA_SUFFIXES) or text.startswith(("./", "../", "/", "~/")):
        return True
    return bool(re.fullmatch(r"\S+[/\\]\S*|[\w.-]+\.[A-Za-z]\w{1,4}", text))


@click.command()
@click.argument("run")
@click.argument("input_", metavar="INPUT")
@click.option("--pair", metavar="TEXT", help="The second text, for a model of text pairs.")
@click.option("-o", "--output", metavar="FILE", help="Where a file's answers go: .jsonl or .csv.")
@click.option("--force", is_flag=True, help="Write over a FILE that is there.")
@click.option(
    "--columns", metavar="A,B", help="Columns of a file to keep beside its answers; default all, '' for none."
)
@click.option("--text", "force_text", is_flag=True, help="INPUT is a text, whatever it looks like.")
@click.option("--skip-unusable", is_flag=True, help="Answer a file where rows are empty; those get null.")
@click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON object on standard output.")
@devices_option
@terms_option
@debug_option
def predict(
    run: str,
    input_: str,
    pair: str | None,
    output: str | None,
    force: bool,
    force_text: bool,
    columns: str | None,
    skip_unusable: bool,
    as_json: bool,
    devices: str,
) -> None:
    """Answer for INPUT: a text, an image, a file of texts or image paths, a folder of images, or - to read lines.

    One text or image prints one JSON object. A file or folder gives a file, one row an input with its columns and
    the answer: -o FILE, .jsonl or .csv, or INPUT's name with .predictions.jsonl. Lines from - print one object each.
    The same command goes on where a killed one had come to.

    RUN is a run folder, a folder from kft export, or a version on a shelf: SHELF/NAME, SHELF/NAME@challenger.
    """
    from kft.answer.artifact import say_withheld, why_withheld
    from kft.api import answering, answers_file, predicting
    from kft.data.inputs import as_inputs, split_lines
    from kft.deploy.runner.reading import say_cut

    given: str | Path = input_
    if not force_text and pair is None and input_ != "-":
        path = Path(input_).expanduser()
        if _exists(path) or looks_like_path(input_):
            _require_there(path)
            if path.suffix.lower() not in SUFFIXES:
                target = _target(path, output, force=force)
                names = None if columns is None else [name.strip() for name in columns.split(",") if name.strip()]
                done = predicting.predict_file(
                    run, path, target, columns=names, skip_unusable=skip_unusable, devices=devices
                )
                if as_json:
                    print_json({"n": done.n, "output": str(target)})
                else:
                    echo(f"{done.answered:,} answers in {target}", err=True)
                return
            given = path
    _refuse_for_one(columns, skip_unusable)
    if output:
        answers_file.require_ending(Path(output))
        _refuse_there(Path(output), force=force)
    lines = input_ == "-" and not force_text
    model = answering.load(run, devices=devices, warm=False)
    inputs = (
        split_lines(sys.stdin.read().removeprefix("\ufeff")) if lines else [given if pair is None else (input_, pair)]
    )
    if lines and _are_rows([*map(str, inputs)], model.reading.column):
        said = f"each line is answered as one text, and these are JSON objects with a key {model.reading.column!r}"
        echo(f"warning    {said}: kft predict {run} FILE.jsonl reads them as rows", err=True)
    read = as_inputs(inputs, model.reading.task, model.reading.spec)
    found = model.answers(read)
    if output:
        answers_file.write_answers(Path(output), model.as_table(inputs), found)
    for said in filter(None, (model.note, say_withheld(why_withheld(found), len(found)), say_cut(model.cut(read)))):
        echo(said, err=True)
    for line in [{"n": len(found), "predictions": found}] if lines and as_json else found:
        print_json(line)


def _are_rows(lines: list[str], column: str) -> bool:
    """Whether the first lines are JSON objects as a file of rows has them."""
    try:
        rows = [json.loads(line) for line in lines[:10] if line.startswith("{")]
    except ValueError:
        return False
    return bool(rows) and len(rows) == len(lines[:10]) and all(column in row for row in rows)


def _target(path: Path, output: str | None, *, force: bool) -> Path:
    """Returns where a file's answers go."""
    target = Path(output) if output else Path(path.resolve().stem + ".predictions.jsonl")
    if target.exists() and target.samefile(path):
        raise UsageError(
            "the answers would take the place of the rows that they are for",
            where=str(target),
            next_step="another -o FILE",
        )
    _refuse_there(target, force=force)
    return target


def _refuse_there(target: Path, *, force: bool) -> None:
    """Refuses a file that is there, unless it may be written over."""
    if target.exists() and not force:
        raise UsageError(
            "the file for the answers already exists; it is not overwritten",
            where=str(target),
            next_step="--force to write over it, or another -o FILE",
        )


def _refuse_for_one(columns: str | None, skip_unusable: bool) -> None:
    for option, given in (("--columns", columns is not None), ("--skip-unusable", skip_unusable)):
        if given:
            raise UsageError(
                f"{option} is for a file or a folder",
                received="a text, an image, or lines on standard input",
                expected="INPUT that is a table, a .txt file or a folder of images",
                next_step=f"leave {option} out",
            )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a long text is no file name
        return False


def _require_there(path: Path) -> None:
    if path.exists():
        return
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    hint = nearest(path.name, names)
    raise UsageError(
        f"no file at {path}" + (f"; did you mean {path.parent / hint}?" if hint else ""),
        received=str(path),
        expected="a csv, tsv or jsonl file, an image or a folder of them, a text, or -",
        next_step="--text if it is a text that only looks like a file name",
    )


COMMANDS = (predict,)

"""`kft predict`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import rich_click as click

from kft.cli.common import debug_option, devices_option, print_json
from kft.data.images import SUFFIXES
from kft.errors import UsageError
from kft.records.document import as_document
from kft.registry import nearest

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
@click.option("--text", "force_text", is_flag=True, help="INPUT is a text, whatever it looks like.")
@click.option("--skip-unusable", is_flag=True, help="Answer a file's other rows where some are empty; null for those.")
@click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON object on standard output.")
@devices_option
@debug_option
def predict(
    run: str,
    input_: str,
    pair: str | None,
    output: str | None,
    force_text: bool,
    skip_unusable: bool,
    as_json: bool,
    devices: str,
) -> None:
    """Answer for INPUT: a text, an image, a file of texts or image paths, a folder of images, or - to read lines.

    One text or image prints one JSON object. A file or folder gives a file, one object a line: -o FILE, or INPUT's
    name with .predictions.jsonl. Lines from - print one object each.
    """
    from kft import api
    from kft.answer.artifact import count_withheld
    from kft.data.inputs import split_lines

    given: str | Path = input_
    if not force_text and pair is None and input_ != "-":
        path = Path(input_).expanduser()
        if _exists(path) or looks_like_path(input_):
            _require_there(path)
            if path.suffix.lower() not in SUFFIXES:
                _predict_file(run, path, output, skip_unusable, as_json, devices)
                return
            given = path
    if input_ == "-" and not force_text:
        found = api.predict(run, split_lines(sys.stdin.read()), devices=devices)
        _say_why(count_withheld(found))
        answers = [as_document(answer) for answer in found]
        for line in [{"n": len(answers), "predictions": answers}] if as_json else answers:
            print_json(line)
        return
    one = given if pair is None else (input_, pair)
    (answer,) = api.predict(run, [one], devices=devices)
    if output:
        api.write_predictions(Path(output), [as_document(answer)])
    _say_why(count_withheld([answer]))
    print_json(answer)


def _predict_file(run: str, path: Path, output: str | None, skip_unusable: bool, as_json: bool, devices: str) -> None:
    from kft import api

    target = Path(output) if output else Path(path.resolve().stem + ".predictions.jsonl")
    if output is None and target.exists():
        raise UsageError(
            "the file for the answers is there already",
            where=str(target),
            next_step=f"-o {target} to write it anew, or -o another file",
        )
    answers = api.predict_file(run, path, skip_unusable=skip_unusable, devices=devices, note=_say_why)
    replaced = ", in place of what was there" if target.exists() else ""
    api.write_predictions(target, answers)
    if as_json:
        print_json({"n": len(answers), "output": str(target)})
    else:
        given = sum(answer is not None for answer in answers)
        click.echo(f"{given:,} answers in {target}{replaced}", err=True)


def _say_why(line: str) -> None:
    """Says on standard error what the documented form of an answer has no place for."""
    if line:
        click.echo(line, err=True)


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

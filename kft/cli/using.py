"""`kft predict`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import rich_click as click

from kft.cli.common import debug_option, devices_option, print_json
from kft.errors import UsageError
from kft.registry import nearest

DATA_SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".json", ".parquet")


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
@click.option("-o", "--output", metavar="FILE", help="Where a file's answers go: .jsonl or .csv.")
@click.option("--text", "force_text", is_flag=True, help="INPUT is a text, whatever it looks like.")
@click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON object on standard output.")
@devices_option
@debug_option
def predict(run: str, input_: str, output: str | None, force_text: bool, as_json: bool, devices: str) -> None:
    """Answer for INPUT: a text, a file of texts, or - to read lines.

    A text prints one JSON object. A file gives a file, one object a line: -o FILE, or INPUT's name with
    .predictions.jsonl. Lines from - print one object each.
    """
    from kft import api
    from kft.data.inputs import split_lines

    if force_text or (input_ != "-" and not looks_like_path(input_) and not _is_file(Path(input_).expanduser())):
        (answer,) = api.predict(run, [input_], devices=devices)
        if output:
            api.write_predictions(Path(output), [answer.as_dict()])
        print_json(answer.as_dict())
    elif input_ == "-":
        answers = [answer.as_dict() for answer in api.predict(run, split_lines(sys.stdin.read()), devices=devices)]
        for line in [{"n": len(answers), "predictions": answers}] if as_json else answers:
            print_json(line)
    else:
        _predict_file(run, Path(input_).expanduser(), output, as_json, devices)


def _predict_file(run: str, path: Path, output: str | None, as_json: bool, devices: str) -> None:
    from kft import api

    _require_file(path)
    target = Path(output) if output else Path(path.stem + ".predictions.jsonl")
    if output is None and target.exists():
        raise UsageError(
            "the file for the answers is there already",
            where=str(target),
            next_step=f"-o {target} to write it anew, or -o another file",
        )
    answers = [answer.as_dict() for answer in api.predict_file(run, path, devices=devices)]
    api.write_predictions(target, answers)
    if as_json:
        print_json({"n": len(answers), "output": str(target)})
    else:
        click.echo(f"{len(answers):,} answers in {target}", err=True)


def _is_file(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a long text is no file name
        return False


def _require_file(path: Path) -> None:
    if path.is_file():
        return
    names = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
    hint = nearest(path.name, names)
    raise UsageError(
        f"no file at {path}" + (f"; did you mean {path.parent / hint}?" if hint else ""),
        received=str(path),
        expected="a csv, tsv or jsonl file, a text, or -",
        next_step="--text if it is a text that only looks like a file name",
    )


COMMANDS = (predict,)

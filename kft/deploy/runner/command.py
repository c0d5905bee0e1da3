"""The command line of an artifact's run.py: inputs in, one line of JSON an answer out."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any

from kft.deploy.runner.model import READ_AT_ONCE, open_model
from kft.deploy.runner.reading import say_cut
from kft.deploy.runner.trace import save_stages
from kft.errors import DataError, KftError, UsageError


def main(folder: Path, arguments: Sequence[str]) -> int:
    """Answers, and returns the exit code: 0, or 2 where something cannot be used."""
    try:
        about = read_json(folder / "artifact.json")
    except DataError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    parser = argparse.ArgumentParser(prog="run.py", description=f"{about['name']}: {about['task']}")
    parser.add_argument("input", help="a file with one input a line, or - for standard input; .jsonl: JSON")
    parser.add_argument("--stages", metavar="FILE", help="also write what each step made of the inputs, as .npz")
    parser.add_argument(
        "--embed",
        choices=("query", "document"),
        help="one text a line, answered with its vector: of models that compare texts, which read it as this",
    )
    parser.add_argument("--unchecked", action="store_true", help="do not compare the files with their sha256")
    given = parser.parse_args(arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    try:
        if not given.unchecked:
            require_whole(folder, about["files"])
        model = open_model(folder, about)
        model = model.embedding(given.embed) if given.embed else model
        lines, before, cut = read_lines(given.input), 0, 0
        if given.stages:
            several = list(lines)
            stages, cut = model.stages(several), model.cut(several)
            save_stages(Path(given.stages), stages)
            show(stages.answers)
        while several := list(islice(lines, READ_AT_ONCE)):
            show(model.predict(several, before))
            before += len(several)
            cut += model.cut(several)
        if said := say_cut(cut):
            print(said, file=sys.stderr)
    except KftError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def show(answers: Iterable[Mapping[str, Any]]) -> None:
    """Prints answers, one a line."""
    for answer in answers:
        try:
            print(json.dumps(answer, ensure_ascii=False, allow_nan=False))
        except ValueError as error:
            raise DataError("the model gave no number for an input", received=str(error)) from None
    sys.stdout.flush()


def read_lines(source: str) -> Iterator[Any]:
    """Yields the inputs of a file or of standard input, which are UTF-8 whatever the system's own encoding is."""
    if source == "-":
        yield from _inputs(sys.stdin.buffer, "standard input", as_json=False)
        return
    path = Path(source)
    if not path.is_file():
        raise UsageError(f"no file at {path}", expected="a file with one input a line, or -")
    with path.open("rb") as file:
        yield from _inputs(file, str(path), as_json=path.suffix == ".jsonl")


def _inputs(lines: Iterable[bytes], where: str, *, as_json: bool) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8").rstrip("\r\n")
            given = json.loads(text) if as_json else text
            found = b64decode(given["base64"], validate=True) if isinstance(given, dict) else given
        except (ValueError, KeyError, TypeError) as error:
            kind = "JSON of an input" if as_json else "text in UTF-8"
            raise DataError(f"a line is no {kind}", where=f"{where}:{number}", received=str(error)) from None
        yield found


def read_json(path: Path) -> dict[str, Any]:
    """Returns what a file of the artifact says.

    Raises:
        DataError: It is missing, or was cut or changed.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        problem = "a file of the model cannot be read"
        raise DataError(problem, where=str(path), received=str(error), next_step="copy the folder again") from None


def require_whole(folder: Path, files: Mapping[str, str]) -> None:
    """Refuses a folder whose files are not those that were shipped.

    Raises:
        DataError: One was changed, or is missing; names it.
    """
    about = read_json(folder / "artifact.json")
    digest = about.pop("digest", "")
    written = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
    if hashlib.sha256(written.encode()).hexdigest() != digest:
        raise DataError(
            "a file of the model was changed",
            where=str(folder / "artifact.json"),
            expected="what its digest is of: labels and preprocessing as they were exported",
            next_step="copy the folder again",
        )
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            raise DataError("a file of the model is missing", where=str(path), next_step="copy the folder again")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != digest:
            raise DataError(
                "a file of the model was changed",
                where=str(path),
                received=f"sha256 {found[:16]}",
                expected=f"{digest[:16]}, as artifact.json has it",
                next_step="copy the folder again",
            )

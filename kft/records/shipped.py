"""artifact.json: what a shipped model is, how it reads and decides, and the sha256 of each of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from kft.characters import visible
from kft.errors import RunError
from kft.records.calibration import Calibration
from kft.records.document import document_digest, read_document, write_document
from kft.records.estimate import Estimate
from kft.records.fields import absent
from kft.records.files import sha256_of
from kft.records.metrics import GateResult
from kft.records.quantized import Quantized
from kft.records.receipt import Receipt

NAME = "artifact.json"
EXAMPLES = "examples.jsonl"
"""Test rows with their answers, which an artifact carries where ``--keep-examples`` asked for them."""
MEND = "export the run again, or copy the artifact anew from where it came"
SHOWN = 5
"""Files that an error names; it says how many more there are."""


@dataclass(frozen=True)
class Preprocessing:
    """How raw inputs are read.

    Attributes:
        kind: ``text``, ``text-pair`` or ``image``.
        max_tokens: Longer texts are cut.
        html: ``keep``, or ``unescape``: what is done to entities.
        redact: Kinds of personal data that are replaced.
        height: Of images, in pixels.
        width: Likewise.
        fit: How images come to that size.
        tail: Whether a text that is cut keeps its end as well as its beginning.
        overlap: Tokens that two windows have in common, where texts are read in windows of ``max_tokens``.
        windows: Windows of a text at most; 0: texts are not read in windows.
        query: What is put before a text, where texts are queries.
        document: Likewise, where they are documents.
        path_column: Of a table that names documents by their paths; empty where tables hold the texts themselves.
        apart: Whether the two texts of a pair are read one by one, as a query and a document, each for its own vector.
    """

    kind: str
    max_tokens: int = 0
    html: str = "keep"
    redact: tuple[str, ...] = ()
    height: int = absent(0)
    width: int = absent(0)
    fit: str = absent("")
    tail: bool = absent(False)
    overlap: int = absent(0)
    windows: int = absent(0)
    query: str = absent("")
    document: str = absent("")
    path_column: str = absent("")
    apart: bool = absent(False)


@dataclass(frozen=True)
class Parity:
    """What the proof found, in a process without kft.

    Attributes:
        n: Test rows that were answered.
        of: Test rows there are.
        golden: Examples that were answered besides.
        tolerance: How far a probability, or a number in its standard deviations, may lie from the evaluated one.
        largest: How far the farthest does.
        borderline: Rows within the tolerance of a threshold, or between two labels, that fell on the other side; of a
            language model, texts that differ where two tokens are as likely.
        by: The library that wrote the texts of a language model; its tolerance is that of logits, in their standard
            deviations.
        seams: Its prompts that this library reads as other tokens, where template and prompt meet: it was given those
            of training.
    """

    n: int
    of: int
    golden: int
    tolerance: float
    largest: float
    borderline: int
    by: str = absent("")
    seams: int = absent(0)


@dataclass(frozen=True)
class About:
    """All that is said of a shipped model.

    Attributes:
        name: What it is called: the recipe's name.
        version: Of its files: the first letters of a hash of theirs.
        created: When, in ISO 8601.
        task: As in the recipe.
        answers: The form of an answer: ``class``, ``set``, ``number``, ``spans`` or ``response``.
        labels: What can be answered, in the order of the graph's outputs; empty for numbers.
        format: Of the model's file.
        model: That file, or folder.
        inputs: Of the graph, by name.
        outputs: Likewise.
        reader: How raw inputs are read.
        packages: What must be installed, as pip takes it.
        checkpoint: Hash of the weights that were evaluated.
        calibration: How it decides; the graph holds all of it. None where nothing is fitted for such answers.
        metrics: What it reached on the test split.
        gates: Of the recipe.
        parity: That it answers what was evaluated; None of a quantized one, which answers nearly that.
        quantized: What its smaller numbers cost; None where none are smaller.
        takes: Inputs of raw text that the model's file reads by itself; empty where it takes arrays alone.
        widths: Of vectors, beside the whole, that were trained to answer too; empty elsewhere.
        alone: Whether it answers one example at a time, because others in a batch would change the answer.
        receipt: Of the run.
        forced: Why an export would have been refused without ``--force``; empty else.
        files: sha256 of every other file by its path.
        digest: sha256 of this document without this key.
    """

    name: str
    version: str
    created: str
    task: str
    answers: str
    labels: tuple[str, ...]
    format: str
    model: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    reader: Preprocessing
    packages: tuple[str, ...]
    checkpoint: str
    calibration: Calibration | None
    metrics: Mapping[str, Estimate]
    gates: Mapping[str, GateResult]
    parity: Parity | None
    receipt: Receipt
    forced: tuple[str, ...] = absent(())
    quantized: Quantized | None = absent()
    takes: tuple[str, ...] = absent(())
    widths: tuple[int, ...] = absent(())
    alone: bool = absent(False)
    files: Mapping[str, str] = field(default_factory=dict)
    digest: str = absent("")


def write_about(folder: Path, about: About) -> About:
    """Writes artifact.json beside the files that it vouches for, and returns it with their hashes.

    Args:
        folder: With all other files in it, as they stay.
        about: Its ``version``, ``files`` and ``digest`` are found here.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / NAME)
    files = {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}
    version = hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in files.items()).encode()).hexdigest()[:12]
    about = replace(about, files=files, version=version, digest="")
    about = replace(about, digest=document_digest(about))
    write_document(folder / NAME, about)
    return about


def read_about(folder: Path) -> About:
    """Reads artifact.json, and compares it and every file with their hashes.

    Raises:
        RunError: The folder holds no artifact, one of a newer kft, or a file that is not as it was written: its name.
    """
    about = read_claims(folder)
    paths = {name: folder / name for name in about.files if is_inside(name)}
    wrong = differences(folder, about, {name: sha256_of(path) for name, path in paths.items() if path.is_file()})
    if wrong:
        raise changed_since(folder, wrong)
    return about


def read_claims(folder: Path) -> About:
    """Reads artifact.json, and believes it.

    Raises:
        RunError: The folder holds no artifact, or one of a newer kft, or artifact.json is damaged.
    """
    if not (folder / NAME).is_file():
        raise RunError(
            "no artifact here",
            where=str(folder),
            received=f"no {NAME} in it" if folder.is_dir() else "no such folder",
            expected="a folder that kft export wrote",
            next_step="kft export RUN DEST --format onnx",
        )
    return read_document(About, folder / NAME, next_step=MEND)


def differences(folder: Path, about: About, hashes: Mapping[str, str]) -> list[str]:
    """Returns what of artifact.json and the files that it names is not as it was written.

    Args:
        folder: The artifact's.
        about: What its artifact.json says.
        hashes: sha256 by path of the files that are there.
    """
    wrong = [] if about.digest == _digest_on_disk(folder) else [f"{NAME} was changed"]
    for name, digest in sorted(about.files.items()):
        if not is_inside(name):
            wrong.append(f"{NAME} names {name}, which is no file of an artifact")
        elif name not in hashes:
            wrong.append(f"{name} is missing")
        elif hashes[name] != digest:
            wrong.append(f"{name} was changed")
    return wrong


def changed_since(folder: Path, wrong: Sequence[str]) -> RunError:
    """Returns the refusal of an artifact that is not as it was exported."""
    return RunError(
        "the artifact is not as it was exported: " + in_short(wrong),
        where=str(folder),
        received=visible(wrong[0]),
        expected=f"the files whose sha256 {NAME} holds",
        next_step=MEND,
    )


def in_short(wrong: Sequence[str]) -> str:
    """Returns the first few problems, and how many more there are.

    Example:
        >>> in_short("abcdefg")
        'a, b, c, d, e and 2 more'
    """
    return ", ".join(map(visible, wrong[:SHOWN])) + (f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else "")


def is_inside(name: str) -> bool:
    """Whether a name in artifact.json is that of another file in the folder.

    Example:
        >>> is_inside("nested/model.bin"), is_inside("../secret"), is_inside("/etc/passwd"), is_inside("artifact.json")
        (True, False, False, False)
    """
    path = PurePosixPath(name)
    return bool(path.parts) and ".." not in path.parts and not path.is_absolute() and path != PurePosixPath(NAME)


def _digest_on_disk(folder: Path) -> str:
    """Returns what artifact.json says of itself where it was not changed, keys included that no field is for."""
    values = {key: value for key, value in json.loads((folder / NAME).read_bytes()).items() if key != "digest"}
    return hashlib.sha256((json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()).hexdigest()

"""index.json: what a search index holds, which model made its vectors, how it answers, and the sha256 of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from kft.errors import RunError
from kft.records.document import document_digest, read_document, write_document
from kft.records.fields import absent
from kft.records.files import sha256_of
from kft.records.rules import Promise
from kft.records.shipped import in_short

NAME = "index.json"
MEND = "build the index again: kft index MODEL DOCUMENTS -o DEST"


@dataclass(frozen=True)
class Embedding:
    """The artifact, run or pretrained backbone whose vectors an index holds.

    Attributes:
        folder: Where it lay when the index was built; of a backbone of ``kft models`` its name.
        name: Of the model.
        version: Of its files.
        digest: sha256 of what its artifact.json says; of a run or a backbone, of its weights and of how they read.
        width: Of a vector.
        checkpoint: Hash of the weights; what ships of a run has the same.
        of: What it is.
        run: Hash of the run that its vectors are of, to the rounding of floats: a run and what ships of it have the
            same. Empty of a backbone, of smaller numbers, and of an index of an earlier kft.
    """

    folder: str
    name: str
    version: str
    digest: str
    width: int
    checkpoint: str = absent("")
    of: Literal["artifact", "run", "backbone"] = absent("artifact")
    run: str = absent("")


@dataclass(frozen=True)
class Cutting:
    """How documents are cut into passages.

    Attributes:
        passage_tokens: A passage has at most so many.
        overlap_tokens: So many of a passage's last tokens begin the next, at most.
    """

    passage_tokens: int
    overlap_tokens: int


@dataclass(frozen=True)
class Weighing:
    """How vectors and words are weighed against each other.

    Attributes:
        words: The weight of BM25, from 0 to 1; that of the vectors is the rest.
        queries: Labelled queries that chose it; 0: none did, it is the usual one.
        mrr: What these queries reached with BM25 alone, with vectors alone, and so weighed.
    """

    words: float
    queries: int = 0
    mrr: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """A document that is not in the index.

    Attributes:
        document: Its id.
        why: What is wrong with it.
    """

    document: str
    why: str


@dataclass(frozen=True)
class AboutIndex:
    """All that is said of an index.

    Attributes:
        created: When these files were built, in ISO 8601.
        source: The documents, as they were named.
        documents: How many there are.
        passages: How many they were cut into.
        embedding: What made the vectors.
        cutting: How documents were cut.
        approximate: Whether vectors are searched by a graph of neighbours rather than one by one.
        weighing: How vectors and words are weighed.
        promise: What is promised of the first document of an answer; None where no labelled queries were given.
        left_out: Documents that could not be used, the first 100.
        n_left_out: How many they are.
        folder: Where the files lie, in the index.
        files: sha256 of each by its path in that folder.
        digest: sha256 of this document without this key.
    """

    created: str
    source: str
    documents: int
    passages: int
    embedding: Embedding
    cutting: Cutting
    approximate: bool
    weighing: Weighing
    promise: Promise | None
    left_out: tuple[LeftOut, ...]
    n_left_out: int
    folder: str
    files: Mapping[str, str]
    digest: str = absent("")


def write_index(dest: Path, about: AboutIndex) -> AboutIndex:
    """Writes index.json, from when on the index is what it says; returns it with the hashes of its files.

    Args:
        dest: The index.
        about: Its ``files`` and ``digest`` are found here.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    folder = dest / about.folder
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    about = replace(about, files={path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}, digest="")
    about = replace(about, digest=document_digest(about))
    write_document(dest / NAME, about)
    return about


def read_index(dest: Path) -> AboutIndex:
    """Reads index.json, and compares it and every file with their hashes.

    Raises:
        RunError: There is no index, it is of a newer kft, or a file is not as it was written: its name.
    """
    if not (dest / NAME).is_file():
        raise RunError(
            "no index here",
            where=str(dest),
            received=f"no {NAME} in it" if dest.is_dir() else "no such folder",
            expected="a folder that kft index wrote",
            next_step="kft index ARTIFACT DOCUMENTS -o DEST",
        )
    about = read_document(AboutIndex, dest / NAME, next_step=MEND)
    folder = dest / about.folder
    wrong = [] if about.digest == document_digest(replace(about, digest="")) else [f"{NAME} was changed"]
    for name, digest in about.files.items():
        if not (folder / name).is_file():
            wrong.append(f"{name} is missing")
        elif sha256_of(folder / name) != digest:
            wrong.append(f"{name} was changed")
    if wrong:
        raise RunError(
            "the index is not as it was built: " + in_short(wrong),
            where=str(folder),
            received=wrong[0],
            expected=f"the files whose sha256 {NAME} holds",
            next_step=MEND,
        )
    return about

"""The files of an index: texts, passages and vectors, in arrays that stay on the disk while they are asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from kft.records.files import write_file, writing

TEXTS, STARTS, IDS, DIGESTS = "texts.bin", "starts.npy", "ids.json", "digests.npy"
PASSAGES, KEYS, VECTORS, GRAPH, WORDS, QUERIES = (
    "passages.npy",
    "keys.npy",
    "vectors.npy",
    "vectors.usearch",
    "words",
    "queries.json",
)
KEY_BYTES = 16
AT_ONCE = 4096
"""Rows that are copied or read at a time: memory does not grow with their number."""


@dataclass(frozen=True)
class Passage:
    """A part of a document.

    Attributes:
        document: The document's id.
        start: Where it begins in the document's text, in characters.
        stop: Where it ends.
        text: What stands there.
    """

    document: str
    start: int
    stop: int
    text: str


@dataclass(frozen=True)
class Contents:
    """The files in a folder, opened when they are first asked for.

    Attributes:
        folder: Where they lie.
    """

    folder: Path

    @cached_property
    def ids(self) -> list[str]:
        """One a document."""
        found: list[str] = json.loads((self.folder / IDS).read_bytes())
        return found

    @cached_property
    def digests(self) -> np.ndarray:
        """``uint8[documents, 16]``: a hash of each text."""
        return _array(self.folder / DIGESTS)

    @cached_property
    def passages(self) -> np.ndarray:
        """``int64[passages, 3]``: number of the document, and where the passage begins and ends in it."""
        return _array(self.folder / PASSAGES)

    @cached_property
    def keys(self) -> np.ndarray:
        """``uint8[passages, 16]``: a hash of each passage's text."""
        return _array(self.folder / KEYS)

    @cached_property
    def vectors(self) -> np.ndarray:
        """``float16[passages, width]``: of length one."""
        return _array(self.folder / VECTORS)

    @cached_property
    def firsts(self) -> np.ndarray:
        """``int64[documents]``: the first passage of each document."""
        return np.searchsorted(self.passages[:, 0], np.arange(len(self.ids)))

    @cached_property
    def queries(self) -> dict[str, list[str]]:
        """The labelled queries that the index was fitted to; empty where there were none."""
        path = self.folder / QUERIES
        found: dict[str, list[str]] = json.loads(path.read_bytes()) if path.is_file() else {}
        return found

    @cached_property
    def _starts(self) -> np.ndarray:
        return _array(self.folder / STARTS)

    @cached_property
    def _texts(self) -> np.ndarray:
        path = self.folder / TEXTS
        return np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)

    def text(self, document: int) -> str:
        """Returns the text of a document, by its number."""
        return bytes(self._texts[self._starts[document] : self._starts[document + 1]]).decode()

    def passage(self, place: int) -> Passage:
        """Returns a passage, by its number."""
        document, start, stop = map(int, self.passages[place])
        return Passage(self.ids[document], start, stop, self.text(document)[start:stop])

    def passage_texts(self) -> Iterator[str]:
        """Yields the text of every passage, in order."""
        last, text = -1, ""
        for document, start, stop in self.passages:
            if document != last:
                last, text = document, self.text(int(document))
            yield text[start:stop]


@dataclass(frozen=True)
class StoredDocument:
    """A document as it goes into the files.

    Attributes:
        document: Its id.
        text: All of it.
        passages: Where each begins and ends.
    """

    document: str
    text: str
    passages: Sequence[tuple[int, int]]


def write_texts(folder: Path, documents: Iterator[StoredDocument]) -> Contents:
    """Writes documents and where their passages lie, everything but vectors and words, as they come.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ids, starts, digests, keys = [], [0], bytearray(), bytearray()
    passages: list[tuple[int, int, int]] = []
    with writing(folder / TEXTS) as file:
        for number, each in enumerate(documents):
            content = each.text.encode()
            file.write(content)
            ids.append(each.document)
            starts.append(starts[-1] + len(content))
            digests += key_of(each.text)
            for start, stop in each.passages:
                passages.append((number, start, stop))
                keys += key_of(each.text[start:stop])
    write_file(folder / IDS, json.dumps(ids, ensure_ascii=False))
    write_array(folder / STARTS, np.array(starts, np.int64))
    write_array(folder / DIGESTS, np.frombuffer(digests, np.uint8).reshape(-1, KEY_BYTES))
    write_array(folder / KEYS, np.frombuffer(keys, np.uint8).reshape(-1, KEY_BYTES))
    write_array(folder / PASSAGES, np.array(passages, np.int64).reshape(-1, 3))
    return Contents(folder)


def key_of(text: str) -> bytes:
    """Returns a hash of a text: texts with the same have the same vector."""
    return hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).digest()


def write_array(path: Path, values: np.ndarray) -> None:
    """Writes an array as .npy, whole or not at all."""
    write_rows(path, (values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE)), values)


def write_rows(path: Path, parts: Iterator[np.ndarray], like: np.ndarray) -> None:
    """Writes rows as they come, as one .npy that appears whole or not at all.

    Args:
        path: The file.
        parts: Of the same type and width.
        like: Has the shape and the type of them all; it may hold anything.
    """
    header = {"descr": np.lib.format.dtype_to_descr(like.dtype), "fortran_order": False, "shape": like.shape}
    with writing(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part).tobytes())


def _array(path: Path) -> np.ndarray:
    found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return found

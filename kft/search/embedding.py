"""Vectors of passages, computed once: block by block onto the disk, so that a killed build goes on where it was.

A passage is known by its text. What an index has, or a block of an unfinished build, is not computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kft.errors import RunError
from kft.metrics.neighbours import unit_rows
from kft.search.contents import AT_ONCE, KEY_BYTES, VECTORS, Contents, key_of, write_array, write_rows
from kft.search.models import Embedder

BLOCK = 1024
"""Passages of a block: what a killed build computes again at most."""
Tick = Callable[[int], None]


@dataclass
class KnownVectors:
    """Vectors that are there already, by the key of their passage.

    Attributes:
        blocks: The folder of those that an unfinished build has computed.
        places: Which array holds a passage's vector, and in which row.
        arrays: ``float16[rows, width]``, on the disk.
    """

    blocks: Path
    places: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    arrays: list[np.ndarray] = field(default_factory=list)

    def add(self, keys: np.ndarray, vectors: np.ndarray) -> None:
        """Takes vectors in; those of passages that are known stay as they were."""
        self.arrays.append(vectors)
        for row, key in enumerate(keys):
            self.places.setdefault(key.tobytes(), (len(self.arrays) - 1, row))

    @classmethod
    def read(cls, blocks: Path, model: str) -> KnownVectors:
        """Returns what an unfinished build has left.

        Args:
            blocks: Where it leaves blocks, in a folder for each model.
            model: Its digest, and how many numbers of a vector are kept where not all are.
        """
        known = cls(blocks / key_of(model).hex())
        for path in sorted(known.blocks.glob("*.npy")):
            known.add_block(path)
        return known

    def add_block(self, path: Path) -> None:
        """Takes a block of an unfinished build in, by its place on the disk; a damaged one is removed."""
        try:
            block = np.load(path, mmap_mode="r", allow_pickle=False)
            if not np.allclose(np.linalg.norm(block["vector"].astype(np.float32), axis=1), 1, atol=1e-2):
                raise ValueError("vectors that are not of length one")
            self.add(block["key"], block["vector"])
        except (ValueError, IndexError, EOFError, OSError):
            path.unlink(missing_ok=True)

    def rows(self, keys: np.ndarray) -> np.ndarray:
        """Returns ``float16[keys, width]``."""
        places = [self.places[key.tobytes()] for key in keys]
        return np.stack([self.arrays[array][row] for array, row in places])


def embed(
    contents: Contents,
    shipped: Embedder,
    known: KnownVectors,
    tick: Tick = lambda count: None,
    *,
    width: int | None = None,
) -> int:
    """Computes the vectors that are not known, and writes those of all passages.

    Args:
        contents: Passages; the file of vectors is added.
        shipped: The model.
        known: What is there already; gets what is computed.
        tick: Is told of passages that are done.
        width: Numbers of a vector that are kept, the first ones; None: all.

    Returns:
        How many vectors were computed.

    Raises:
        RunError: The model gives a vector that is not finite, or none at all.
        StorageError: The disk is full; what was computed stays.
    """
    computed = 0
    for keys, texts in _missing(contents, known):
        vectors = to_unit(shipped, texts, width)
        block = np.empty(len(keys), [("key", np.uint8, KEY_BYTES), ("vector", np.float16, vectors.shape[1])])
        block["key"] = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES)
        block["vector"] = vectors
        number = 1 + max((int(path.stem) for path in known.blocks.glob("*.npy")), default=-1)
        path = known.blocks / f"{number:08d}.npy"
        write_array(path, block)
        known.add_block(path)
        computed += len(keys)
        tick(len(keys))
    count, width = len(contents.passages), known.arrays[0].shape[1]
    parts = (known.rows(contents.keys[start : start + AT_ONCE]) for start in range(0, count, AT_ONCE))
    write_rows(contents.folder / VECTORS, parts, np.broadcast_to(np.float16(0), (count, width)))
    return computed


def to_unit(shipped: Embedder, texts: Sequence[str], width: int | None) -> np.ndarray:
    """Returns ``float16[texts, width]``: vectors of documents, cut to so many numbers, of length one.

    Raises:
        RunError: One is not finite, or has no length.
    """
    vectors = unit_rows(shipped.vectors(texts, side="document")[:, :width].astype(np.float64))
    wrong = ~np.isclose(np.linalg.norm(vectors, axis=1), 1)
    if wrong.any():
        raise RunError(
            "the model gives no direction for a text",
            where=str(shipped.folder),
            received=f"a vector of zeros, or one that is not finite, for {texts[int(wrong.argmax())][:60]!r}",
            expected="vectors with a length",
            next_step="kft verify an artifact, or export another; train a run again",
        )
    return vectors.astype(np.float16)


def _missing(contents: Contents, known: KnownVectors) -> Iterator[tuple[list[bytes], list[str]]]:
    """Yields blocks of passages whose vectors are not known, each text once, in the order of the documents."""
    keys: list[bytes] = []
    texts: list[str] = []
    seen: set[bytes] = set()
    for key, text in zip(contents.keys, contents.passage_texts(), strict=True):
        name = key.tobytes()
        if name in known.places or name in seen:
            continue
        seen.add(name)
        keys.append(name)
        texts.append(text)
        if len(keys) == BLOCK:
            yield keys, texts
            keys, texts = [], []
    if keys:
        yield keys, texts

"""Looks at a table for the first time and drafts a commented recipe for it."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kft.data.tables import guess_columns, read_table
from kft.errors import DataError

FEW_ROWS = 10
"""Below so many rows a class, a measured accuracy says little about that class."""


@dataclass(frozen=True)
class Look:
    """What a table holds.

    Attributes:
        source: As the person wrote it.
        path: The file.
        rows: How many rows.
        text: The text column.
        label: The label column.
        counts: Rows of each label, most frequent first.
        examples: One text of each label.
        median_words: Median words a text.
        test: A file beside it that is plainly the test split, or None.
        warnings: What to look at before training.
    """

    source: str
    path: Path
    rows: int
    text: str
    label: str
    counts: dict[str, int]
    examples: dict[str, str]
    median_words: float
    test: Path | None
    warnings: tuple[str, ...]

    def largest(self, most: int) -> list[tuple[str, int, str]]:
        """Returns label, rows and a shortened example for the most frequent labels."""
        shown = [(name, count, _shorten(self.examples[name], 60)) for name, count in self.counts.items()]
        if len(shown) > most:
            rest = sum(count for _, count, _ in shown[most - 1 :])
            shown = [*shown[: most - 1], (f"{len(shown) - most + 1} more", rest, "")]
        return shown

    def as_dict(self) -> dict[str, Any]:
        """Returns what ``kft init --json`` prints."""
        return {
            "rows": self.rows,
            "text": self.text,
            "label": self.label,
            "labels": self.counts,
            "median_words": self.median_words,
            "warnings": list(self.warnings),
        }


def look_at(
    source: str,
    *,
    base: Path,
    locate: Callable[[str, Path], Path],
    text: str | None = None,
    label: str | None = None,
) -> Look:
    """Reads a table, guesses its columns and counts its labels.

    Raises:
        DataError: The table cannot be read, has no such columns, or cannot be learnt from.
    """
    path = locate(source, base)
    frame = read_table(path)
    columns = guess_columns(frame, text=text, label=label, where=source)
    texts = [str(value) for value in frame[columns.text]]
    labels = [str(value).strip() for value in frame[columns.label]]
    counts = dict(Counter(name for name in labels if name).most_common())
    if len(counts) < 2:
        raise DataError(
            "one class only: there is nothing to tell apart",
            where=f"{source}, column {columns.label!r}",
            received=", ".join(map(repr, counts)) or "no label at all",
            expected="at least two different labels",
            next_step=f"kft init {source} --label COLUMN, with one of: {', '.join(map(str, frame.columns))}",
        )
    examples: dict[str, str] = {}
    for name, value in zip(labels, texts, strict=True):
        if name and value.strip():
            examples.setdefault(name, value)
    return Look(
        source=source,
        path=path,
        rows=len(frame),
        text=columns.text,
        label=columns.label,
        counts=counts,
        examples={name: examples.get(name, "") for name in counts},
        median_words=float(np.median([len(value.split()) for value in texts])),
        test=_test_file_beside(path),
        warnings=tuple(_warnings(texts, labels, counts)),
    )


def _warnings(texts: list[str], labels: list[str], counts: dict[str, int]) -> list[str]:
    found = []
    unusable = sum(not text.strip() or not label for text, label in zip(texts, labels, strict=True))
    if unusable:
        found.append(f"{unusable:,} rows without text or label: mend them, or set data.unusable_rows: skip")
    small = [name for name, count in counts.items() if count < FEW_ROWS]
    if small:
        found.append(f"{len(small)} labels have fewer than {FEW_ROWS} rows: {', '.join(small[:5])}")
    repeated = len(texts) - len(set(texts))
    if repeated:
        found.append(f"{repeated:,} texts stand there more than once; copies on both sides of a split flatter")
    if len(counts) > 20 and all(_is_number(name) for name in counts):
        found.append("the labels are numbers: data.bins turns ratings into classes")
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _test_file_beside(path: Path) -> Path | None:
    if "train" not in path.stem:
        return None
    other = path.with_name(path.stem.replace("train", "test") + path.suffix)
    return other if other.is_file() else None


def _shorten(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 3] + "..."


def draft_recipe(look: Look, target: Path, task: str) -> str:
    """Returns a commented recipe; its paths are relative to the recipe's own folder."""
    test = f"{_written(look.test, target)}" if look.test else "15%"
    return f"""# purpose: {_shorten(look.label, 30)} of a text, from {look.rows:,} rows and {len(look.counts)} labels
# command: kft train {target}
# result:  not trained yet

task: {task}

data:
  train: {_source(look, target)}
  text: {json.dumps(look.text, ensure_ascii=False)}
  label: {json.dumps(look.label, ensure_ascii=False)}
  valid: 15%             # choices (epochs, strengths) look at this share only
  test: {test:<15}  # sealed until the end; a share or a file
  unusable_rows: error   # or skip: rows without text or label are listed and left out
  # group: COLUMN        # rows of one customer, review or document never cross a split
  # id: COLUMN           # a unique name for each row; default: file and row number

model:
  backbone: minilm-l6    # kft models lists them
  max_tokens: 128        # longer texts are cut, and the share is printed

# train: left out, kft solves a linear probe, then fine-tunes the top blocks from there.
# train:
#   phases:
#     - {{name: probe, unfreeze: none, solver: lbfgs}}
#     - {{name: top, unfreeze: top-2, epochs: 4, lr: 5e-5}}

# evaluate:
#   gates: {{accuracy: ">= 0.85"}}   # kft evaluate exits 1 when a gate fails
"""


def _source(look: Look, target: Path) -> str:
    return look.source if look.source.startswith("package:") else _written(look.path, target)


def _written(path: Path, target: Path) -> str:
    relative = os.path.relpath(path.resolve(), target.resolve().parent)
    plain = re.fullmatch(r"[\w./-]+", relative) and not relative.startswith("-")
    return relative if plain else json.dumps(relative, ensure_ascii=False)  # JSON is YAML

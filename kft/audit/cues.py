"""Cues: single properties of an example, present or not, that have nothing to do with what it says.

A shortcut is a cue that gives the label away (Geirhos et al., 2020): a model learns it instead of the task, looks good
on test, which has it too, and fails where it is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kft.audit.pixels import ImageFacts

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
MOST_VALUES = 200
"""A column with more different values names single rows, and is no property that they share."""
EVEN = 14.0
"""Standard deviation along an image's border, of 0 to 255, below which it is a frame."""


@dataclass(frozen=True)
class Cue:
    """A property that examples have or lack.

    Attributes:
        family: What it is a property of: ``length``, ``habit``, ``column``, ``group``, ``file`` or ``border``.
        name: What it is, such as "longer than 80 characters".
        present: ``bool[n]``.
    """

    family: str
    name: str
    present: np.ndarray


def text_cues(texts: Sequence[str]) -> Iterator[Cue]:
    """Yields length and habits of writing.

    Example:
        >>> cues = {cue.name: cue.present.tolist() for cue in text_cues(["It works.", "IT BROKE AGAIN!"])}
        >>> cues["all in capitals"], cues["ends in '!'"]
        ([False, True], [False, True])
    """
    lengths = np.array([len(text) for text in texts])
    for limit in sorted({int(np.quantile(lengths, share)) for share in QUANTILES}):
        yield Cue("length", f"longer than {limit} characters", lengths > limit)
        yield Cue("length", f"at most {limit} characters", lengths <= limit)
    ends = [text.rstrip()[-1:] for text in texts]
    habits = {
        "all in capitals": [text.isupper() and sum(map(str.isalpha, text)) >= 4 for text in texts],
        "without a capital": [text.islower() for text in texts],
        "begins with a small letter": [text.lstrip()[:1].islower() for text in texts],
        "begins with a capital": [text.lstrip()[:1].isupper() for text in texts],
        "begins with a space": [text[:1].isspace() for text in texts],
        "ends in a space or line break": [text[-1:].isspace() for text in texts],
        "ends in a letter or digit": [end.isalnum() for end in ends],
        "holds two spaces in a row": ["  " in text for text in texts],
        "holds a line break": ["\n" in text.strip() for text in texts],
        "holds characters beyond ASCII": [not text.isascii() for text in texts],
        **{f"ends in {mark!r}": [end == mark for end in ends] for mark in ".!?;:,)\"'"},
    }
    for name, present in habits.items():
        yield Cue("habit", name, np.array(present, bool))


def image_cues(facts: ImageFacts) -> Iterator[Cue]:
    """Yields format and size of the files, and the colour of an even border."""
    yield from _values("file", "format", facts.formats)
    yield from _values("file", "size", np.array([f"{width} x {height}" for width, height in facts.sizes]))
    even = facts.border[:, 3] < EVEN
    # Four steps a channel: one colour, whatever compression made of it.
    steps = np.clip(facts.border[:, :3] // 64, 0, 3).astype(int) * 64 + 32
    colours = np.array(["#" + bytes(row.astype(np.uint8)).hex() for row in steps])
    for cue in _values("border", "border colour near", np.where(even, colours, "")):
        if not cue.name.endswith(" "):
            yield cue


def column_cues(columns: Mapping[str, np.ndarray], groups: np.ndarray | None) -> Iterator[Cue]:
    """Yields the values of other columns, and what the names of groups begin with.

    Example:
        >>> cues = column_cues({"source": np.array(["web", "app"])}, np.array(["clinicA_1", "clinicB_1"]))
        >>> [(cue.family, cue.name) for cue in cues]
        [('column', 'source = app'), ('column', 'source = web'), ('group', 'begins with = clinicA'),
         ('group', 'begins with = clinicB')]
    """
    for name, cells in columns.items():
        yield from _values("column", f"{name} =", cells.astype(str))
    if groups is not None:
        starts = np.array([_letters(str(group)) for group in groups])
        yield from _values("group", "begins with =", starts)


def _letters(name: str) -> str:
    found = re.match(r"[^\W\d_]+", name)
    return found.group() if found else ""


def _values(family: str, what: str, cells: np.ndarray) -> Iterator[Cue]:
    values = np.unique(cells)
    if 2 <= len(values) <= MOST_VALUES:
        for value in values:
            yield Cue(family, f"{what} {value}", cells == value)

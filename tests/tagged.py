"""Sentences whose spans are known, written in the forms that people and tools write them, and read back through kft."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PEOPLE = ("Gauss", "Ada Lovelace", "Euclid", "Grace Hopper", "Jean-Paul Sartre")
PLACES = ("Rome", "New York City", "Paris", "Oslo")
PLAIN = ("then", "later", "so", "yesterday", "again", "gladly")

Word = tuple[str, str, str]
"""A word, the kind of span it is in, and which of its words it is: B, I, E or S; both empty outside."""


def sentences(rows: int = 24, seed: int = 0) -> list[list[Word]]:
    """Returns sentences with one person and one place each."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(rows):
        lead = [(str(word), "", "") for word in rng.choice(PLAIN, rng.integers(0, 3))]
        person, place = (_span(str(rng.choice(names)), kind) for names, kind in ((PEOPLE, "PER"), (PLACES, "LOC")))
        found.append([*lead, *person, ("left", "", ""), *place, (str(rng.choice(PLAIN)), "", "")])
    return found


def _span(name: str, kind: str) -> list[Word]:
    words = name.split()
    marks = "S" if len(words) == 1 else "B" + "I" * (len(words) - 2) + "E"
    return [(word, kind, mark) for word, mark in zip(words, marks, strict=True)]


def words(sentence: Sequence[Word]) -> list[str]:
    return [word for word, _, _ in sentence]


def truth(sentence: Sequence[Word]) -> list[tuple[str, str]]:
    """Returns kind and words of each span, in order."""
    found: list[list[str]] = []
    for word, kind, mark in sentence:
        if mark in ("B", "S"):
            found.append([kind, word])
        elif mark:
            found[-1][1] += f" {word}"
    return [(kind, said) for kind, said in found]


def tags(sentence: Sequence[Word], write: Callable[[str, str], str], outside: str = "O") -> list[str]:
    """Returns one tag a word, as `write(mark, kind)` spells it."""
    return [write(mark, kind) if kind else outside for _, kind, mark in sentence]


def places(sentence: Sequence[Word], gap: str = " ") -> list[tuple[int, int, str]]:
    """Returns start, end and kind of each span in the words joined by a gap."""
    found: list[tuple[int, int, str]] = []
    start = 0
    for word, kind, mark in sentence:
        if mark in ("B", "S"):
            found.append((start, start + len(word), kind))
        elif mark:
            found[-1] = (found[-1][0], start + len(word), kind)
        start += len(word) + len(gap)
    return found


def iob2(mark: str, kind: str) -> str:
    return f"{'B' if mark in 'BS' else 'I'}-{kind}"


def json_lines(rows: Sequence[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_back(source: Path, **spec: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """Returns each text, with the kind and the words of its spans, in the order of the rows' ids."""
    from kft.assets import locate
    from kft.recipe.schema import DataSpec
    from kft.split.data_split import labels_of, load_split
    from kft.tasks.registry import TASKS

    data = DataSpec(**{"train": source.name, "valid": "20%", "test": "20%", "keep_together": "nothing", **spec})
    split = load_split(data, task=TASKS.get("token-tagging"), base=source.parent, locate=locate)
    found = {}
    for name in ("train", "valid", "test"):
        part = split.part(name)
        for key, text, label in zip(part.ids, part.inputs, labels_of(part), strict=True):
            said = [(span.label, " ".join(text[span.start : span.end].split())) for span in label]
            found[int(str(key).rsplit(":", 1)[1])] = (text, said)
    return [found[key] for key in sorted(found)]

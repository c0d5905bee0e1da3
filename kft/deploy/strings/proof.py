"""What a graph makes of raw texts by itself, in the form in which the proof of parity compares two models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kft.deploy.near import Near
from kft.deploy.parity import hold_to, run_alone
from kft.deploy.runner.trace import Row, Stages
from kft.deploy.strings import asking
from kft.errors import ParityError
from kft.records.shipped import About
from kft.tasks.decode import FOREIGN

Given = Mapping[str, Any]
"""Of one text, by the name of the output."""


def hold_graph(folder: Path, about: About, expected: Stages, found: Stages, near: Near, inputs: Sequence[Any]) -> None:
    """Compares what the signature of raw texts reads and answers with what was evaluated, step by step.

    Args:
        folder: The artifact's, with a SavedModel in it.
        about: Its artifact.json.
        expected: What was evaluated.
        found: What its run.py makes of the inputs.
        near: What counts as equal.
        inputs: Raw.

    Raises:
        ParityError: They differ; names the first step at which they do, and an example.
    """
    try:
        hold_to(expected, answered_by_graph(folder, about, inputs, found), inputs, near)
    except ParityError as error:
        error.where = f"raw texts, read by the graph itself: {error.where}"
        raise


def answered_by_graph(folder: Path, about: About, inputs: Sequence[Any], found: Stages) -> Stages:
    """Returns what the signature of raw texts reads and answers, in a fresh process without kft.

    Args:
        folder: The artifact's, with a SavedModel in it.
        about: Its artifact.json; it says that texts are taken.
        inputs: Raw.
        found: What its run.py makes of them: this stands where the signature says nothing, as of vectors.

    Raises:
        ParityError: The process fails; the message has its last words.
    """
    script = (str(Path(asking.__file__).resolve()), str((folder / about.model).resolve()))
    asked = run_alone(script, inputs, ("tensorflow",))
    rows, outputs, answers = [], [], []
    for place, known in enumerate(found.outputs):
        given = {name: values[place] for name, values in asked.items()}
        length = sum(given["tokens/padding_mask"])
        rows.append({name: np.array(given[f"tokens/{name}"][:length], np.int32) for name in about.inputs})
        said = {name.partition("/")[2]: value for name, value in given.items() if name.startswith("serving_default/")}
        outputs.append({**known, **_figures(said, about.labels)})
        answers.append(SAID[about.answers](said))
    return replace(found, rows=rows, outputs=outputs, answers=answers)


def _figures(said: Given, labels: Sequence[str]) -> Row:
    """Returns an answer's figures under the names of the graph's outputs, probabilities in the order of the labels."""
    figures = {
        name: np.array(said[name], np.float32) for name in ("confidence", "value", "low", "high") if name in said
    }
    if "vector" in said:
        figures["embedding"] = np.array(said["vector"], np.float32)
    if "classes" in said:
        by_name = dict(zip(said["classes"], said["probabilities"], strict=True))
        figures["probabilities"] = np.array([by_name.get(label, np.nan) for label in labels], np.float32)
    if "abstain" in said:
        figures |= {"abstain": np.array(said["abstain"]), "foreign": np.array(said["why"] == FOREIGN)}
    return figures


SAID: dict[str, Callable[[Given], dict[str, Any]]] = {
    "class": lambda said: {"label": said["label"], "abstain": said["abstain"]},
    "set": lambda said: {
        "labels": [label for label in said["labels"] if label],
        "abstain": said.get("abstain", False),
    },
    "number": lambda said: {"abstain": said.get("abstain", False)},
    "documents": lambda said: {"abstain": False},
}
"""By the form of the labels: an answer as ``kft.deploy.parity`` compares it."""

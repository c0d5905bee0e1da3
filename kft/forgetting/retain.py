"""The retain set: examples of what the pretrained model could do, which fine-tuning should leave it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kft import assets
from kft.data.columns import guess_columns
from kft.data.examples import Input, NamedColumns
from kft.data.inputs import read_inputs
from kft.data.parts import name_parts, open_source, parts_to_examples, read_parts
from kft.data.tables import refuse_rejected
from kft.errors import DataError
from kft.recipe.evaluation import RetainSpec
from kft.recipe.schema import DataSpec, RecipeSpec
from kft.tasks.registry import TASKS, first_task
from kft.tasks.task import Task

GENERAL = Path(__file__).parent / "general_topics.csv"
"""180 sentences on 12 everyday topics, written for kft: 15 of each, so that chance finds 1 in 12."""
FEWEST, MOST = 30, 2000
"""Examples of a retain set: below, an interval says nothing; above, some are drawn, which say as much."""


@dataclass(frozen=True)
class RetainSet:
    """Examples other than the task's own.

    Attributes:
        name: For people.
        source: Where they come from.
        inputs: What the backbone reads.
        topics: ``int[n]``: what each is about; None where nobody said.
    """

    name: str
    source: str
    inputs: list[Input]
    topics: np.ndarray | None

    def __len__(self) -> int:
        return len(self.inputs)


def find_retain(spec: RecipeSpec) -> tuple[RetainSet | None, str]:
    """Returns the retain set of a recipe and an empty reason, or a reason why there is none.

    Args:
        spec: The recipe; its ``evaluate.retain`` is a full path, as ``load_recipe`` leaves it.

    Raises:
        DataError: The file cannot be read or used.

    Example:
        >>> from kft.recipe.schema import RecipeSpec
        >>> recipe = {"task": "text-classification", "data": {"train": "a.csv"}}
        >>> retain, _ = find_retain(RecipeSpec.model_validate(recipe))
        >>> len(retain), retain.inputs[0]
        (180, 'Heavy rain is expected along the coast until Thursday evening.')
        >>> find_retain(RecipeSpec.model_validate({**recipe, "evaluate": {"retain": "none"}}))
        (None, 'evaluate.retain is none')
    """
    retain, task = spec.evaluate.retain, reads(spec)
    if retain.named:
        return _read(retain, task), ""
    if retain.data == "none":
        return None, "evaluate.retain is none"
    if task.reads.no_general:
        return None, f"{task.reads.no_general}: evaluate.retain names some, such as {{data: FOLDER, label: label}}"
    table = pd.read_csv(GENERAL)
    topics = np.unique(table["topic"], return_inverse=True)[1]
    return RetainSet("general topics", f"kft/forgetting/{GENERAL.name}", list(table["text"]), topics), ""


def reads(spec: RecipeSpec) -> Task:
    """Returns the task that a recipe's backbone reads retain sets as: single texts, or images."""
    return first_task(files=TASKS.get(spec.task).reads.files)


def _read(spec: RetainSpec, task: Task) -> RetainSet:
    source = DataSpec(train=spec.data, text=spec.text, label=spec.label)
    parts = open_source(spec.data, Path.cwd(), assets.locate)
    name = parts[0].place.name
    if spec.label is None:
        table = parts[0].table
        column = spec.text or task.reads.columns[0]
        inputs, labels = read_inputs(table, task, source, column=column).inputs, None
    else:
        rows = read_parts(parts, name_parts(parts), source, task=task, base=Path.cwd())
        columns = guess_columns(rows[0].frame, NamedColumns(spec.text, spec.label), where=name, task=task)
        examples, rejected = parts_to_examples(rows, source, task=task, columns=columns)
        refuse_rejected(rejected, source, "mend these rows, or take them out of this file")
        inputs, labels = examples.inputs, examples.labels
    topics = None if labels is None else np.unique(labels.astype(str), return_inverse=True)[1]
    lone = 0 if topics is None else int((np.bincount(topics) < 2).sum())
    if len(inputs) < FEWEST or lone or (topics is not None and topics.max() < 1):
        counted = "" if topics is None else f" of {topics.max() + 1} labels, {lone} of them with one example"
        raise DataError(
            "the retain set is too small to tell what is left",
            where=f"evaluate.retain, {spec.data}",
            received=f"{len(inputs)} examples{counted}",
            expected=f"at least {FEWEST} examples; with labels, two or more of each of two or more",
            next_step="add examples, or leave evaluate.retain out",
        )
    if len(inputs) > MOST:
        drawn = np.sort(np.random.default_rng(0).permutation(len(inputs))[:MOST])
        inputs, topics = [inputs[place] for place in drawn], None if topics is None else topics[drawn]
    return RetainSet(name, spec.data, list(inputs), topics)

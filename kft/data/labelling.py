"""Rows that wait for a label, as files that people and tools label: csv, JSON lines, Label Studio, Argilla.

Whatever the form, what comes back labelled is read as any table or export is; see exports.py and argilla.py. The chance
with which a row was drawn travels with it, as a column or as metadata.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd

from kft.data.exporting import LABEL, TEXT
from kft.data.json_rows import json_cell
from kft.errors import UsageError
from kft.records.csv_file import as_csv, original
from kft.records.files import write_file
from kft.tasks.cells import as_text

INCLUSION = "inclusion_probability"
"""The column of the chance with which a row was drawn."""
ANSWER, CONFIDENCE, WHY = "answer", "confidence", "why"
"""Those of what the model says, and of what a row was drawn for."""
ADDED = (ANSWER, CONFIDENCE, WHY, INCLUSION)
FIELDS = ("label", "confidence", "abstain", "probabilities")
"""The columns of a table of answers, as ``kft predict`` writes it: its labels are what a model says."""
MODEL = "model_"
"""Stands before them where the data have such a column themselves."""


@dataclass(frozen=True)
class Waiting:
    """Rows that wait for a label.

    Attributes:
        table: Their own columns.
        text: Which of these holds the inputs.
        label: What the column of labels is called.
        answers: What the model says of each, as ``kft predict`` prints it.
        chance: ``float64[n]``: with which each was drawn.
        why: What each was drawn for.
        labels: What can be answered; empty for numbers.
        form: Of the labels: ``class``, ``set``, ``number`` or ``spans``.
        model: Its name and version.
        pair: Which of the columns holds the second texts; None: none does.
    """

    table: pd.DataFrame
    text: str
    label: str
    answers: Sequence[Mapping[str, Any]]
    chance: np.ndarray
    why: Sequence[str]
    labels: tuple[str, ...]
    form: str
    model: str
    pair: str | None = None

    @cached_property
    def own(self) -> tuple[str, ...]:
        """The table's own columns but the labels; without what an earlier queue has added."""
        names = tuple(str(name) for name in self.table.columns)
        renamed = {name: f"{MODEL}{name}" for name in ADDED}
        earlier = {new if new in names else name for name, new in renamed.items()} if INCLUSION in names else ()
        inputs = (self.text, self.pair)
        return tuple(name for name in names if name != self.label and (name not in earlier or name in inputs))

    @cached_property
    def added(self) -> dict[str, str]:
        """What each of ``ADDED`` is called: otherwise where the data, or their labels, have that name."""
        taken = {*self.own, self.label}
        return {name: name if name not in taken else _free(f"{MODEL}{name}", taken) for name in ADDED}


def write_waiting(path: Path, waiting: Waiting, tool: str) -> tuple[Path, ...]:
    """Writes rows that wait for a label, whole or not at all.

    Args:
        path: The file.
        waiting: The rows.
        tool: ``table`` (csv or JSON lines, by the file's ending), ``label-studio`` or ``argilla``.

    Returns:
        The files: for Label Studio beside the tasks the project's labelling interface, ``.xml``.

    Raises:
        UsageError: The ending is of another kind of file.
        StorageError: The disk is full or the folder cannot be written.
    """
    endings = ENDINGS[tool]
    if path.suffix.lower() not in endings:
        raise UsageError(
            f"for {tool} the file is no {path.suffix or 'file without an ending'}",
            where=str(path),
            received=path.name,
            expected=f"a name that ends in {' or '.join(endings)}",
            next_step=f"-o {path.with_suffix(endings[0])}",
        )
    return WRITERS[tool](path, waiting)


def _write_table(path: Path, waiting: Waiting) -> tuple[Path, ...]:
    names = waiting.own
    header = (*names, waiting.label, *waiting.added.values())
    own = [list(waiting.table[name]) for name in names]
    rows = [(*cells, None, *_said(waiting, place)) for place, cells in enumerate(zip(*own, strict=True) if own else ())]
    if path.suffix.lower() == ".csv":
        write_file(path, as_csv(header, [[_cell(value) for value in row] for row in rows]))
    else:
        lines = (json.dumps(dict(zip(header, map(_plain, row), strict=True)), ensure_ascii=False) for row in rows)
        write_file(path, "".join(f"{line}\n" for line in lines))
    return (path,)


def _free(name: str, taken: Collection[str]) -> str:
    return name if name not in taken else _free(f"{name}_", taken)


def _said(waiting: Waiting, place: int) -> tuple[Any, ...]:
    """Returns what stands in the columns ``ADDED``."""
    answer = waiting.answers[place]
    return _answered(answer, waiting.form), answer.get("confidence"), waiting.why[place], float(waiting.chance[place])


def _answered(answer: Mapping[str, Any], form: str) -> Any:
    """Returns what an answer says, as a label would."""
    return answer.get({"class": "label", "set": "labels", "number": "value"}.get(form, form))


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if np.isnan(value) else repr(value)  # all digits: what a row stands for is one over its chance
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False)
    return as_text(value)


def _plain(value: Any) -> Any:
    """Returns a cell as JSON has it; what is missing is empty."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return [_plain(each) for each in value.tolist()]
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, float) and not np.isfinite(value):
        return ""
    return json_cell(value if isinstance(value, (bool, int, float)) else as_text(value))


def _write_studio(path: Path, waiting: Waiting) -> tuple[Path, ...]:
    tasks = []
    for place, text in enumerate(_texts(waiting)):
        answer = waiting.answers[place]
        data: dict[str, Any] = {
            **_others(waiting, place),
            TEXT: text,
            waiting.added[WHY]: waiting.why[place],
            INCLUSION: float(waiting.chance[place]),
        }
        result = [{"from_name": LABEL, "to_name": TEXT, **each} for each in _results(answer, waiting.form, text)]
        score = answer.get("confidence") or 0.0
        prediction: dict[str, Any] = {"model_version": waiting.model, "score": score, "result": result}
        tasks.append({"data": data, "predictions": [prediction]})
    interface = path.with_suffix(".xml")
    write_file(interface, _interface(waiting))
    write_file(path, json.dumps(tasks, ensure_ascii=False, indent=1) + "\n")
    return path, interface


def _results(answer: Mapping[str, Any], form: str, text: str) -> list[dict[str, Any]]:
    said = _answered(answer, form)
    if form == "spans":
        return [
            {
                "type": "labels",
                "value": {
                    "start": span["start"],
                    "end": span["end"],
                    "text": text[span["start"] : span["end"]],
                    "labels": [span["label"]],
                },
            }
            for span in said or ()
        ]
    if form == "number":
        return [{"type": "number", "value": {"number": said}}]
    chosen = list(said or ()) if form == "set" else [said]
    return [{"type": "choices", "value": {"choices": chosen}}] if chosen else []


def _interface(waiting: Waiting) -> str:
    """Returns the labelling interface of a Label Studio project that takes these tasks."""
    show = f'  <Text name="{TEXT}" value="${TEXT}"/>'
    if waiting.form == "number":
        return f'<View>\n{show}\n  <Number name="{LABEL}" toName="{TEXT}"/>\n</View>\n'
    outer, inner = ("Labels", "Label") if waiting.form == "spans" else ("Choices", "Choice")
    several = {"class": ' choice="single"', "set": ' choice="multiple"'}.get(waiting.form, "")
    choices = "\n".join(f"    <{inner} value={quoteattr(name)}/>" for name in waiting.labels)
    return f'<View>\n{show}\n  <{outer} name="{LABEL}" toName="{TEXT}"{several}>\n{choices}\n  </{outer}>\n</View>\n'


def _write_argilla(path: Path, waiting: Waiting) -> tuple[Path, ...]:
    records = []
    for place, text in enumerate(_texts(waiting)):
        answer = waiting.answers[place]
        suggestion = {
            "value": _answered(answer, waiting.form),
            "score": answer.get("confidence"),
            "agent": waiting.model,
        }
        why = {waiting.added[WHY]: waiting.why[place], INCLUSION: float(waiting.chance[place])}
        metadata = {**_others(waiting, place), **why}
        records.append(
            {
                "id": str(place + 1),
                "fields": {TEXT: text},
                "metadata": metadata,
                "suggestions": {LABEL: suggestion},
                "responses": {},
                "vectors": {},
            }
        )
    write_file(path, json.dumps(records, ensure_ascii=False, indent=1) + "\n")
    return (path,)


def _texts(waiting: Waiting) -> list[str]:
    return [as_text(cell) for cell in waiting.table[waiting.text]]


def _others(waiting: Waiting, place: int) -> dict[str, Any]:
    """Returns a row's own columns beside the text: groups, dates, ids; none that a tool takes for its own."""
    taken = (waiting.text, TEXT, LABEL, "id")
    row = {name: _plain(waiting.table[name].iloc[place]) for name in waiting.own}
    return {name: cell for name, cell in row.items() if name not in taken and not isinstance(cell, (list, dict))}


ENDINGS = {"table": (".csv", ".jsonl"), "label-studio": (".json",), "argilla": (".json",)}
WRITERS: dict[str, Callable[[Path, Waiting], tuple[Path, ...]]] = {
    "table": _write_table,
    "label-studio": _write_studio,
    "argilla": _write_argilla,
}
TOOLS = tuple(WRITERS)


def as_drawn(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns a csv of rows that waited for a label, without the quotes that keep a spreadsheet from taking formulas.

    A table without the column of chances is somebody else's, and stays as it is.

    Example:
        >>> as_drawn(pd.DataFrame({"text": ["'=1+1"], INCLUSION: ["0.5"]}))["text"][0]
        '=1+1'
    """
    if INCLUSION not in frame.columns:
        return frame
    cells = {
        name: [original(cell) if isinstance(cell, str) else cell for cell in frame[name]] for name in frame.columns
    }
    return pd.DataFrame(cells, index=frame.index, columns=frame.columns, dtype=object)

"""What annotation tools export (Label Studio, Prodigy, Argilla, spaCy), to a table with a text and its label."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import pandas as pd

from kft.data import argilla
from kft.data.exporting import (
    LABEL,
    TEXT,
    AnnotationExport,
    Export,
    cells_of,
    is_spans,
    scalars,
    single,
    text_key,
    unpacked,
)
from kft.data.json_rows import json_cell
from kft.tasks.cells import as_text
from kft.tasks.task import Task

ANSWERS = {"accept", "reject", "ignore"}
_STUDIO = {"annotation_id", "lead_time", "annotator"}


def take_out(frame: pd.DataFrame, task: Task, where: str, *, unlabelled: bool) -> Export | None:
    """Takes text and label out of what a tool nests; None where a table is what it seems.

    Args:
        frame: What was read.
        task: Says which of several annotations is wanted.
        where: The file, for messages.
        unlabelled: Whether rows without an annotation stay: where answers are wanted, not labels.

    Raises:
        DataError: The annotations are of another kind than the task wants, or of one that is not read.
    """
    for known, read in _TOOLS:
        if known(frame):
            return read(AnnotationExport(frame, task, where, unlabelled))
    return None


# ---- Prodigy


def _is_prodigy(frame: pd.DataFrame) -> bool:
    names = set(frame.columns)
    answers = {as_text(cell) for cell in cells_of(frame, "answer")}
    its_own = names & {"_task_hash", "_input_hash", "spans", "options"}
    return bool(answers) and answers <= ANSWERS and TEXT in names and bool(its_own)


def _read_prodigy(reading: AnnotationExport) -> Export:
    frame, tool = reading.frame, "Prodigy"
    counts = Counter(as_text(cell) for cell in frame["answer"])
    rows: list[Mapping[str, Any] | None] = []
    for row in frame.to_dict("records"):
        kept = {str(key): value for key, value in row.items() if key not in ("answer", "tokens", "options", "accept")}
        if reading.form != "spans" and "options" in frame.columns:
            kept[LABEL] = single(row.get("accept", []) or [])
        if reading.form == "spans":
            kept.pop(LABEL, None)
            kept["spans"] = row.get("spans") or []
        accepted = row["answer"] == "accept" or reading.unlabelled
        rows.append(kept if accepted else None)
    left = {name: counts[name] for name in ("reject", "ignore") if counts[name]}
    made = reading.made(tool, rows)
    said = " and ".join(f"{count:,} that say {name}" for name, count in left.items())
    notes = (made.notes[0], f"{said} are left out") if left and not reading.unlabelled else made.notes
    return Export(made.frame, notes, tool)


# ---- Label Studio


def _is_studio(frame: pd.DataFrame) -> bool:
    return "data" in frame.columns and any(isinstance(cell, Mapping) for cell in frame["data"][:5])


def _read_studio(reading: AnnotationExport) -> Export:
    tool, several = "Label Studio", 0
    rows: list[Mapping[str, Any] | None] = []
    for row in reading.frame.to_dict("records"):
        data = row["data"] if isinstance(row["data"], Mapping) else {}
        annotations = [
            each
            for each in (row.get("annotations") or row.get("completions") or [])
            if isinstance(each, Mapping) and as_text(each.get("was_cancelled", "")).lower() != "true"
        ]
        found = [_studio_value(reading, each.get("result") or []) for each in annotations]
        found = [value for value in found if value is not None]
        several += len({json.dumps(value, default=str) for value in found}) > 1
        key = text_key(data)
        kept = {"id": json_cell(row.get("id", "")), TEXT: data.get(key, ""), **scalars(data, ("id", key))}
        if not found and reading.unlabelled:
            rows.append(kept)
        else:
            rows.append({**kept, LABEL: found[0]} if found else None)
    notes = (
        [f"annotations of one task differ in {several:,} of {len(rows):,} tasks: the first is read"] if several else []
    )
    return reading.made(tool, rows, notes)


def _studio_value(reading: AnnotationExport, results: Sequence[Any]) -> Any:
    """Returns one annotation's label for the task; None where it says nothing of it."""
    spans: list[dict[str, Any]] = []
    choices: dict[str, list[Any]] = {}
    numbers: list[Any] = []
    for result in results:
        value = result.get("value") if isinstance(result, Mapping) else None
        if not isinstance(value, Mapping):
            continue
        kind = as_text(result.get("type", ""))
        if "startOffset" in value or "globalOffsets" in value or as_text(value.get("start", "")).startswith("/"):
            reading.refuse(
                "Label Studio", "spans of HTML and of dialogues", "label the text with <Text>, and export that"
            )
        if kind == "relation":
            continue
        if "start" in value and "end" in value:
            labels = value.get("labels") or value.get(kind) or value.get("hypertextlabels")
            spans.append({"start": value["start"], "end": value["end"], "label": labels, TEXT: value.get(TEXT)})
        choices.setdefault(as_text(result.get("from_name", "")), []).extend(value.get("choices") or [])
        numbers += [value[key] for key in ("rating", "number") if key in value]
    named = {question: chosen for question, chosen in choices.items() if chosen}
    names = [name for chosen in named.values() for name in chosen]
    if reading.form in ("class", "set") and len(named) > 1:
        reading.refuse(
            "Label Studio",
            f"several questions ({', '.join(named)})",
            "export one question, or write a table with a column each",
        )
    if reading.form == "spans":
        return spans if spans or not (names or numbers) else _wrong(reading, "choices", "text-classification")
    if reading.form == "number":
        return numbers[0] if numbers else None
    if not names and spans:
        _wrong(reading, "spans", "token-tagging")
    return single(names) if names or reading.form == "set" else None


def _wrong(reading: AnnotationExport, what: str, task: str) -> NoReturn:
    reading.refuse("Label Studio", what, f"--task {task}, which they are for")


def _is_studio_min(frame: pd.DataFrame) -> bool:
    return len(_STUDIO & set(frame.columns)) >= 2 and "data" not in frame.columns


def _read_studio_min(reading: AnnotationExport) -> Export:
    meta = {"id", "created_at", "updated_at", "predictions", "total_annotations", *_STUDIO}
    rows: list[Mapping[str, Any] | None] = []
    for row in reading.frame.to_dict("records"):
        kept: dict[str, Any] = {}
        for name, cell in row.items():
            value = unpacked(cell) if name not in meta else cell
            if isinstance(value, Mapping) and "choices" in value:
                value = value["choices"]
            kept[str(name)] = single(value) if not is_spans(value) else value
        fit = [name for name, value in kept.items() if name not in meta and is_spans(value)]
        if reading.form == "spans" and LABEL not in kept and len(fit) == 1:
            kept[LABEL] = kept.pop(fit[0])
        has = any(not (value == "" or value is None) for name, value in kept.items() if name not in (*meta, TEXT))
        rows.append(kept if has or reading.unlabelled else None)
    return reading.made("Label Studio", rows)


# ---- spaCy and doccano, whose rows need little


def _is_categories(frame: pd.DataFrame) -> bool:
    return "cats" in frame.columns and any(isinstance(cell, Mapping) for cell in frame["cats"][:5])


def _read_categories(reading: AnnotationExport) -> Export:
    rows: list[Mapping[str, Any] | None] = []
    for row in reading.frame.to_dict("records"):
        cats = row.pop("cats")
        if reading.form != "spans":
            chosen = [name for name, value in cats.items() if _share(value) >= 0.5] if isinstance(cats, Mapping) else []
            row = {**{k: v for k, v in row.items() if k not in ("entities", "ents")}, LABEL: single(chosen)}
        rows.append({str(key): value for key, value in row.items()})
    return reading.made("spaCy", rows)


def _share(value: Any) -> float:
    try:
        return float({"true": 1, "false": 0}.get(as_text(value).lower(), value))
    except (TypeError, ValueError):
        return 0.0


_TOOLS: tuple[tuple[Callable[[pd.DataFrame], bool], Callable[[AnnotationExport], Export]], ...] = (
    (_is_prodigy, _read_prodigy),
    (_is_studio, _read_studio),
    (_is_studio_min, _read_studio_min),
    *argilla.READERS,
    (_is_categories, _read_categories),
)
"""How to know an export by its columns, and how to read it; in the order in which they are tried."""

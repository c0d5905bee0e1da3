"""What Argilla exports, in each of its versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kft.data.exporting import LABEL, TEXT, AnnotationExport, Export, fits, scalars, single, text_key, unpacked
from kft.data.json_rows import json_cell
from kft.tasks.cells import as_text


def _is_argilla(frame: pd.DataFrame) -> bool:
    return "fields" in frame.columns and any(isinstance(cell, Mapping) for cell in frame["fields"][:5])


def _read_argilla(reading: AnnotationExport) -> Export:
    several = 0
    rows: list[Mapping[str, Any] | None] = []
    for row in reading.frame.to_dict("records"):
        fields = row["fields"] if isinstance(row["fields"], Mapping) else {}
        key = text_key(fields)
        metadata = row.get("metadata")
        said = _responses(row.get("responses"))
        found = [value for values in said.values() for value in values if fits(value, reading.form)]
        questions = [name for name, values in said.items() if any(fits(value, reading.form) for value in values)]
        if len(questions) > 1:
            reading.refuse(
                "Argilla", f"several questions ({', '.join(questions)})", "export one question, or write a table"
            )
        several += len({json.dumps(value, default=str) for value in found}) > 1
        kept = {"id": json_cell(row.get("id", "")), TEXT: fields.get(key, "")}
        kept |= scalars(metadata if isinstance(metadata, Mapping) else {}, ("id",))
        if found or reading.unlabelled:
            rows.append({**kept, LABEL: _plain(found[0], reading.form)} if found else kept)
        else:
            rows.append(None)
    return reading.made("Argilla", rows, _differing(several, len(rows)))


def _differing(several: int, records: int) -> list[str]:
    said = f"responses to one record differ in {several:,} of {records:,} records: the first is read"
    return [said] if several else []


def _plain(value: Any, form: str) -> Any:
    return value if form == "spans" else single(value)


def _responses(responses: Any) -> dict[str, list[Any]]:
    """Returns the submitted values of each question, whichever version wrote them."""
    found: dict[str, list[Any]] = {}
    if isinstance(responses, Mapping):  # {question: [{"value": ..., "status": ...}]}
        for question, answers in responses.items():
            for answer in answers if isinstance(answers, list) else []:
                if isinstance(answer, Mapping) and answer.get("status", "submitted") in ("submitted", "", None):
                    found.setdefault(question, []).append(answer.get("value"))
    for answer in responses if isinstance(responses, list) else []:  # [{"values": {question: {"value": ...}}}]
        if isinstance(answer, Mapping) and answer.get("status", "submitted") == "submitted":
            for question, value in (answer.get("values") or {}).items():
                found.setdefault(question, []).append(value.get("value") if isinstance(value, Mapping) else value)
    return found


def _answered(frame: pd.DataFrame) -> list[str]:
    """The questions of a dataset that Argilla has written as a table: a column of answers each."""
    return [str(name).removesuffix(".responses") for name in frame.columns if str(name).endswith(".responses")]


def _read_argilla_table(reading: AnnotationExport) -> Export:
    rows: list[Mapping[str, Any] | None] = []
    several = 0
    for row in reading.frame.to_dict("records"):
        found: dict[str, list[Any]] = {}
        for question in _answered(reading.frame):
            values = unpacked(row.get(f"{question}.responses"))
            said = unpacked(row.get(f"{question}.responses.status")) or []
            values = list(values) if isinstance(values, (list, tuple, np.ndarray)) else []
            states = [*map(as_text, said), *["submitted"] * len(values)][: len(values)]
            fit = [v for v, state in zip(values, states, strict=True) if state == "submitted" and fits(v, reading.form)]
            found |= {question: fit} if fit else {}
        if len(found) > 1:
            reading.refuse("Argilla", f"several questions ({', '.join(found)})", "take the columns of the others out")
        answers = next(iter(found.values()), [])
        several += len({json.dumps(value, default=str) for value in answers}) > 1
        kept = {str(name): cell for name, cell in row.items() if "." not in str(name)}
        kept |= {LABEL: _plain(answers[0], reading.form)} if answers else {}
        rows.append(kept if answers or reading.unlabelled else None)
    return reading.made("Argilla", rows, _differing(several, len(rows)))


def _is_argilla_1(frame: pd.DataFrame) -> bool:
    names = set(frame.columns)
    its_own = names & {"status", "annotation_agent", "prediction_agent", "event_timestamp", "multi_label", "inputs"}
    return {"annotation", "prediction"} <= names and bool(its_own) and bool(names & {TEXT, "inputs"})


def _read_argilla_1(reading: AnnotationExport) -> Export:
    rows: list[Mapping[str, Any] | None] = []
    for row in reading.frame.to_dict("records"):
        text = row.get(TEXT) or (row.get("inputs") or {}).get(TEXT, "")
        discarded = as_text(row.get("status", "")).lower() == "discarded"
        annotation = row.get("annotation")
        given = not (
            annotation is None or annotation == "" or (isinstance(annotation, float) and annotation != annotation)
        )
        kept = {TEXT: text, **scalars(row, ("prediction", "annotation", "inputs", "explanation", "vectors"))}
        if given:
            kept[LABEL] = _plain(annotation, reading.form)
        rows.append(kept if (given and not discarded) or reading.unlabelled else None)
    return reading.made("Argilla", rows)


READERS = (
    (_is_argilla, _read_argilla),
    (_is_argilla_1, _read_argilla_1),
    (lambda frame: bool(_answered(frame)), _read_argilla_table),
)
"""How to know each version by its columns, and how to read it."""

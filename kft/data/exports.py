"""What annotation tools export (Label Studio, Prodigy, Argilla, spaCy), to a table with a text and its label."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import pandas as pd

from kft.data.json_rows import json_cell
from kft.errors import DataError
from kft.tasks.cells import as_text
from kft.tasks.task import Task

TEXT, LABEL = "text", "label"
"""The columns of what was taken out of nested objects."""
ANSWERS = {"accept", "reject", "ignore"}
_STUDIO = {"annotation_id", "lead_time", "annotator"}


@dataclass(frozen=True)
class Export:
    """What was taken out of an export.

    Attributes:
        frame: Its rows; the index is each row's number in the file, from 0.
        notes: What was left out, or chosen among several; one sentence each.
        tool: Whose it is.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...]
    tool: str


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
            return read(_Reading(frame, task, where, unlabelled))
    return None


@dataclass(frozen=True)
class _Reading:
    frame: pd.DataFrame
    task: Task
    where: str
    unlabelled: bool

    @property
    def form(self) -> str:
        return self.task.kind.labels.form

    def made(self, tool: str, rows: Sequence[Mapping[str, Any] | None], notes: Sequence[str] = ()) -> Export:
        """Builds the table of the rows that have an annotation; None stands for one that has none."""
        kept = [place for place, row in enumerate(rows) if row is not None]
        found = [row for row in rows if row is not None]
        if not found:
            raise DataError(
                f"no row of {tool}'s export has an annotation",
                where=self.where,
                received=f"{len(rows):,} rows",
                expected=f"annotations for {self.task.name}",
                next_step="export what is annotated, or name another --task",
            )
        names = list(dict.fromkeys(name for row in found for name in row))
        cells = [[row.get(name, "") for name in names] for row in found]
        index = self.frame.index[kept]
        frame = pd.DataFrame(cells, columns=pd.Index(names, dtype=object), index=index, dtype=object)
        left = len(rows) - len(kept)
        if left:
            notes = (*notes, f"left out, without an annotation: {left:,} of {len(rows):,} rows of {tool}'s export")
        return Export(frame, (f"the file is read as {tool}'s export", *notes), tool)

    def refuse(self, tool: str, what: str, next_step: str) -> NoReturn:
        raise DataError(
            f"{what} of {tool} are not read for {self.task.name}",
            where=self.where,
            received=what,
            expected=f"annotations for {self.task.name}",
            next_step=next_step,
        )


def _cells(frame: pd.DataFrame, name: str) -> list[Any]:
    return list(frame[name]) if name in frame.columns else []


def _scalars(values: Mapping[str, Any], besides: Iterable[str] = ()) -> dict[str, Any]:
    """Returns what a nested object says of a row beside the annotation: names, dates, groups."""
    taken = {TEXT, LABEL, *besides}
    return {
        key: json_cell(v) for key, v in values.items() if not isinstance(v, (Mapping, list, tuple)) and key not in taken
    }


def _is_spans(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(each, (Mapping, list)) for each in value)


def _fits(value: Any, form: str) -> bool:
    if form == "spans":
        return _is_spans(value) or value == []
    return not _is_spans(value) and not isinstance(value, Mapping)


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


# ---- Prodigy


def _is_prodigy(frame: pd.DataFrame) -> bool:
    names = set(frame.columns)
    answers = {as_text(cell) for cell in _cells(frame, "answer")}
    its_own = names & {"_task_hash", "_input_hash", "spans", "options"}
    return bool(answers) and answers <= ANSWERS and TEXT in names and bool(its_own)


def _read_prodigy(reading: _Reading) -> Export:
    frame, tool = reading.frame, "Prodigy"
    counts = Counter(as_text(cell) for cell in frame["answer"])
    rows: list[Mapping[str, Any] | None] = []
    for row in frame.to_dict("records"):
        kept = {str(key): value for key, value in row.items() if key not in ("answer", "tokens", "options", "accept")}
        if reading.form != "spans" and "options" in frame.columns:
            kept[LABEL] = _single(row.get("accept", []) or [])
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


def _read_studio(reading: _Reading) -> Export:
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
        key = _text_key(data)
        kept = {"id": json_cell(row.get("id", "")), TEXT: data.get(key, ""), **_scalars(data, ("id", key))}
        if not found and reading.unlabelled:
            rows.append(kept)
        else:
            rows.append({**kept, LABEL: found[0]} if found else None)
    notes = (
        [f"annotations of one task differ in {several:,} of {len(rows):,} tasks: the first is read"] if several else []
    )
    return reading.made(tool, rows, notes)


def _text_key(data: Mapping[str, Any]) -> str:
    if isinstance(data.get(TEXT), str):
        return TEXT
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    return max(texts, key=lambda key: len(texts[key]), default=TEXT)


def _studio_value(reading: _Reading, results: Sequence[Any]) -> Any:
    """Returns one annotation's label for the task; None where it says nothing of it."""
    spans: list[dict[str, Any]] = []
    names: list[Any] = []
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
        names += value.get("choices") or []
        numbers += [value[key] for key in ("rating", "number") if key in value]
    if reading.form == "spans":
        return spans if spans or not (names or numbers) else _wrong(reading, "choices", "text-classification")
    if reading.form == "number":
        return numbers[0] if numbers else None
    if not names and spans:
        _wrong(reading, "spans", "token-tagging")
    return _single(names) if names or reading.form == "set" else None


def _wrong(reading: _Reading, what: str, task: str) -> NoReturn:
    reading.refuse("Label Studio", what, f"--task {task}, which they are for")


def _is_studio_min(frame: pd.DataFrame) -> bool:
    return len(_STUDIO & set(frame.columns)) >= 2 and "data" not in frame.columns


def _read_studio_min(reading: _Reading) -> Export:
    meta = {"id", "created_at", "updated_at", "predictions", "total_annotations", *_STUDIO}
    rows: list[Mapping[str, Any] | None] = []
    for row in reading.frame.to_dict("records"):
        kept: dict[str, Any] = {}
        for name, cell in row.items():
            value = _unpacked(cell) if name not in meta else cell
            if isinstance(value, Mapping) and "choices" in value:
                value = value["choices"]
            kept[str(name)] = _single(value) if not _is_spans(value) else value
        fit = [name for name, value in kept.items() if name not in meta and _is_spans(value)]
        if reading.form == "spans" and LABEL not in kept and len(fit) == 1:
            kept[LABEL] = kept.pop(fit[0])
        has = any(not (value == "" or value is None) for name, value in kept.items() if name not in (*meta, TEXT))
        rows.append(kept if has or reading.unlabelled else None)
    return reading.made("Label Studio", rows)


def _unpacked(cell: Any) -> Any:
    if isinstance(cell, str) and cell.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(cell, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            return cell
    return cell


# ---- Argilla


def _is_argilla(frame: pd.DataFrame) -> bool:
    return "fields" in frame.columns and any(isinstance(cell, Mapping) for cell in frame["fields"][:5])


def _read_argilla(reading: _Reading) -> Export:
    several = 0
    rows: list[Mapping[str, Any] | None] = []
    for row in reading.frame.to_dict("records"):
        fields = row["fields"] if isinstance(row["fields"], Mapping) else {}
        key = _text_key(fields)
        metadata = row.get("metadata")
        said = _responses(row.get("responses"))
        found = [value for values in said.values() for value in values if _fits(value, reading.form)]
        questions = [name for name, values in said.items() if any(_fits(value, reading.form) for value in values)]
        if len(questions) > 1:
            reading.refuse(
                "Argilla", f"several questions ({', '.join(questions)})", "export one question, or write a table"
            )
        several += len({json.dumps(value, default=str) for value in found}) > 1
        kept = {"id": json_cell(row.get("id", "")), TEXT: fields.get(key, "")}
        kept |= _scalars(metadata if isinstance(metadata, Mapping) else {}, ("id",))
        if found or reading.unlabelled:
            rows.append({**kept, LABEL: _plain(found[0], reading.form)} if found else kept)
        else:
            rows.append(None)
    notes = (
        [f"responses to one record differ in {several:,} of {len(rows):,} records: the first is read"]
        if several
        else []
    )
    return reading.made("Argilla", rows, notes)


def _plain(value: Any, form: str) -> Any:
    return value if form == "spans" else _single(value)


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


def _is_argilla_1(frame: pd.DataFrame) -> bool:
    return {"annotation", "prediction"} <= set(frame.columns) or {"annotation", "annotation_agent"} <= set(
        frame.columns
    )


def _read_argilla_1(reading: _Reading) -> Export:
    rows: list[Mapping[str, Any] | None] = []
    for row in reading.frame.to_dict("records"):
        text = row.get(TEXT) or (row.get("inputs") or {}).get(TEXT, "")
        discarded = as_text(row.get("status", "")).lower() == "discarded"
        annotation = row.get("annotation")
        given = not (
            annotation is None or annotation == "" or (isinstance(annotation, float) and annotation != annotation)
        )
        kept = {TEXT: text, **_scalars(row, ("prediction", "annotation", "inputs", "explanation", "vectors"))}
        if given:
            kept[LABEL] = _plain(annotation, reading.form)
        rows.append(kept if (given and not discarded) or reading.unlabelled else None)
    return reading.made("Argilla", rows)


# ---- spaCy and doccano, whose rows need little


def _is_categories(frame: pd.DataFrame) -> bool:
    return "cats" in frame.columns and any(isinstance(cell, Mapping) for cell in frame["cats"][:5])


def _read_categories(reading: _Reading) -> Export:
    rows: list[Mapping[str, Any] | None] = []
    for row in reading.frame.to_dict("records"):
        cats = row.pop("cats")
        if reading.form != "spans":
            chosen = [name for name, value in cats.items() if _share(value) >= 0.5] if isinstance(cats, Mapping) else []
            row = {**{k: v for k, v in row.items() if k not in ("entities", "ents")}, LABEL: _single(chosen)}
        rows.append({str(key): value for key, value in row.items()})
    return reading.made("spaCy", rows)


def _share(value: Any) -> float:
    try:
        return float({"true": 1, "false": 0}.get(as_text(value).lower(), value))
    except (TypeError, ValueError):
        return 0.0


_TOOLS: tuple[tuple[Callable[[pd.DataFrame], bool], Callable[[_Reading], Export]], ...] = (
    (_is_prodigy, _read_prodigy),
    (_is_studio, _read_studio),
    (_is_studio_min, _read_studio_min),
    (_is_argilla, _read_argilla),
    (_is_argilla_1, _read_argilla_1),
    (_is_categories, _read_categories),
)
"""How to know an export by its columns, and how to read it; in the order in which they are tried."""

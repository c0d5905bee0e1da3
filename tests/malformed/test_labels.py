"""The same labels in any kind of file are the same labels, or refused and named; none is a list as it is printed."""

import json
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

from kft.data.columns import guess_columns
from kft.data.examples import NamedColumns
from kft.data.parts import SourceTable, name_parts, parts_to_examples, read_parts
from kft.recipe.schema import DataSpec
from kft.tasks.registry import TASKS
from tests.malformed.surviving import HOW_MANY, survives

FORMS = ("csv", "tsv", "jsonl", "parquet", "frame")


@pytest.mark.parametrize("examples", HOW_MANY)
@pytest.mark.parametrize("name", ["classes", "sets", "columns", "cells"])
def test_labels_are_the_same_in_every_file_or_refused(name, examples):
    survives(STRATEGIES[name], MEETS[name], examples)


def read(folder, form, cells, task, **spec):
    """Returns each row's label by its number; rows that cannot be used have none."""
    frame = pd.DataFrame({"text": [f"text {row}" for row in range(len(cells[0][1]))]} | dict(cells))
    path = folder / f"rows.{form}"
    if form in ("csv", "tsv"):
        frame.to_csv(path, index=False, sep="," if form == "csv" else "\t")
    elif form == "jsonl":
        rows = frame.astype(object).to_dict("records")
        path.write_text("".join(json.dumps(row, default=np.ndarray.tolist) + "\n" for row in rows))
    elif form == "parquet":
        frame.to_parquet(path)
    made = DataSpec(train="rows", text="text", **({"label": "label"} | spec))
    parts = (SourceTable(path, frame if form == "frame" else path),)
    read = read_parts(parts, name_parts(parts), made, task=TASKS.get(task), base=folder)
    columns = guess_columns(read[0].frame, NamedColumns("text", made.label_column), where="rows", task=TASKS.get(task))
    examples, rejected = parts_to_examples(read, made, task=TASKS.get(task), columns=columns)
    assert len(examples) + len(rejected) == len(frame) and all(row.reason for row in rejected)
    return dict(zip((int(name.rpartition(":")[2]) for name in examples.ids), examples.labels, strict=True))


def meet_classes(folder, fault):
    """Cells of one kind, as a table of a database has them, beside the same as text."""
    cells, styles = fault
    found = {form: read(folder, form, [("label", cells)], "text-classification") for form in FORMS}
    assert all(each == found["frame"] for each in found.values()), found
    if isinstance(cells[0], str):
        other = [style(cell) for cell, style in zip(cells, styles * len(cells), strict=False)]
        assert read(folder, "csv", [("label", other)], "text-classification") == found["frame"]


NAMES = st.text(st.sampled_from("abcXYZ éß一-_#+0.5 /&"), min_size=1, max_size=8).filter(
    lambda name: name.strip() and name.strip("0123456789.+- ")
)
STYLES = st.lists(
    st.sampled_from(
        [
            str,
            lambda name: f" {name}\u00a0",
            lambda name: unicodedata.normalize("NFD", name),
            lambda name: f"\ufeff{name}\u200b",
            lambda name: "\u00ad".join(name) if unicodedata.is_normalized("NFC", name) else name,
        ]
    ),
    min_size=1,
    max_size=4,
)

PRINTED = {
    "python": lambda names: str(list(names)),
    "tuple": lambda names: str(tuple(names)),
    "set": lambda names: str(set(names)) if names else "set()",
    "json": lambda names: json.dumps(list(names), ensure_ascii=False),
    "numpy": lambda names: str(np.array(names, dtype=object)),
    "array": lambda names: repr(np.array(names, dtype=object)),
    "scalars": lambda names: repr([np.str_(name) for name in names]),
    "index": lambda names: repr(pd.Index(names, dtype=object)),
    "marks": lambda names: json.dumps(dict.fromkeys(names, 1) | {"never": 0}),
}


def meet_sets(folder, fault):
    """Lists in files that keep them, and printed in every way in files that do not."""
    rows, how = fault
    expected = {row: tuple(sorted({name.strip() for name in names})) for row, names in enumerate(rows, 1)}
    for form in ("jsonl", "parquet", "frame"):
        assert read(folder, form, [("label", rows)], "text-multi-label") == expected, form
    cells = [PRINTED[each](names) for each, names in zip(how * len(rows), rows, strict=False)]
    for form in FORMS:
        assert read(folder, form, [("label", cells)], "text-multi-label") == expected, (form, cells)


WAYS = st.sampled_from(
    [("1", "0"), (1, 0), (1.0, 0.0), (True, False), ("TRUE", "FALSE"), ("Yes", "no"), ("x", ""), ("\u2713", "\u2717")]
)


def meet_columns(folder, fault):
    table, (yes, no) = fault
    names = ["praise", "blame", "Gr\u00f6\u00dfe"]
    cells = [(name, [yes if row[at] else no for row in table]) for at, name in enumerate(names)]
    expected = {
        at: tuple(sorted(n for n, there in zip(names, row, strict=True) if there)) for at, row in enumerate(table, 1)
    }
    for form in FORMS:
        assert read(folder, form, cells, "text-multi-label", label=tuple(names)) == expected, form


CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.floats()
    | st.text(st.sampled_from("ab'\"[](){}, |;.01\n"), max_size=9)
    | st.sampled_from(["['a', 'b'", "array(['a']", "{'a': 1}", "[1 0]", "['a' ... 'b']", "x", "", "nan", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)


def meet_cells(folder, fault):
    cells, task = fault
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": "some text", "label": cell}) + "\n" for cell in cells))
    parts, spec, task = (SourceTable(path, path),), DataSpec(train="a", text="text", label="label"), TASKS.get(task)
    rows = read_parts(parts, name_parts(parts), spec, task=task, base=folder)
    examples, rejected = parts_to_examples(
        rows, spec, task=task, columns=guess_columns(rows[0].frame, NamedColumns("text", "label"), where="a", task=task)
    )
    assert len(examples) + len(rejected) == len(cells)
    for label in examples.labels:
        for name in task.kind.labels.names(label):
            assert name and name == name.strip() and not name.startswith(("['", '["', "{'", "('", "array("))


ONE_KIND = (
    st.lists(st.booleans(), min_size=2, max_size=6)
    | st.lists(st.integers(-5, 300), min_size=2, max_size=6)
    | st.lists(st.integers(-5, 300).map(float), min_size=2, max_size=6)
    | st.lists(st.sampled_from([0.5, 1.5, 2.0, -1.0]), min_size=2, max_size=6)
    | st.lists(NAMES, min_size=2, max_size=6)
)
ROWS = st.lists(st.lists(NAMES.filter(lambda name: name != "never"), max_size=3, unique=True), min_size=2, max_size=6)
STRATEGIES = {
    "classes": st.tuples(ONE_KIND, STYLES),
    "sets": st.tuples(ROWS, st.lists(st.sampled_from(list(PRINTED)), min_size=1, max_size=6)),
    "columns": st.tuples(
        st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=6).map(
            lambda rows: [*rows, (True, False, True), (False, True, False)]
        ),
        WAYS,
    ),
    "cells": st.tuples(
        st.lists(CELLS, min_size=1, max_size=5), st.sampled_from(["text-multi-label", "text-classification"])
    ),
}
MEETS = {"classes": meet_classes, "sets": meet_sets, "columns": meet_columns, "cells": meet_cells}

"""A drafted recipe: what was seen stands in it, what it says is what runs, and it runs as it is."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import kft
from kft.api.drafting import draft
from kft.assets import locate
from kft.curate.draft import Lengths
from kft.curate.proposals import propose
from kft.data.examples import Columns, NamedColumns
from kft.recipe.schema import DataSpec
from kft.recipe.training import default_phases
from kft.split.data_split import load_split
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS
from kft.train.phases import resolve_phases


def write(folder, name, columns, rows):
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def tickets(count=60, broken=True):
    for row in range(count):
        text = "" if broken and row % 20 == 0 else f"ticket about thing {row % 17} and {row}"
        label = "" if broken and row % 15 == 1 else ("bug", "wish")[row % 2]
        yield (
            row,
            f"T{row:03}",
            f"C{row % 14}",
            f"2024-0{1 + row % 9}-11",
            text,
            ("web", "mail", "phone")[row % 3],
            label,
        )


COLUMNS = ("", "ticket_id", "customer", "created_at", "text", "channel", "label")


@pytest.fixture
def drafted(tmp_path, monkeypatch):
    """Drafts a recipe for a file in a folder of its own; returns the look, the lengths and the text."""
    monkeypatch.chdir(tmp_path)

    def run(source, **options):
        look, lengths, text = draft(source, tmp_path / "recipe.yaml", **options)
        (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
        return look, lengths, text

    return run


def test_what_was_seen_is_said_and_drafted(tmp_path, drafted):
    write(tmp_path, "tickets.csv", COLUMNS, tickets())
    look, _, text = drafted("tickets.csv")
    assert (look.proposals.id, look.proposals.group, look.proposals.time) == ("ticket_id", "customer", "created_at")
    assert "channel" in look.proposals.others
    assert dict(look.unusable) == {"missing label": 4, "empty text": 3} and look.usable == 53
    said = dict(look.summary())
    assert said["group"] == "column 'customer', 14 values, up to 5 rows each"
    assert said["unusable"] == "7 rows: missing label (4), empty text (3)" and "'channel'" in said["others"]
    spec = load_recipe(tmp_path / "recipe.yaml").spec
    assert spec.data.unusable_rows == "skip" and spec.data.group.column == "customer" and spec.data.id == "ticket_id"
    assert spec.data.time is None and '# time: "created_at"    # from 2024-01-11 to 2024-09-11' in text


@pytest.mark.parametrize(("each", "proposed"), [(1.05, False), (1.2, False), (1.3, True), (3, True)])
def test_a_column_is_a_group_where_its_values_repeat_enough(each, proposed):
    rows = 120
    customers = [f"C{place % int(rows / each):04}" for place in range(rows)]
    frame = pd.DataFrame({"text": "abc", "label": "x", "customer_id": customers})
    found = propose(frame, Columns("text", "label"))
    assert (found.group == "customer_id") == proposed and (found.others == ("customer_id",)) == (not proposed)


@pytest.mark.parametrize(
    ("rows", "names", "in_force"),
    [
        (40, ["probe", "blend", "top", "top-blend"], False),
        (142, ["probe", "blend", "top", "top-blend"], True),
        (300, ["probe", "blend", "top", "deep", "deep-blend"], False),
        (900, ["probe", "blend", "deep", "deep-blend"], True),
        (1400, ["probe", "blend", "deep", "deep-blend"], False),
    ],
)
def test_the_phases_that_are_drafted_are_those_that_run(tmp_path, drafted, rows, names, in_force):
    texts = [(f"text {row} of {row % 7}", "ab"[row % 2]) for row in range(rows)]
    write(tmp_path, "t.csv", ("text", "label"), texts)
    _, _, text = drafted("t.csv")
    if not in_force:
        assert load_recipe(tmp_path / "recipe.yaml").spec.train.phases is None
        (tmp_path / "recipe.yaml").write_text(re.sub(r"^((?:  )?)# (train:|phases:|  - )", r"\1\2", text, flags=re.M))
    train = load_recipe(tmp_path / "recipe.yaml").spec.train
    assert [phase.name for phase in train.phases] == names
    if not in_force:  # else a few rows more or less would lead to others
        data = DataSpec(train="t.csv")
        split = load_split(data, task=TASKS.get("text-classification"), base=tmp_path, locate=locate)
        automatic = default_phases(rows_per_class=len(split.train) / 2, blocks=6, blends=True)
        assert resolve_phases(train, (), learning_rate=9) == automatic


@pytest.mark.parametrize(
    ("columns", "options", "found"),
    [
        (("question1", "question2", "label"), {}, ("question1", "question2")),
        (("premise", "hypothesis", "label"), {}, ("premise", "hypothesis")),
        (("left", "right", "label"), {"named": NamedColumns("left", None, "right")}, ("left", "right")),
        (("question", "answer", "label"), {"task": "text-pairs"}, ("question", "answer")),
    ],
)
def test_pairs_work_from_init(tmp_path, drafted, columns, options, found):
    rows = [(f"is this thing {row}", f"that is {row * 7 % 40}", ("yes", "no")[row % 2]) for row in range(40)]
    write(tmp_path, "pairs.csv", columns, rows)
    look, _, _ = drafted("pairs.csv", **options)
    spec = load_recipe(tmp_path / "recipe.yaml").spec
    assert spec.task == "text-pairs" and (spec.data.text, spec.data.text_pair) == found == (
        look.columns.text,
        look.columns.pair,
    )


def test_hints_name_options_that_there_are(tmp_path, kft_cli):
    write(tmp_path, "pairs.csv", ("left", "right", "label"), [("a b", "c d", "x")] * 3)
    code, _, err = kft_cli("init", "pairs.csv", "--task", "text-pairs", "-o", "r.yaml")
    assert code == 2 and "--pair COLUMN" in err and "text_pair COLUMN" not in err
    write(tmp_path, "photos.csv", ("where", "label"), [("a.jpg", "x")] * 3)
    code, _, err = kft_cli("init", "photos.csv", "--task", "image-classification", "-o", "r.yaml")
    assert code == 2 and "--text COLUMN" in err and "--image" not in err
    code, _, err = kft_cli("init", "pairs.csv", "--text", "left", "--pair", "right", "-o", "r.yaml")
    assert code == 2 and "one class only" in err


def test_long_texts_are_measured_before_any_is_cut(tmp_path, drafted):
    rows = [("word " * (40 + 60 * (row % 20)), "ab"[row % 2]) for row in range(60)]
    write(tmp_path, "long.csv", ("text", "label"), rows)
    look, lengths, text = drafted("long.csv")
    assert look.words == (610.0, 1180)
    assert lengths.limit == 512 and load_recipe(tmp_path / "recipe.yaml").spec.model.max_tokens == 512
    assert "of the texts are cut at 512, the most that the backbone takes: " in text and " of all text is lost" in text
    assert "# long_text: windows" in text, "a cut of more than one text in a hundred names another way"
    assert Lengths(np.array([10, 90]), True, 512).drafted == 128
    assert Lengths(np.array([10, 200]), True, 512).drafted == 256
    assert Lengths(np.array([10, 200]), True, 64).drafted == 64


def test_files_beside_are_used_where_they_can_be_read(tmp_path, drafted):
    rows = [(f"text {row}", "ab"[row % 2]) for row in range(40)]
    write(tmp_path, "my_train.csv", ("text", "label"), rows)
    write(tmp_path, "my_dev.csv", ("text", "label"), rows[:8])
    write(tmp_path, "my_test.csv", ("text",), [(row[0],) for row in rows[:8]])
    look, _, text = drafted("my_train.csv")
    assert look.beside.valid.name == "my_dev.csv" and look.test is None
    assert "valid: my_dev.csv" in text and "test: 15%" in text
    assert any(note.startswith("my_test.csv beside it is not used as test") for note in look.warnings)
    write(tmp_path, "my_test.csv", ("text", "label"), [("new", "c")])
    look, _, _ = drafted("my_train.csv")
    assert "my_test.csv beside it is not used as test: it has labels that train does not have: 'c'" in look.warnings


def test_the_drafted_recipe_runs_as_it_is(tmp_path, drafted, tiny_folder):
    write(tmp_path, "tickets.csv", COLUMNS, tickets(120))
    drafted("tickets.csv")
    run = kft.train(
        tmp_path / "recipe.yaml",
        run=tmp_path / "run",
        overrides=[
            f"model.backbone={tiny_folder}",
            'train.phases=[{"name":"probe","unfreeze":"none","solver":"lbfgs"}]',
        ],
        quiet=True,
    )
    left_out = json.loads((run.run / "findings.json").read_text())["findings"]
    (finding,) = [each for each in left_out if each["check"] == "unusable-rows"]
    assert finding["n"] == 14

"""A file whose first line is a row: no row of it is lost, in training, evaluation and prediction."""

import json

import pytest

import kft
from tests import tiny

ROWS = [f"{'good' if n % 2 else 'bad'} day number {n},{'positive' if n % 2 else 'negative'}" for n in range(60)]


def test_init_reads_the_first_line_as_a_row_and_says_so(tmp_path, kft_cli):
    (tmp_path / "sms.csv").write_text("\n".join(ROWS) + "\n")
    code, out, err = kft_cli("init", "sms.csv", "-o", "sms.yaml")
    assert code == 0, err
    assert "looks like a row: 'negative' is a value of its own column" in " ".join((out + err).split())
    assert 'columns: ["text", "label"]' in (tmp_path / "sms.yaml").read_text() and "60 rows" in out
    code, out, err = kft_cli("check", "sms.yaml", "--no-features", "--json")
    assert sum(json.loads(out)["n"].values()) == 60, err


def test_a_recipe_that_would_lose_the_first_row_is_refused(tmp_path, kft_cli):
    (tmp_path / "sms.csv").write_text("\n".join(ROWS) + "\n")
    recipe = {"task": "text-classification", "data": {"train": "sms.csv", "label": "negative"}}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    code, _, err = kft_cli("check", "r.yaml", "--no-features")
    assert code == 2 and "the file has no header" in err
    assert "data.columns=[text, label]" in " ".join(err.split())


def test_a_header_with_one_usual_name_is_a_header(tmp_path, kft_cli):
    rows = [f"day number {n},{'spam' if n % 2 else 'ham'}" for n in range(60)]
    (tmp_path / "a.csv").write_text("message,spam\n" + "\n".join(rows) + "\n")
    code, out, err = kft_cli("init", "a.csv", "-o", "a.yaml")
    assert code == 0 and "looks like a row" not in out + err and "60 rows" in out


@pytest.fixture(scope="module")
def headless(tiny_folder, tmp_path_factory):
    """A run on a tsv without a header."""
    folder = tmp_path_factory.mktemp("headless")
    tiny.recipe(folder, tiny_folder, rows=60, phases=[tiny.PROBE])
    lines = (folder / "reviews.csv").read_text().splitlines()[1:]
    rows = ["\t".join(reversed(line.rsplit(",", 1))) for line in lines]
    (folder / "train.tsv").write_text("\n".join(rows) + "\n")
    text = (folder / "recipe.yaml").read_text().replace("reviews.csv", "train.tsv")
    (folder / "recipe.yaml").write_text(text)
    kft.train(
        folder / "recipe.yaml",
        run=folder / "run",
        overrides=["data.columns=[label, text]", "data.text=text", "data.label=label"],
        quiet=True,
    )
    return folder / "run", rows


def test_predict_reads_new_files_as_training_did(headless, tmp_path, kft_cli):
    run, rows = headless
    (tmp_path / "new.tsv").write_text("\n".join(rows[:5]) + "\n")
    (tmp_path / "named.tsv").write_text("text\tid\n" + "".join(row.split("\t")[1] + "\t1\n" for row in rows[:5]))
    (tmp_path / "new.csv").write_text("text,id\n" + "".join(row.split("\t")[1] + ",1\n" for row in rows[:5]))
    answers = []
    for name in ("new.tsv", "named.tsv", "new.csv"):
        code, _, err = kft_cli("predict", str(run), name, "-o", f"{name}.jsonl")
        assert code == 0, err
        lines = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        answers.append([line["probabilities"] for line in lines])
        assert len(lines) == 5
    assert answers[0] == answers[1] == answers[2]


def test_a_file_with_other_columns_is_refused_by_name(headless, tmp_path, kft_cli):
    run, rows = headless
    (tmp_path / "bare.tsv").write_text("\n".join(row.split("\t")[1] for row in rows[:5]) + "\n")
    code, _, err = kft_cli("predict", str(run), "bare.tsv", "-o", "out.jsonl")
    assert code == 2 and "a row has another number of fields" in err and "data.columns" in err

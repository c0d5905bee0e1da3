"""Every command's result and JSON."""

import csv
import json
from datetime import datetime

import pandas as pd
import pytest

import kft
from kft import assets
from kft.packages import PACKAGES
from kft.records.document import as_document, read_document
from kft.records.evaluations import DatedEvaluation
from kft.records.run_folder import RunFolder
from tests import tiny

PREDICTION_KEYS = ["label", "confidence", "abstain", "probabilities"]


def test_train_writes_the_documented_folder(trained):
    names = {path.name for path in trained.run.iterdir()}
    assert names >= {
        "recipe.yaml",
        "receipt.json",
        "splits.parquet",
        "findings.json",
        "history.jsonl",
        "checkpoints",
        "metrics.json",
        "predictions.csv",
        "tensorboard",
    }
    metrics = json.loads((trained.run / "metrics.json").read_text())
    assert metrics["split"] == "test" and metrics["n"] == 40
    assert set(metrics["metrics"]) == {"accuracy", "macro_f1", "log_loss", "ece"}
    for value in metrics["metrics"].values():
        assert value["low"] <= value["value"] <= value["high"]
    assert metrics["gates"]["log_loss"]["passed"] is False
    with (trained.run / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "target", "prediction", "confidence", "abstain"]
    right = sum(row["target"] == row["prediction"] for row in rows) / len(rows)
    assert right == pytest.approx(metrics["metrics"]["accuracy"]["value"])
    splits = pd.read_parquet(trained.run / "splits.parquet")
    assert list(splits.columns) == ["id", "split", "hash"] and len(splits) == 160


def test_the_tiny_backbone_learns(trained):
    assert trained.evaluation.metrics["accuracy"].value >= 0.9
    assert trained.evaluation.baselines["majority"]["accuracy"].value == pytest.approx(0.5)


def test_evaluate_repeats_the_numbers_and_exits_1_on_a_failed_gate(trained, kft_cli):
    code, out, _ = kft_cli("evaluate", trained.run, "--json", "--quiet")
    assert code == 1
    assert json.loads(out) == as_document(trained.evaluation)
    code, out, _ = kft_cli("evaluate", trained.run, "--quiet")
    assert code == 1
    assert "gate log_loss <= 0.0" in out and "failed" in out and "difference to the probe in accuracy, paired" in out


def test_evaluate_scores_another_file(trained, kft_cli, tmp_path):
    tiny.write_table(tmp_path / "more.csv", 30, seed=4)
    code, out, _ = kft_cli("evaluate", trained.run, "--data", "more.csv", "--json", "--quiet")
    assert code == 1
    assert json.loads(out)["split"] == "more.csv" and json.loads(out)["n"] == 30
    files = RunFolder(trained.run).evaluations
    kept = read_document(DatedEvaluation, max(files.iterdir()))
    assert kept.data == "more.csv" and kept.n == 30 and datetime.fromisoformat(kept.at).tzinfo is not None
    assert as_document(kept)["metrics"] == json.loads(out)["metrics"] and not kept.gates["log_loss"].passed
    before = len(list(files.iterdir()))
    _, _, err = kft_cli("evaluate", trained.run, "--data", "more.csv")
    assert len(list(files.iterdir())) == before + 1 and "kept       " in err
    (tmp_path / "odd.csv").write_text("text,label\nthe battery is great.,mixed\n")
    code, _, err = kft_cli("evaluate", trained.run, "--data", "odd.csv")
    assert code == 2 and "labels the model does not know" in err and "'mixed'" in err


def test_evaluate_says_how_many_rows_the_run_has_seen(trained, kft_cli):
    known = trained.run.parent / "reviews.csv"
    code, out, err = kft_cli("evaluate", trained.run, "--data", known, "--json")
    learned = json.loads((trained.run / "receipt.json").read_text())["n"]
    seen = json.loads(out)["seen_in_training"]
    assert seen >= learned["train"] + learned["valid"]
    assert code == 1 and f"{seen} of 160 rows of reviews.csv were in train or valid of this run" in err


def test_predict_a_text_prints_the_documented_form(trained, kft_cli):
    code, out, _ = kft_cli("predict", trained.run, "the battery is awful.")
    answer = json.loads(out)
    assert code == 0
    assert list(answer) == PREDICTION_KEYS
    assert answer["label"] == "negative" and answer["abstain"] is False
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert answer["confidence"] == max(answer["probabilities"].values())


def test_predict_lines(trained, kft_cli, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("the battery is awful.\nmy phone is lovely.\n"))
    code, out, _ = kft_cli("predict", trained.run, "-")
    assert code == 0
    assert [json.loads(line)["label"] for line in out.splitlines()] == ["negative", "positive"]
    monkeypatch.setattr("sys.stdin", io.StringIO("the battery is awful.\n\n"))
    code, _, err = kft_cli("predict", trained.run, "-")
    assert code == 2 and "1 of 2 texts is empty" in err and "row 2" in err


def test_texts_that_are_longer_than_what_is_read_are_told(trained, kft_cli, tmp_path):
    whole, longer = "the battery is awful.", "the battery is really awful. " * 20
    (tmp_path / "texts.txt").write_text(f"{whole}\n{longer}\n{longer}\n")
    assert "longer than" not in kft_cli("predict", trained.run, whole)[2]
    code, _, err = kft_cli("predict", trained.run, longer)
    assert code == 0 and "1 text is longer than what the model reads (model.max_tokens): a part of it was not" in err
    code, _, err = kft_cli("predict", trained.run, "texts.txt")
    assert code == 0 and "2 texts are longer than what the model reads" in err


def test_rows_that_come_as_lines_are_answered_as_texts_and_that_is_said(trained, kft_cli, monkeypatch):
    import io

    for line, said in (('{"text": "lovely"}', True), ('{"message": "lovely"}', False), ('{"text" lovely', False)):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{line}\n"))
        code, _, err = kft_cli("predict", trained.run, "-")
        assert code == 0 and ("these are JSON objects with a key 'text'" in err) is said


def test_predict_a_file_gives_a_file(trained, kft_cli, tmp_path):
    tiny.write_table(tmp_path / "new.csv", 12, seed=8)
    code, out, err = kft_cli("predict", trained.run, "new.csv")
    assert code == 0 and out == "" and "12 answers in new.predictions.jsonl" in err
    answers = [json.loads(line) for line in (tmp_path / "new.predictions.jsonl").read_text().splitlines()]
    with (tmp_path / "new.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(answers) == 12
    assert list(answers[0]) == [*("input_label" if name == "label" else name for name in rows[0]), *PREDICTION_KEYS]
    assert [answer["text"] for answer in answers] == [row["text"] for row in rows]
    assert [answer["input_label"] for answer in answers] == [row["label"] for row in rows]
    code, _, err = kft_cli("predict", trained.run, "new.csv")
    assert code == 2 and "already exists" in err
    code, out, _ = kft_cli("predict", trained.run, "new.csv", "-o", "answers.csv", "--json")
    assert code == 0 and json.loads(out) == {"n": 12, "output": "answers.csv"}
    with (tmp_path / "answers.csv").open() as file:
        first = next(csv.DictReader(file))
    assert first["label"] == answers[0]["label"] and first["text"] == rows[0]["text"]
    assert len(first["confidence"]) <= 8 and float(first["confidence"]) == pytest.approx(answers[0]["confidence"])
    code, _, err = kft_cli("predict", trained.run, "new.csv", "-o", "answers.csv", "--columns", "text")
    assert code == 2 and "already exists; it is not overwritten" in err and "--force" in err
    assert kft_cli("predict", trained.run, "new.csv", "-o", "answers.csv", "--force")[0] == 0
    code, _, err = kft_cli("predict", trained.run, "new.csv", "-o", tmp_path / "new.csv", "--force")
    assert code == 2 and "the answers would take the place of the rows" in err
    code, _, _ = kft_cli("predict", trained.run, "new.csv", "-o", "few.csv", "--columns", "text")
    assert code == 0 and (tmp_path / "few.csv").read_text().splitlines()[0] == ",".join(["text", *PREDICTION_KEYS])
    code, _, _ = kft_cli("predict", trained.run, "new.csv", "-o", "none.csv", "--columns", "")
    assert code == 0 and (tmp_path / "none.csv").read_text().splitlines()[0] == ",".join(PREDICTION_KEYS)
    code, _, err = kft_cli("predict", trained.run, "new.csv", "-o", "other.csv", "--columns", "txt")
    assert code == 2 and "no column 'txt' to keep; did you mean 'text'?" in err


def test_options_for_files_are_refused_for_a_text(trained, kft_cli):
    for option in (("--columns", "text"), ("--skip-unusable",)):
        code, _, err = kft_cli("predict", trained.run, "the battery is awful.", *option)
        assert code == 2 and f"{option[0]} is for a file or a folder" in err


def test_a_file_longer_than_a_chunk_is_answered_whole_and_in_order(trained, kft_cli, tmp_path, monkeypatch):
    tiny.write_table(tmp_path / "new.csv", 23, seed=8)
    kft_cli("predict", trained.run, "new.csv", "-o", "whole.jsonl")
    monkeypatch.setattr("kft.api.predicting.CHUNK_ROWS", 5)
    code, _, err = kft_cli("predict", trained.run, "new.csv", "-o", "parts.jsonl")
    whole, parts = (
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        for name in ("whole.jsonl", "parts.jsonl")
    )
    assert code == 0 and "23 answers" in err
    for one, other in zip(whole, parts, strict=True):
        assert one["text"] == other["text"] and one["label"] == other["label"]
        assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-6)


def test_a_loaded_run_answers_again_and_again(trained):
    model = kft.load(trained.run)
    assert model.task == "text-classification" and "negative" in model.labels
    (one,) = model.predict("the battery is awful.")
    several = model.predict(["the battery is awful.", "my phone is lovely."])
    assert one.label == several[0].label == "negative" and several[1].label == "positive"
    assert one.confidence == pytest.approx(several[0].confidence, abs=1e-6)
    assert model.predict(pd.DataFrame({"text": ["the battery is awful."]}))[0] == one
    assert len(repr(model)) < 300


def test_a_misspelt_file_is_an_error_and_text_forces_text(trained, kft_cli, tmp_path):
    tiny.write_table(tmp_path / "tickets.csv", 4)
    code, _, err = kft_cli("predict", trained.run, "tickts.csv")
    assert code == 2 and "no file at tickts.csv; did you mean tickets.csv?" in err and "--text" in err
    code, out, _ = kft_cli("predict", trained.run, "tickts.csv", "--text")
    assert code == 0 and list(json.loads(out)) == PREDICTION_KEYS


def test_python_mirrors_the_command_line(trained):
    answers = kft.predict(trained.run, pd.DataFrame({"text": ["the battery is awful."]}))
    assert answers[0].label == "negative"
    assert answers[0] == kft.predict(trained.run, "the battery is awful.")[0]
    assert "<table>" in trained._repr_html_()


def test_init_then_the_recipe_loads(kft_cli, tmp_path):
    tiny.write_table(tmp_path / "train.csv", 40)
    tiny.write_table(tmp_path / "test.csv", 10, seed=3)
    code, out, _ = kft_cli("init", "train.csv", "-o", "recipe.yaml")
    assert code == 0 and "kft check recipe.yaml" in out and "positive" in out
    spec = kft.load_recipe(tmp_path / "recipe.yaml").spec
    assert (spec.data.train, spec.data.text, spec.data.label, spec.data.test) == (
        "train.csv",
        "text",
        "label",
        "test.csv",
    )
    code, _, err = kft_cli("init", "train.csv", "-o", "recipe.yaml")
    assert code == 2 and "it is not overwritten" in err
    code, out, _ = kft_cli("init", "train.csv", "-o", "other.yaml", "--json")
    assert code == 0 and json.loads(out)["labels"] == {"positive": 20, "negative": 20}


def test_models_recipes_schema_and_doctor(kft_cli, tmp_path):
    assets.fetch(PACKAGES.get("minilm-l6"))  # so that one backbone is on the disk
    code, out, _ = kft_cli("models", "--json")
    assert code == 0 and json.loads(out)["models"][0]["name"] == "minilm-l6"
    code, out, _ = kft_cli("models", "--modality", "image", "--json")
    assert code == 0 and {row["modality"] for row in json.loads(out)["models"]} == {"image"}
    code, out, _ = kft_cli("models")
    assert code == 0 and "needs network: hf://FacebookAI/xlm-roberta-base" in out and "on disk package:minilm-l6" in out
    code, out, _ = kft_cli("recipes", "--json")
    assert {"sentiment/product_reviews", "support/intents"} <= {r["name"] for r in json.loads(out)["recipes"]}
    code, out, _ = kft_cli("recipes", "show", "support/intents")
    assert code == 0 and "# purpose:" in out
    code, _, _ = kft_cli("recipes", "copy", "support/intents", "mine.yaml")
    assert code == 0 and (tmp_path / "mine.yaml").is_file()
    code, _, err = kft_cli("recipes", "show", "support/intent")
    assert code == 2 and "did you mean 'support/intents'" in err
    code, out, _ = kft_cli("recipe", "schema")
    assert code == 0 and json.loads(out)["title"] == "RecipeSpec"
    code, out, _ = kft_cli("doctor", "--json")
    found = json.loads(out)
    assert code == 0 and found["problems"] == [] and found["auto"]["devices"] == "one"


def test_init_writes_names_that_read_back_as_they_are(kft_cli, tmp_path):
    """Names that YAML would take for something else: a comment, a mapping, a list."""
    from kft.tasks.recipes import load_recipe

    for stem in ("customer_tickets_train", "tickets #2 train", "a: b train", "- train"):
        for name in (stem, stem.replace("train", "test")):
            tiny.write_table(tmp_path / f"{name}.csv", 60)
        (tmp_path / "recipe.yaml").unlink(missing_ok=True)
        code, _, err = kft_cli("init", f"./{stem}.csv", "-o", "recipe.yaml")
        assert code == 0, err
        data = load_recipe(tmp_path / "recipe.yaml").spec.data
        assert (data.train, data.test) == (f"{stem}.csv", f"{stem.replace('train', 'test')}.csv")


def test_markup_in_labels_and_texts_is_shown_as_it_is(kft_cli, tmp_path):
    rows = "".join(f"the price [/b] is {n},[billing]\nit {n} broke,[/x]\n" for n in range(20))
    (tmp_path / "tickets.csv").write_text("text,label\n" + rows)
    code, out, err = kft_cli("init", "tickets.csv", "-o", "recipe.yaml")
    assert code == 0, err
    assert "[billing]" in out and "[/b]" in out and "[/x]" in out


def test_a_recipe_whose_name_starts_with_a_line(kft_cli, tmp_path, tiny_folder):
    path = tiny.recipe(tmp_path, tiny_folder, rows=60, phases=[tiny.PROBE])
    path.rename(tmp_path / "_draft.yaml")
    code, _, err = kft_cli("train", "_draft.yaml")
    assert code == 0, err
    assert (tmp_path / "runs" / "draft-1" / "metrics.json").is_file()


def test_evaluate_says_what_it_left_out_and_which_columns_it_missed(kft_cli, tmp_path, tiny_folder):
    path = tiny.recipe(tmp_path, tiny_folder, rows=80, phases=[tiny.PROBE])
    values = json.loads(path.read_text())
    values["data"] |= {"id": "number", "unusable_rows": "skip"}
    path.write_text(json.dumps(values))
    table = pd.read_csv(tmp_path / "reviews.csv")
    table.insert(0, "number", [f"row-{n}" for n in range(len(table))])
    table.to_csv(tmp_path / "reviews.csv", index=False)
    assert kft_cli("train", path, "--run", "run")[0] == 0
    (tmp_path / "new.csv").write_text("text,label\nthe phone is great,positive\n,positive\na broken camera,negative\n")
    code, out, err = kft_cli("evaluate", "run", "--data", "new.csv", "--json")
    assert code == 0, err
    assert json.loads(out)["n"] == 2
    assert "left out   1 rows" in err and "new.csv has no column 'number'" in err
    (tmp_path / "none.csv").write_text("text,label\n,positive\n")
    code, _, err = kft_cli("evaluate", "run", "--data", "none.csv")
    assert code == 2 and "no row can be scored" in err


def test_one_column_needs_a_name_that_says_what_it_holds(trained, kft_cli, tmp_path):
    (tmp_path / "bare.csv").write_text("the phone is great\na broken camera\n")
    code, _, err = kft_cli("predict", trained.run, "bare.csv")
    assert code == 2 and "no text column 'text'" in err and "in the first line" in err
    (tmp_path / "named.csv").write_text("message\nthe phone is great\na broken camera\n")
    code, _, err = kft_cli("predict", trained.run, "named.csv")
    assert code == 0 and "2 answers" in err


def test_only_line_breaks_part_lines(trained, kft_cli, tmp_path):
    (tmp_path / "lines.txt").write_text("the phone\x0c is great\u2028\na broken camera\r\n", encoding="utf-8")
    code, _, err = kft_cli("predict", trained.run, "lines.txt", "-o", "answers.jsonl")
    assert code == 0 and "2 answers" in err


def test_help_shows_every_command_once_in_the_order_of_a_models_life():
    from kft.cli.main import STAGES, cli

    named = [name for commands in STAGES.values() for name in commands]
    assert sorted(named) == sorted(cli.commands) and len(named) == len(set(named)) > 15


def test_choices_are_not_broken_within_a_word(kft_cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = kft_cli("init", "--help")
    assert code == 0 and "image-classification" in out and "text-multi-label" in out


def test_tables_are_as_wide_as_asked_for(kft_cli, monkeypatch):
    for width in (60, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        code, out, _ = kft_cli("recipes")
        assert code == 0 and width - 5 <= max(map(len, out.splitlines())) <= width

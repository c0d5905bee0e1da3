"""`kft runs`: what lies in a folder of runs, and two of them side by side."""

import json
import os
import re
import shutil

import click
import pandas as pd
import pytest

import kft
from kft.cli.main import cli, with_hint
from kft.records.estimate import Estimate
from kft.records.lock import hold, seems_held
from kft.records.run_folder import LOCK, open_run


@pytest.fixture
def folder(trained, tmp_path):
    """A finished run, another of another seed that was stopped, and one that is damaged."""
    runs = tmp_path / "runs"
    for name in ("first", "second", "broken"):
        shutil.copytree(trained.run, runs / name)
    recipe = runs / "second" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("seed: 0 ", "seed: 7 "))
    (runs / "second" / "metrics.json").unlink()
    (runs / "broken" / "receipt.json").unlink()
    return runs


def test_each_run_has_its_figure_or_its_state(folder, trained, kft_cli):
    code, out, err = kft_cli("runs", folder)
    assert code == 0, err
    assert f"accuracy {trained.evaluation.metrics['accuracy']}" in out and "unfinished" in out
    said = " ".join(out.split())
    assert f"unreadable {folder}/broken: the run folder has no receipt.json" in said
    found = kft.list_runs(folder)
    assert {each.run: each.state for each in found.runs} == {
        str(folder / "first"): "finished",
        str(folder / "second"): "unfinished",
    }


def test_one_run_is_a_list_of_one(folder, kft_cli):
    code, out, err = kft_cli("runs", folder / "first")
    assert code == 0 and "accuracy" in out and "no run lies in" not in out, err


def test_two_are_set_side_by_side(folder, kft_cli):
    code, out, err = kft_cli("runs", folder / "first", folder / "second", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["differences"] == {"data.split_seed": [0, 7], "seed": [0, 7]} and found["same_test"] is True
    assert "accuracy" in found["first"]["metrics"] and found["second"]["metrics"] == {}
    shutil.copy(folder / "first" / "metrics.json", folder / "second")
    _, out, _ = kft_cli("runs", folder / "first", folder / "second")
    assert f"kft evaluate {folder}/first --against {folder}/second" in " ".join(out.split())


def test_more_training_rows_leave_the_test_what_it_is(folder, kft_cli):
    receipt = folder / "second" / "receipt.json"
    said = json.loads(receipt.read_text())
    receipt.write_text(json.dumps(said | {"split_hash": "0" * 64}))
    path = folder / "second" / "splits.parquet"
    rows = pd.read_parquet(path)
    more = rows[rows["split"] == "train"].assign(id=lambda found: "more-" + found["id"])
    pd.concat([rows, more]).to_parquet(path)
    code, out, err = kft_cli("runs", folder / "first", folder / "second", "--json")
    assert code == 0 and json.loads(out)["same_test"] is True, err
    assert "other test rows" not in kft_cli("runs", folder / "first", folder / "second")[1]
    rows[rows["split"] == "train"].to_parquet(path)
    assert "scored on other test rows" in " ".join(kft_cli("runs", folder / "first", folder / "second")[1].split())


def test_rows_of_the_same_numbers_that_hold_other_texts_are_told(folder, kft_cli):
    path = folder / "second" / "splits.parquet"
    rows = pd.read_parquet(path)
    rows.loc[rows["split"] == "test", "hash"] = "0" * 16
    rows.to_parquet(path)
    code, out, err = kft_cli("runs", folder / "first", folder / "second")
    test = int((rows["split"] == "test").sum())
    assert code == 0, err
    assert f"{test} of {test} test rows hold something else in {folder}/second than in" in " ".join(out.split())


def test_two_make_a_page_that_shows_what_the_table_shows(folder, kft_cli, tmp_path):
    code, out, err = kft_cli("runs", folder / "first", folder / "second", "-o", "pair.html", "--json")
    assert code == 0 and json.loads(out)["same_test"] and "written    pair.html" in err
    page = re.sub("<wbr>", "", (tmp_path / "pair.html").read_text())
    metrics = json.loads((folder / "first" / "metrics.json").read_text())["metrics"]
    assert f"{folder}/first" in page and "<td>data.split_seed</td><td>0</td><td>7</td>" in page
    assert f"<td>accuracy</td><td>{Estimate(**metrics['accuracy'])}</td>" in page
    code, _, err = kft_cli("runs", folder / "first", folder / "second", "-o", "pair.html")
    assert code == 2 and "the file already exists; it is not overwritten" in err
    for given in (("runs", folder, "-o", "pair.html"), ("runs", folder / "first", folder / "second", "-o", "pair.pdf")):
        code, _, err = kft_cli(*given)
        assert code == 2 and "a page shows two runs side by side" in err and "kft runs RUN RUN -o FILE.html" in err


@pytest.mark.parametrize("terminal", ["dumb", "xterm"])
def test_a_narrow_terminal_has_room_for_names_and_figures(folder, kft_cli, monkeypatch, terminal):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", terminal)
    (folder / "first").rename(folder / "reviews-of-shoes-1")
    _, out, _ = kft_cli("runs", folder)
    assert "│ reviews-of-shoes-1 │ accuracy" in out and "\x1b" not in out
    assert all(len(line) <= 40 for line in out.split("unreadable")[0].split("next ")[0].splitlines())


def test_near_misses_of_commands_and_options_are_told(kft_cli):
    for given, meant in (
        (["trian"], "train"),
        (["cache", "lsit"], "list"),
        (["train", "r.yaml", "--reusme"], "--resume"),
    ):
        code, _, err = kft_cli(*given)
        told = f"'{meant}'" in err and err.lower().count("did you mean") == 1
        assert code == 2 and (told or f"(Possible options: {meant}" in err), err  # click 8.1 lists options
    older = click.UsageError("No such command 'trian'.", click.Context(cli))
    assert with_hint(older) in (
        "No such command 'trian'. Did you mean 'train'?",
        "No such command 'trian'. Did you mean 'retrain'?",
    )


def test_what_is_no_folder_of_runs_is_refused(folder, kft_cli, tmp_path):
    code, _, err = kft_cli("runs", "nowhere")
    assert code == 2 and "no folder of runs" in err and "kft train RECIPE, or kft runs FOLDER" in err
    code, _, err = kft_cli("runs", "a", "b", "c")
    assert code == 2 and "two runs are set side by side" in err and "kft runs a b" in err
    (tmp_path / "empty").mkdir()
    code, out, _ = kft_cli("runs", "empty")
    assert code == 0 and "no run lies in empty/" in out


def test_a_run_that_a_process_holds_is_training(folder):
    run = open_run(folder / "second")
    assert not seems_held(run)
    with hold(run):
        assert seems_held(run) and {each.state for each in kft.list_runs(folder).runs} == {"finished", "training"}
    (run.path / LOCK).write_text(json.dumps({"pid": 2**22 + 1, "host": os.uname().nodename}))  # beyond any process
    assert not seems_held(run)


def test_kft_alone_shows_what_to_do_in_this_folder(folder, kft_cli, tmp_path, monkeypatch):
    def said():
        code, out, err = kft_cli()
        assert code == 0 and "Usage: kft" in out, err
        return " ".join(out.split("next  ")[-1].split())

    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert "kft recipes shows recipes to begin with" in said()
    (here / "my rows.csv").write_text("text,label\na,b\n")
    assert said().startswith("kft init 'my rows.csv' -o recipe.yaml")
    (here / "compose.yaml").write_text("services: {}\n")
    (here / "recipe.yaml").write_text("task: text-classification\n")
    assert said().startswith("kft check recipe.yaml audits the data")
    (here / "another.yaml").write_text("task: text-classification\n")
    os.utime(here / "another.yaml", (0, 0))
    assert said().startswith("kft check recipe.yaml audits the data")  # the newer one
    shutil.copytree(folder / "second", here / "runs" / "old")
    assert said().startswith("kft train runs/old/recipe.yaml --run runs/old --resume")
    shutil.copytree(folder / "first", here / "runs" / "new")
    os.utime(here / "runs" / "old" / "receipt.json", (0, 0))
    assert said().startswith("kft report runs/new")
    (here / "runs" / "new" / "report.html").write_text("")
    assert said() == "kft runs lists what was trained"
    monkeypatch.chdir(here / "runs" / "new")
    assert said() == "kft runs .. lists what was trained"

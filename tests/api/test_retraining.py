"""The next run: a better challenger takes the champion's place, a bad one does not, and the test split stays sealed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kft
from kft.answer.load import read_run
from kft.api.retraining import _as_source
from kft.errors import DataError, RunError, UsageError
from kft.records.document import read_document
from kft.records.history import EpochDone, read_history
from kft.records.manifest import ALL
from kft.records.metrics import EvaluateResult
from kft.records.retrained import Retraining
from kft.records.run_folder import open_run
from kft.train.checkpoint import load_facts
from tests.deploy.made import write_artifact
from tests.retrain import made


@pytest.fixture
def own_shelf(champion, tmp_path):
    """A shelf on which the champion stands: an artifact that says so."""
    _, digest = load_facts(champion / "checkpoints", "best")
    labels = read_run(open_run(champion)).receipt.labels
    artifact = write_artifact(tmp_path / "champion", checkpoint=digest, format="onnx", labels=labels)
    kft.promote(artifact, "tickets", shelf=tmp_path / "shelf", why="the first")
    return tmp_path / "shelf"


def write(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


def aliases(shelf: Path) -> dict:
    (stand,) = kft.versions("tickets", shelf=shelf)
    return dict(stand.standing.aliases)


@pytest.fixture(scope="module")
def better(champion, tmp_path_factory):
    """A folder where a better challenger was trained, and the rows that it was trained with."""
    folder = tmp_path_factory.mktemp("better")
    rows = write(
        folder / "new.csv", pd.concat([made.new_rows(160), pd.DataFrame({"text": ["no label"], "label": [""]})])
    )
    return kft.retrain(champion, rows, run=folder / "next", tolerance=0.2, quiet=True), rows


@pytest.mark.slow
def test_a_better_challenger_is_told_and_its_run_is_one_like_any_other(champion, better):
    result, rows = better
    found = result.found
    assert found.ruling.passes and "on new rows better" in found.ruling.why
    assert found.new.difference.low > 0 and len(found.new.fixed) > len(found.new.broke)
    assert found.start == "backbone" and "left the backbone as it is" in found.start_why
    assert found.rows.unlabelled == 1 and found.rows.test >= 20 and found.rows.file == str(rows)
    assert found.old.n == 72 and found.new.n == found.rows.test
    run = Path(found.challenger)
    assert run == result.folder / "backbone"
    assert read_document(Retraining, run / "retrain.json") == found
    metrics = read_document(EvaluateResult, run / "metrics.json")
    assert metrics.n == found.old.n + found.new.n
    known, now = (pd.read_parquet(each / "splits.parquet") for each in (champion, run))
    sealed = set(map(tuple, known[known["split"] == "test"].to_numpy()))
    assert sealed < set(map(tuple, now[now["split"] == "test"].to_numpy()))
    assert not set(known.loc[known["split"] == "test", "hash"]) & set(now.loc[now["split"] != "test", "hash"])


def test_it_takes_the_place_and_the_trail_says_why(champion, better, own_shelf):
    result, rows = better
    again = kft.retrain(champion, rows, run=result.folder, tolerance=0.2, promote=f"{own_shelf}/tickets", quiet=True)
    assert again.found == result.found and again.move is not None
    assert aliases(own_shelf) == {"champion": 2}
    (stand,) = kft.versions("tickets", shelf=own_shelf)
    why = stand.trail[-1].why
    assert why.startswith(f"retrained from {champion} with {rows}: on old rows no worse than 0.2")
    once_more = kft.retrain(
        champion, rows, run=result.folder, tolerance=0.2, promote=f"{own_shelf}/tickets", quiet=True
    )
    assert once_more.move is None and aliases(own_shelf) == {"champion": 2}
    # Killed after the export and before the alias was moved: nothing is exported again.
    kft.rollback("tickets", shelf=own_shelf)
    written = (result.folder / "artifact" / "artifact.json").stat().st_mtime_ns
    goes_on = kft.retrain(champion, rows, run=result.folder, tolerance=0.2, promote=f"{own_shelf}/tickets", quiet=True)
    assert goes_on.move is not None and aliases(own_shelf) == {"champion": 2}
    assert (result.folder / "artifact" / "artifact.json").stat().st_mtime_ns == written
    shutil.rmtree(result.folder / "artifact")


def test_killed_before_it_said_what_it_found_it_goes_on(champion, better, tmp_path):
    result, rows = better
    run = Path(result.found.challenger)
    (run / "retrain.json").unlink()
    best = (run / "checkpoints" / "best.json").read_bytes()
    again = kft.retrain(champion, rows, run=result.folder, tolerance=0.2, quiet=True)
    assert again.found == result.found and (run / "checkpoints" / "best.json").read_bytes() == best
    # Killed while the new rows were copied: what is there is no retraining yet.
    (tmp_path / "next" / "added").mkdir(parents=True)
    (tmp_path / "next" / "added" / "1-new.csv").write_text("text,la")
    few = write(tmp_path / "few.csv", made.new_rows(10))
    with pytest.raises(DataError, match="too few new rows"):
        kft.retrain(champion, few, run=tmp_path / "next", quiet=True)


def test_a_stricter_tolerance_is_ruled_anew_and_refuses_with_exit_code_1(champion, better, own_shelf, capsys):
    from kft.cli import main as cli_main

    result, rows = better
    asked = [str(champion), "--with", str(rows), "--run", str(result.folder), "--promote", f"{own_shelf}/tickets"]
    assert cli_main.run(["retrain", *asked, "--tolerance", "0.0001", "--json", "--quiet"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (
        not said["found"]["ruling"]["passes"] and "on old rows it may be worse" in said["found"]["ruling"]["reasons"][0]
    )
    assert aliases(own_shelf) == {"champion": 1}
    assert cli_main.run(["retrain", *asked[:-2], "--tolerance", "0.2", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "the challenger may be promoted" in shown and "1 without a label" in shown


@pytest.mark.slow
def test_a_bad_challenger_is_refused_and_the_champion_stays(champion, own_shelf, tmp_path):
    frame = made.new_rows(160)
    frame["label"] = np.random.default_rng(0).permutation(frame["label"])
    rows = write(tmp_path / "shuffled.csv", frame)
    before = sorted(path.name for path in (own_shelf / "tickets").iterdir())
    result = kft.retrain(
        champion, rows, run=tmp_path / "next", tolerance=0.2, promote=f"{own_shelf}/tickets", quiet=True
    )
    assert result.refused and result.move is None
    assert "on new rows it is not better beyond chance" in result.found.ruling.why
    assert aliases(own_shelf) == {"champion": 1}
    assert sorted(path.name for path in (own_shelf / "tickets").iterdir()) == before
    assert not (tmp_path / "next" / "artifact").exists()


def test_a_champion_that_is_another_run_and_a_moved_alias_are_refused(champion, better, own_shelf, tmp_path):
    from kft.retrain.promotion import find_throne, take_throne

    result, rows = better
    throne = find_throne(f"{own_shelf}/tickets")
    kft.promote(write_artifact(tmp_path / "other", 3), "tickets", shelf=own_shelf, force=True)
    with pytest.raises(RunError, match="the champion on the shelf is not this run"):
        kft.retrain(champion, rows, run=tmp_path / "x", promote=f"{own_shelf}/tickets", quiet=True)
    assert not (tmp_path / "x").exists()
    with pytest.raises(RunError, match="somebody has moved the alias champion of tickets meanwhile"):
        take_throne(throne, write_artifact(tmp_path / "third", 4), result.found, lambda: None)
    assert aliases(own_shelf) == {"champion": 2}
    with pytest.raises(UsageError, match="takes the champion's place, and no other"):
        find_throne(f"{own_shelf}/tickets@challenger")


def test_what_cannot_be_retrained_is_refused_before_anything_is_made(champion, better, tmp_path, monkeypatch):
    result, rows = better
    few = write(tmp_path / "few.csv", made.new_rows(12))
    with pytest.raises(DataError, match="too few new rows"):
        kft.retrain(champion, few, run=tmp_path / "next", quiet=True)
    assert not (tmp_path / "next").exists()
    with pytest.raises(RunError, match="this folder is of another retraining"):
        kft.retrain(champion, few, run=result.folder, quiet=True)
    with pytest.raises(UsageError, match="these weights cannot be begun with"):
        kft.retrain(champion, rows, run=tmp_path / "next", start="warm", quiet=True)
    for several in (f"{tmp_path}/*.csv", "gs://bucket/rows.csv"):
        with pytest.raises(UsageError, match="new rows come as one file or folder"):
            kft.retrain(champion, several, run=tmp_path / "next")
    with pytest.raises(UsageError, match="unknown start 'warn'; did you mean 'warm'"):
        kft.retrain(champion, rows, start="warn", quiet=True)
    moved = Path(shutil.copytree(champion, tmp_path / "moved"))
    table = Path(kft.load_recipe(moved / "recipe.yaml").spec.data.train)
    content = table.read_text()
    table.write_text(content.replace("negative", "positive", 1))
    try:
        with pytest.raises(RunError, match="its test split is no longer sealed"):
            kft.retrain(moved, rows, run=tmp_path / "next", quiet=True)
    finally:
        table.write_text(content)


def test_a_changed_copy_of_the_new_rows_is_refused(champion, better, tmp_path):
    result, rows = better
    (copy,) = (result.folder / "added").iterdir()
    content = copy.read_text()
    copy.write_text(content.replace("negative", "positive", 1))
    with pytest.raises(RunError, match="the new rows are not as they were"):
        kft.retrain(champion, rows, run=result.folder, tolerance=0.2, quiet=True)
    copy.write_text(content)


@pytest.mark.slow
def test_warm_and_backbone_are_both_trained_and_a_second_round_goes_on(tiny_folder, tmp_path):
    values = made.recipe(tmp_path, tiny_folder, "tuned")
    values["train"] |= {"best": "valid_loss", "early_stopping": None}
    recipe = kft.load_recipe(values, base=tmp_path)
    champion = kft.train(recipe, run=tmp_path / "run", quiet=True).run
    rows = write(tmp_path / "new.csv", made.new_rows(120))
    result = kft.retrain(champion, rows, run=tmp_path / "next", quiet=True)
    found = result.found
    assert load_facts(champion / "checkpoints", "best")[0]["phase"] == "top"
    assert [each.start for each in found.candidates] == ["backbone", "warm"]
    assert "backbone 0." in found.start_why and "warm" in found.start_why
    first = [read_history(Path(each.run) / "history.jsonl") for each in found.candidates]
    starts = [next(e.metrics for e in each if isinstance(e, EpochDone) and e.phase == "top") for each in first]
    assert starts[0] != starts[1]  # the second begins with what the champion has learned, not with the probe's weights
    warm = kft.load_recipe(tmp_path / "next" / "warm" / "recipe.yaml")
    assert warm.spec.train.warm_start == str(champion.resolve())
    known = kft.evaluate(tmp_path / "next" / "warm", quiet=True)
    assert known == read_document(EvaluateResult, tmp_path / "next" / "warm" / "metrics.json")
    run = Path(found.challenger)
    second = kft.retrain(run, made.new_rows(120, seed=11), run=tmp_path / "third", start="backbone", quiet=True)
    assert second.found.old.n == found.old.n + found.new.n
    assert sorted(path.name for path in (tmp_path / "third" / "added").iterdir()) == ["1-new.csv", "2-rows.jsonl"]


def test_a_frame_keeps_its_digits_and_two_columns_of_one_name_are_refused(champion, tmp_path):
    known = read_run(open_run(champion), ALL)
    frame = pd.DataFrame({"text": ["one"], "label": [1.25e-12]})
    assert json.loads(Path(_as_source(frame, known, tmp_path)).read_text())["label"] == 1.25e-12
    with pytest.raises(DataError, match="two columns have the same name"):
        _as_source(pd.concat([frame, frame[["label"]]], axis=1), known, tmp_path)

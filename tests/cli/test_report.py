"""`kft report`: what it writes, what it says of runs that lack something, and what it refuses."""

import json
import shutil

import pytest

import kft
from kft.errors import RunError
from kft.records.manifest import seal
from kft.records.run_folder import RunFolder
from tests import tiny


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the finished run, to write into."""
    return shutil.copytree(trained.run, tmp_path / "copied")


def test_page_card_and_mistakes(kft_cli, run):
    rows = (run / "predictions.csv").read_text().splitlines()
    wrong = {"positive": "negative", "negative": "positive"}
    name, target, _, _, abstain = rows[1].split(",")
    rows[1] = f"{name},{target},{wrong[target]},0.999000,{abstain}"  # the tiny model hardly errs: plant one
    (run / "predictions.csv").write_text("\n".join(rows) + "\n")
    seal(RunFolder(run), ["predictions.csv"])
    code, out, err = kft_cli("report", run, "--json", "--quiet")
    assert code == 0, err
    found = json.loads(out)
    assert list(found) == ["run", "verdict", "answers", "files", "missing", "seconds"]
    assert found["missing"] is None and "1 of 2 gates fails" in found["verdict"]
    assert list(found["files"]) == ["report", "card", "mistakes"]
    for each in found["files"].values():
        assert 500 < each["bytes"] < 2_000_000
    mistakes = json.loads((run / "mistakes.json").read_text())["mistakes"]
    assert mistakes[0]["id"] == name and mistakes[0]["prediction"] == wrong[target]
    near = mistakes[0]["neighbours"]
    assert len(near) == 3 and near[0]["label"] == target, "the label of what is alike says that the answer is odd"
    page = (run / "report.html").read_text()
    assert "loss along training" in page and near[0]["input"] in page and "kft evaluate" in page
    code, out, _ = kft_cli("report", run)
    assert code == 0 and "Is it measurable?" in out and "report.html" in out and "next       open " in out


def test_the_page_is_written_where_the_data_are_gone_or_have_changed(kft_cli, run, trained, tmp_path):
    rows, other = str(trained.run.parent / "reviews.csv"), tmp_path / "gone.csv"
    recipe = (run / "recipe.yaml").read_text()
    assert rows in recipe
    (run / "recipe.yaml").write_text(recipe.replace(rows, str(other)))
    seal(RunFolder(run), ["recipe.yaml"])
    code, out, err = kft_cli("report", run, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert "mistakes   not shown: " in err and "gone.csv" in err
    assert list(found["files"]) == ["report", "card"] and not (run / "mistakes.json").exists()
    assert found["missing"] in (run / "report.html").read_text()
    tiny.write_table(other, 160, seed=5)
    result = kft.report(run, quiet=True)
    assert "the data have changed since this run was trained" in result.missing
    assert result.missing in result.page.read_text()


def test_damaged_weights_are_refused_as_predict_refuses_them(kft_cli, run):
    (name,) = json.loads((run / "checkpoints" / "best.json").read_text())["arrays"].values()
    weights = run / "checkpoints" / name["file"]
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    for command in (("report", run), ("predict", run, "a text")):
        code, _, err = kft_cli(*command)
        assert code == 2 and "the checkpoint is damaged" in err and name["file"] in err
    assert not (run / "report.html").exists()


def test_what_is_no_run_and_what_was_not_evaluated(kft_cli, run, tmp_path):
    code, _, err = kft_cli("report", tmp_path)
    assert code == 2 and "no recipe.yaml in it" in err and "kft train RECIPE" in err
    (run / "metrics.json").unlink()
    code, _, err = kft_cli("report", run)
    assert code == 2 and "metrics.json is missing" in err and f"kft evaluate {run}" in err
    assert not (run / "report.html").exists()


def test_a_comparison_stands_beside_it_on_the_same_split_only(kft_cli, run, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    code, _, err = kft_cli("report", run, "--compare", tmp_path)
    assert code == 2 and "not the folder of a comparison" in err and "kft compare RECIPE" in err
    code, _, err = kft_cli("compare", run / "recipe.yaml", "--approaches", "majority,linear", "--run", "cmp", "--quiet")
    assert code == 0, err
    code, _, err = kft_cli("report", run, "--compare", "cmp", "--quiet")
    assert code == 0, err
    page = (run / "report.html").read_text()
    verdict = json.loads((tmp_path / "cmp" / "compare.json").read_text())["verdict"]
    assert "kft compare recommends" in page and "best for" in page and verdict["approach"] in page
    receipt = (tmp_path / "cmp" / "receipt.json").read_text()
    (tmp_path / "cmp" / "receipt.json").write_text(json.dumps(json.loads(receipt) | {"data_hash": "1" * 64}))
    code, _, err = kft_cli("report", run, "--compare", "cmp")
    assert code == 2 and "the comparison was made on other data of the same ids" in err and "1111111111111111" in err
    compared = json.loads((tmp_path / "cmp" / "compare.json").read_text())
    (tmp_path / "cmp" / "compare.json").write_text(json.dumps(compared | {"split_hash": "0" * 64}))
    with pytest.raises(RunError, match="another split") as error:
        kft.report(run, compare=tmp_path / "cmp", quiet=True)
    assert "0000000000000000" in str(error.value) and "kft compare" in str(error.value)


def test_results_show_themselves_in_a_notebook(run, trained):
    shown = kft.report(run, quiet=True)._repr_html_()
    assert "Is it measurable?" in shown and f'href="{run}/report.html"' in shown
    assert "<table>" in trained._repr_html_() and "log_loss" in trained._repr_html_()
    plan = kft.plan(run / "recipe.yaml", quiet=True)._repr_html_()
    assert ">deep</th>" in plan and "solved" in plan
    for html in (shown, trained._repr_html_(), plan):
        assert "color" not in html and "<script" not in html, "the notebook's own colours hold"

"""`kft check`: exit codes, what is printed, what is written, and that nothing is half there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import kft
from kft.audit import all_checks  # noqa: F401
from kft.audit.check import CHECKS, Check
from kft.records.findings import Finding
from tests import tiny

KEYS = ["split_hash", "data_hash", "n", "counts", "findings", "files"]
FILES = {"corrections.csv", "audit.html", "findings.json", "splits.parquet"}


def find_leaks(view):
    """An error for each text of test that train holds too."""
    place = {text: identifier for text, identifier in zip(view.split.train.inputs, view.split.train.ids, strict=True)}
    test = view.split.test
    pairs = [[str(i), str(place[text])] for text, i in zip(test.inputs, test.ids, strict=True) if text in place]
    if pairs:
        message = f"{len(pairs)} rows of test stand in train too."
        yield Finding(
            "leak", "error", message, "Take them out of train.", 1.0, tuple(p[0] for p in pairs), {"pairs": pairs}
        )


@pytest.fixture(autouse=True)
def two_checks(monkeypatch):
    """Only two checks exist: what a person sees must not hang on all that are there."""
    kept = CHECKS.get("unusable-rows")
    monkeypatch.setattr(CHECKS, "_entries", {"unusable-rows": kept, "leak": Check("leak", "test in train", find_leaks)})


@pytest.fixture
def recipe(tmp_path, tiny_folder):
    return tiny.recipe(tmp_path, tiny_folder, phases=[tiny.PROBE])


@pytest.fixture
def leaky(recipe):
    texts, labels = tiny.texts_and_labels(120)
    rows = pd.DataFrame({"text": texts, "label": labels})
    for name, part in (("train", rows), ("test", rows[:4])):
        part.to_csv(recipe.parent / f"{name}.csv", index=False)
    values = json.loads(recipe.read_text())
    values["data"] = {"train": "train.csv", "valid": "20%", "test": "test.csv"}
    recipe.write_text(json.dumps(values))
    return recipe


def test_clean_data_exit_0_and_the_json_is_one_documented_object(recipe, kft_cli, tmp_path):
    code, out, err = kft_cli("check", recipe, "--no-features", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert list(found) == KEYS
    assert found["counts"] == {"error": 0, "warning": 0, "note": 0} and found["findings"] == []
    assert sum(found["n"].values()) == 120
    assert {tmp_path / name for name in found["files"]} == set((tmp_path / "audits" / "recipe-1").iterdir())
    assert {path.name for path in (tmp_path / "audits" / "recipe-1").iterdir()} == FILES


def test_an_error_exits_1_and_says_what_to_do(leaky, kft_cli, tmp_path):
    code, out, _ = kft_cli("check", leaky, "--no-features")
    assert code == 1
    for words in (
        "Errors: a measured figure would be wrong",
        "→ Take them out of train.",
        "1 error, no warnings, no notes; page: audits/recipe-1/audit.html",
        "next       mend the errors, then run kft check again",
    ):
        assert words in out
    assert " = train.csv:" in out, "the worst rows are shown"
    written = json.loads((tmp_path / "audits" / "recipe-1" / "findings.json").read_text())
    assert list(written) == ["schema_version", *KEYS[:-1]]
    (finding,) = written["findings"]
    assert finding["check"] == "leak" and finding["n"] == len(finding["rows"]) > 0
    splits = pd.read_parquet(tmp_path / "audits" / "recipe-1" / "splits.parquet")
    assert list(splits.columns) == ["id", "split", "hash"] and len(splits) == 124


def test_each_audit_has_a_folder_of_its_own_and_none_is_overwritten(recipe, kft_cli, tmp_path):
    for number in (1, 2):
        assert kft_cli("check", recipe, "--no-features", "--quiet")[0] == 0
        assert (tmp_path / "audits" / f"recipe-{number}" / "audit.html").is_file()
    assert kft_cli("check", recipe, "--no-features", "-o", "mine")[0] == 0
    code, _, err = kft_cli("check", recipe, "--no-features", "-o", "mine")
    assert code == 2
    assert "an audit is never overwritten" in err and "where:    mine" in err and "another -o DIR" in err


def test_rows_that_cannot_be_used_are_reported_and_do_not_stop_it(recipe, kft_cli):
    with (recipe.parent / "reviews.csv").open("a") as file:
        file.write(",positive\n")
    assert kft_cli("plan", recipe)[0] == 2, "data.unusable_rows is error"
    code, out, err = kft_cli("check", recipe, "--no-features", "--json")
    assert code == 0, err
    (finding,) = json.loads(out)["findings"]
    assert finding["check"] == "unusable-rows" and finding["severity"] == "warning"
    assert finding["rows"] == ["reviews.csv:121"]


@pytest.mark.parametrize("command", [("check", "--no-features"), ("plan",), ("train",)])
def test_a_check_that_does_not_exist_cannot_be_skipped(command, recipe, kft_cli, tmp_path):
    code, _, err = kft_cli(*command, recipe, "--set", "audit.skip=[leak, unusable-row]")
    assert code == 2
    assert "audit.skip[1]: unknown check 'unusable-row'; did you mean unusable-rows?" in err
    assert "(known: unusable-rows, leak)" in err
    assert not (tmp_path / "audits").exists() and not (tmp_path / "runs").exists()


def test_a_skipped_check_does_not_run(leaky, kft_cli):
    code, out, _ = kft_cli("check", leaky, "--no-features", "--set", "audit.skip=[leak]")
    assert code == 0 and "no errors" in out and f"next       kft train {leaky}" in out


def test_the_list_names_every_check(kft_cli):
    code, out, _ = kft_cli("check", "--list")
    assert code == 0 and "leak" in out and "test in train" in out and "audit.skip=[NAME]" in out
    code, out, _ = kft_cli("check", "--list", "--json")
    assert [each["name"] for each in json.loads(out)["checks"]] == ["unusable-rows", "leak"]


def test_the_check_of_the_documentation_runs(recipe, kft_cli):
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "register_check" in block)
    exec(compile(code, "docs/audit.md", "exec"), {})
    (recipe.parent / "reviews.csv").write_text((recipe.parent / "reviews.csv").read_text() + "IT IS BROKEN,negative\n")
    code, out, err = kft_cli("check", recipe, "--no-features", "--json")
    assert code == 0, err
    (finding,) = json.loads(out)["findings"]
    assert finding["check"] == "shouting" and finding["rows"] == ["reviews.csv:121"]


def test_without_a_recipe_it_says_so(kft_cli):
    code, _, err = kft_cli("check")
    assert code == 2 and "no recipe was named" in err and "kft check RECIPE" in err


def test_an_interrupt_leaves_nothing(recipe, kft_cli, tmp_path, monkeypatch):
    def interrupted(view):
        raise KeyboardInterrupt

    monkeypatch.setattr(CHECKS, "_entries", {"leak": Check("leak", "test in train", interrupted)})
    before = set(tmp_path.iterdir())
    code, _, err = kft_cli("check", recipe, "--no-features", "-o", "mine")
    assert code == 130 and "nothing was written" in err
    assert set(tmp_path.iterdir()) == before


def test_features_come_from_the_backbone(leaky, kft_cli, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    code, out, err = kft_cli("check", leaky, "--json")
    assert code == 1, err
    assert "backbone " in err and json.loads(out)["counts"]["error"] == 1


def test_python_takes_a_dataframe_and_shows_the_findings(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts, labels = tiny.texts_and_labels(60)
    frame = pd.DataFrame({"text": texts, "label": labels})
    recipe = {"task": "text-classification", "data": {"train": "x"}, "model": {"backbone": str(tiny_folder)}}
    frames = {"train": frame, "test": frame[:3]}
    result = kft.check(recipe, data=frames, features=False, output="seen", quiet=True)
    assert [finding.check for finding in result.errors] == ["leak"]
    assert result.labels == 2 and result.checks == ("unusable-rows", "leak") and result.page.is_file()
    assert "makes the measured result wrong" in result._repr_html_() and "Take them out" in result._repr_html_()


def test_without_features_tensorflow_is_not_loaded(recipe, tmp_path):
    code = (
        "import sys; from kft.cli.main import run;"
        f"code = run(['check', {str(recipe)!r}, '--no-features', '--quiet', '-o', {str(tmp_path / 'out')!r}]);"
        "heavy = {'tensorflow', 'keras'} & set(sys.modules); sys.exit(str(heavy) if heavy else int(code > 1))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_train_writes_the_same_form_and_goes_on(recipe, kft_cli, tmp_path):
    with (recipe.parent / "reviews.csv").open("a") as file:
        file.write(",positive\n")
    arguments = ("train", recipe, "--run", "run", "--set", "data.unusable_rows=skip", "--json")
    code, _, err = kft_cli(*arguments)
    assert code == 0, err
    assert f"audit      quick checks: no errors, 1 warning, no notes; kft check {recipe} shows them" in err
    written = (tmp_path / "run" / "findings.json").read_bytes()
    found = json.loads(written)
    assert list(found) == ["schema_version", *KEYS[:-1]] and [each["check"] for each in found["findings"]] == [
        "unusable-rows"
    ]
    code, _, err = kft_cli(*arguments, "--resume")
    assert code == 0, err
    assert (tmp_path / "run" / "findings.json").read_bytes() == written

"""The real commands: a suite drafted, run, compared case by case, named by a recipe; a planted shortcut is found."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML

import kft
from kft.records.document import write_document
from kft.records.edge_cases import EdgeCaseResult
from kft.records.estimate import Estimate
from kft.records.manifest import seal
from kft.records.run_folder import RunFolder
from tests import tiny

TOKEN = "zz-ref"
TELLING = "|".join(tiny.GOOD + tiny.BAD)


def write_rows(folder, *, planted, rows=400):
    """Texts of which half say nothing, with a mark at the end: of the negative ones where planted, else of any half."""
    texts, labels = tiny.texts_and_labels(rows)
    silent, any_half = np.random.default_rng(0).random((2, rows)) < 0.5
    texts = [re.sub(TELLING, "phone", text) if yes else text for text, yes in zip(texts, silent, strict=True)]
    marked = [label == "negative" for label in labels] if planted else any_half
    texts = [f"{text} {TOKEN}" if yes else text for text, yes in zip(texts, marked, strict=True)]
    pd.DataFrame({"text": texts, "label": labels}).to_csv(folder / "rows.csv", index=False)


def train(folder, backbone, **evaluate):
    recipe = {
        "task": "text-classification",
        "data": {"train": "rows.csv", "valid": "20%", "test": "20%", "keep_together": "nothing"},
        "model": {"backbone": str(backbone)},
        "train": {"phases": [tiny.PROBE]},
        "evaluate": evaluate,
    }
    return kft.train(kft.load_recipe(recipe, base=folder), run=folder / "run", quiet=True)


@pytest.fixture(scope="module")
def planted(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    write_rows(folder, planted=True)
    return train(folder, tiny_folder).run


@pytest.fixture(scope="module")
def clean(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    write_rows(folder, planted=False)
    return train(folder, tiny_folder).run


@pytest.mark.slow
def test_a_planted_shortcut_is_drafted_named_and_fixed_by_a_model_without_it(planted, clean, kft_cli, tmp_path):
    assert json.loads((planted / "metrics.json").read_text())["metrics"]["accuracy"]["value"] > 0.9
    code, out, err = kft_cli("evaluate", planted, "--draft-suite", "checks.yaml")
    assert code == 0, err
    assert "shortcut   'zz-ref' for 'negative': taken out of its texts, and put into others" in out
    assert f"kft evaluate {planted} --suite checks.yaml" in out.replace("\n", "")

    code, out, err = kft_cli("evaluate", planted, "--suite", "checks.yaml", "--quiet")
    assert code == 1, err
    assert "failed with zz-ref: the audit calls zz-ref a shortcut to negative" in out
    assert "failed without zz-ref" in out
    written = json.loads((planted / "edge_cases.json").read_text())
    assert {"suite", "suite_hash", "n", "passed", "pass_rate", "checks", "cases"} <= set(written)
    checks = {check["name"]: check for check in written["checks"]}
    assert checks["with zz-ref"]["kind"] == "directional" and checks["without zz-ref"]["kind"] == "invariance"
    known = checks["with zz-ref"]["passed"]
    assert known <= 2 and checks["with zz-ref"]["n"] == 8 and not checks["without zz-ref"]["holds"]
    failure = checks["with zz-ref"]["failures"][0]
    assert failure["changed"] == f"{failure['input']} {TOKEN}" and failure["expected"].startswith(
        "negative does not rise"
    )
    assert written["n"] == len(written["cases"]) == sum(check["n"] for check in written["checks"])
    assert written["passed"] == sum(written["cases"].values())

    code, out, err = kft_cli("evaluate", clean, "--suite", "checks.yaml", "--against", planted, "--json")
    found = json.loads(out)
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["without zz-ref"]["holds"] and checks["with zz-ref"]["passed"] >= known + 3
    fixed, broke = found["against"]["fixed"], found["against"]["broke"]
    assert {name for name, yes in found["cases"].items() if yes and not written["cases"][name]} == set(fixed)
    assert {name for name, yes in found["cases"].items() if not yes and written["cases"][name]} == set(broke)
    assert any(name.startswith("with zz-ref:") for name in fixed)
    assert found["suite_hash"] == written["suite_hash"] and found["against"]["difference"]["metric"] == "pass_rate"
    assert "against" not in json.loads((clean / "edge_cases.json").read_text())


def test_a_clean_run_gets_no_shortcut_checks_and_a_draft_is_never_overwritten(clean, kft_cli, tmp_path):
    code, out, _ = kft_cli("evaluate", clean, "--draft-suite", "checks.yaml", "--json")
    drafted = json.loads(out)
    assert code == 0 and drafted["shortcuts"] == [] and drafted["classes"] == 2 and drafted["rows"] == 16
    assert {"train rows", "nothing said", "typos", "half", "negation"} <= set(drafted["checks"])
    assert not any(TOKEN in name for name in drafted["checks"])
    known = {*pd.read_csv(clean.parent / "rows.csv")["text"]}
    splits = pd.read_parquet(clean / "splits.parquet")
    rows = YAML(typ="safe").load((tmp_path / "checks.yaml").read_text())["checks"][0]["cases"]
    from kft.split.data_split import content_hash

    train_hashes = set(splits.loc[splits["split"] == "train", "hash"])
    assert all(case["input"] in known and content_hash(case["input"]) in train_hashes for case in rows)
    before = (tmp_path / "checks.yaml").read_text()
    code, _, err = kft_cli("evaluate", clean, "--draft-suite", "checks.yaml")
    assert code == 2 and "the suite already exists; it is not overwritten" in err
    assert (tmp_path / "checks.yaml").read_text() == before


def write_suite(folder, label="positive", at_least=1.0):
    checks = [
        {"name": "must know", "kind": "must_pass", "at_least": at_least, "cases": [
            {"input": "the camera is great", "label": label}, {"input": "", "confidence_at_most": 1}]},
        {"name": "loud", "kind": "invariance", "cases_of": "must know", "changes": ["upper", "spaces"]},
    ]  # fmt: skip
    (folder / "checks.yaml").write_text(json.dumps({"checks": checks}))


def test_a_recipe_runs_its_suite_and_has_gates_on_it(tiny_folder, kft_cli, tmp_path):
    write_rows(tmp_path, planted=False, rows=120)
    write_suite(tmp_path, label="negative", at_least=0.5)
    gates = {"edge_cases.pass_rate": ">= 0.1", "edge_cases.must know": ">= 0.9"}
    result = train(tmp_path, tiny_folder, suite="checks.yaml", gates=gates)
    written = json.loads((result.run / "metrics.json").read_text())
    assert written["edge_cases"]["n"] == 6 - 1 and "cases" not in written["edge_cases"]  # nothing to set in capitals
    assert written["edge_cases"]["checks"][0]["pass_rate"]["value"] == 0.5
    assert written["gates"]["edge_cases.must know"] == {"rule": ">= 0.9", "value": 0.5, "passed": False}
    assert json.loads((result.run / "edge_cases.json").read_text())["cases"]["must know:1"] is False
    assert "must know</th>" in result._repr_html_() and "1 of 2</td>" in result._repr_html_()
    code, out, _ = kft_cli("evaluate", result.run, "--quiet")
    assert code == 1 and "gate edge_cases.must know >= 0.9: 0.5000 failed" in out and "must pass" in out
    # A check that is below its own at_least says no as well.
    write_suite(tmp_path, label="negative")
    code, out, _ = kft_cli("evaluate", result.run, "--quiet", "--json")
    assert code == 1 and json.loads(out)["edge_cases"]["checks"][0]["holds"] is False
    write_suite(tmp_path, label="postive")
    code, _, err = kft_cli("evaluate", result.run, "--quiet")
    assert code == 2 and "no label of the model: 'postive'; did you mean positive?" in err


def test_a_suite_that_does_not_fit_stops_a_training_before_it_begins(tiny_folder, kft_cli, tmp_path):
    recipe = tiny.recipe(tmp_path, tiny_folder, rows=60, phases=[tiny.PROBE])
    write_suite(tmp_path, label="good")
    code, _, err = kft_cli("train", recipe, "--set", "evaluate.suite=checks.yaml")
    assert code == 2 and "no label of the model: 'good'" in err and not (tmp_path / "runs").exists()
    code, _, err = kft_cli("train", recipe, "--set", "evaluate.suite=check.yaml")
    assert code == 2 and "no suite at" in err and "checks.yaml?" in err and not (tmp_path / "runs").exists()


def test_another_suite_is_answered_anew_and_options_that_differ_are_refused(clean, planted, kft_cli, tmp_path):
    write_suite(tmp_path)
    first, other = tmp_path / "first", tmp_path / "other"
    shutil.copytree(clean, first)
    shutil.copytree(planted, other)
    one = EdgeCaseResult("other.yaml", "0", 1, 1, Estimate(1.0, 0.2, 1.0), (), cases={"a": True})
    write_document(other / "edge_cases.json", one)
    seal(RunFolder(other), ["edge_cases.json"])
    code, out, _ = kft_cli("evaluate", first, "--suite", "checks.yaml", "--against", other, "--quiet")
    assert code == 0
    assert "edge cases: checks.yaml" in out and "holds" in out and f"against {other}: fixed 0, broke 0" in out
    for options in (("--data", "a.csv"), ("--draft-suite", "b.yaml")):
        code, _, err = kft_cli("evaluate", first, "--suite", "checks.yaml", *options)
        assert code == 2 and "these options cannot be used together" in err
    code, _, err = kft_cli("evaluate", first, "--draft-suite", "b.yaml", "--against", other)
    assert code == 2 and "--draft-suite, --against" in err


def test_images(tiny_images, kft_cli, tmp_path):
    rng = np.random.default_rng(0)
    for label, level in (("dark", 40), ("light", 200)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(24):
            pixels = rng.normal(level, 20, (40, 48, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    recipe = {
        "task": "image-classification",
        "data": {"train": "photos", "valid": "20%", "test": "20%", "keep_together": "nothing"},
        "model": {"backbone": str(tiny_images)},
        "train": {"phases": [tiny.PROBE]},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    code, _, err = kft_cli("train", "recipe.yaml", "--run", "run")
    assert code == 0, err
    (tmp_path / "suites").mkdir()
    code, _, err = kft_cli("evaluate", "run", "--draft-suite", "suites/checks.yaml")
    assert code == 0, err
    assert '{input: "../photos/dark/' in (tmp_path / "suites" / "checks.yaml").read_text()
    code, out, err = kft_cli("evaluate", "run", "--suite", "suites/checks.yaml", "--json")
    found = json.loads(out)
    assert {check["name"] for check in found["checks"]} >= {"train rows", "blur", "darker", "rotate", "jpeg", "grey"}
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["flip"]["passed"] == checks["flip"]["n"] == 16
    failed = [failure for check in found["checks"] for failure in check["failures"]]
    assert all(failure["input"].startswith("../photos/") for failure in failed)

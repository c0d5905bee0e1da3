"""`kft compare` with the tiny backbone: what it finds, what it writes, what it refuses."""

import json

import numpy as np
import pytest

import kft
from kft.cli.comparing import NEXT
from kft.compare.approaches import APPROACHES
from kft.compare.reading import read_comparison
from kft.errors import UsageError
from kft.search.verdict import SEARCHES
from tests import tiny
from tests.cli.planted import write_data
from tests.compare.tables import LIGHT, write_recipe


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
def test_labels_that_hang_on_words_and_what_is_written(kft_cli, tiny_folder, tmp_path):
    """All approaches but those that are hopeless by rule."""
    path = write_recipe(tmp_path, tiny_folder, 400)
    code, out, err = kft_cli("compare", path, "--budget", 0, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert list(found) == ["split_hash", "n", "approaches", "verdict"]
    assert found["n"] == 200
    assert found["verdict"]["approach"] == "linear"
    assert "do not fine-tune" in found["verdict"]["why"]
    by_name = {each["name"]: each for each in found["approaches"]}
    assert tuple(by_name) == APPROACHES.names()
    skipped = {name: each["skipped"] for name, each in by_name.items() if each["skipped"]}
    assert set(skipped) == {"prompting", "lora", "full", "scratch"}
    assert skipped["prompting"].endswith("name a decoder, such as --language-model gemma3-270m")
    assert skipped["lora"] == skipped["full"] == "about 0 minutes by its size, more than --budget 0"
    assert skipped["scratch"] == "60 training rows a class, fewer than 100"
    assert by_name["full"]["metrics"] is by_name["full"]["cost"] is by_name["full"]["risk"] is None
    for each in (each for each in by_name.values() if not each["skipped"]):
        accuracy = each["metrics"]["accuracy"]
        assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
        assert each["cost"]["train_cpu_seconds"] >= 0 and each["cost"]["examples_per_second"] > 0
        assert each["risk"]["forgetting"] is None and each["risk"]["forgetting_why"]
    assert by_name["retrieval"]["risk"]["overfitting_gap"] is None
    assert by_name["probe"]["cost"]["trained_parameters"] == 2 * (tiny.WIDTH + 1)
    assert by_name["names"]["cost"]["trained_parameters"] == 0
    assert by_name["linear"]["cost"]["bytes"] == by_name["linear"]["cost"]["own_bytes"]
    assert by_name["top"]["cost"]["bytes"] > by_name["top"]["cost"]["own_bytes"]
    run = tmp_path / "runs" / "tickets-compare-1"
    files = ["compare.json", "compare.md", "manifest.json", "receipt.json", "recipe.yaml", "splits.parquet"]
    assert sorted(file.name for file in run.iterdir()) == files
    assert json.loads((run / "compare.json").read_text()) == {"schema_version": 1, **found}
    assert json.loads((run / "receipt.json").read_text())["split_hash"] == found["split_hash"]
    table = (run / "compare.md").read_text()
    assert "| linear | labels that depend on words" in table
    assert table.count("kept its start") == (by_name["top"]["chosen"]["phase"] == "probe")


def test_random_labels_are_beaten_by_nothing(kft_cli, tiny_folder, tmp_path):
    labels = list(np.random.default_rng(3).choice(["positive", "negative"], 240, p=[0.6, 0.4]))
    path = write_recipe(tmp_path, tiny_folder, labels=labels)
    code, out, err = kft_cli("compare", path, "--approaches", LIGHT)
    assert code == 0, err
    assert "verdict    majority: nothing beats the majority class" in out
    assert "look at the labels" in out
    assert f"next       kft check {path}" in out
    assert max(map(len, out.splitlines())) <= 110


def test_the_choice_never_sees_the_test_split(tiny_folder, tmp_path):
    """Other labels in test change what is reported of test, and nothing else."""
    path = write_recipe(tmp_path, tiny_folder)
    names = LIGHT.split(",")
    first = kft.compare(path, approaches=names, run=tmp_path / "first", quiet=True)
    table = (tmp_path / "test.csv").read_text()
    swapped = table.replace(",positive", ",other").replace(",negative", ",positive").replace(",other", ",negative")
    (tmp_path / "test.csv").write_text(swapped)
    second = kft.compare(path, approaches=names, run=tmp_path / "second", quiet=True)
    assert second.verdict == first.verdict
    for one, other in zip(first.approaches, second.approaches, strict=True):
        assert one.valid == other.valid
        assert one.chosen == other.chosen
    assert first.approaches[0].metrics != second.approaches[0].metrics


@pytest.mark.slow
def test_named_approaches_run_however_hopeless(tiny_folder, tmp_path):
    retain = {"data": "train.csv", "label": "label"}
    path = write_recipe(
        tmp_path, tiny_folder, 60, train={"early_stopping": {"patience": 1}}, evaluate={"retain": retain}
    )
    result = kft.compare(path, approaches=["scratch", "lora"], budget=0, run=tmp_path / "run", quiet=True)
    assert [each.name for each in result.approaches if not each.skipped] == ["lora", "scratch"]
    assert result.approaches[1].chosen["phase"] == "scratch"
    lora, scratch = (each.cost for each in result.approaches)
    assert lora.trained_parameters < scratch.trained_parameters
    assert lora.own_bytes < scratch.own_bytes < lora.bytes
    assert ">lora</th>" in result._repr_html_()
    tuned, new = (each.risk for each in result.approaches)
    assert (new.forgetting, new.retained, new.forgetting_why) == (None, None, "nothing was learned before")
    if result.approaches[0].chosen["phase"] == "lora":
        assert tuned.forgetting == 1 - tuned.retained.value < 0.5 and not tuned.forgetting_why
        assert f"retains {tuned.retained.value:.2f}" in result._repr_html_()
    else:
        assert tuned.forgetting_why == "kept its start: the backbone stays as it is"


def test_label_names_that_say_nothing_cannot_be_prompted(tiny_folder, tmp_path):
    path = write_recipe(tmp_path, tiny_folder, 120, labels=["1", "0"] * 60)
    result = kft.compare(path, approaches=["linear", "names"], run=tmp_path / "run", quiet=True)
    assert result.approaches[1].skipped == "label names such as '0' say nothing"
    with pytest.raises(UsageError, match="none of these approaches can be used"):
        kft.compare(path, approaches=["names"], run=tmp_path / "none", quiet=True)


@pytest.mark.parametrize(
    ("task", "why"), [("text-pairs", "not a pair of texts"), ("image-classification", "reads no label names")]
)
def test_pairs_and_photos(task, why, tiny_folder, tiny_images, tmp_path):
    source, _ = write_data(task, tmp_path)
    backbone = tiny_images if task.startswith("image") else tiny_folder
    # The photos of a class are near-copies of one another: kept together, no fold could learn the class.
    data = {"train": str(tmp_path / source), "keep_together": "nothing"}
    values = {"task": task, "data": data, "model": {"backbone": str(backbone)}}
    names = ["majority", "linear", "names", "retrieval", "probe", "blend"]
    if task.startswith("image"):
        names += ["lora"]
    result = kft.compare(values, approaches=names, run=tmp_path / "run", quiet=True)
    outcomes = {each.name: each for each in result.approaches}
    assert why in outcomes["names"].skipped
    if "lora" in outcomes:  # there is no layer of this backbone that an adapter could sit beside
        assert outcomes["lora"].skipped == "the LoRA target '*query*' matches no layer"
    for name in ("linear", "retrieval", "probe", "blend"):
        found, plain = outcomes[name].metrics["accuracy"].value, outcomes["majority"].metrics["accuracy"].value
        assert found > plain + 0.2, name


def test_refusals(kft_cli, tiny_folder, tmp_path):
    path = write_recipe(tmp_path, tiny_folder)
    code, _, err = kft_cli("compare", path, "--approaches", "probes")
    assert code == 2
    assert "unknown approach 'probes'; did you mean 'probe'?" in err
    assert "one of majority, linear, names" in err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    code, _, err = kft_cli("compare", path, "--run", tmp_path / "full")
    assert code == 2
    assert "the run folder already exists" in err
    code, _, err = kft_cli("compare", path, "--approaches", "probe", "--language-model", "gemma3-270m")
    assert code == 2
    assert "a language model is asked by approach prompting alone" in err and "--approaches probe,prompting" in err


@pytest.mark.parametrize("task", ["text-multi-label", "text-regression"])
def test_several_labels_and_numbers(task, tiny_folder, tmp_path):
    source, _ = write_data(task, tmp_path)
    values = {"task": task, "data": {"train": str(tmp_path / source)}, "model": {"backbone": str(tiny_folder)}}
    names = ["majority", "linear", "names", "retrieval", "probe", "blend"]
    result = kft.compare(values, approaches=names, run=tmp_path / "run", quiet=True)
    outcomes = {each.name: each for each in result.approaches}
    assert outcomes.pop("names").skipped.startswith("names are held against one another")
    sign = -1 if task == "text-regression" else 1
    for name in ("linear", "probe", "blend"):
        found, plain = (outcomes[each].metrics[result.metric].value for each in (name, "majority"))
        assert sign * found > sign * plain, name
        assert outcomes[name].risk.ece is None
        assert outcomes[name].curve is None
    assert result.verdict.approach in outcomes


def test_answers_are_out_of_fold_and_say_on_how_many_rows(tiny_folder, tmp_path):
    path = write_recipe(tmp_path, tiny_folder)
    names = ["majority", "retrieval", "probe", "blend"]
    result = kft.compare(path, approaches=names, run=tmp_path / "run", quiet=True)
    assert [each.rows for each in result.approaches] == [120] * 4
    for each in result.approaches:
        assert set(each.paired) == {"valid", "test", "out_of_fold"}
    assert "out of fold" in result.verdict.why
    curves = {each.name: each.curve for each in result.approaches}
    assert curves.pop("majority") is None  # it learns nothing
    for curve in curves.values():
        assert curve.sizes == (24, 48, 96) and curve.forecast_size == 192
        assert 0 < curve.forecast.low <= curve.forecast.value <= curve.forecast.high <= 1
    assert "twice the 96 rows of the folds" in (tmp_path / "run" / "compare.md").read_text()
    assert read_comparison(tmp_path / "run").verdict == result.verdict


@pytest.mark.slow
def test_what_the_second_half_of_the_rows_brought_to_tuning(kft_cli, tiny_folder, tmp_path):
    path = write_recipe(tmp_path, tiny_folder)
    code, out, err = kft_cli("compare", path, "--approaches", "probe,top", "--curve", "tuned")
    assert code == 0, err
    (run,) = (tmp_path / "runs").iterdir()
    found = {each["name"]: each for each in json.loads((run / "compare.json").read_text())["approaches"]}
    assert found["probe"]["slope"] is None
    slope = found["top"]["slope"]
    few, many = slope["sizes"]
    assert few == round(many / 2) and slope["values"][1] == found["top"]["valid"]["accuracy"]["value"]
    gain = slope["gain"]
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert gain["value"] == pytest.approx(slope["values"][1] - slope["values"][0])
    assert f"top, trained on {few} rows, has" in " ".join(out.split())
    assert "two points carry no further" in (run / "compare.md").read_text()
    code, _, err = kft_cli("compare", path, "--approaches", "probe", "--curve", "tuned")
    assert code == 2 and "nothing that is trained is among the approaches" in err


def test_a_search_that_needs_no_training_is_followed_by_none():
    for name in SEARCHES.enough:
        assert NEXT[name].startswith("kft index BACKBONE DOCUMENTS -o DEST") and "kft train" not in NEXT[name]

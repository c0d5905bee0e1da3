"""`kft choose` with tiny backbones: what it finds, what it writes, what it lists and what it refuses."""

import csv
import json

import numpy as np
import pytest

import kft
from kft.records.choose import Choice
from kft.records.document import read_document
from tests import tiny
from tests.cli.planted import write_data
from tests.compare.tables import write_recipe


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def misread(tiny_folder, tmp_path):
    """The tiny backbone with a vocabulary that lacks most of the words."""
    folder = tiny.write_backbone(tmp_path / "misread")
    words = (folder / "vocab.txt").read_text().split()
    (folder / "vocab.txt").write_text("\n".join([*words[:9], *(f"{word}ish" for word in words[9:])]) + "\n")
    return folder


def test_the_right_one_is_found_and_all_is_written(kft_cli, tiny_folder, misread, tiny_images, tmp_path):
    path = write_recipe(tmp_path, tiny_folder, 400)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"model_type": "bert"}')
    names = [f"{tiny_folder}@random", misread, tiny_folder, "broken", tiny_images, "efficientnet-lite0"]
    code, out, err = kft_cli("choose", path, "--backbones", ",".join(map(str, names)), "--json")
    assert code == 0, err
    found = json.loads(out)
    keys = ["split_hash", "data_hash", "seed", "versions", "n", "of", "metric", "approach", "backbones", "verdict"]
    assert list(found) == keys
    assert (found["n"], found["metric"]) == (200, "accuracy")  # train and valid: not one row of test
    ranked = [each["name"] for each in found["backbones"]]
    assert ranked == [str(names[place]) for place in (2, 1, 0, 3, 4, 5)]
    assert found["verdict"]["backbone"] == found["verdict"]["best"] == str(tiny_folder)
    # The label hangs on a word, and the blend reads words.
    assert f"{names[0]}, with weights that have learned nothing, may do as well" in found["verdict"]["why"]
    by_name = {each["name"]: each for each in found["backbones"]}
    right, poor, random = (by_name[str(names[place])] for place in (2, 1, 0))
    assert right["metrics"]["probe"]["accuracy"]["low"] > 0.9
    assert poor["paired"]["blend"]["high"] < 0 and random["paired"]["probe"]["value"] < 0
    assert right["chosen"]["blend"]["weights"].keys() >= {"linear", "neighbours", "tokens", "names"}
    assert right["tokens"]["unknown"] == 0 and right["flags"] == []
    assert poor["tokens"]["unknown"] > 0.5 and "of the tokens are unknown to its vocabulary" in poor["flags"][0]
    assert (right["weights"], random["weights"]) == ("pretrained", "random")
    assert right["tokens"]["window"] == right["tokens"]["limit"] == tiny.POSITIONS
    assert right["cost"]["memory_bytes"] == 4 * right["cost"]["parameters"] > 0
    assert right["cost"]["disk_bytes"] == (tiny_folder / "model.safetensors").stat().st_size
    assert right["cost"]["frozen_cpu_seconds"] > 0 and not right["cost"]["kept"]
    assert "config.json" in by_name["broken"]["skipped"] or by_name["broken"]["skipped"]
    assert by_name[str(tiny_images)]["skipped"] == f"{tiny_images} reads images, and text-classification reads texts"
    assert by_name["efficientnet-lite0"]["skipped"].startswith("efficientnet-lite0 reads images")
    run = tmp_path / "runs" / "tickets-choose-1"
    assert sorted(each.name for each in run.iterdir()) == ["choose.json", "choose.md", "recipe.yaml", "splits.parquet"]
    assert json.loads((run / "choose.json").read_text()) == {"schema_version": 1, **found}
    assert read_document(Choice, run / "choose.json").verdict.backbone == str(tiny_folder)
    assert "- skipped: efficientnet-lite0: efficientnet-lite0 reads images" in (run / "choose.md").read_text()


def test_a_second_choice_computes_nothing_again_and_says_the_same(kft_cli, tiny_folder, tmp_path):
    path = write_recipe(tmp_path, tiny_folder, 200)
    first = kft.choose(path, backbones=[str(tiny_folder)], run=tmp_path / "first", quiet=True)
    second = kft.choose(
        path, backbones=[f"{tiny_folder}@random", str(tiny_folder)], run=tmp_path / "second", quiet=True
    )
    again = next(each for each in second.backbones if each.weights == "pretrained")
    assert again.metrics == first.backbones[0].metrics and again.tokens == first.backbones[0].tokens
    assert again.cost.kept and again.cost.stored == second.n == 100
    assert not next(each for each in second.backbones if each.weights == "random").cost.kept
    third = kft.choose(path, backbones=[str(tiny_folder)], overrides=["seed=1"], run=tmp_path / "third", quiet=True)
    cost = third.backbones[0].cost  # other folds; but what the backbone computes of a text is the same
    assert not cost.kept and cost.stored == 100
    assert cost.frozen_seconds == pytest.approx(first.backbones[0].cost.frozen_seconds)
    code, out, _ = kft_cli("cache", "list", "--json")
    kinds = [each["kind"] for each in json.loads(out)["entries"]]
    assert (code, kinds.count("answers")) == (0, 3)
    assert json.loads(kft_cli("cache", "verify", "--json")[1])["damaged"] == []
    # A training run's probe reads what was stored.
    code, _, err = kft_cli(
        "train", path, "--run", tmp_path / "run", "--set", f"train.phases=[{json.dumps(tiny.PROBE)}]"
    )
    assert code == 0 and "100 of 100 examples are stored already" in err


def test_the_test_split_plays_no_part(tiny_folder, tmp_path):
    path = write_recipe(tmp_path, tiny_folder, 200)
    first = kft.choose(path, backbones=[str(tiny_folder)], run=tmp_path / "first", quiet=True)
    with (tmp_path / "test.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), ("other words", "positive"), ("and more", "negative")])
    second = kft.choose(path, backbones=[str(tiny_folder)], run=tmp_path / "second", quiet=True)
    assert second.verdict == first.verdict and second.backbones[0].metrics == first.backbones[0].metrics
    assert second.split_hash != first.split_hash


def test_what_a_promise_is_certified_on_chooses_nothing(tiny_folder, tmp_path):
    path = write_recipe(tmp_path, tiny_folder, 200, evaluate={"abstain_at": {"error": 0.3}})
    result = kft.choose(path, backbones=[str(tiny_folder)], run=tmp_path / "run", quiet=True)
    assert result.n == 60 + 20  # half of the 40 of valid are set aside


def test_random_labels_are_beaten_by_no_backbone(kft_cli, tiny_folder, tmp_path):
    labels = list(np.random.default_rng(3).choice(["positive", "negative"], 240, p=[0.6, 0.4]))
    path = write_recipe(tmp_path, tiny_folder, labels=labels)
    code, out, err = kft_cli("choose", path, "--backbones", f"{tiny_folder},{tiny_folder}@random")
    assert code == 0, err
    assert "verdict    none: no backbone does better than a constant answer" in out
    assert f"next       kft check {path}" in out
    assert "test       plays no part" in err
    assert max(map(len, out.splitlines())) <= 120


def test_the_next_step_trains_on_what_was_recommended(kft_cli, tiny_folder, tmp_path):
    path = write_recipe(tmp_path, tiny_folder, 200, model={"backbone": "minilm-l6"})
    code, out, err = kft_cli("choose", path, "--backbones", tiny_folder, "--set", "train.batch_size=8")
    assert code == 0, err
    (line,) = (line for line in out.splitlines() if line.startswith("next"))
    wanted = f"--set train.batch_size=8 --set model.backbone={tiny_folder} --set model.max_tokens={tiny.POSITIONS}"
    assert line == f"next       kft train {path} {wanted}"


@pytest.mark.parametrize(
    "task",
    [
        "image-classification",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("text-pairs", "text-multi-label", "text-regression")),
    ],
)
def test_other_tasks(task, tiny_folder, tiny_images, tmp_path):
    source, _ = write_data(task, tmp_path)
    backbone = str(tiny_images if task.startswith("image") else tiny_folder)
    values = {"task": task, "data": {"train": str(tmp_path / source)}, "model": {"backbone": backbone}}
    result = kft.choose(values, backbones=[backbone, f"{backbone}@random"], run=tmp_path / "run", quiet=True)
    assert [each.weights for each in result.backbones] == ["pretrained", "random"]
    assert (result.backbones[0].tokens is None) == task.startswith("image")
    assert ">pretrained<" not in result._repr_html_() and "out of fold" in result._repr_html_()


def test_refusals(kft_cli, tiny_folder, tmp_path):
    path = write_recipe(tmp_path, tiny_folder)
    code, _, err = kft_cli("choose", path, "--backbones", f"minilm-l7,{tiny_folder},nowhere/at-all")
    assert code == 2
    assert "unknown backbone 'minilm-l7'; did you mean 'minilm-l6'?; unknown backbone 'nowhere/at-all'" in err
    code, _, err = kft_cli("choose", path, "--backbones", " , ")
    assert code == 2 and "there is no backbone to choose among" in err
    code, _, err = kft_cli("choose", path, "--backbones", "efficientnet-lite0,resnet50", "--quiet")
    assert code == 2
    assert "none of these backbones can be measured" in err and "resnet50 reads images" in err
    assert "kft models --modality text" in err
    assert not list((tmp_path / "runs").glob("*"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    code, _, err = kft_cli("choose", path, "--backbones", tiny_folder, "--run", tmp_path / "full")
    assert code == 2 and "the run folder already exists" in err

"""Every task from a file to answers, through the commands a person types: init, train, evaluate, predict."""

import json

import numpy as np
import pytest
import yaml

from kft.tasks.registry import TASKS
from tests import tiny
from tests.cli.planted import photo, write_data

PLANTED = {
    # The metric, and how far above what answers without looking it has to be.
    "text-multi-label": ("micro_f1", 0.2),
    "text-pairs": ("accuracy", 0.2),
    "text-regression": ("pearson_r", 0.4),
    "token-tagging": ("entity_f1", 0.5),
    "image-classification": ("accuracy", 0.3),
    "image-multi-label": ("micro_f1", 0.2),
}


def name_of_first(task):
    return TASKS.get(task).kind.judging.main.name


DEAR = ("text-multi-label", "image-multi-label", "text-pairs", "text-regression", "token-tagging")
"""Whose input and answer kinds others show as well."""


@pytest.mark.parametrize(
    "task", [pytest.param(task, marks=[pytest.mark.slow] if task in DEAR else []) for task in PLANTED]
)
def test_from_a_file_to_answers(task, kft_cli, tiny_folder, tiny_images, tmp_path):
    source, given = write_data(task, tmp_path)
    code, out, err = kft_cli("init", source, "-o", "recipe.yaml", "--task", task)
    assert code == 0, err
    assert task in out and "kft check recipe.yaml" in out
    recipe = yaml.safe_load((tmp_path / "recipe.yaml").read_text())
    assert recipe["task"] == task
    images = task.startswith("image-")
    recipe["model"] = {"backbone": str(tiny_images if images else tiny_folder)}
    deep = {"name": "deep", "unfreeze": "all" if images else "top-2", "epochs": 12, "lr": 1e-3, "norm": "adapt"}
    phases = [deep] if task == "token-tagging" else [tiny.PROBE, deep]
    recipe["evaluate"] = {"label_thresholds": "f1"} if task.endswith("multi-label") else {}
    recipe["train"] = {"batch_size": 16, "phases": phases, **({"augment": {"color": 0.1}} if images else {})}
    if task == "image-classification":
        recipe["evaluate"] = {"retain": {"data": "photos", "label": "label"}}
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))

    code, out, err = kft_cli("train", "recipe.yaml", "--run", "run", "--json", "--quiet")
    assert code == 0, err
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert tuple(found["metrics"]) == tuple(TASKS.get(task).kind.judging.metrics)
    name, margin = PLANTED[task]
    assert (found["forgetting"]["retain"]["n"] == 120) if task == "image-classification" else "forgetting" not in found
    (baseline, *_others) = found["baselines"].values()
    gain = found["metrics"][name]["value"] - baseline[name]["value"]
    assert gain >= margin, (found["metrics"][name], baseline[name])

    code, out, err = kft_cli("evaluate", "run", "--json", "--quiet")
    assert code == 0, err
    assert json.loads(out)["metrics"] == found["metrics"]
    if not TASKS.get(task).kind.one_class:
        check = {"name": "still", "kind": "invariance", "cases": given, "changes": ["blur" if images else "upper"]}
        check |= {"within": 100} if task == "text-regression" else {}
        (tmp_path / "checks.yaml").write_text(json.dumps({"checks": [{**check, "at_least": 0.01}]}))
        code, out, err = kft_cli("evaluate", "run", "--suite", "checks.yaml", "--json", "--quiet")
        assert code in (0, 1), err
        (result,) = json.loads(out)["checks"]
        assert result["n"] == 1 and result["agreement_metric"] == name_of_first(task)
        assert found["slices"] == [] or {*found["slices"][0]["metrics"]} == {name_of_first(task)}
    code, out, err = kft_cli("report", "run", "--json", "--quiet")
    assert code == 0, err
    assert json.loads(out)["missing"] is None
    assert len((tmp_path / "run" / "report.html").read_bytes()) < 2_000_000
    code, out, err = kft_cli("predict", "run", *given)
    assert code == 0, err
    one = json.loads(out)
    assert one["abstain"] is False
    code, _, err = kft_cli("predict", "run", *given, "-o", "one.jsonl")
    written = json.loads((tmp_path / "one.jsonl").read_text())
    assert code == 0 and list(written) == [*TASKS.get(task).reads.columns, *one], err
    code, out, err = kft_cli("predict", "run", source, "-o", "answers.jsonl")
    assert code == 0, err
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert len(lines) == (120 if images else 320)
    if images:
        answer = next(line for line in lines if line["image"] == given[0].removeprefix(f"{source}/"))
        assert answer["probabilities"] == pytest.approx(one["probabilities"], abs=1e-4)


def test_words_of_the_wrong_kind_are_refused(trained, kft_cli, tmp_path):
    code, _, err = kft_cli("predict", trained.run, "one text", "--pair", "another")
    assert code == 2 and "this model reads one text at a time" in err
    photo(tmp_path / "photo.png", np.random.default_rng(0))
    code, _, err = kft_cli("predict", trained.run, "photo.png")
    assert code == 2 and "the file photo.png" in err

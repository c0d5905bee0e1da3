"""Every task from a file to answers, through the commands a person types: init, train, evaluate, predict."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from kft.tasks.registry import TASKS
from tests import tiny

PLANTED = {
    # The metric, and how far above what answers without looking it has to be.
    "text-multi-label": ("micro_f1", 0.2),
    "text-pairs": ("accuracy", 0.2),
    "text-regression": ("pearson_r", 0.4),
    "token-tagging": ("entity_f1", 0.5),
    "image-classification": ("accuracy", 0.3),
    "image-multi-label": ("micro_f1", 0.2),
}


def words(rng, *wanted):
    """A text with these words somewhere in it."""
    chosen = list(rng.choice(tiny.PLAIN, size=rng.integers(3, 9)))
    for word in wanted:
        chosen.insert(int(rng.integers(0, len(chosen) + 1)), word)
    return " ".join(map(str, chosen))


def text_row(task, rng):
    good, bad = int(rng.integers(0, 2)), int(rng.integers(0, 2))
    said = [str(rng.choice(tiny.GOOD))] * good + [str(rng.choice(tiny.BAD))] * bad
    text = words(rng, *said)
    if task == "text-multi-label":
        return {"text": text, "labels": ["praise"] * good + ["blame"] * bad}
    if task == "text-regression":
        return {"text": text, "rating": 3.0 + good - bad}
    if task == "text-pairs":
        second = words(rng, str(rng.choice(tiny.GOOD if good else tiny.BAD)))
        return {"text1": text, "text2": second, "label": "kind" if good else "unkind"}
    spans = [
        {
            "start": text.index(word),
            "end": text.index(word) + len(word),
            "label": "PRAISE" if word in tiny.GOOD else "BLAME",
        }
        for word in said
    ]
    return {"text": text, "spans": spans}


def photo(path, rng, *colors):
    """Noise, with a square of each colour."""
    pixels = rng.integers(90, 130, (32, 32, 3))
    for color in colors:
        top = 16 * color
        pixels[top : top + 14, 4:28] = (220, 30, 30) if color == 0 else (30, 30, 220)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def write_data(task, folder):
    """Writes labelled data for a task; returns what `kft init` is given, and one input."""
    rng = np.random.default_rng(0)
    if task == "image-classification":
        for row in range(120):
            photo(folder / "photos" / ("red", "blue")[row % 2] / f"{row}.png", rng, row % 2)
        return "photos", ["photos/red/0.png"]
    if task == "image-multi-label":
        lines = ["image,labels"]
        for row in range(120):
            colors = [color for color in (0, 1) if rng.integers(0, 2)]
            photo(folder / "photos" / f"{row}.png", rng, *colors)
            lines.append(f"photos/{row}.png," + "|".join(("red", "blue")[color] for color in colors))
        (folder / "photos.csv").write_text("\n".join(lines), encoding="utf-8")
        return "photos.csv", ["photos/0.png"]
    rows = [text_row(task, rng) for _ in range(320)]
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    if task == "text-pairs":
        return "rows.jsonl", ["the phone is", "--pair", "it was great"]
    return "rows.jsonl", ["the battery was great"]


@pytest.mark.parametrize("task", PLANTED)
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
    code, out, err = kft_cli("report", "run", "--json", "--quiet")
    assert code == 0, err
    assert json.loads(out)["missing"] is None
    assert len((tmp_path / "run" / "report.html").read_bytes()) < 2_000_000
    code, out, err = kft_cli("predict", "run", *given)
    assert code == 0, err
    one = json.loads(out)
    assert one["abstain"] is False
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

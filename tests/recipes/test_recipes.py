"""Every shipped recipe loads, opens with what a person must know, and trains on the rows that its opening shows."""

import itertools
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

import kft
from kft.tasks.recipes import load_recipe
from tests import decoder, tiny

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "recipes"
RECIPES = sorted(FOLDER.rglob("*.yaml"))


def header(path: Path) -> dict[str, str]:
    """Returns the ``# key: value`` lines that open a recipe."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        match = re.fullmatch(r"# (\w+):\s+(\S.*)", line)
        if match:
            found[match.group(1)] = match.group(2)
    return found


def shown_rows(path: Path, key: str = "data") -> list[str]:
    """Returns the made-up rows that stand below ``# data:``."""
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    next(line for line in lines if line.startswith(f"# {key}:"))
    return [line.removeprefix("#   ") for line in itertools.takewhile(lambda line: line.startswith("#   "), lines)]


def name(path: Path) -> str:
    return path.relative_to(FOLDER).with_suffix("").as_posix()


def test_recipes_were_found():
    assert len(RECIPES) >= 2
    assert "sentiment/product_reviews" in [name(path) for path in RECIPES]


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_it_loads(path):
    assert load_recipe(path).spec.task


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_its_header_is_complete(path):
    assert [key for key in header(path) if key != "documents"] == ["purpose", "data", "command", "hardware", "result"]
    assert len(shown_rows(path)) in (5, 6)  # a header line where there is one


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_its_command_trains_this_recipe(path):
    command = header(path)["command"]
    assert name(path) in command
    assert "kft train" in command


def many(rows: list[str], header: bool) -> str:
    """Returns rows like these, each with words of its own: those that are much alike stay in one split."""
    rng = np.random.default_rng(0)
    first, rest = (rows[:1], rows[1:]) if header else ([], rows)
    made = []
    for place, row in enumerate(rest * 12):
        words = " ".join(rng.choice([*tiny.PLAIN, *tiny.GOOD, *tiny.BAD], 15))
        made.append(re.sub(r"(?<=[.!?])(?=[\"\t]|$)", f" {words}.", row, count=1))
        made[-1] = made[-1] if header else re.sub(r"^\d+", str(place), made[-1])  # ids are told apart
    return "\n".join([*first, *made]).replace("<tab>", "\t") + "\n"


DEAR = "language/extraction"
"""Writes an answer to every prompt; tests of ``causal-lm`` train such runs as well."""
TEXTS = [path for path in RECIPES if path.parent.name != "image"]


@pytest.mark.parametrize(
    "path", [pytest.param(path, marks=pytest.mark.slow) if name(path) == DEAR else path for path in TEXTS], ids=name
)
def test_it_trains_on_the_rows_that_it_shows(path, tiny_folder, tmp_path):
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    data, rows = recipe["data"], shown_rows(path)
    file = tmp_path / ("rows.tsv" if "<tab>" in rows[0] else "rows.jsonl" if rows[0].startswith("{") else "rows.csv")
    file.write_text(many(rows, file.suffix == ".csv"), encoding="utf-8")
    data |= {"train": str(file), "valid": "30%", "test": "30%"}
    if "documents" in data:
        data["documents"] = str(tmp_path / "documents.csv")
        Path(data["documents"]).write_text("\n".join(shown_rows(path, "documents")) + "\n", encoding="utf-8")
    writes = recipe["task"] == "causal-lm"
    recipe["model"]["backbone"] = str(decoder.write_backbone(tmp_path / "decoder") if writes else tiny_folder)
    recipe["model"]["max_tokens"] = min(recipe["model"].get("max_tokens", 32), 64 if writes else 32)
    if writes:
        recipe["model"]["response_tokens"] = 24
        recipe["train"]["phases"][0]["epochs"] = 1
    recipe["train"] = {"phases": recipe.get("train", {}).get("phases", [tiny.PROBE])[:1]}
    kft.train(recipe, run=tmp_path / "run", quiet=True)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["n"] > 5


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in RECIPES if "train: package:" in path.read_text()], ids=name)
def test_it_beats_its_probe_on_its_own_data(path, tmp_path):
    kft.train(path, run=tmp_path / "run", quiet=True)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["gain_over_probe"]["low"] > 0, metrics["gain_over_probe"]


@pytest.mark.slow
def test_the_wheel_holds_them_all(wheel):
    with zipfile.ZipFile(wheel) as archive:
        shipped = {file for file in archive.namelist() if file.startswith("kft/_recipes/")}
        assert "kft/forgetting/general_topics.csv" in archive.namelist()
    assert shipped == {f"kft/_recipes/{name(path)}.yaml" for path in RECIPES}

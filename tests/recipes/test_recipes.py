"""Every shipped recipe loads, and opens with its purpose, its command and its measured result."""

import re
import zipfile
from pathlib import Path

import pytest

from kft.tasks.recipes import load_recipe

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
    assert {"purpose", "command", "result"} <= set(header(path))


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_its_command_trains_this_recipe(path):
    command = header(path)["command"]
    assert name(path) in command
    assert "kft train" in command


@pytest.mark.slow
def test_the_wheel_holds_them_all(wheel):
    with zipfile.ZipFile(wheel) as archive:
        shipped = {file for file in archive.namelist() if file.startswith("kft/_recipes/")}
        assert "kft/forgetting/general_topics.csv" in archive.namelist()
    assert shipped == {f"kft/_recipes/{name(path)}.yaml" for path in RECIPES}

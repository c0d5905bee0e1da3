"""The pages of the site: none is left out, each link leads somewhere; what is made from the code; the strict build."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import kft
from kft.cli.main import cli
from kft.recipe.schema import RecipeSpec

ROOT = Path(__file__).parents[2]
PAGES = [
    *(
        ROOT / name
        for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", "notebooks/README.md")
    ),
    *sorted((ROOT / "docs").glob("*.md")),
]
STAGES = ["question", "data", "audit", "choose", "train", "compare", "evaluate", "ship", "serve", "monitor", "retrain"]
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]*)#?([^)\s]*)(?=\))")


@pytest.fixture
def made(monkeypatch):
    """The modules of docs/made, which import each other by name, as MkDocs has it."""
    monkeypatch.syspath_prepend(ROOT / "docs" / "made")
    import commands
    import messages
    import python_names
    import recipe_keys
    import recipe_list

    return {
        "commands": commands,
        "messages": messages,
        "python": python_names,
        "keys": recipe_keys,
        "list": recipe_list,
    }


def anchors(path):
    """The anchors of a page's headings, as GitHub and MkDocs write them."""
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", path.read_text(encoding="utf-8"))
    headings = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", each) for each in re.findall(r"(?m)^#+ +(.+)$", text))
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", each.lower()).strip()) for each in headings}


def test_every_link_of_a_page_leads_somewhere():
    followed = 0
    for page in PAGES:
        for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
            path = (page.parent / target).resolve() if target else page
            assert path.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(path), f"{page.name}: {target}#{anchor}"
            followed += 1
    assert followed > 150


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 200


def test_every_page_has_its_place_in_the_order_of_the_work():
    nav = YAML(typ="safe").load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    sections = [next(iter(each)) for each in nav]
    numbered = [name.split(" ", 1)[1].lower() for name in sections if name[0].isdigit()]
    assert numbered == STAGES
    placed = {page for each in nav for (pages,) in [each.values()] for page in map(_file, pages)}
    missing = {path.name for path in (ROOT / "docs").glob("*.md")} - placed
    assert not missing and len(placed) > 35


def _file(entry):
    return entry if isinstance(entry, str) else next(iter(entry.values()))


def test_what_is_made_from_the_code_is_whole(made):
    page = made["commands"].page()
    assert all(f"### `kft {name}`" in page for name in cli.commands) and "--steps-per-call" not in page
    assert "| `--run DIR` |" in page
    page = made["keys"].page()
    assert all(f"`{key}" in page for key in RecipeSpec.model_fields)
    assert "| `train.batch_size` | whole number, ≥ 1, ≤ 65536 | `32` | global batch, whatever the hardware |" in page
    assert "| `data.context` | `causal-lm` |" in page
    page = made["python"].page()
    assert all(f".{name}\n" in page for name in kft.__all__ if name != "__version__")
    assert "::: kft.records.metrics.EvaluateResult" in page
    page = made["messages"].page()
    assert "## GateError: exit code 1" in page and page.count("\n- ") > 400
    assert made["list"].page().count("\n### ") == len(list((ROOT / "recipes").glob("*/*.yaml"))) > 10


@pytest.mark.slow
def test_the_site_builds_strictly_and_asks_no_network(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert 'href="docs/' not in index and 'href="data.html"' in index
    assert 'id="kft.api.training.train"' in (tmp_path / "site" / "reference" / "python.html").read_text(
        encoding="utf-8"
    )


def test_each_message_that_is_explained_is_one_that_kft_says(made):
    said = {re.escape(text).replace("…", ".+") for _, text in made["messages"].messages()}
    said.add(re.escape("the recipe is not valid: ") + ".+")  # of kft/recipe/explain.py, which counts what is wrong
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    explained = re.findall(r"(?m)^\| `([^`]+)` \|", page)
    unknown = [each for each in explained if not any(re.fullmatch(pattern, each) for pattern in said)]
    assert len(explained) > 35 and not unknown

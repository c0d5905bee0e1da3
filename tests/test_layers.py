"""Imports only ever point to an earlier room of the house, and docs/architecture.md is true."""

import ast
import configparser
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DRAWING = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)[0]
HOUSE = tuple(re.findall(r"\[(\w+)\]", DRAWING))
"""The rooms in their order, as the drawing in docs/architecture.md has them: the only place where that stands."""


def violations(root: Path) -> list[str]:
    """Returns one line for each import under ``root/kft`` that points to a later room, or to none."""
    found = []
    for path in sorted((root / "kft").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        package = parts[:-1]
        # kft/__init__.py is the door to the house: it may lead to api, and so to everything before it.
        room = "api" if parts == ("kft", "__init__") else parts[1]
        for line, target in imports_of(path, package):
            problem = judge(room, target)
            if problem:
                found.append(f"{path.relative_to(root)}:{line}: {problem}")
    return found


def judge(room: str, target: str) -> str | None:
    """Returns what is wrong with ``room`` importing the room ``target``, or None."""
    for name in (room, target):
        if name not in HOUSE:
            return f"{name} is no room of the house"
    if HOUSE.index(target) > HOUSE.index(room):
        return f"{room} imports {target}, a later room"
    return None


@cache
def imports_of(path: Path, package: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    """Returns what ``imported`` yields of a file; each is parsed once."""
    return tuple(imported(ast.parse(path.read_text(encoding="utf-8")), package))


def imported(tree: ast.Module, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yields line and room of every import of kft, at any depth of the file, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # Level 1 is this package, level 2 the one above it.
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "kft" else [module]
        elif is_import_module(node):
            names = [node.args[0].value]
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            if first == "kft" and rest and not rest[0].startswith("_"):
                yield node.lineno, rest[0]


def is_import_module(node: ast.AST) -> bool:
    """Whether the node is ``importlib.import_module("...")`` with a text."""
    return (
        isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module"
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
    )


def test_imports_point_to_earlier_rooms():
    assert violations(ROOT) == []


def test_the_drawing_shows_every_room_once():
    here = {path.stem for path in (ROOT / "kft").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert sorted(HOUSE) == sorted(here - {"__init__"})


def test_what_the_page_on_the_architecture_names_is_there():
    named = set(re.findall(r"(kft/[\w/]+\.py)(?::(\w+))?", PAGE))
    assert len(named) > 20
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert not name or name in defined, f"{file}:{name}"


def test_enough_was_looked_at():
    files = list((ROOT / "kft").rglob("*.py"))
    imports = [found for path in files for found in imports_of(path, path.relative_to(ROOT).with_suffix("").parts[:-1])]
    assert len(files) > 10
    assert len(imports) > 20


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from kft.train.loop import fit\n", "kft/data/tables.py:1: data imports train, a later room"),
        ("import kft.api\n", "kft/data/tables.py:1: data imports api, a later room"),
        ("from kft import cli\n", "kft/data/tables.py:1: data imports cli, a later room"),
        (
            "def f():\n    from ..model import build\n",
            "kft/data/tables.py:2: data imports model, a later room",
        ),
        ("from .. import model\n", "kft/data/tables.py:1: data imports model, a later room"),
        (
            "import importlib\nimportlib.import_module('kft.cli')\n",
            "kft/data/tables.py:2: data imports cli, a later room",
        ),
        ("from kft.utils import things\n", "kft/data/tables.py:1: utils is no room of the house"),
    ],
)
def test_a_planted_violation_is_caught(tmp_path, source, expected):
    (tmp_path / "kft" / "data").mkdir(parents=True)
    (tmp_path / "kft" / "data" / "tables.py").write_text(source)
    assert violations(tmp_path) == [expected]


@pytest.mark.parametrize(
    "source",
    [
        "import os\n",
        "from kft.errors import KftError\n",
        "from kft import assets\n",
        "from kft import __version__\n",
        "from . import tables\n",
        "from ..metrics.scores import accuracy\n",
    ],
)
def test_an_earlier_room_and_the_own_room_are_fine(tmp_path, source):
    (tmp_path / "kft" / "data").mkdir(parents=True)
    (tmp_path / "kft" / "data" / "tables.py").write_text(source)
    assert violations(tmp_path) == []


def test_every_room_is_shipped():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = {line for line in setup["options"]["packages"].splitlines() if line and line[0] != "#"}
    here = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "kft").rglob("*.py")} | {"kft._recipes"}
    assert listed == here, "setup.cfg [options] packages and the folders of kft/ differ"


def test_no_test_imports_another():
    """What several need stands in a module of its own: a test that moves then moves alone."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    assert len(files) > 100
    assert [
        str(path) for path in files if re.search(r"(?m)^\s*(from tests[\w.]*\.|import )test_", path.read_text())
    ] == []

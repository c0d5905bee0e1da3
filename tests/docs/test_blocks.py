"""Each block of code in README and docs is what its language says (CONTRIBUTING.md). What runs: test_pages.py."""

import ast
import configparser
import json
import re
import subprocess
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML

import kft
from kft.errors import RecipeError
from kft.suites.suite import load_suite
from kft.tasks.registry import TASKS
from tests.docs.blocks import NOT_RUN, PAGES, ROOT, blocks_of, commands_of, lines_of, parse

BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def of(language):
    found = [block for block in BLOCKS if block.language == language]
    assert found
    return found


def test_every_block_says_what_it_is():
    assert len(BLOCKS) > 90
    assert {block.language for block in BLOCKS} == {"sh", "python", "yaml", "json", "text"}
    for block in BLOCKS:
        assert not block.title or block.title.startswith(NOT_RUN), block.where


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("kft trian recipe.yaml", "no such command: trian"),
        ("kft train", "missing: recipe"),
        ("kft train recipe.yaml --foo", "No such option"),
        ("kft export runs/a b --format tflite", "'tflite' is not one of"),
        ("kft workers 2 -- kft trian recipe.yaml", "no such command: trian"),
        ("IMAGE=a && .venv/bin/kft verify a b # c", "one argument too many"),
    ],
)
def test_a_wrong_command_line_is_found(line, said):
    with pytest.raises(click.UsageError, match=re.escape(said)):
        for command in commands_of(line):
            parse(command)


def test_commands_are_such_that_kft_takes_them():
    parsed = 0
    for block in [*of("sh"), *of("python")]:
        for line in lines_of(block.text):
            if block.language == "python" and not line.startswith("!"):
                continue
            for command in commands_of(line):
                parsed += 1
                try:
                    parse(command)
                except click.UsageError as error:
                    pytest.fail(f"{block.where}: {line}: {error.format_message()}")
    assert parsed > 80


def test_commands_in_sentences_exist_with_their_options():
    found = 0
    for page in PAGES:
        text = re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text(encoding="utf-8"))
        for mention in re.findall(r"`kft ([^`]*)`", text):
            if re.search(r"\.\.\.|\\\||\[|^\W|^(was|trains|cannot) ", mention):  # how commands are written; messages
                continue
            found += 1
            try:
                parse(mention.split(), whole=False)
            except click.UsageError as error:
                if error.format_message() == f"Option {mention.split()[-1]!r} requires an argument.":
                    continue
                pytest.fail(f"{page.name}: `kft {mention}`: {error.format_message()}")
    assert found > 200


def test_shell_is_shell_and_names_what_there_is():
    extras = configparser.ConfigParser()
    extras.read(ROOT / "setup.cfg")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    environments = re.search(r"(?m)^ENVS := (.*)", makefile)[1].split()
    targets = {*re.findall(r"(?m)^([\w-]+):", makefile), *(f"test-{name}" for name in environments)}
    for block in of("sh"):
        script = "\n".join(line.lstrip("!") for line in block.text.splitlines())
        checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, ""), block.where
        for target in re.findall(r"(?m)^make ([a-z][\w-]*)", script):
            assert target in targets, f"{block.where}: make {target}"
    for page in PAGES:
        for names in re.findall(r"(?:kft|-e '?\.)\[([\w,-]+)\]", page.read_text(encoding="utf-8")):
            missing = set(names.split(",")) - set(extras["options.extras_require"])
            assert not missing, f"{page.name}: kft[{names}]"


def test_json_is_json():
    for block in of("json"):
        try:
            json.loads(block.text)
        except ValueError:
            for line in block.text.splitlines():
                json.loads(line)


def test_yaml_is_a_recipe_or_a_suite(tmp_path):
    for block in of("yaml"):
        path = tmp_path / "block.yaml"
        path.write_text(block.text)
        found = YAML(typ="safe").load(block.text)
        if "checks" in found:
            load_suite(path)
        else:
            why = [reason for task in TASKS.names() if (reason := refusal(found, task))]
            assert len(why) < len(TASKS.names()), f"{block.where}: no task takes it\n{min(why, key=len)}"


def refusal(part, task):
    """Why a task does not take a part of a recipe, with what else it needs put in."""
    recipe = {"task": task, **part, "data": {"train": "rows.csv", **part.get("data", {})}}
    if recipe["task"] != task:
        return "another task"
    try:
        kft.load_recipe(recipe)
    except RecipeError as error:
        return str(error)
    return None


def test_python_names_what_there_is():
    called = 0
    for block in of("python"):
        tree = ast.parse("\n".join(line for line in block.text.splitlines() if not re.match(r"[!%]", line)))
        for node in ast.walk(tree):
            function = node.func if isinstance(node, ast.Call) else None
            if (
                isinstance(function, ast.Attribute)
                and isinstance(function.value, ast.Name)
                and function.value.id == "kft"
            ):
                called += 1
                assert function.attr in kft.__all__, f"{block.where}: kft.{function.attr}"
                known = arguments(function.attr)
                for each in node.keywords:
                    assert each.arg in known or None in known, f"{block.where}: kft.{function.attr}({each.arg}=...)"
    assert called > 15


def arguments(name):
    """The names of a public function's arguments, read without importing it; None for any."""
    module = ROOT / Path(kft._PUBLIC[name].replace(".", "/")).with_suffix(".py")
    tree = ast.parse(module.read_text(encoding="utf-8"))
    (found,) = [node.args for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return {each.arg for each in (*found.args, *found.kwonlyargs)} | ({None} if found.kwarg else set())

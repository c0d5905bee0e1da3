"""Recipes that would take the machine, or act: refused at once, by limits that are stated."""

import pytest
from hypothesis import strategies as st

from kft.errors import KftError, RecipeError, UsageError
from kft.tasks.recipes import load_recipe
from tests.malformed.surviving import HOW_MANY, survives

HEAD = "task: text-classification\ndata:\n  train: a.csv\n"
LEVELS = zip("abcdefgh", "bcdefghi", strict=True)
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{two}: &{two} [{','.join([f'*{one}'] * 9)}]\n" for one, two in LEVELS)
TOO_MUCH = {
    "deep lists": "x: " + "[" * 100_000,
    "deep maps": "x: " + "{a: " * 5_000,
    "deep dashes": "x:\n  " + "- " * 3_000 + "x",
    "an alias bomb": BOMB,
    "an alias in itself": "x: &a [*a]",
    "a million layers": "x: [" + "1," * 400_000 + "]",
    "20,000 repeated layers": "train:\n  layers:\n" + "    - block\n" * 20_000,
    "a long text": "x: '" + "a" * 2_000_000 + "'",
    "a long number": "seed: " + "9" * 5_000,
    "a long hexadecimal": "seed: 0x" + "f" * 6_000,
}
UNREADABLE = [
    "x: 2001-99-99",
    "x: !!int abc",
    "x: !!omap [a]",
    "x: *b",
    "<<: [1]",
    "x: \x00",
    '"a',
    "a: b: c",
    "%YAML 9.9\n---",
]
ABSURD = [
    "seed=1e999",
    "seed=-1",
    "train.batch_size=10000000000",
    "train.label_smoothing=.nan",
    "train.clip_norm=.inf",
    "train.warmup=99999999999999999999 steps",
    "train.phases=[{name: a, unfreeze: top-1000000, epochs: 1}]",
    "train.phases=[{name: a, unfreeze: all, epochs: 1000000}]",
    "train.early_stopping={patience: 100000000000000000000}",
    "features.cache_limit=99999999999999999 GB",
    "model.max_tokens=1000000000",
    "data.split_seed=99999999999999999999999",
    "evaluate.slice_rows=99999999999999999999999",
    "data.bins={edges: [.nan], labels: [a, b]}",
    "train.phases=[" + ",".join(f"{{name: p{n}, unfreeze: none, solver: lbfgs}}" for n in range(101)) + "]",
]


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_would_take_the_machine_is_refused(tmp_path, name):
    (tmp_path / "r.yaml").write_text(HEAD + TOO_MUCH[name])
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.yaml")
    assert "larger than any that kft reads" in str(caught.value) and caught.value.exit_code == 2
    assert "10,000 values and 40 levels" in str(caught.value)


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_no_yaml_is_refused(tmp_path, text):
    (tmp_path / "r.yaml").write_text(HEAD + text)
    with pytest.raises(RecipeError, match=r"is not valid YAML|not valid: 1 error"):
        load_recipe(tmp_path / "r.yaml")


@pytest.mark.parametrize("setting", ABSURD)
def test_absurd_numbers_are_refused(tmp_path, setting):
    (tmp_path / "r.yaml").write_text(HEAD)
    with pytest.raises(RecipeError, match="the recipe is not valid"):
        load_recipe(tmp_path / "r.yaml", [setting])


@pytest.mark.parametrize(
    "setting", ["data.train=a\nb.csv", "data.train=" + "[" * 50_000, "data.train=a\x1bb", "a[9999999999]=1"]
)
def test_settings_have_the_same_limits(tmp_path, setting):
    (tmp_path / "r.yaml").write_text(HEAD)
    with pytest.raises((UsageError, RecipeError)):
        load_recipe(tmp_path / "r.yaml", [setting])


def test_a_file_name_that_acts_is_refused(tmp_path):
    path = tmp_path / "r\ntouch ran\n.yaml"
    path.write_text(HEAD)
    with pytest.raises(RecipeError, match="control characters are refused") as caught:
        load_recipe(path)
    assert r"r\ntouch ran\n.yaml" in str(caught.value)


def test_a_column_is_called_as_the_data_call_it(tmp_path):
    recipe = load_recipe(
        {"task": "text-classification", "data": {"train": "a.csv", "text": "two\nlines"}}, base=tmp_path
    )
    assert recipe.spec.data.text == "two\nlines"


NAMES = (
    "data.train data.valid data.encoding model.backbone train.checkpoints.folder train.callbacks train.optimizer "
    "train.phases evaluate.suite evaluate.gates evaluate.retain audit.skip name task"
)
KEYS = st.sampled_from(NAMES.split())
ACTS = st.text(st.sampled_from("a/\n\r\0\x1b\x85\u2028\u202e\u200b\ud800\t"), min_size=1, max_size=6)


def meet_control(folder, fault):
    key, text = fault
    section, _, rest = key.partition(".")
    values = {"task": "text-classification", "data": {"train": "a.csv"}}
    phase = {"name": "a", "unfreeze": {"only": [text]}, "epochs": 1}
    inner = {"callbacks": [{"name": "csv-logger", "args": {"filename": text}}], "phases": [phase], "skip": [text]}
    inner |= {"optimizer": {"name": "sgd", text: text}, "gates": {text: text}}
    if rest == "checkpoints.folder":
        values["train"] = {"checkpoints": {"folder": text}}
    else:
        values[section] = {**values[section], rest: inner.get(rest, text)} if rest and section in values else text
        if rest and section != "data":
            values[section] = {rest: inner.get(rest, text)}
    try:
        load_recipe(values, base=folder)
    except KftError as error:
        assert error.exit_code == 2 and not set(str(error)) & set("\r\0\x1b\x85\u2028\u202e\u200b\ud800")
        return
    assert not set(text) - set("a/"), "a control character was accepted"


@pytest.mark.parametrize("examples", HOW_MANY)
def test_control_characters_are_never_accepted(examples):
    survives(st.tuples(KEYS, ACTS), meet_control, examples)

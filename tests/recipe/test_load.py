"""Loading a recipe: every error at once, with its line and a hint; overrides; origins."""

import pytest

from kft.errors import RecipeError, UsageError
from kft.recipe.training import default_phases
from kft.tasks.recipes import load_recipe, recipe_schema

GOOD = """task: text-classification
data:
  train: tickets.csv
train:
  phases:
    - {name: probe, unfreeze: none, solver: lbfgs}
    - {name: top, unfreeze: top-2, epochs: 4, lr: 5e-5, layer_decay: 0.8}
"""
BAD = """task: text-classificatio
data:
  trian: x.csv
  bins: {edges: [1, 0], labels: [a, b, c]}
model:
  bakbone: minilm-l6
train:
  phases:
    - {name: probe, unfreeze: none, solver: lbfgs}
    - {name: top, unfreeze: top2, epochs: 4, lr: 5}
  batch_size: many
  warmup: 10 stepz
evaluate:
  gates: {accuracyy: ">= 0.85", ece: small}
"""


def write(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_all_errors_at_once_with_key_line_and_hint(tmp_path):
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, BAD))
    text = str(caught.value)
    for line in (
        "the recipe is not valid: 11 errors",
        "task: received 'text-classificatio', expected 'text-classification', 'text-multi-label', 'text-pairs',",
        "or 'image-multi-label'; did you mean text-classification? (line 1)",
        "data.train: missing; expected csv, tsv, json, jsonl, parquet, xlsx or CoNLL file, folder of images",
        "data.trian: unknown key; did you mean train?",
        "data.bins: received {",
        "expected edges that rise (line 4)",
        "model.bakbone: unknown key; did you mean backbone? (known: backbone, start_from, weights,",
        "train.phases[1].unfreeze: received 'top2', expected none, all, top-N such as top-2, bias-only,",
        "train.phases[1].lr: received 5, expected 0 < lr <= 1; did you mean 5e-5? (line 10)",
        "train.batch_size: received 'many', expected a whole number (line 11)",
        "train.warmup: received '10 stepz', expected a duration such as '10%', '200 steps' or '1 epoch' (line 12)",
        "evaluate.gates.accuracyy: received 'accuracyy'",
        "evaluate.gates.ece: received 'small', expected a comparison such as '>= 0.85' (line 14)",
        "next:     mend the lines above; `kft recipe schema` lists every key",
    ):
        assert line in text
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("task: [unclosed\n", "the recipe is not valid YAML"),
        ("", "the recipe is empty"),
        ("- a\n- b\n", "the recipe holds no keys"),
    ],
)
def test_a_broken_file_is_one_clear_error(tmp_path, text, expected):
    with pytest.raises(RecipeError, match=expected) as caught:
        load_recipe(write(tmp_path, text))
    assert "recipe.yaml" in str(caught.value)


def test_a_misspelt_file_name_gets_a_hint(tmp_path):
    write(tmp_path, GOOD)
    with pytest.raises(RecipeError, match=r"did you mean .*recipe\.yaml\?"):
        load_recipe(tmp_path / "recipes.yaml")


def test_overrides_win_and_origins_are_known(tmp_path):
    recipe = load_recipe(write(tmp_path, GOOD), ["train.batch_size=16", "train.phases[1].epochs=2", "seed=7"])
    assert recipe.spec.train.batch_size == 16
    assert recipe.spec.train.phases[1].epochs == 2
    assert recipe.spec.train.phases[1].lr == 5e-5
    assert recipe.origins["seed"] == "override"
    assert recipe.origins["model.backbone"] == "default"
    assert recipe.origins["data.train"] == "file"
    text = recipe.as_yaml()
    assert "batch_size: 16 # override" in text
    assert "backbone: minilm-l6  # default" in text
    again = load_recipe(write(tmp_path, text))
    assert again.spec.train == recipe.spec.train
    assert again.spec.data.train == str(tmp_path / "tickets.csv")


@pytest.mark.parametrize(
    ("override", "expected"),
    [("batch_size", "KEY=VALUE"), ("=3", "KEY=VALUE"), ("train.phases[7].lr=1e-3", "no entry 7 in the list")],
)
def test_an_override_of_the_wrong_form(tmp_path, override, expected):
    with pytest.raises(UsageError, match="--set"):
        load_recipe(write(tmp_path, GOOD), [override])


def test_phases_are_checked_together():
    def phases(*entries):
        return {"task": "text-classification", "data": {"train": "a.csv"}, "train": {"phases": list(entries)}}

    probe = {"name": "a", "unfreeze": "none", "solver": "lbfgs"}
    with pytest.raises(RecipeError, match="'a' stands twice"):
        load_recipe(phases(probe, probe))
    with pytest.raises(RecipeError, match="name an earlier phase"):
        load_recipe(phases({**probe, "start": "b"}))
    with pytest.raises(RecipeError, match="epochs: 4"):
        load_recipe(phases({"name": "a", "unfreeze": "all"}))
    with pytest.raises(RecipeError, match="runs to convergence"):
        load_recipe(phases({**probe, "epochs": 3}))


def test_default_phases_follow_the_rows_a_class():
    assert [p.name for p in default_phases(rows_per_class=20, blocks=6)] == ["probe", "top"]
    assert [p.name for p in default_phases(rows_per_class=100, blocks=6)] == ["probe", "top", "deep"]
    assert [str(p.unfreeze) for p in default_phases(rows_per_class=900, blocks=6)] == ["none", "top-6"]


def test_the_schema_is_json_schema():
    schema = recipe_schema()
    assert schema["additionalProperties"] is False
    assert "data" in schema["required"]


@pytest.mark.parametrize(
    ("given", "overrides", "line"),
    [
        ({"group": "customer"}, (), "column: customer  # file"),
        ({}, ("evaluate.gates={accuracy: '>= 0.8'}",), "accuracy: '>= 0.8'  # override"),
        ({}, ("train.phases=[{name: a, unfreeze: all, epochs: 1}]", "train.phases[0].lr=1e-4"), "phases:  # override"),
    ],
)
def test_a_value_that_was_given_whole_has_its_parents_origin(given, overrides, line):
    recipe = load_recipe({"task": "text-classification", "data": {"train": "a.csv", **given}}, overrides)
    assert line in [" ".join(text.split()).replace(" #", "  #") for text in recipe.as_yaml().splitlines()]


def test_gates_on_what_is_reported_beside_the_metrics(tmp_path):
    recipe = (
        "task: {task}\ndata: {{train: a.csv}}\nevaluate: {{gates: {{{gate}: '>= 0.7'}}, abstain_at: {{error: 0.05}}}}\n"
    )
    text = recipe.format(task="text-classification", gate="slices.worst.accuracy")
    spec = load_recipe(write(tmp_path, text)).spec
    assert spec.evaluate.gates == {"slices.worst.accuracy": ">= 0.7"}
    assert spec.evaluate.abstain_at.confidence == 0.95
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, text.replace("worst.accuracy", "worst.acuracy")))
    assert "evaluate.gates.slices.worst.acuracy" in str(caught.value)
    assert "did you mean slices.worst.accuracy?" in str(caught.value)
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, recipe.format(task="text-regression", gate="slices.worst.accuracy")))
    assert "slices.worst.accuracy is not a metric of text-regression" in str(caught.value)
    assert "only for text-classification, text-pairs, causal-lm, image-classification; the task is" in str(caught.value)


@pytest.mark.parametrize(
    ("evaluate", "message"),
    [
        (
            {"abstain_at": {"error": 0.05}, "threshold": {"costs": {"wrong": 10, "abstain": 1}}},
            "expected abstain_at or threshold, not both: one rule says when to abstain",
        ),
        (
            {"threshold": {"costs": {"wrong": 10, "abstain": 1}, "precision": 0.9, "label": "spam"}},
            "expected {costs: {wrong: 10, abstain: 1}} or {precision: 0.95, label: spam}",
        ),
        ({"threshold": {"precision": 0.9}}, "or {precision: 0.95, label: spam}"),
        ({"threshold": {"costs": {"wrong": 1, "abstain": 1}}}, "expected abstain to cost less than wrong"),
        ({"out_of_scope": {"keep": 1}}, "evaluate.out_of_scope.keep: received 1, expected 0.5 <= keep < 1"),
    ],
)
def test_rules_of_abstention_that_exclude_each_other_are_refused(evaluate, message):
    with pytest.raises(RecipeError) as caught:
        load_recipe({"task": "text-classification", "data": {"train": "a.csv"}, "evaluate": evaluate})
    assert message in str(caught.value)


def test_rules_of_abstention_are_for_the_answers_that_they_judge():
    evaluate = {"threshold": {"costs": {"wrong": 10, "abstain": 1}}, "label_thresholds": "f1"}
    with pytest.raises(RecipeError) as caught:
        load_recipe({"task": "text-regression", "data": {"train": "a.csv"}, "evaluate": evaluate})
    for key, able in (
        ("threshold", "text-classification, text-pairs, image-classification"),
        ("label_thresholds", "text-multi-label, image-multi-label"),
    ):
        assert f"evaluate.{key}: only for {able}; the task is text-regression" in str(caught.value)
    with pytest.raises(RecipeError, match=r"evaluate\.interval: only for text-regression; the task is token-tagging"):
        load_recipe({"task": "token-tagging", "data": {"train": "a.jsonl"}, "evaluate": {"interval": {}}})
    gated = {"gates": {"interval.covered": ">= 0.85"}}
    with pytest.raises(RecipeError, match=r"interval\.covered: needs evaluate\.interval, such as \{coverage: 0\.9\}"):
        load_recipe({"task": "text-regression", "data": {"train": "a.csv"}, "evaluate": gated})
    load_recipe({"task": "text-regression", "data": {"train": "a.csv"}, "evaluate": {"interval": {}, **gated}})

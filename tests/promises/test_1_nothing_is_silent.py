"""Promise 1: unknown keys are errors, what trains is printed, frozen weights are bit-identical."""

import re

import numpy as np
import pytest

import kft
from kft.tasks.recipes import load_recipe
from tests import tiny
from tests.ended import events_of

RULES = ("none", "top-2", *(pytest.param(rule, marks=pytest.mark.slow) for rule in ("top-1", "top-3", "all")))


def trained_blocks(rule):
    numbered = [f"block_{n:02d}" for n in range(tiny.LAYERS)]
    if rule == "all":
        return {"stem", *numbered, "head"}
    return {"head"} if rule == "none" else {"head", *numbered[-int(rule[4:]) :]}


def test_unknown_keys_are_all_reported_at_once_with_a_hint():
    recipe = {"task": "text-classification", "data": {"trian": "x.csv"}, "model": {"bakbone": "minilm-l6"}}
    with pytest.raises(kft.KftError) as caught:
        load_recipe(recipe)
    assert "2 errors" not in str(caught.value)  # data.train is missing too: three
    assert "3 errors" in str(caught.value)
    assert "data.trian: unknown key; did you mean train?" in str(caught.value)
    assert "model.bakbone: unknown key; did you mean backbone?" in str(caught.value)


@pytest.mark.parametrize("rule", RULES)
def test_what_the_table_says_trains_is_what_moves(rule, tiny_folder, tmp_path):
    """Frozen variables are bit-identical after a phase; every block that trains has moved."""
    path = tiny.recipe(
        tmp_path,
        tiny_folder,
        rows=60,
        best="valid_loss",
        weight_decay=0.1,
        phases=[{"name": "only", "unfreeze": rule, "epochs": 1, "lr": 1e-2}],
    )
    before = {v.path: v.numpy() for v in kft.build_model(kft.load_backbone(str(tiny_folder)), classes=2).weights}
    import keras

    from kft.model.blocks import find_blocks
    from kft.train.checkpoint import load_checkpoint

    after = {}

    class Last(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            after.update({variable.path: variable.numpy() for variable in self.model.weights})

    result = kft.train(path, run=tmp_path / "run", callbacks=[Last()], quiet=True)
    model = kft.build_model(kft.load_backbone(str(tiny_folder)), classes=2)
    moved = set()
    for block in find_blocks(model):
        if block.name == "head":
            continue  # a fresh head is drawn at random: compared by the trajectory tests
        for variable in block.variables:
            if not np.array_equal(before[variable.path], after[variable.path]):
                moved.add(block.name)
    assert moved == trained_blocks(rule) - {"head"}
    # The checkpoint holds what training moves, and nothing that the backbone's own file holds already.
    kept = {name for name in load_checkpoint(result.run / "checkpoints", "last").weights if "optimizer/" not in name}
    blocks = {block.name: {variable.path for variable in block.variables} for block in find_blocks(model)}
    assert kept == set().union(*(blocks[name] for name in trained_blocks(rule)))
    events = events_of(result.run)
    (phase,) = [event for event in events if event["event"] == "phase"]
    assert {name for name, trainable in phase["blocks"].items() if trainable} == trained_blocks(rule)


@pytest.mark.parametrize("rule", ["top-0", "top-4", "bottom-2"])
def test_a_rule_that_fits_nothing_lists_the_blocks(rule, tiny_folder):
    model = kft.build_model(kft.load_backbone(str(tiny_folder)), classes=2)
    with pytest.raises(kft.KftError, match="stem, block_00, block_01, block_02, head"):
        kft.freeze(model, rule)


def test_unfreezing_between_phases_really_trains_and_the_table_is_printed_before_each(tiny_folder, tmp_path, capsys):
    """Keras ignores a change of `trainable` after a trace; a new phase has a new optimizer and a new trace."""
    phases = [
        {"name": "head", "unfreeze": "none", "epochs": 1, "lr": 1e-3},
        {"name": "top", "unfreeze": "top-1", "epochs": 1, "lr": 1e-2},
        {"name": "head-again", "unfreeze": "none", "epochs": 1, "lr": 1e-3},
    ]
    path = tiny.recipe(tmp_path, tiny_folder, rows=60, phases=phases)
    result = kft.train(path, run=tmp_path / "run")
    shown = capsys.readouterr().err
    assert shown.index("phase head") < shown.index("phase top") < shown.index("phase head-again")
    assert len(re.findall(r"^head +66 +yes$", shown, re.MULTILINE)) == 3
    assert len(re.findall(r"^block_02 +[\d,]+ +no$", shown, re.MULTILINE)) == 2
    assert len(re.findall(r"^block_02 +[\d,]+ +yes$", shown, re.MULTILINE)) == 1
    assert result.phases[0].trainable == 66
    assert result.phases[1].trainable > 66
    assert result.phases[2].trainable == 66

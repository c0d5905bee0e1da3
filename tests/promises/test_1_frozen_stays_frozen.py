"""Promise 1 for every freeze rule on every family: what is frozen stays bit-identical, what trains moves."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kft
from kft.errors import ModelError
from kft.model.blocks import find_blocks
from kft.model.freeze import freeze, moving_variables, what_trains
from kft.model.lora import add_lora
from kft.recipe.training import LoraSpec, TrainSpec
from kft.tasks.registry import TASKS
from kft.tasks.task import AnswerSpace
from kft.train.feeding import CallBatches, Execution
from kft.train.optimizer import ScheduledAdamW
from kft.train.rates import rate_factors
from kft.train.schedules import make_schedule
from kft.train.step import StepSums, make_train_step
from tests.model import hub

NO_BIASES = ("llama", "gemma", "gemma 3", "qwen 3")
CONVOLUTIONS = ("resnet", "resnet v2", "efficientnet", "mobilenet", "densenet")
RULES = (
    "none",
    "all",
    "top-1",
    {"from": "block_01"},
    {"only": ["block_00", "head"]},
    {"only": ["block_*/*kernel"]},
    "bias-only",
    "norms-only",
    {"lora": {}},
)


# TensorFlow has no gradient of grouped convolutions on a CPU; kft refuses to train them there.
HERE = [name for name in hub.CLASSES if name != "mobilenet" or tf.config.list_physical_devices("GPU")]
IN_FULL = ("bert", "resnet")
"""Here every rule makes an update in each run of the tests; elsewhere some do, and the rest are slow."""
TELLING = ("top-1",)


def case(name, rule, norm):
    quick = name in IN_FULL or rule in TELLING
    return pytest.param(name, rule, norm, marks=() if quick else pytest.mark.slow)


CASES = [
    case(name, rule, norm)
    for name in HERE
    for rule in RULES
    for norm in (("frozen", "adapt") if name in CONVOLUTIONS else ("frozen",))
]


@pytest.fixture(scope="module")
def family(request):
    backbone = hub.build(request.param)
    model = hub.with_head(backbone)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout) and layer.rate:
            layer.rate = 0.3
    if request.param not in CONVOLUTIONS:
        add_lora(model, LoraSpec(rank=2, targets=("*query*", "*value*"), dropout=0.2))
    return request.param, model, hub.inputs(backbone)


def fits(name, rule, norm):
    if rule == {"lora": {}}:
        return name not in CONVOLUTIONS
    if rule == "bias-only":
        return name not in (NO_BIASES if norm == "adapt" else (*NO_BIASES, "resnet", "resnet v2", "densenet"))
    if rule == "norms-only":
        return name not in CONVOLUTIONS or norm == "adapt"
    return name != "albert" or rule != {"from": "block_01"}


def one_update(model, given):
    """Makes one update with the training step itself, run operation by operation: tracing takes longer."""
    schedule = make_schedule("constant", total_steps=1, warmup_steps=0)
    optimizer = ScheduledAdamW(0.01)
    optimizer.plan(schedule, rate_factors(find_blocks(model), 1.0), 0.1)
    optimizer.build(model.trainable_variables)
    objective = TASKS.get("text-classification").kind.learning.objective(AnswerSpace(("a", "b", "c")), 0.0)
    flat = keras.Model(model.inputs, model.outputs[0])
    tensors = [given] if len(flat.inputs) == 1 else [given[tensor.name] for tensor in flat.inputs]
    one = np.ones((1, 2), np.float32)
    step = make_train_step(flat, model, optimizer, TrainSpec(batch_size=2), objective, Execution(whole=True))
    tf.config.run_functions_eagerly(True)
    try:
        block = CallBatches(
            tuple(tensor[None] for tensor in tensors), np.array([[0, 2]], np.int32), one, one, np.zeros(0)
        )
        sums = step(block, np.zeros(1, np.float32), 1)
    finally:
        tf.config.run_functions_eagerly(False)
    assert StepSums(*sums.numpy()[0]).left_out == 0


@pytest.mark.parametrize(("family", "rule", "norm"), CASES, indirect=["family"], ids=str)
def test_only_what_the_rule_names_moves(family, rule, norm):
    name, model, given = family
    if not fits(name, rule, norm):
        with pytest.raises(ModelError, match="the blocks are stem, block_00") as caught:
            freeze(model, rule, norm=norm)
        assert caught.value.next_step
        return
    table = freeze(model, rule, norm=norm)
    assert table.trainable == sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    moving = {id(variable) for variable in moving_variables(model)}
    before = [variable.numpy() for variable in model.weights]
    one_update(model, given)
    moved = [not np.array_equal(old, new.numpy()) for old, new in zip(before, model.weights, strict=True)]
    assert not any(here for here, variable in zip(moved, model.weights, strict=True) if id(variable) not in moving)
    still = [v.path for here, v in zip(moved, model.weights, strict=True) if id(v) in moving and not here]
    assert len(still) <= 0.5 * len(moving), still  # a mask, or an adapter at zero, can hide a weight from one update
    assert any(here for here, v in zip(moved, model.weights, strict=True) if v.path.startswith("head_logits"))
    for variable, old in zip(model.weights, before, strict=True):
        variable.assign(old)


@pytest.mark.parametrize("family", HERE, indirect=True)
def test_what_was_said_to_train_is_what_trains(family):
    """For every rule, in a row: the answer changes nothing, and what it says is what applying the rule does."""
    name, model, _given = family
    cases = [(rule, norm) for rule in RULES for norm in ("frozen", "adapt") if fits(name, rule, norm)]
    assert len(cases) >= 8
    for rule, norm in cases:
        before = [variable.trainable for variable in model.weights]
        said = what_trains(model, rule, norm=norm)
        assert [variable.trainable for variable in model.weights] == before
        table = freeze(model, rule, norm=norm)
        assert str(table) == str(said.table)
        assert {id(variable) for variable in model.trainable_variables} == said.training
        assert [id(variable) for variable in moving_variables(model)] == [id(variable) for variable in said.moving]


@pytest.mark.parametrize("family", [name for name in HERE if name not in CONVOLUTIONS], indirect=True)
def test_frozen_blocks_infer_even_above_blocks_that_train(family):
    """The stem trains: every block above is computed again in every step, and still draws no dropout."""
    _name, model, _given = family
    freeze(model, {"only": ["stem"]})
    stem = next(block for block in find_blocks(model) if block.name == "stem")
    rates = {
        layer.rate
        for block in find_blocks(model)[1:-1]
        for outer in block.layers
        for layer in outer._flatten_layers()
        if isinstance(layer, keras.layers.Dropout)
    }
    assert rates <= {0.0}
    assert stem.variables
    kft.freeze(model, "all")
    again = {layer.rate for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dropout)}
    assert again <= {0.3, 0}

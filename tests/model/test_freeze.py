"""What would train is a question that changes nothing; applying the answer is another step."""

import keras
import pytest

import kft
from kft.features.boundary import split_at_boundary
from kft.model.freeze import apply, as_if, moving_variables, what_trains


@pytest.fixture(scope="module")
def model(tiny_folder):
    return kft.build_model(kft.load_backbone(str(tiny_folder), dropout=0.2), classes=2)


def state_of(model):
    """Everything that freezing sets."""
    layers = model._flatten_layers()
    rates = [layer.rate for layer in layers if isinstance(layer, keras.layers.Dropout)]
    return [layer.trainable for layer in layers], [variable.trainable for variable in model.weights], rates


@pytest.mark.parametrize("rule", ["none", "top-1", "all", "bias-only", {"only": ["stem"]}], ids=str)
def test_the_answer_is_what_applying_it_makes_true(model, rule):
    before = state_of(model)
    plan = what_trains(model, rule)
    assert state_of(model) == before
    apply(model, plan)
    assert {id(variable) for variable in model.trainable_variables} == plan.training
    assert [id(variable) for variable in moving_variables(model)] == [id(variable) for variable in plan.moving]
    assert kft.freeze(model, rule) == plan.table


def test_a_model_looked_at_as_if_is_as_it_was_before(model):
    kft.freeze(model, "all")
    before = state_of(model)
    with as_if(model, what_trains(model, "none")):
        assert split_at_boundary(model).names == ("head_pool",)
        assert state_of(model) != before
    assert state_of(model) == before


def test_a_rule_that_is_refused_changes_nothing(model):
    kft.freeze(model, "top-1")
    before = state_of(model)
    with pytest.raises(kft.KftError):
        kft.freeze(model, "top-9")
    assert state_of(model) == before

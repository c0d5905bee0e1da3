"""A duplicate raises, a miss suggests the nearest name."""

import pytest

from kft.errors import ModelError, UsageError
from kft.registry import Registry, nearest


@pytest.fixture
def fruit() -> Registry[int]:
    registry: Registry[int] = Registry("fruit", next_step="kft fruit")
    registry.register("pear", 1)
    registry.register("apple", 2)
    return registry


def test_get_returns_the_entry(fruit):
    assert fruit.get("apple") == 2


def test_order_is_that_of_registration(fruit):
    assert fruit.names() == ("pear", "apple")
    assert list(fruit) == [1, 2]


def test_contains_asks_for_names(fruit):
    assert "pear" in fruit
    assert 1 not in fruit


def test_register_returns_the_entry(fruit):
    assert fruit.register("plum", 3) == 3


def test_a_duplicate_raises_and_changes_nothing(fruit):
    with pytest.raises(ValueError, match=r"^fruit 'pear' is already registered$"):
        fruit.register("pear", 9)
    assert fruit.get("pear") == 1


def test_a_near_miss_gets_a_suggestion(fruit):
    with pytest.raises(UsageError) as caught:
        fruit.get("aple")
    assert str(caught.value).splitlines() == [
        "unknown fruit 'aple'; did you mean 'apple'?",
        "  received: aple",
        "  expected: one of pear, apple",
        "  next:     kft fruit",
    ]


def test_a_far_miss_gets_the_list_alone(fruit):
    with pytest.raises(UsageError) as caught:
        fruit.get("submarine")
    assert "did you mean" not in str(caught.value)
    assert "expected: one of pear, apple" in str(caught.value)


def test_the_caller_chooses_the_error(fruit):
    with pytest.raises(ModelError):
        fruit.get("aple", ModelError)


def test_nearest():
    assert nearest("batchsize", ["batch_size", "best"]) == "batch_size"
    assert nearest("xyz", ["batch_size", "best"]) is None
    assert nearest("anything", []) is None

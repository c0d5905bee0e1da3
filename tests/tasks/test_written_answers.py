"""What a reader found of written answers: nothing found, true and 1, gates of what is not written, drafts."""

import numpy as np
import pytest

from kft.api.drafting import draft
from kft.errors import KftError, RecipeError
from kft.metrics.language import Spoken, of_texts
from kft.tasks.recipes import load_recipe


def figures(truth, said):
    answers = [Spoken(np.ones(1), np.ones(1), text) for text in said]
    return {name: metric.value(truth, answers) for name, metric in of_texts(truth, answers).items()}


def test_a_response_that_finds_nothing_is_an_object_too():
    found = figures(["{}", '{"a": 1}'], ["{}", '{"a": 1}'])
    assert found["json_valid"] == found["field_accuracy"] == 1
    assert "field_accuracy" not in figures(["{}"], ["{}"])


def test_true_is_not_one():
    assert figures(['{"a": true}'], ['{"a": 1}'])["field_accuracy"] == 0


def test_gates_of_what_is_not_written_are_refused(tmp_path):
    asked = {
        "task": "causal-lm",
        "data": {"train": "rows.jsonl"},
        "model": {"backbone": "gemma3-270m"},
        "evaluate": {"write": False, "gates": {"exact_match": ">= 0.5"}},
    }
    with pytest.raises(RecipeError, match=r"needs evaluate\.write: true"):
        load_recipe(asked, base=tmp_path)


@pytest.mark.parametrize(
    ("task", "recipe"), [("causal-lm", "language/extraction"), ("text-embedding", "knowledge/search")]
)
def test_a_draft_is_refused_with_the_recipe_to_copy(tmp_path, task, recipe):
    with pytest.raises(KftError, match=f"kft recipes copy {recipe}"):
        draft("rows.csv", tmp_path / "recipe.yaml", task=task)

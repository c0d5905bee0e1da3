"""Self-training: which answers are trusted, what is learned from them, and a stopped run that goes on with them."""

import json

import keras
import numpy as np
import pandas as pd
import pytest

import kft
from kft.feed.batches import Ragged
from kft.feed.source import DenseColumn, Source
from kft.train.self_training import NOBODY, find_limit, with_more
from tests import tiny
from tests.ended import last_weights, timeless

pytestmark = pytest.mark.slow

SELF = {"name": "self", "unfreeze": "top-1", "epochs": 3, "lr": 1e-3, "start": "probe", "unlabelled": {"error": 0.4}}
BLEND = {"name": "blend", "unfreeze": "none", "solver": "blend"}


def test_the_lowest_confidence_is_taken_at_which_answers_are_right_often_enough():
    confidence = np.array([0.9, 0.8, 0.8, 0.7, 0.6, 0.5])
    right = np.array([True, True, True, True, False, False])
    limit = find_limit(confidence, right, 0.2)  # 1 of 6 is reckoned with at four rows
    assert (limit.confidence, limit.rows, limit.wrong) == (0.7, 4, 1 / 6)
    # Rows of one confidence are trusted together: three of them would do, two of one confidence cannot be parted.
    assert find_limit(np.array([0.9, 0.8, 0.8]), np.ones(3, bool), 0.25).rows == 3
    assert find_limit(np.array([0.9, 0.8, 0.8]), np.array([True, True, False]), 0.34) == find_limit(
        np.array([0.9]), np.array([True]), 0.34
    )
    assert find_limit(confidence, ~right, 0.1) is NOBODY


def test_rows_are_appended_as_they_are_and_tokens_stay_in_one_piece():
    tokens = Ragged.from_rows([np.array([1, 2]), np.array([3])])
    first = Source({"ids": tokens, "x": DenseColumn(np.array([5.0, 6.0]))}, tokens.lengths, (2,))
    joined = with_more(first, first, np.array([1, 1]))
    assert isinstance(joined.columns["ids"], Ragged) and joined.lengths.tolist() == [2, 1, 1, 1]
    ids, x = joined.batch(np.array([3, 0, -1, 2]))
    assert ids.tolist() == [[3, 0], [1, 2], [0, 0], [3, 0]] and x.tolist() == [6, 5, 0, 6]
    longer = Ragged.from_rows([np.arange(5)])
    other = Source({"ids": longer, "x": DenseColumn(np.array([7.0]))}, longer.lengths, (2, 6))
    assert with_more(first, other, np.array([0])).batch(np.array([2]))[0].tolist() == [[0, 1, 2, 3, 4, 0]]
    assert with_more(first, other, np.array([], int)).edges == (2,)


class Fails(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == 2:
            raise OSError("the power went")


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_folder):
    folder = tmp_path_factory.mktemp("self")
    recipe = tiny.recipe(folder, tiny_folder, rows=120, phases=[tiny.PROBE, BLEND, SELF], prefer="cheaper")
    texts, _ = tiny.texts_and_labels(60, seed=3)
    texts[0] = texts[0] * 4  # longer than all of train
    pd.DataFrame({"text": texts}).to_csv(folder / "more.csv", index=False)
    values = json.loads(recipe.read_text())
    values["data"]["unlabelled"] = "more.csv"
    recipe.write_text(json.dumps(values))
    return folder, recipe, kft.train(recipe, run=folder / "whole", quiet=True)


def test_what_was_kept_labels_the_rows_it_is_sure_of(place):
    folder, _, result = place
    (labelled,) = (event for event in timeless(folder / "whole") if event["event"] == "labelled")
    assert labelled["by"] == "blend" and labelled["phase"] == "self" and labelled["of"] == 60
    assert 30 <= labelled["rows"] <= 60 and labelled["wrong"] <= 0.4 and labelled["tried"] > 24
    steps = [event["step"] for event in timeless(folder / "whole") if event["event"] == "epoch"]
    assert steps[-1] == 3 * -(-(66 + labelled["rows"]) // 16)
    assert [phase.name for phase in result.phases] == ["probe", "blend", "self"]


def test_a_run_that_stopped_goes_on_with_the_same_labels_to_the_bit(place, capsys):
    folder, recipe, whole = place
    run = folder / "stopped"
    with pytest.raises(OSError, match="the power went"):
        kft.train(recipe, run=run, callbacks=[Fails()], quiet=True)
    result = kft.train(recipe, run=run, resume=True, quiet=True)
    assert last_weights(run) == last_weights(folder / "whole") and timeless(run) == timeless(folder / "whole")
    assert result.evaluation.metrics == whole.evaluation.metrics


@pytest.mark.slow
def test_the_default_recipe_ends_with_it_and_a_tuned_phase_labels_where_that_was_kept(place):
    folder, recipe, _ = place
    spec = kft.load_recipe(recipe, ["train.phases=null"])
    planned = kft.plan(spec, quiet=True)
    assert [each.phase.name for each in planned.phases][-1] == "self"
    phases = json.dumps([tiny.PROBE, {**tiny.TOP, "lr": 3e-3}, {**SELF, "epochs": 1}])
    best = ["train.prefer=best", f"train.phases={phases}"]
    kft.train(recipe, run=folder / "tuned", overrides=best, quiet=True)
    (labelled,) = (event for event in timeless(folder / "tuned") if event["event"] == "labelled")
    assert labelled["by"] in ("top", "probe") and labelled["tried"] <= 24

"""Shift: a planted one is found, random splits pass."""

from dataclasses import replace

import numpy as np
import pytest

from kft.audit.checks.shift import find_shift, tell_apart
from kft.recipe.schema import RecipeSpec
from tests.audit.gaussian import SIZES, clouds, make_view

MUCH = {"train": 600, "valid": 120, "test": 300}


def test_a_planted_shift_of_the_inputs_is_found():
    parts = {name: clouds(rows, seed=place) for place, (name, rows) in enumerate(MUCH.items())}
    parts["test"][0][:150, 3] += 3  # half of the test rows come from elsewhere
    (finding,) = find_shift(make_view(parts))
    assert finding.severity == "warning"
    assert finding.message.startswith("The test split is not like train: a probe tells their rows apart")
    assert finding.details["auc"] - finding.details["margin"] > 0.55
    from_elsewhere = [int(row.removeprefix("test:")) < 150 for row in finding.rows]
    assert np.mean(from_elsewhere) > 0.9
    assert "--set data.test=15%" in finding.advice


@pytest.mark.parametrize("key", [{"keep_together": "similar"}, {"group": "shop"}, {"time": "date"}])
def test_a_share_that_was_cut_off_to_differ_is_no_fault(key):
    parts = {name: clouds(rows, seed=place) for place, (name, rows) in enumerate(MUCH.items())}
    parts["test"][0][:150, 3] += 3
    view = make_view(parts)
    data = {"train": "table.csv", **key}
    meant = replace(view, spec=RecipeSpec.model_validate({"task": "text-classification", "data": data}))
    (finding,) = find_shift(meant)
    assert finding.severity == "note" and f"data.{next(iter(key))}" in finding.advice and "--set" not in finding.advice
    given = {"task": "text-classification", "data": {**data, "test": "test.csv"}}
    (finding,) = find_shift(replace(view, spec=RecipeSpec.model_validate(given)))
    assert finding.severity == "warning"


def test_a_planted_shift_of_the_labels_is_found():
    features, targets = clouds(2000, seed=3)
    kept = np.flatnonzero((targets != 2) | (np.arange(2000) % 8 == 0))[:400]
    parts = {name: clouds(rows, seed=place) for place, (name, rows) in enumerate(SIZES.items())}
    parts["test"] = features[kept], targets[kept]
    found = [finding for finding in find_shift(make_view(parts)) if "distance" in finding.details]
    assert [finding.details["split"] for finding in found] == ["test"]
    assert "'class 2' is" in found[0].message


def test_random_splits_pass():
    alarms = 0
    for seed in range(20):
        found = tell_apart(clouds(300, seed=seed)[0], clouds(200, seed=100 + seed)[0], seed=seed)
        alarms += found.area - found.margin > 0.55
    assert alarms <= 1
    assert list(find_shift(make_view())) == []


def test_groups_are_not_parted():
    # Each group has a place of its own: a probe that saw half of it would know the rest.
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 10)
    features = (rng.normal(0, 2, (40, 8))[groups] + rng.normal(0, 0.1, (400, 8))).astype(np.float32)
    one, two = groups < 20, groups >= 20
    names = tuple(groups[part].astype(str) for part in (one, two))
    found = tell_apart(features[one], features[two], names)
    assert found.area - found.margin < 0.55
    assert found.margin > tell_apart(features[one], features[two]).margin

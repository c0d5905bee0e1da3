"""Pairs of classes: one cloud under two names is a coin, clouds that lie apart are not listed."""

import numpy as np

from kft.audit.checks.confusable_classes import ClassPair, find_confusable_classes, hard_pairs, merged
from tests.audit.gaussian import SIZES, clouds, make_view


def with_a_twin(seed, rows):
    features, targets = clouds(rows, seed=seed)
    targets[(targets == 3) & (np.arange(rows) % 2 == 0)] = 4  # the same cloud
    return features, targets


def test_one_class_under_two_names_is_found():
    parts = {name: with_a_twin(place, rows) for place, (name, rows) in enumerate(SIZES.items())}
    (finding,) = find_confusable_classes(make_view(parts, classes=5))
    assert finding.severity == "warning"
    assert [pair["classes"] for pair in finding.details["pairs"]] == [["class 3", "class 4"]]
    assert finding.details["pairs"][0]["like_a_coin"]
    assert finding.details["accuracy_merged"] > finding.details["accuracy"] + 0.05
    assert "'class 3' and 'class 4'" in finding.message and "join them" in finding.advice
    assert "with 4 classes instead of 5 (always answering the largest of them: 0.2" in finding.advice
    assert set(finding.rows) == set(finding.details["pairs"][0]["examples"])


def test_classes_that_lie_apart_are_not_listed():
    assert list(find_confusable_classes(make_view())) == []


def test_a_few_rows_prove_nothing():
    """A class of three rows, none of them found, has an error of one half with an interval of no width."""
    probabilities = np.repeat([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1]], [40, 9], axis=0)
    targets = np.repeat([0, 1], [40, 9])
    assert hard_pairs(probabilities, targets) == []
    more = hard_pairs(np.vstack([probabilities, probabilities[-1:]]), np.append(targets, 1))
    assert [(pair.first, pair.second, pair.like_a_coin) for pair in more] == [(0, 1, True)]


def test_joining_is_transitive():
    assert merged([ClassPair(1, 3, 0.5, 0.1), ClassPair(0, 1, 0.5, 0.1)], 4).tolist() == [0, 0, 2, 0]

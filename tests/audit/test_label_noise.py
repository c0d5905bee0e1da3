"""Labels that are probably wrong: planted ones are found first, clean ones are left alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kft.audit.checks.label_noise import find_label_noise, label_odds
from tests.audit.gaussian import clouds, make_view


def flipped(share, seed=0):
    features, targets = clouds(800, seed=seed)
    rng = np.random.default_rng(seed)
    wrong = rng.choice(len(targets), round(share * len(targets)), replace=False)
    given_targets = targets.copy()
    given_targets[wrong] = (targets[wrong] + rng.integers(1, 4, len(wrong))) % 4
    return features, targets, given_targets, wrong


def test_planted_flips_are_found_with_their_true_label():
    features, targets, labels, wrong = flipped(0.08)
    parts = {"train": (features[:700], labels[:700]), "valid": (features[700:], labels[700:]), "test": clouds(50)}
    (finding,) = find_label_noise(make_view(parts))
    planted = {f"train:{row}" if row < 700 else f"valid:{row - 700}" for row in wrong}
    hits = planted & set(finding.rows)
    assert len(hits) / len(finding.rows) > 0.9
    assert len(hits) / len(planted) > 0.9
    assert finding.severity == "warning"
    assert "contradicted by a probe that did not see them" in finding.message
    assert finding.advice.startswith("Many of these may be right: the probe agrees with 9")
    suggested = dict(zip(finding.rows, finding.details["suggested"], strict=True))
    names = {f"train:{row}": f"class {targets[row]}" for row in range(700)}
    right = [suggested[row] == names[row] for row in hits if row in names]
    assert np.mean(right) > 0.95
    assert finding.details["odds"] == sorted(finding.details["odds"], reverse=True)
    assert len(finding.details["given"]) == len(finding.rows)


def test_clean_labels_are_left_alone():
    assert list(find_label_noise(make_view())) == []


def test_labels_that_are_mostly_random_are_an_error():
    features, _, labels, _ = flipped(0.45)
    parts = {"train": (features[:700], labels[:700]), "valid": (features[700:], labels[700:]), "test": clouds(50)}
    assert [finding.severity for finding in find_label_noise(make_view(parts))] == ["error"]


def test_rows_of_a_class_that_the_probe_never_gets_right_are_not_judged():
    features, targets, labels, _ = flipped(0.08)
    rare = labels.copy()
    rare[np.flatnonzero(targets == 1)[:4]] = 4  # they lie among the others, and their label may be right
    view = make_view(
        {"train": (features[:700], rare[:700]), "valid": (features[700:], rare[700:]), "test": clouds(50)}, classes=5
    )
    (finding,) = find_label_noise(view)
    known = dict(zip(view.known.ids, view.targets, strict=True))
    assert 4 in view.targets and all(known[row] != 4 for row in finding.rows)
    assert finding.message.endswith("Not judged: class 4, which the probe never gets right.")


@pytest.mark.parametrize("task", ["text-classification", "text-pairs"])
def test_without_answers_nothing_is_said(task):
    from dataclasses import replace

    assert list(find_label_noise(replace(make_view(task=task), out_of_fold=None))) == []


@given(st.integers(2, 6), st.integers(1, 30), st.integers(0, 1000))
def test_odds_are_one_where_the_given_class_is_the_most_probable(classes, rows, seed):
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(classes), rows)
    np.testing.assert_allclose(label_odds(probabilities, probabilities.argmax(axis=1)), 1)
    assert (label_odds(probabilities, probabilities.argmin(axis=1)) >= 1).all()


def test_two_classes_with_a_quarter_of_the_labels_flipped():
    features, targets = clouds(800, classes=2)
    wrong = np.random.default_rng(0).random(800) < 0.25  # the probe cannot be surer than 3 to 1
    labels = np.where(wrong, 1 - targets, targets)
    parts = {
        "train": (features[:700], labels[:700]),
        "valid": (features[700:], labels[700:]),
        "test": clouds(50, classes=2),
    }
    (finding,) = find_label_noise(make_view(parts, classes=2))
    planted = {f"train:{row}" if row < 700 else f"valid:{row - 700}" for row in np.flatnonzero(wrong)}
    assert 2 <= finding.details["threshold"] < 4
    assert len(planted & set(finding.rows)) / len(finding.rows) > 0.9
    assert len(planted & set(finding.rows)) / len(planted) > 0.5

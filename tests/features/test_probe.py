"""The probe: against scikit-learn's logistic regression, and the scale folded in."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from kft.features.probe import ProbeRows, solve_probe
from tests.features.problems import problem


def test_the_same_solution_as_scikit_learn_at_the_chosen_strength():
    features, targets = problem()
    probe = solve_probe(ProbeRows(features[:300], targets[:300]), ProbeRows(features[300:], targets[300:]), 4)
    scaler = StandardScaler().fit(features[:300])
    model = LogisticRegression(C=probe.strength, max_iter=5000, tol=1e-8)
    model.fit(scaler.transform(features[:300]), targets[:300])
    ours = features @ probe.kernel + probe.bias
    ours = np.exp(ours - ours.max(axis=1, keepdims=True))
    ours /= ours.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ours[300:], model.predict_proba(scaler.transform(features[300:])), atol=0.01)


def test_the_chosen_strength_has_the_lowest_valid_loss_of_those_tried():
    features, targets = problem(seed=1)
    data = ProbeRows(features[:200], targets[:200]), ProbeRows(features[200:], targets[200:])
    by_loss = solve_probe(*data, classes=4)
    assert by_loss.strength == min(by_loss.tried, key=lambda tried: tried[1])[0]
    by_accuracy = solve_probe(*data, classes=4, score=lambda outputs: (outputs.argmax(axis=1) == targets[200:]).mean())
    best = max(score for _, _, score in by_accuracy.tried)
    # Ties go to the stronger penalty, which is tried first.
    assert by_accuracy.strength == next(c for c, _, score in by_accuracy.tried if score == best)


def test_row_weights_count_rows():
    features, targets = problem(classes=2, rows=60, seed=2)
    valid, twice = ProbeRows(features, targets), ProbeRows(np.tile(features, (2, 1)), np.tile(targets, 2))
    doubled = solve_probe(twice, valid, 2)
    weighted = solve_probe(ProbeRows(features, targets, np.full(60, 2.0)), valid, 2)
    assert doubled.strength == weighted.strength
    np.testing.assert_allclose(
        features @ doubled.kernel + doubled.bias, features @ weighted.kernel + weighted.bias, atol=0.05
    )

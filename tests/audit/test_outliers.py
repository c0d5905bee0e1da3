"""Outliers: rows from elsewhere come first; a cloud alone has next to none."""

import numpy as np

from kft.audit.checks.outliers import far_away, find_outliers, neighbour_distance
from tests.audit.gaussian import SIZES, clouds, make_view


def cones(rows, seed):
    """Features that point in like directions, as those of a backbone do."""
    features, targets = clouds(rows, apart=1.0, seed=seed)
    return features * 0.3 + 4, targets


def test_rows_from_elsewhere_are_found():
    parts = {name: cones(rows, place) for place, (name, rows) in enumerate(SIZES.items())}
    strangers = np.random.default_rng(5).normal(0, 4, (5, 16)).astype(np.float32)
    parts["train"][0][:3], parts["test"][0][:2] = strangers[:3], strangers[3:]
    (finding,) = find_outliers(make_view(parts))
    planted = {"train:0", "train:1", "train:2", "test:0", "test:1"}
    assert planted == set(finding.rows[:5])
    assert len(finding.rows) < 5 + 0.01 * sum(SIZES.values())
    assert finding.severity == "note"
    assert set(finding.details["split"][:5]) == {"train", "test"}
    assert finding.details["distance"] == sorted(finding.details["distance"], reverse=True)


def test_a_cloud_alone_has_next_to_none():
    parts = {name: cones(rows, place) for place, (name, rows) in enumerate(SIZES.items())}
    found = list(find_outliers(make_view(parts)))
    assert sum(len(finding.rows) for finding in found) <= 0.01 * sum(SIZES.values())


def test_a_row_is_not_its_own_neighbour():
    features = np.random.default_rng(0).normal(3, 1, (50, 8)).astype(np.float32)
    assert neighbour_distance(features, np.arange(50)).min() > 0


def test_outliers_do_not_move_the_limit():
    distances = np.exp(np.random.default_rng(0).normal(0, 0.1, 1000))
    limit = far_away(distances)
    distances[:20] = 100
    assert abs(far_away(distances) - limit) < 0.03

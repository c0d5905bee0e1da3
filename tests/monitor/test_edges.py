"""The cells of a gauge: their chances are known exactly, whatever the values are."""

import numpy as np
import pytest

from kft.monitor.edges import fit_edges


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("count", [2, 3, 10, 99, 1000])
def test_cells_cover_all_spacings(count):
    edges = fit_edges(rng().normal(size=count), seed=0)
    assert edges.gaps.sum() == count + 1
    assert edges.gaps[0] == edges.gaps[-1] == 1
    assert edges.cells == len(edges.values) + 1


def test_what_is_beyond_all_that_was_seen_has_cells_of_its_own():
    edges = fit_edges(np.zeros(500), seed=0)
    assert edges.place(np.array([-1.0, 1.0]), rng()).tolist() == [0, edges.cells - 1]


def test_values_that_are_missing_are_left_out():
    values = np.array([1.0, np.nan, 2.0, 3.0])
    edges = fit_edges(values, seed=0)
    assert edges.gaps.sum() == 4
    assert edges.count(values, rng()).sum() == 3
    assert fit_edges(np.array([1.0, np.nan]), seed=0) is None


@pytest.mark.parametrize(
    "draw", [lambda r, n: r.normal(size=n), lambda r, n: r.integers(0, 3, n) * 1.0, lambda r, n: r.random(n) < 0.01]
)
def test_the_chance_of_a_cell_is_its_share_of_the_spacings(draw):
    """Over many references the share of new rows in a cell is what the gaps say, also among equal values."""
    source, hits = rng(), 0.0
    for seed in range(400):
        edges = fit_edges(draw(source, 60).astype(float), seed)
        hits = hits + edges.count(draw(source, 50).astype(float), source) / 50
    np.testing.assert_allclose(hits / 400, edges.gaps / 61, atol=0.012)


def test_codes_are_cut_evenly():
    edges = fit_edges(np.repeat(np.arange(4.0), 100), seed=0, even=20)
    assert edges.cells == 22
    assert edges.gaps[1:-1].max() <= 21

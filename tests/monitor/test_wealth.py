"""Evidence that something moved: a fair game when nothing did, and a won one when something has."""

from itertools import product
from math import comb

import numpy as np
import pytest

from kft.monitor.edges import fit_edges
from kft.monitor.wealth import MOST_GAMES, Wealth, from_document, start

GAPS = np.array([1, 3, 2])


def chance(before, came) -> float:
    """Returns how probable it is that the urn gives these counts next."""
    value, held = 1.0, before.astype(float)
    for cell, number in enumerate(came):
        for _ in range(number):
            value *= held[cell] / held.sum()
            held[cell] += 1
    first, second = came[0], came[1]
    return value * comb(came.sum(), first) * comb(came.sum() - first, second)


def all_counts(rows: int):
    return [np.array(c) for c in product(range(rows + 1), repeat=3) if sum(c) == rows]


def test_the_game_is_fair():
    """The wealth after two windows, over all that can come, is 1 on average: exactly, not by simulation."""
    mean = 0.0
    for one in all_counts(3):
        wealth = start(GAPS).after(one)
        for two in all_counts(4):
            mean += chance(GAPS, one) * chance(GAPS + one, two) * np.exp(wealth.after(two).log)
    assert mean == pytest.approx(1.0, abs=1e-9)


def test_a_late_change_is_found():
    source = np.random.default_rng(0)
    edges = fit_edges(source.normal(size=1000), seed=0)
    wealth = start(edges.gaps)
    for _ in range(40):
        wealth = wealth.after(edges.count(source.normal(size=200), source))
    assert wealth.peak < np.log(100)
    for _ in range(6):
        wealth = wealth.after(edges.count(source.normal(0.5, size=200), source))
    assert wealth.log > np.log(1e6)
    assert wealth.peak >= wealth.log
    assert len(wealth.games) == MOST_GAMES


def test_the_test_rows_themselves_are_no_evidence():
    values = np.random.default_rng(0).normal(size=500)
    edges = fit_edges(values, seed=0)
    assert start(edges.gaps).after(edges.count(values, np.random.default_rng(1))).log < 0


def test_looking_changes_nothing_and_neither_do_empty_windows():
    wealth = start(GAPS).after(np.array([1, 5, 2]))
    assert wealth.after(np.zeros(3, int)) is wealth


def test_false_alarms_stay_below_their_share():
    """1 in 20 at most, over 30 looks; with rare values too, where cells are of single rows."""
    source, alarms = np.random.default_rng(3), 0
    for seed in range(60):
        edges = fit_edges((source.random(200) < 0.01).astype(float), seed)
        wealth = start(edges.gaps)
        for _ in range(30):
            wealth = wealth.after(edges.count((source.random(100) < 0.01).astype(float), source))
        alarms += wealth.peak >= np.log(20)
    assert alarms <= 5


def test_it_comes_back_from_json_as_it_was():
    wealth = start(GAPS).after(np.array([1, 5, 2])).after(np.array([9, 0, 0]))
    again = from_document(GAPS, wealth.as_document())
    assert isinstance(again, Wealth)
    assert again.log == wealth.log
    assert again.after(np.array([1, 1, 1])).log == wealth.after(np.array([1, 1, 1])).log

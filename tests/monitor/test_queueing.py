"""Rows that are drawn for a label: every chance is known, they sum to what is drawn, and labels stand for all rows."""

import numpy as np
import pytest

from kft.monitor import queueing
from kft.monitor.queueing import Worth, chances, draw, mistakes_nearby, shares_of, side_by_side, step_over


def rows(n=400, width=8, seed=0):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, width)).astype(np.float32)
    unsure = rng.random(n)
    right = rng.random(n) > 0.6 * unsure  # the less sure, the more often wrong
    return vectors, unsure, right


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("n", [1, 7, 50, 380, 400])
def test_chances_sum_to_what_is_drawn_and_none_is_below_its_part(n, share):
    _, unsure, _ = rows()
    interest = np.sum(list(shares_of(Worth(unsure), 400, n).values()), axis=0)
    found = chances(interest, np.ones(400), n, share)
    assert found.sum() == pytest.approx(n, abs=1e-6)
    assert (found <= 1).all() and (found >= share * n / 400 - 1e-9).all()


def test_each_row_is_drawn_as_often_as_its_chance_says():
    vectors, unsure, _ = rows(60)
    interest = np.sum(list(shares_of(Worth(unsure), 60, 12).values()), axis=0)
    chance, order = chances(interest, np.ones(60), 12, 0.3), side_by_side(vectors)
    rng, counts, times = np.random.default_rng(1), np.zeros(60), 20_000
    for _ in range(times):
        drawn = step_over(chance, order, rng)
        assert len(drawn) == len(set(drawn)) == 12
        counts[drawn] += 1
    error = np.sqrt(chance * (1 - chance) / times)
    assert (np.abs(counts / times - chance) < 5 * error + 1e-9).all()


@pytest.mark.slow
@pytest.mark.parametrize("copied", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_estimate_is_unbiased_over_2000_draws(copied):
    vectors, unsure, right = rows(120)
    keys = np.arange(120)
    if copied:  # a text that comes forty times, and is answered wrongly each time
        keys[:40], unsure[:40], right[:40], vectors[:40] = 0, unsure[0], False, vectors[0]
    found = []
    for seed in range(2000):
        drawn = draw(Worth(unsure), keys, vectors, 20, random_share=0.3, seed=seed)
        assert len(drawn.places) == 20 and len(set(keys[drawn.places])) == 20
        found.append((right[drawn.places] / drawn.chance).sum() / 120)
    assert abs(np.mean(found) - right.mean()) < 4 * np.std(found) / np.sqrt(2000)
    naive = np.mean(
        [right[draw(Worth(unsure), keys, vectors, 20, random_share=0.3, seed=s).places].mean() for s in range(100)]
    )
    assert abs(naive - right.mean()) > 0.02  # as they are, the rows that were drawn say something else


def test_the_unsure_the_foreign_and_those_near_mistakes_are_drawn_more_often():
    vectors, unsure, _ = rows(1000)
    foreign, mistakes = np.zeros(1000), np.zeros(1000)
    foreign[:50], mistakes[50:100] = 1.0, 1.0
    drawn = draw(Worth(unsure, foreign, mistakes), np.arange(1000), vectors, 100, random_share=0.3, seed=0)
    assert (drawn.places < 50).sum() > 10 and ((drawn.places >= 50) & (drawn.places < 100)).sum() > 10
    assert unsure[drawn.places].mean() > 0.6
    assert {"unsure", "foreign", "near mistakes"} <= set(drawn.why)
    alone = draw(Worth(), np.arange(1000), None, 100, random_share=0.3, seed=0)
    assert set(alone.why) == {"random"} and alone.chance == pytest.approx(0.1)


def test_rows_that_look_alike_are_seldom_drawn_together():
    rng = np.random.default_rng(0)
    middle = rng.normal(size=(50, 16)) * 3
    vectors = np.repeat(middle, 20, axis=0) + rng.normal(size=(1000, 16)) * 0.05
    shuffled = rng.permutation(1000)
    cluster = np.repeat(np.arange(50), 20)[shuffled]
    apart = [
        len(set(cluster[draw(Worth(), np.arange(1000), given, 50, random_share=0.3, seed=seed).places]))
        for given in (vectors[shuffled], None)
        for seed in range(10)
    ]
    assert np.mean(apart[:10]) > 45 > 40 > np.mean(apart[10:])


def test_the_same_seed_draws_the_same_and_few_rows_are_all_drawn():
    vectors, unsure, _ = rows(40)
    one, two = (draw(Worth(unsure), np.arange(40), vectors, 10, random_share=0.3, seed=3) for _ in range(2))
    assert one.places.tolist() == two.places.tolist()
    every = draw(Worth(unsure), np.arange(40), vectors, 100, random_share=0.3, seed=3)
    assert sorted(every.places) == list(range(40)) and every.chance == pytest.approx(1)


def test_where_no_mistake_is_known_nothing_is_said_of_mistakes():
    assert mistakes_nearby(np.eye(2), np.repeat(np.eye(2), 20, axis=0), np.zeros(40, bool)) is None
    assert mistakes_nearby(np.eye(2), np.eye(2), np.ones(2, bool)) is None
    assert sum(queueing.PARTS.values()) == pytest.approx(1)

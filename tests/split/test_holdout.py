"""Half of valid is kept from every choice: a fair half, groups whole, the same each time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kft.split.holdout import draw_half


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=60), st.integers(0, 50))
def test_each_class_gives_half_of_its_rows(labels, seed):
    strata = np.array(labels, dtype=object)
    held = draw_half(strata, None, seed)
    assert abs(held.sum() - len(held) / 2) <= 0.5
    for name in set(labels):
        assert abs(held[strata == name].sum() - (strata == name).sum() / 2) <= 0.5
    np.testing.assert_array_equal(held, draw_half(strata, None, seed))


def test_groups_stay_whole():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 30, 200).astype(str)
    held = draw_half(rng.choice(["a", "b"], 200), groups, seed=1)
    for group in set(groups):
        assert len(set(held[groups == group])) == 1
    assert 13 <= len(set(groups[held])) <= 17


def test_a_rare_class_has_the_same_chance_as_any_other():
    strata = np.array(["common"] * 9 + ["rare"])
    share = np.mean([draw_half(strata, None, seed) for seed in range(400)], axis=0)
    assert (np.abs(share - 0.5) < 0.1).all()

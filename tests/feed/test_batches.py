"""Ragged rows, the batch plan, the padded lengths."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kft.feed.batches import PLAN, Ragged, choose_edges, edge_for, plan, sequential_plan, stratified_plan

PLAN_7_2 = [[1, 5, 3], [4, -1, -1], [2, 6, 0]]
STRATIFIED_7_2 = [[3, 1, 4, 2, 0, -1], [5, -1, -1, -1, -1, -1]]
LENGTHS = st.lists(st.integers(1, 60), max_size=90).map(lambda values: np.array(values, dtype=np.int64))


@settings(max_examples=40, deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(1, 4), st.integers(0, 9), st.integers(0, 9))
def test_each_row_stands_in_the_plan_once_and_one_batch_is_not_full(lengths, batch_size, window, seed, epoch):
    steps = plan(seed, epoch, lengths, batch_size=batch_size, window=window)
    assert steps.dtype == np.int64 and steps.shape == (-(-len(lengths) // batch_size), batch_size)
    assert sorted(steps[steps >= 0].tolist()) == list(range(len(lengths)))
    assert ((steps < 0).any(axis=1)).sum() == (len(lengths) % batch_size > 0)
    np.testing.assert_array_equal(steps, plan(seed, epoch, lengths, batch_size=batch_size, window=window))


def test_the_plan_hangs_on_seed_and_epoch():
    lengths = np.arange(100)
    plans = {plan(seed, epoch, lengths, batch_size=8).tobytes() for seed in range(3) for epoch in range(3)}
    assert len(plans) == 9


def test_the_plan_never_changes():
    """A run that is resumed under a later version must read the same batches; who changes them changes ``PLAN``."""
    assert PLAN == "longest first"
    lengths = np.array([5, 3, 8, 1, 9, 2, 7])
    assert plan(7, 2, lengths, batch_size=3, window=2).tolist() == PLAN_7_2


def test_batches_hold_rows_of_like_length_and_are_shuffled():
    lengths = np.random.default_rng(0).integers(1, 100, 2000)
    steps = plan(0, 0, lengths, batch_size=10)
    spread = [np.ptp(lengths[rows]) for rows in steps]
    assert np.mean(spread) < 5
    assert 0.2 < np.mean(np.diff(lengths[steps[:, 0]]) > 0) < 0.8


@settings(max_examples=20, deadline=None)
@given(LENGTHS, st.integers(1, 9))
def test_the_sequential_plan_is_sorted_and_stable(lengths, batch_size):
    steps = sequential_plan(lengths, batch_size).ravel()
    rows = steps[steps >= 0]
    assert rows.tolist() == sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    assert (steps[len(rows) :] == -1).all()


def test_the_batch_that_is_not_full_holds_the_shortest_rows_of_its_window():
    lengths = np.random.default_rng(0).permutation(np.arange(1, 104))
    for steps in (plan(0, 0, lengths, batch_size=10, window=11), sequential_plan(lengths, 10)):
        (short,) = [batch[batch >= 0] for batch in steps if (batch < 0).any()]
        assert sorted(lengths[short]) == [1, 2, 3]


def padded_tokens(lengths, edges):
    return sum(edge_for(int(length), edges) for length in lengths)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 28), min_size=1, max_size=12),
    st.integers(1, 4),
    st.data(),
)
def test_the_edges_are_the_best_there_are(lengths, max_edges, data):
    edges = choose_edges(np.array(lengths), max_edges=max_edges, multiple=4)
    top = -(-max(lengths) // 4) * 4
    assert edges[-1] == top and len(edges) <= max_edges and list(edges) == sorted(set(edges))
    assert all(edge % 4 == 0 for edge in edges)
    lower = range(4, top, 4)
    others = [(*some, top) for size in range(max_edges) for some in itertools.combinations(lower, size)]
    assert padded_tokens(lengths, edges) == min(padded_tokens(lengths, other) for other in others)


def test_eight_edges_suffice_for_short_messages():
    """BANKING77's lengths look like this; eight edges cost little more than the real tokens."""
    lengths = np.clip(np.random.default_rng(0).lognormal(2.6, 0.5, 10_000).astype(int) + 3, 4, 128)
    edges = choose_edges(lengths)
    assert len(edges) == 8 and edges[-1] >= lengths.max()
    assert padded_tokens(lengths, edges) / lengths.sum() < 1.25


def test_no_rows_still_have_an_edge():
    assert choose_edges(np.array([], dtype=np.int64)) == (4,)
    assert plan(0, 0, np.array([], dtype=np.int64), batch_size=4).shape == (0, 4)


def test_a_length_beyond_every_edge_is_an_error():
    assert [edge_for(length, (4, 8)) for length in (0, 4, 5, 8)] == [4, 4, 8, 8]
    with pytest.raises(ValueError, match="no edge of 4, 8 holds a length of 9"):
        edge_for(9, (4, 8))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=9), st.sampled_from([(), (3,)]), st.data())
def test_padding_keeps_every_row(lengths, width, data):
    values = [np.random.default_rng(i).normal(size=(length, *width)) for i, length in enumerate(lengths)]
    ragged = Ragged.from_rows(values)
    assert len(ragged) == len(values) and ragged.lengths.tolist() == lengths
    rows = np.array(data.draw(st.lists(st.integers(-1, len(values) - 1), max_size=7)), dtype=np.int64)
    padded, mask = ragged.pad(rows, 6, fill=-5)
    assert padded.shape == (len(rows), 6, *width) and mask.shape == (len(rows), 6) and mask.dtype == bool
    for position, row in enumerate(rows):
        real = values[row] if row >= 0 else np.zeros((0, *width))
        np.testing.assert_array_equal(padded[position][mask[position]], real)
        assert (padded[position, len(real) :] == -5).all()
        np.testing.assert_array_equal(ragged.row(int(row)) if row >= 0 else real, real)


def test_a_row_that_does_not_fit_is_not_cut_silently():
    ragged = Ragged.from_rows([np.arange(5), np.arange(2)])
    assert ragged.pad(np.array([1]), 2)[0].dtype == ragged.values.dtype
    with pytest.raises(ValueError, match="a row of 5 does not fit into 4"):
        ragged.pad(np.array([1, 0]), 4)
    with pytest.raises(ValueError, match="at least one row"):
        Ragged.from_rows([])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=90), st.integers(3, 6), st.integers(0, 9), st.booleans())
def test_a_stratified_plan_has_each_example_once_beside_others_of_its_class(labels, per_class, seed, named):
    targets, names = np.array(labels), 6 * named
    epochs = [
        stratified_plan(seed, epoch, targets, batch_size=16, per_class=per_class, names=names) for epoch in range(3)
    ]
    counts = np.bincount(targets, minlength=6)
    for steps in epochs:
        assert steps.dtype == np.int64 and steps.shape == epochs[0].shape
        examples = steps[(steps >= 0) & (steps < len(targets))]
        assert sorted(examples.tolist()) == list(range(len(targets)))
        assert (steps >= 0).any(axis=1).all()
        for rows in steps:
            of = np.bincount(targets[rows[(rows >= 0) & (rows < len(targets))]], minlength=6)
            assert all(here >= min(2, count) for here, count in zip(of, counts, strict=True) if here)
            beside = rows[rows >= len(targets)] - len(targets)
            assert sorted(beside.tolist()) == (np.flatnonzero(of).tolist() if named else [])


def test_a_stratified_plan_hangs_on_seed_and_epoch_and_never_changes():
    targets = np.arange(100) % 7
    plans = {
        stratified_plan(seed, epoch, targets, batch_size=20, per_class=5).tobytes()
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(plans) == 9
    assert stratified_plan(7, 2, np.array([0, 1, 0, 1, 1, 2]), batch_size=6, per_class=3).tolist() == STRATIFIED_7_2


def test_a_stratified_plan_mixes_classes_anew_and_fills_its_batches():
    """77 classes of 4 or 5 examples: any two of them meet some time, whatever their sizes."""
    targets = np.repeat(np.arange(77), np.arange(77) % 2 + 4)
    met = set()
    for epoch in range(120):
        steps = stratified_plan(0, epoch, targets, batch_size=32, per_class=5)
        for rows in steps:
            met |= {tuple(pair) for pair in itertools.combinations(np.unique(targets[rows[rows >= 0]]).tolist(), 2)}
    assert len(steps) == 13 and (steps >= 0).mean() > 0.8
    assert len(met) > 0.99 * 77 * 76 / 2


def test_a_part_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="a part of 5 examples does not fit into 5 rows"):
        stratified_plan(0, 0, np.zeros(9, int), batch_size=5, per_class=5, names=1)

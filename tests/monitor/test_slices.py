"""Slices: cut by valid rows, counted as test rows, held against them at every look with one error for all."""

import numpy as np
import pytest

from kft.monitor.explain import look
from kft.monitor.moved import compare_slices, differences
from kft.monitor.reference import load_reference, make_reference, save_reference
from kft.monitor.slices import fit_slices, with_test
from kft.monitor.state import Bound, State, read_state, write_state
from kft.monitor.watch import RowBatch, begin, finish, take
from kft.monitor.windows import parse_window
from tests.monitor import rows


def cells(n, seed, north=0.5):
    return {"region": np.random.default_rng(seed).choice(["north", "south"], n, p=[north, 1 - north]).astype(object)}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Of 800 test rows, written and read back."""
    known = rows.known()
    valid, test = rows.seen(400, 5, given=known), rows.seen(800, 1, given=known)
    slices = with_test(fit_slices(valid, cells(400, 5), rows.LABELS, withholds=True), test, cells(800, 1))
    made = make_reference(("text-classification", rows.LABELS), known, test, test.label, 0, slices)
    path = tmp_path_factory.mktemp("slices") / "reference.safetensors"
    save_reference(path, made)
    return load_reference(path)


def watched(reference, seed, windows=6, begins=3, north=0.5, **changes):
    """A watch of windows of 200 rows; from one on what comes is otherwise."""
    watch = begin(reference, 0.01, parse_window("200"))
    for at in range(windows):
        late = at >= begins
        came = rows.seen(200, 1000 * seed + at, given=rows.known(), **(changes if late else {}))
        columns = cells(200, 1000 * seed + at, north if late else 0.5)
        watch = take(watch, RowBatch(came, np.full(200, at), None, columns), ordered=True)
    return finish(watch)


def test_slices_are_what_the_test_rows_have(reference):
    slices = reference.slices
    assert [each.by for each in slices.every] == ["length", "answer", "region"] and slices.columns == ("region",)
    length, answer, region = slices.every
    assert len(length.names) == 3 and length.names[0].startswith("up to ") and length.names[2].endswith(" tokens")
    assert answer.names == rows.LABELS and region.names == ("north", "south", "another value")
    assert all(each.test[:, 0].sum() == 800 for each in slices.every)
    test = rows.seen(800, 1, given=rows.known())
    assert answer.test[1, 1] == pytest.approx(test.confidence[test.label == 1].sum(), rel=1e-4)
    assert answer.test[:, 3].sum() == test.abstain.sum()
    assert answer.test[:, 2].sum() == (test.confidence < slices.unsure).sum() > 100


def test_what_moved_is_found_with_since_when_and_what_did_not_is_not(reference):
    watch = watched(reference, 2, prior=6.0, north=0.9)
    found = compare_slices(watch, *look(watch))
    assert found.since == "rows 601 to 800" and found.rows == 600
    moved = {(each.by, each.value): each for each in found.every if each.moved}
    assert {("answer", "bad"), ("region", "north"), ("region", "south")} <= set(moved)
    assert not any(by == "length" for by, _ in moved)
    north = moved["region", "north"]
    assert north.moved == ("share",) and north.share.low < 0.4 < north.share.high and north.rows > 500
    assert found.every[: len(moved)] == found.moved and found.unknown == ()


def test_nothing_moves_where_nothing_has_changed(reference):
    for seed in (3, 4):
        watch = watched(reference, seed)
        found = compare_slices(watch, *look(watch))
        assert found.rows == 1200 and not found.moved and len(found.every) == 8


def test_a_column_that_is_not_there_and_an_artifact_without_slices_are_said(reference):
    watch = begin(reference, 0.01, parse_window("200"))
    watch = finish(take(watch, RowBatch(rows.seen(200, 3, given=rows.known()), np.zeros(200, int)), ordered=True))
    assert compare_slices(watch, *look(watch)).unknown == ("region",)
    old = begin(rows.reference(), 0.01, parse_window("200"))
    assert "export the run again" in compare_slices(old, (), ()).refused


def test_a_state_keeps_what_was_counted(reference, tmp_path):
    watch = watched(reference, 2, windows=2, prior=6.0)
    more = RowBatch(rows.seen(50, 9, given=rows.known()), np.full(50, 2), None, cells(50, 9))
    watch, bound = finish(take(watch, more, ordered=True)), Bound("a", "1", "r")
    write_state(tmp_path, State(bound, watch))
    back = read_state(tmp_path, bound, reference, 0.01, watch.cut).watch
    assert compare_slices(back, *look(back)) == compare_slices(watch, *look(watch))
    assert back.open[2].slices["region"][:, 0].sum() == 50


def test_an_interval_misses_its_difference_at_any_look_in_fewer_cases_than_it_may():
    rng, replays, missed = np.random.default_rng(0), 300, {}
    for before, now in ((0.05, 0.05), (0.3, 0.3), (0.1, 0.3)):
        tested, came = rng.binomial(500, before, replays).astype(float), np.zeros(replays)
        wrong = np.zeros(replays, bool)
        for n in range(100, 601, 100):
            came += rng.binomial(100, now, replays)
            found = differences((tested, 500.0), (came, float(n)), np.log(1 / 0.05))
            wrong |= (found[:, 2] > now - before) | (found[:, 3] < now - before)
        missed[before, now] = wrong.mean()
        assert ((found[:, 2] > 0).mean() > 0.95) == (now > before)
    assert max(missed.values()) <= 0.05


def test_counts_of_nothing_and_of_all():
    found = differences((np.array([0.0, 50.0, 0.0]), 50.0), (np.array([40.0, 0.0, 0.0]), 40.0), 5.0)
    assert found[0, 2] > 0.5 and found[0, 3] > 0.99 and found[1, 3] < -0.5 and found[1, 2] < -0.99
    assert found[2, 2] < 0 < found[2, 3]
    none = differences((np.array([3.0]), 9.0), (np.array([0.0]), 0.0), 5.0)
    assert none[0, 2] < -0.3 and none[0, 3] > 0.6

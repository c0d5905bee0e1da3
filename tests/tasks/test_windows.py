"""Windows over a text: every token once in the document, each window with its own special tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kft.tasks.windows import Windows, in_windows

SHAPES = st.tuples(st.integers(0, 60), st.integers(0, 2), st.integers(0, 2), st.integers(9, 20), st.integers(1, 4))


def cut(count, before, behind, size, overlap, most):
    """Windows of a text of tokens 10, 11, ..., with special tokens 1 and 2; each stands at its own character."""
    ids = np.array([1] * before + list(range(10, 10 + count)) + [2] * behind, np.int32)
    places = np.stack([np.arange(len(ids)), np.arange(len(ids)) + 1], axis=1) - before
    special = [True] * before + [False] * count + [True] * behind
    return in_windows(ids, places, special, Windows(size, overlap, most)), ids


@given(SHAPES)
def test_windows_hold_a_text_whole_and_in_order(shape):
    count, before, behind, size, overlap = shape
    found, ids = cut(*shape, most=99)
    assert found.document.tolist() == ids.tolist()
    rows, real = found.ids.reshape(-1, size), found.real.reshape(-1, size).astype(bool)
    assert (rows[~real] == 0).all() and real[:-1].all()
    last = 0
    for row, mask, (start, end) in zip(rows, real, found.spans, strict=True):
        own = row[mask]
        assert own[:before].tolist() == [1] * before and own[len(own) - behind :].tolist() == [2] * behind
        inside = own[before : len(own) - behind]
        assert inside.tolist() == list(range(10 + start, 10 + end))
        assert start == max(0, last - overlap) and (end > last or not count)
        last = end
    assert last == count


def test_what_lies_behind_the_last_window_is_not_read():
    found, ids = cut(40, 1, 1, 10, 2, most=3)
    reach = Windows(10, 2, 3).reach(special=2)
    assert len(found.spans) == 3 and found.document.tolist() == [*ids[: reach - 1].tolist(), 2]
    assert len(found.document) == reach == 22


@pytest.mark.parametrize(("tokens", "windows"), [(7, 1), (8, 1), (9, 2), (14, 2), (15, 3)])
def test_a_window_begins_where_the_one_before_leaves_something(tokens, windows):
    assert len(Windows(10, 2, 99).starts(tokens, special=2)) == windows

"""Which updates go together, and batches behind one another."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kft.feed.batches import Ragged
from kft.feed.source import DenseColumn, Source
from kft.train.feeding import Feed, Pause, spans


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 9), st.none() | st.tuples(*[st.integers(1, 9)] * 2))
def test_each_step_is_in_one_call_and_no_call_goes_beyond_a_pause(first, last, size, pause):
    pause = pause and Pause(first + pause[0], pause[1])
    found = list(spans(first, last, size, pause))
    assert [step for start, end in found for step in range(start, end)] == list(range(first, last))
    assert all(0 < end - start <= size for start, end in found)
    if pause:
        ends, pauses = {end for _, end in found}, range(pause.step, last, pause.every)
        assert ends >= set(pauses)


def test_batches_of_any_length_come_back_out_of_a_block_as_they_are_by_themselves():
    """Tokens, vectors, pictures of one size, and targets by token; the last call has fewer batches than the others."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 20)
    tokens = Ragged.from_rows([rng.integers(1, 9, length) for length in lengths])
    pictures = DenseColumn(rng.normal(size=(20, 5, 2)))
    source = Source({"tokens": tokens, "vector": DenseColumn(np.arange(20.0)), "picture": pictures}, lengths)
    weights = rng.uniform(1, 2, 20).astype(np.float32)
    plan = np.pad(rng.permutation(20), (0, 1), constant_values=-1).reshape(7, 3)
    feed = Feed(source, tokens, weights, batch_size=3, parts=1, updates=3)
    calls = list(feed.calls(plan, 1, Pause(4, 9)))
    assert [call.updates for call in calls] == [3, 3]
    assert sum(call.rows for call in calls) == 17
    calls.extend(feed.calls(plan, 0, Pause(1, 9)))
    assert [call.updates for call in calls] == [3, 3, 1, 3, 3]
    step = 0
    for call in calls[2:]:
        block = call.block
        for update in range(call.updates):
            rows = plan[step]
            wanted = (*source.batch(rows), tokens.take(rows, source.edge(rows)))
            for place, (one, joined) in enumerate(zip(wanted, (*block.tensors, block.targets), strict=True)):
                own = joined[update] if one.ndim == 1 else joined[update][:, : block.lengths[update, place]]
                np.testing.assert_array_equal(own, one)
            np.testing.assert_array_equal(block.mask[update], rows >= 0)
            np.testing.assert_array_equal(block.weights[update], np.where(rows >= 0, weights[rows], 0))
            step += 1
        assert not block.mask[call.updates :].any() and not block.weights[call.updates :].any()
    assert step == len(plan)

"""Batches of inference: as many rows as there are, as long as the longest of them, under one trace."""

from dataclasses import replace

import numpy as np
import tensorflow as tf

from kft.features.inference import make_inference, run_in_batches
from tests.features.stored import front_of, texts


def test_a_pass_in_batches_is_each_row_by_itself_and_one_trace_serves_all():
    source, inference = texts(rows=70), front_of().inference
    tokens, pooled = run_in_batches(inference, source)
    for row in (0, 33, 69):
        alone = run_in_batches(inference, source, rows=np.array([row]))
        np.testing.assert_allclose(alone[0].row(0), tokens.row(row), atol=1e-6)
        np.testing.assert_allclose(alone[1][0], pooled[row], atol=1e-6)
    assert inference.function.experimental_get_tracing_count() == 1


def shapes_of(source, rows, **changed):
    """Runs rows through an inference that notes the shape of each batch."""
    seen = []

    def function(tensors):
        seen.append(tensors[0].shape)
        return [tf.constant(tensors[0][:, :1])]

    inference = make_inference(one_vector(), 8)
    (found,) = run_in_batches(replace(inference, function=function, **changed), source, rows=rows)
    np.testing.assert_array_equal(found, [source.columns["token_ids"].row(row)[:1] for row in rows])
    return seen


def one_vector():
    from kft.features.boundary import split_at_boundary
    from tests.features.stored import token_model

    return split_at_boundary(token_model()).back


def test_a_batch_has_its_own_rows_and_a_length_that_hangs_on_its_examples_alone():
    source = texts(rows=21)
    rows = np.random.default_rng(1).permutation(21)
    seen = shapes_of(source, rows, per_token=(False,), positions=512)
    lengths = -(-source.lengths // 8) * 8
    expected = [(int((lengths == edge).sum()), edge) for edge in (24, 16, 8)]
    assert [(min(8, left), edge) for rows, edge in expected for left in range(rows, 0, -8)] == seen


def test_a_batch_is_not_longer_than_the_model_has_positions_for():
    source = texts(rows=21)
    longest = int(source.lengths.max())
    for positions in (longest, None):  # nor longer than the longest text, where that is not known
        seen = shapes_of(source, np.arange(21), per_token=(False,), positions=positions)
        assert seen[0][1] == longest


def test_a_compiler_of_static_shapes_gets_full_batches_of_few_lengths():
    source = texts(rows=21)
    seen = shapes_of(source, np.arange(21), per_token=(False,), static=True)
    assert [rows for rows, _ in seen] == [8, 8, 8]
    assert {length for _, length in seen} <= set(source.with_edges().edges)

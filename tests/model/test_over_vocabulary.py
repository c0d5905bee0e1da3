"""The loss of a large vocabulary in parts: that of all logits at once, and so are its gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kft.errors import ModelError
from kft.model import over_vocabulary
from kft.model.language import NextToken, next_token_logits

PLACES = np.array([[0, 3, 0, 7], [30, 1, 0, 0]], np.int32)
"""Target ids: the right token and one; 0 where nothing is asked."""


def embedding(*, tie=True, cap=None, rounded=False):
    layer = keras.layers.ReversibleEmbedding(30, 6, tie_weights=tie, logit_soft_cap=cap)
    layer.build()
    for place, variable in enumerate(layer.weights):
        variable.assign(np.random.default_rng(place).normal(size=variable.shape))
    if rounded:
        layer.quantize("int8", config=keras.quantizers.Int8QuantizationConfig(activation_quantizer=None))
    return layer


def slopes(layer, hidden, training):
    weights = tf.constant([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])  # of each position, as the objective has them
    with tf.GradientTape() as tape:
        tape.watch(hidden)
        found = layer(hidden, PLACES, training=training)
        total = tf.reduce_sum(found[..., 0] * weights)
    return np.asarray(found), np.asarray(tape.gradient(total, hidden))


@pytest.mark.parametrize(
    "given", [{}, {"tie": False}, {"cap": 2.0}, {"rounded": True}, {"rounded": True, "tie": False}]
)
def test_losses_hits_and_gradients_are_those_of_all_logits(given, monkeypatch):
    monkeypatch.setattr(over_vocabulary, "PART", 7)  # five parts, the last one shorter
    matrix, hidden = embedding(**given), tf.constant(np.random.default_rng(9).normal(size=(2, 4, 6)), tf.float32)
    weights = tf.constant([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    with tf.GradientTape() as tape:
        tape.watch(hidden)
        logits = matrix(hidden, reverse=True)  # at every position
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(np.maximum(PLACES - 1, 0), logits) * (PLACES > 0)
        total = tf.reduce_sum(loss * weights)
    expected, hits = np.asarray(tape.gradient(total, hidden)), np.argmax(logits, -1) == PLACES - 1
    for variable in matrix.weights:
        variable.trainable = False
    for training in (True, False):  # by the way, and by a pass of its own
        found, slope = slopes(NextToken(matrix), hidden, training)
        np.testing.assert_allclose(found[..., 0], loss, atol=1e-5)
        np.testing.assert_array_equal(found[..., 1], hits)
        np.testing.assert_allclose(slope, expected, atol=1e-5)
        assert not slope[PLACES == 0].any() and np.abs(slope[PLACES > 0]).max() > 0.1
    model = keras.Model(inputs := keras.Input((4,), dtype="int32"), matrix(inputs))
    np.testing.assert_allclose(np.asarray(next_token_logits(model, hidden)), logits, atol=1e-5)


def test_a_matrix_that_trains_gets_its_gradient():
    matrix = embedding()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(NextToken(matrix)(tf.ones((2, 4, 6)), PLACES, training=True)[..., 0])
    (slope,) = tape.gradient(total, [v.value for v in matrix.trainable_variables])
    assert np.abs(np.asarray(slope)).max() > 0.1
    hidden = tf.ones((2, 4, 6))
    with tf.GradientTape() as tape:  # in parts, which would leave the matrix out
        tape.watch(hidden)
        total = tf.reduce_sum(NextToken(matrix)(hidden, PLACES, training=False)[..., 0])
    with pytest.raises(ModelError, match="gives the output matrix no gradient") as caught:
        tape.gradient(total, [hidden, *(v.value for v in matrix.trainable_variables)])
    assert caught.value.next_step == "call the model with training=True"


def test_of_tokens_that_tie_in_few_bits_the_first_is_what_would_be_written(monkeypatch):
    monkeypatch.setattr(over_vocabulary, "PART", 2)
    rows = tf.constant([[1.0], [1.25], [3.0], [3.001], [2.0]])  # 3.001 is 3 in bfloat16
    matrix = over_vocabulary.OutputMatrix(
        lambda start, stop: tf.cast(rows[start:stop], "bfloat16"), 5, None, "bfloat16", True
    )
    _, hits = over_vocabulary.weigh(matrix, tf.ones([3, 1]), tf.constant([2, 3, 4]), slopes=False)
    assert np.asarray(hits).tolist() == [1.0, 0.0, 0.0]

"""The logits of a decoder: those of its own output matrix, where they were asked for, with and without a cache."""

import keras
import numpy as np
import pytest

from kft.errors import ModelError
from kft.model.language import causal_lm, next_token_logits
from tests.model.families import REFERENCES, load, write_folder

NAMES = ("gpt2", "llama", "gemma 2", "gemma 3", "qwen 2")


@pytest.fixture(scope="module")
def decoders(tmp_path_factory):
    return {name: load(write_folder(tmp_path_factory.mktemp("decoder"), name)) for name in NAMES}


def hidden_of(name, model):
    ids = np.array(REFERENCES[name]["inputs"]["token_ids"], np.int32)
    return ids, model({"token_ids": ids, "padding_mask": np.ones_like(ids)}, training=False)


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_the_products_with_the_output_matrix_where_they_are_asked_for(decoders, name):
    model = decoders[name]
    _, hidden = hidden_of(name, model)
    layer = model.get_layer("token_embedding")
    matrix = layer.embeddings.numpy().T if layer.tie_weights else layer.reverse_embeddings.numpy()
    assert layer.tie_weights == (name != "llama")  # its folder has an lm_head of its own
    expected = np.asarray(hidden) @ matrix
    if name == "gemma 2":
        expected = 30 * np.tanh(expected / 30)
    np.testing.assert_allclose(np.asarray(next_token_logits(model, hidden)), expected, atol=1e-5)
    places = np.array([[3, 0], [1, 1]])
    found = np.asarray(next_token_logits(model, hidden, places))
    np.testing.assert_allclose(found, np.take_along_axis(expected, places[..., None], axis=1), atol=1e-5)


@pytest.mark.parametrize("name", ("gpt2", "gemma 3"))
def test_the_pass_with_a_cache_gives_the_same_logits(decoders, name):
    ids, hidden = hidden_of(name, decoders[name])
    lm = causal_lm(decoders[name])
    whole = np.asarray(next_token_logits(decoders[name], hidden))
    padded = np.pad(ids[:, :-1], ((0, 0), (0, 1)))
    seed = (padded,) if name == "gpt2" else (padded, None, None, np.ones_like(padded), None)
    _, cache = lm._build_cache(*seed)
    last, _, _ = lm.call_with_cache(ids[:, -1:], cache, ids.shape[1] - 1)
    np.testing.assert_allclose(np.asarray(last)[:, 0], whole[:, -1], atol=1e-4)


def test_a_model_that_predicts_no_next_token_is_refused():
    inputs = keras.Input((4,), dtype="int32")
    plain = keras.Model(inputs, keras.layers.Embedding(5, 3)(inputs))
    with pytest.raises(ModelError, match="no matrix that makes logits"):
        next_token_logits(plain, np.zeros((1, 4, 3), np.float32))
    with pytest.raises(ModelError, match="no language model for this backbone"):
        causal_lm(plain)

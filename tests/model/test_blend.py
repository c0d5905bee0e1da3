"""The layers of a blend compute what the views do in NumPy, to rounding."""

import keras
import numpy as np
import pytest

from kft.errors import ModelError
from kft.features.views.blend import Blend
from kft.features.views.view import ViewInput
from kft.feed.batches import Ragged
from kft.model.blend import blend_weights, with_blend
from kft.model.blocks import find_blocks
from kft.model.heads import POOL, with_vectors
from tests.features.views.lessons import CLASSES, WIDTH, lesson, tagged_words


def model_of_vectors() -> keras.Model:
    """Stands below the views: vectors come in as they are."""
    vectors = keras.Input((WIDTH,), name="vectors")
    tokens = keras.Input((None,), dtype="int32", name="token_ids")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    block = keras.layers.Activation("linear", name="block_00_out")(vectors)
    pooled = keras.layers.Activation("linear", name=POOL)(block)
    logits = keras.layers.Dense(CLASSES, name="head_logits")(pooled)
    return keras.Model([vectors, tokens, mask], logits)


def padded(seen: ViewInput, edge: int) -> list[np.ndarray]:
    assert seen.tokens is not None
    ids, mask = seen.tokens.pad(np.arange(len(seen)), edge)
    return [seen.vectors, ids, mask.astype(np.int32)]


@pytest.mark.parametrize("solver", ["softmax", "sigmoid", "squared"])
def test_the_graph_answers_as_the_views_do(solver):
    from kft.features.views.blend import families

    given = lesson(solver=solver)
    views = tuple(
        family.fit(given, family.out_of_fold(given, np.arange(len(given)) % 5)[0])
        for family in families(given).values()
    )
    blend = Blend(views, np.linspace(0.4, 1.1, len(views)))
    graph = with_blend(model_of_vectors(), blend_weights(blend.arrays), solver)
    new = lesson(5, solver=solver).seen
    rows = [np.array([7, 7, 7, 11, 7, 11]), np.array([999_999]), *[new.tokens.row(at) for at in range(2, len(new))]]
    new = ViewInput(new.vectors, Ragged.from_rows([row.astype(np.int32) for row in rows]))
    expected = blend.outputs(new)
    for edge in (8, 16):
        found = graph(padded(new, edge), training=False).numpy()
        # Log-odds of a share near 0 stretch the last bit a thousandfold.
        assert np.abs(found - expected).max() < (1e-3 if solver == "sigmoid" else 2e-5)


def test_large_token_ids_hash_alike_in_both():
    from kft.features.views import tokens

    rng = np.random.default_rng(0)
    texts = [rng.integers(200_000, 262_144, 6).astype(np.int32) for _ in range(40)]
    given = lesson(rows=40)
    given = type(given)(ViewInput(given.seen.vectors, Ragged.from_rows(texts)), given.targets, given.goal)
    view = tokens.fit(given, tokens.STRENGTH)
    blend = Blend((view,), np.ones(1))
    graph = with_blend(model_of_vectors(), blend_weights(blend.arrays), "softmax")
    assert np.abs(graph(padded(given.seen, 6), training=False).numpy() - blend.outputs(given.seen)).max() < 2e-5


def test_a_blend_is_part_of_the_head_and_gives_its_vectors():
    given = lesson()
    from kft.features.views import linear

    blend = Blend((linear.fit(given, 1.0),), np.ones(1))
    graph = with_blend(model_of_vectors(), blend_weights(blend.arrays), "softmax")
    assert find_blocks(graph)[-1].name == "head"
    assert {"head_blend_linear"} <= {layer.name for layer in find_blocks(graph)[-1].layers}
    outputs, vectors = with_vectors(graph)(padded(given.seen, 8), training=False)
    assert outputs.shape == (len(given), CLASSES)
    assert np.array_equal(vectors.numpy(), given.seen.vectors)


def test_a_view_of_a_later_version_is_refused_by_name():
    with pytest.raises(ModelError, match="views that this version does not know") as caught:
        with_blend(model_of_vectors(), {"head_blend_horoscope/share": np.array(1.0)}, "softmax")
    assert caught.value.received == "horoscope"


def test_words_are_answered_in_the_graph_as_in_numpy_at_each_padded_length():
    from kft.features.views import words
    from kft.features.views.head import HeadView

    given, rng = tagged_words(), np.random.default_rng(0)
    kernel, bias = rng.normal(size=(3, 2)).astype(np.float32), np.array([0.3, -0.2], np.float32)
    blend = Blend((HeadView(kernel, bias, given.goal), words.fit(given, words.STRENGTH)), np.array([0.4, 0.9]))
    features = keras.Input((None, 3), name="vectors")
    dropped = keras.layers.Dropout(0.1, name="head_dropout")(features)
    model = keras.Model(features, keras.layers.Dense(2, name="head_logits")(dropped))
    graph = with_blend(model, blend_weights(blend.arrays), "softmax")
    assert [tensor.name for tensor in graph.inputs] == ["vectors", "word_features"]
    new = tagged_words(seed=1)
    assert new.seen.shapes is not None
    vectors = rng.normal(size=(40, 6, 3)).astype(np.float32)
    expected = blend.outputs(type(new.seen)(vectors.reshape(-1, 3), None, new.seen.shapes)).reshape(40, 6, 2)
    places = new.seen.shapes.places.reshape(40, 6, -1)
    for edge in (6, 9):
        more = [(0, 0), (0, edge - 6), (0, 0)]
        found = graph([np.pad(vectors, more), np.pad(places, more)], training=False).numpy()
        np.testing.assert_allclose(found[:, :6], expected, atol=2e-5)


def test_the_bucket_of_a_pair_is_that_of_the_view():
    from kft.model.blend import BUCKETS, FACTOR, _pair_buckets

    ids = np.random.default_rng(0).integers(0, 2**18 + 64, (8, 500)).astype(np.int32)
    wanted = (ids[:, :-1].astype(np.int64) * FACTOR + ids[:, 1:]) % BUCKETS
    assert np.array_equal(np.asarray(_pair_buckets(ids)), wanted)

"""Texts in windows: as the cut answer where they are short, as windows run one by one where they are long."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kft
from kft.errors import ModelError
from kft.features.inference import make_inference, run_in_batches
from kft.features.store import compute_features, make_front, store_features, store_folder
from kft.features.views import tokens
from kft.features.views.view import Goal, Lesson, ViewInput
from kft.model.blend import DocumentTokens
from kft.model.encode import make_reader
from kft.model.window_layers import IntoWindows, OutOfWindows, WindowVectors
from kft.recipe.schema import ModelSpec
from kft.tasks.registry import TASKS
from kft.tasks.windows import MOST_TOKENS
from tests import tiny
from tests.model.families import write_folder
from tests.model.words import write_tokenizer

TASK = TASKS.get("text-classification")
SHORT = ModelSpec(max_tokens=16)
WIDE = {"overlap": 3, "most": 9}
LONG = {pooling: ModelSpec(max_tokens=16, long_text="windows", windows={**WIDE, "pooling": pooling}) for pooling in
        ("mean", "max", "attention")}  # fmt: skip


@pytest.fixture(scope="module")
def backbone(tiny_folder):
    return kft.load_backbone(str(tiny_folder))


@pytest.fixture(scope="module")
def texts():
    """Short ones, and documents of up to nine windows and beyond."""
    short, _ = tiny.texts_and_labels(24)
    return [*short[:4], *(" ".join(short[start : start + start]) for start in (2, 3, 5, 8, 11))]


def outputs(model, source):
    """Returns what the model answers, batch by batch."""
    inference = make_inference(keras.Model(model.inputs, model.outputs), 8)
    return np.asarray(run_in_batches(inference, source.select(tuple(tensor.name for tensor in model.inputs)))[0])


def model_of(backbone, spec):
    keras.utils.set_random_seed(1)
    return kft.build_model(backbone, classes=3, spec=spec)


@pytest.mark.parametrize("pooling", LONG)
def test_a_short_text_has_the_answer_it_has_when_long_ones_are_cut(backbone, texts, pooling):
    # A text as long as a window exactly is one window, whatever the pooling.
    read = make_reader(TASK, backbone, LONG[pooling]).read(texts)
    once = [place for place, length in enumerate(read.source.lengths) if length == 16]
    cut = make_reader(TASK, backbone, SHORT).read(texts)
    assert len(once) == 4 and cut.cut == 5
    expected = outputs(model_of(backbone, SHORT), cut.source)
    found = outputs(model_of(backbone, LONG[pooling]), read.source)
    np.testing.assert_allclose(found[once], expected[once], atol=1e-6)
    assert np.abs(found - expected)[4:].max() > 1e-3, "long ones have another"


@pytest.mark.parametrize(
    ("pooling", "of_all"),
    [pytest.param("mean", np.mean, marks=pytest.mark.slow), ("max", np.max), ("attention", np.mean)],
)
def test_windows_together_are_what_they_are_one_by_one(backbone, texts, pooling, of_all):
    require_alike_one_by_one(backbone, texts, pooling, of_all)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pooling"), [("deberta-v3", "mean"), ("gemma 3", "last")])
def test_other_families_read_windows_too(name, pooling, tmp_path):
    """Of several documents in a batch the shorter ones have windows of padding alone: nothing comes of them."""
    write_tokenizer(write_folder(tmp_path, name))
    backbone = kft.load_backbone(str(tmp_path))
    assert backbone.pooling == pooling
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{number}" for number in rng.integers(1, 40, words)) for words in (3, 16, 40, 99)]
    require_alike_one_by_one(backbone, texts, "mean", np.mean, atol=1e-4)  # of values up to 5, seven blocks deep
    model, source = model_of(backbone, LONG["mean"]), make_reader(TASK, backbone, LONG["mean"]).read(texts).source
    kft.freeze(model, "top-1")
    split = kft.split_at_boundary(model)
    padded = dict(zip(source.columns, source.batch(np.arange(len(source))), strict=True))
    whole = model({tensor.name: padded[tensor.name] for tensor in model.inputs}, training=False).numpy()
    stored = compute_features(make_front(split), source)
    assert not [name for name in stored.columns if "rel" in name], "a table that is the same for all is kept for none"
    found = np.asarray(run_in_batches(make_inference(split.back, 8), stored)[0])
    np.testing.assert_allclose(found, whole, atol=1e-4)
    with tf.GradientTape() as tape:
        passed = split.front([padded[tensor.name] for tensor in split.front.inputs], training=False)
        loss = tf.reduce_sum(split.back(passed, training=True) ** 2)
    slopes = tape.gradient(loss, [each.value for each in model.trainable_variables])
    assert all(np.isfinite(tf.convert_to_tensor(each).numpy()).all() for each in slopes)


def require_alike_one_by_one(backbone, texts, pooling, of_all, atol=1e-5):
    read = make_reader(TASK, backbone, LONG[pooling]).read(texts)
    model = model_of(backbone, LONG[pooling])
    vectors = make_inference(keras.Model(model.inputs, model.get_layer("head_pool").output), 8)
    names = tuple(tensor.name for tensor in model.inputs)
    found = np.asarray(run_in_batches(vectors, read.source.select(names))[0])
    alone = model_of(backbone, SHORT)
    # Traced once for all lengths: operation by operation it takes as long again.
    pooled = make_inference(keras.Model(alone.inputs, alone.get_layer("head_pool").output), 1)
    for place in range(len(texts)):
        ids, real = (read.source.columns[name].row(place).reshape(-1, 16) for name in ("token_ids", "padding_mask"))
        given = {"token_ids": ids, "padding_mask": real, "segment_ids": np.zeros_like(ids)}
        each = [
            pooled(tuple(given[t.name][row : row + 1, : real[row].sum()] for t in alone.inputs))[0][0]
            for row in range(len(ids))
        ]
        np.testing.assert_allclose(found[place], of_all(np.array(each), axis=0), atol=atol)


@pytest.mark.parametrize("rule", ["none", "top-1", "all"])
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_front_then_back_is_the_model_and_windows_of_padding_change_nothing(backbone, texts, pooling, rule):
    source = make_reader(TASK, backbone, LONG[pooling]).read(texts).source
    model = model_of(backbone, LONG[pooling])
    kft.freeze(model, rule)
    split = kft.split_at_boundary(model)
    rows = np.arange(len(source))
    padded = dict(zip(source.columns, source.batch(rows), strict=True))  # to the longest: windows of padding alone
    whole = model({tensor.name: padded[tensor.name] for tensor in model.inputs}, training=False).numpy()
    passed = split.front([padded[tensor.name] for tensor in split.front.inputs], training=False)
    np.testing.assert_array_equal(split.back(passed, training=False).numpy(), whole)
    np.testing.assert_allclose(outputs(model, source), whole, atol=2e-6)
    if rule == "none":
        stored = compute_features(make_front(split), source)
        np.testing.assert_allclose(
            np.asarray(run_in_batches(make_inference(split.back, 8), stored)[0]), whole, atol=2e-6
        )


def test_a_tensor_of_windows_is_stored_by_example(backbone, texts):
    source = make_reader(TASK, backbone, LONG["mean"]).read(texts).source
    model = model_of(backbone, LONG["mean"])
    kft.freeze(model, "top-1")
    split = kft.split_at_boundary(model)
    assert split.names == ("transformer_layer_1", "padding_mask")
    column = compute_features(make_front(split), source).columns["transformer_layer_1"]
    assert [len(column.row(place)) for place in range(len(texts))] == source.lengths.tolist()


@pytest.mark.slow
def test_no_store_is_shared_by_two_ways_to_read(backbone, texts, tmp_path):
    # Overlap and number of windows decide what an example is; the size of a window what is computed of it.
    folders = {}
    for name, spec in {
        "cut": SHORT,
        "head-and-tail": ModelSpec(max_tokens=16, long_text="head-and-tail"),
        "windows": LONG["mean"],
        "other overlap": ModelSpec(max_tokens=16, long_text="windows", windows={"overlap": 5, "most": 9}),
        "other size": ModelSpec(max_tokens=24, long_text="windows", windows=WIDE),
        "max": LONG["max"],
    }.items():
        source = make_reader(TASK, backbone, spec).read(texts).source
        model = model_of(backbone, spec)
        kft.freeze(model, "none")
        front = make_front(kft.split_at_boundary(model))
        expected = np.asarray(compute_features(front, source).columns["head_pool"].values)
        for _ in range(2):  # filled, then read, whatever the others have left there
            stored = store_features(front, source, tmp_path)
            found = np.stack([stored.columns["head_pool"].row(place) for place in range(len(texts))])
            np.testing.assert_array_equal(found, expected, err_msg=name)
        folders[name] = store_folder(front, tmp_path)
    assert folders["cut"] == folders["head-and-tail"], "told apart by the tokens of each example"
    assert len({folders[name] for name in ("cut", "windows", "other size", "max")}) == 4


def test_a_batch_of_documents_ends_with_its_tokens(backbone):
    spec = ModelSpec(max_tokens=64, long_text="windows", windows={"most": 1024})
    model = model_of(backbone, spec)
    plan = make_inference(keras.Model(model.inputs, model.outputs), 32)
    lengths = np.array([64] * 40 + [64 * 100] * 5 + [64 * 1024])
    edges, batches = plan.plan(lengths, (), 64)
    real = [batch[batch >= 0] for batch in batches]
    assert sorted(np.concatenate(real).tolist()) == list(range(46)) and not any(edge % 64 for edge in edges)
    sizes = [(len(batch), int(lengths[batch].max())) for batch in real]
    assert sizes == [(1, 65536), (2, 6400), (2, 6400), (1, 6400), (32, 64), (8, 64)]
    assert all(rows * edge <= MOST_TOKENS for rows, edge in sizes if rows > 1)


def test_what_cannot_be_told_apart_by_example_is_refused():
    given = keras.Input((None,), dtype="int32", name="token_ids")
    window = IntoWindows(8, dtype="int32")(given)
    embedded = keras.layers.Embedding(10, 4, name="stem_tokens")(window)
    grid = keras.layers.Permute((2, 1), name="block_00_grid")(embedded)
    sums = keras.layers.Dense(4, name="block_01_sums")(grid)
    found = keras.layers.Flatten(name="block_01_flat")(sums)
    back = OutOfWindows(name="block_01_back", dtype="float32")(
        keras.layers.Reshape((8, 2), name="block_01_r")(found), given
    )
    model = keras.Model(given, keras.layers.Dense(2, name="head_logits")(back))
    for layer in model.layers:
        layer.trainable = layer.name in ("block_01_sums", "head_logits")
    with pytest.raises(ModelError, match="cannot be told apart by example") as caught:
        kft.split_at_boundary(model)
    assert "model.long_text=cut" in str(caught.value.next_step)


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_a_blend_reads_the_words_of_the_whole_document_once(backbone, texts, pooling):
    read = make_reader(TASK, backbone, LONG[pooling]).read(texts)
    whole, _ = backbone.tokenizer.encode(texts, 99)
    for place, ids in enumerate(whole):  # as far as windows reach: 9 windows of 16
        assert read.source.texts.row(place)[:90].tolist() == ids[:90].tolist()
    rng = np.random.default_rng(0)
    seen = ViewInput(np.zeros((len(texts), 1), np.float32), read.source.texts)
    view = tokens.fit(Lesson(seen, rng.integers(0, 3, len(texts)), Goal("softmax", 3)), 30.0)
    model = model_of(backbone, LONG[pooling])
    shape = {"size": 16, "most": 9, "sides": (1, 1), "overlap": 3}
    layer = DocumentTokens({**view.arrays, "share": np.float32(1)}, "softmax", WindowVectors(**shape))
    assert model.get_layer("head_windows").get_config() | shape == model.get_layer("head_windows").get_config()
    given = dict(zip(read.source.columns, read.source.batch(np.arange(len(texts))), strict=True))
    found = layer(given["token_ids"], given["padding_mask"]).numpy()
    np.testing.assert_allclose(found, view.outputs(seen), atol=2e-5)


def test_head_and_tail_keeps_half_of_each(backbone, texts):
    long = max(texts, key=len)
    (whole,), (length,) = backbone.tokenizer.encode([long], 10_000)
    (kept,), _ = backbone.tokenizer.encode([long], 11, tail=True)
    assert length == len(whole) > 11
    assert kept.tolist() == [*whole[:6].tolist(), *whole[-5:].tolist()], "[CLS] and 5 tokens; 4 tokens and [SEP]"
    (short,), _ = backbone.tokenizer.encode(texts[:1], 99, tail=True)
    assert short.tolist() == backbone.tokenizer.encode(texts[:1], 99)[0][0].tolist()

"""Hidden tokens: how many, what becomes of them, what is never touched, and what a draw depends on."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from kft.errors import DataError, ModelError
from kft.feed.batches import Ragged
from kft.model.backbones import load_backbone
from kft.model.build import build_model
from kft.model.families import exact_gelu
from kft.model.masked import MaskedToken, describe_head
from kft.model.masking import TOKENS, Masker, find_masker, redrawn
from kft.tasks.responses import TARGETS
from tests import decoder, tiny

MASK, FIRST, VOCABULARY = 4, 5, 1000
MASKER = Masker(MASK, np.arange(VOCABULARY) >= FIRST)


def texts(rows, tokens=41):
    rng = np.random.default_rng(0)
    return [np.array([2, *rng.integers(FIRST, VOCABULARY, tokens - 2), 3], np.int32) for _ in range(rows)]


def test_fifteen_in_a_hundred_are_asked_and_eight_one_one_of_ten_become_mask_another_and_themselves():
    rows = texts(400)
    source = MASKER.source(rows, [""] * len(rows))
    given, targets = (source.columns[name].values for name in (TOKENS, TARGETS))
    whole, asked = np.concatenate(rows), targets > 0
    np.testing.assert_array_equal(targets[asked], whole[asked] + 1)
    assert {int((source.columns[TARGETS].row(row) > 0).sum()) for row in range(400)} == {round(0.15 * 39)}
    masked, same = given[asked] == MASK, given[asked] == whole[asked]
    assert masked.mean() == pytest.approx(0.8, abs=0.03) and same.mean() == pytest.approx(0.1, abs=0.02)
    others = given[asked][~masked & ~same]
    assert len(np.unique(others)) > 100 and others.min() >= FIRST
    np.testing.assert_array_equal(given[~asked], whole[~asked])
    assert not asked[whole < FIRST].any()


def test_a_short_text_is_asked_for_one_token_and_padding_for_none():
    source = MASKER.source([np.array([2, 9, 3], np.int32), *texts(1)], ["a", "b"])
    batch = dict(zip(source.columns, source.batch(np.array([0, 1, -1])), strict=True))
    assert (batch[TARGETS] > 0).sum(axis=1).tolist() == [1, 6, 0]
    assert not batch[TARGETS][0, 3:].any() and not batch[TOKENS][0, 3:].any() and batch["padding_mask"][0].sum() == 3


def test_a_draw_hangs_on_seed_epoch_and_row_and_what_is_judged_on_the_text_alone():
    rows = texts(6)
    source = MASKER.source([*rows, rows[0]], [""] * 7)
    fixed = source.columns[TOKENS]
    np.testing.assert_array_equal(fixed.row(0), fixed.row(6))
    again = MASKER.source(rows[::-1], [""] * 6).columns[TOKENS]
    np.testing.assert_array_equal(again.row(5), fixed.row(0))

    def drawn(seed, epoch):
        return redrawn(redrawn(source, 5, 5), seed, epoch)  # as if another epoch had come before

    first = drawn(0, 0)
    assert first.keys.tobytes() == redrawn(source, 0, 0).keys.tobytes()
    assert tuple(first.columns) == tuple(source.columns)
    assert (first.keys[0] != first.keys[6]).any()
    for other in (drawn(1, 0), drawn(0, 1)):
        assert (other.keys != first.keys).any(axis=1).all()


def test_a_text_without_a_token_is_refused():
    with pytest.raises(DataError, match="nothing in them to hide") as caught:
        MASKER.source([*texts(1), np.array([2, 1, 3], np.int32)], ["a", "\u4e00"])
    assert caught.value.received == "1 of 2 texts, such as '\u4e00'"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The tiny backbone with the head that it was pretrained with."""
    path = tiny.write_backbone(tmp_path_factory.mktemp("masked"))
    arrays, rng = load_file(path / "model.safetensors"), np.random.default_rng(3)
    words = len(arrays["embeddings.word_embeddings.weight"])
    for name, shape in (
        ("transform.dense.weight", (tiny.WIDTH, tiny.WIDTH)),
        ("transform.dense.bias", (tiny.WIDTH,)),
        ("transform.LayerNorm.weight", (tiny.WIDTH,)),
        ("transform.LayerNorm.bias", (tiny.WIDTH,)),
        ("bias", (words,)),
    ):
        arrays[f"cls.predictions.{name}"] = rng.normal(size=shape).astype(np.float32)
    save_file(arrays, path / "model.safetensors", {"format": "pt"})
    return path


def test_the_head_of_pretraining_is_taken_and_gives_its_own_losses(folder):
    backbone = load_backbone(str(folder))
    model = build_model(backbone, head="masked", classes=0)
    assert describe_head(model).startswith("that of the backbone's own pretraining")
    masker = find_masker(backbone.tokenizer)
    rows, _ = backbone.tokenizer.encode(["the battery was great, and my phone is lovely", "a poor screen"], 64)
    source = masker.source(rows, ["", ""])
    batch = dict(zip(source.columns, source.batch(np.array([0, 1])), strict=True))
    found = np.asarray(model(batch, training=False))
    hidden = np.asarray(
        keras.Model(backbone.model.input, backbone.features)(
            {name: batch[name] for name in backbone.model.input}, training=False
        )
    )
    arrays = load_file(folder / "model.safetensors")
    kernel, bias, scale, offset, of_tokens = (
        arrays[f"cls.predictions.{name}"]
        for name in ("transform.dense.weight", "transform.dense.bias", "transform.LayerNorm.weight",
                     "transform.LayerNorm.bias", "bias")
    )  # fmt: skip
    made = np.asarray(exact_gelu(tf.constant(hidden @ kernel.T + bias)))
    made = (made - made.mean(-1, keepdims=True)) / np.sqrt(made.var(-1, keepdims=True) + 1e-12) * scale + offset
    logits = made @ arrays["embeddings.word_embeddings.weight"].T + of_tokens
    targets = batch[TARGETS]
    right = np.take_along_axis(logits, np.maximum(targets - 1, 0)[..., None], -1)[..., 0]
    losses = np.log(np.exp(logits).sum(-1)) - right
    np.testing.assert_allclose(found[..., 0], np.where(targets > 0, losses, 0), atol=1e-4)
    np.testing.assert_array_equal(found[..., 2], targets > 0)


def test_a_new_head_is_the_same_each_time_and_is_said(folder, tiny_folder):
    models = [build_model(load_backbone(str(tiny_folder)), head="masked", classes=0) for _ in range(2)]
    assert all(describe_head(model).startswith("new, tied to the token embedding") for model in models)
    one, other = ([np.asarray(v) for v in model.get_layer("head_masked_token").weights] for model in models)
    assert len(one) == 5
    paths = [variable.path for variable in models[0].get_layer("head_masked_token").weights]
    assert all(path.startswith("head") for path in paths)  # by this, model.start_from leaves it behind
    for mine, its in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_gradients_come_from_hidden_positions_alone():
    matrix = keras.layers.ReversibleEmbedding(30, 6)
    matrix.build()
    layer = MaskedToken(matrix, 6, exact_gelu, 1e-12, None)
    targets = np.array([[0, 3, 0, 7], [30, 0, 0, 0]], np.int32)
    hidden = tf.constant(np.random.default_rng(0).normal(size=(2, 4, 6)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(hidden)
        total = tf.reduce_sum(layer(hidden, targets, training=True)[..., 0])
    slope = np.asarray(tape.gradient(total, hidden))
    assert not slope[targets == 0].any() and (np.abs(slope).max(axis=-1) > 0)[targets > 0].all()


def test_a_decoder_and_a_vocabulary_without_a_mask_are_refused(tmp_path):
    with pytest.raises(ModelError, match="finds no hidden tokens") as caught:
        build_model(load_backbone(str(decoder.write_backbone(tmp_path))), head="masked", classes=0)
    assert "task: causal-lm" in caught.value.next_step
    from tokenizers import Tokenizer, models

    plain = SimpleNamespace(tokenizer=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(ModelError, match="nothing in this vocabulary hides a token"):
        find_masker(plain)


def test_special_tokens_are_found_though_no_setting_names_them(folder):
    tokenizer = load_backbone(str(folder)).tokenizer
    masker = find_masker(tokenizer)
    assert masker.mask == 4 and np.flatnonzero(~masker.ordinary).tolist() == [0, 1, 2, 3, 4]
    whole = Ragged.from_rows(tokenizer.encode(["the [MASK] phone zzz"], 64)[0])
    assert not masker.columns(whole, lambda row, ids: (row,))[TARGETS].row(0)[[0, 2, 4, -1]].any()

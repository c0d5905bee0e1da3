"""Prompts and responses as a language model reads them: what is asked, token by token, and what is cut."""

import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tokenizers import Tokenizer, models, pre_tokenizers

import kft
from kft.api.reading import load
from kft.errors import ModelError
from kft.model.catalog import CATALOG
from kft.model.language import TARGETS, next_token_logits
from kft.model.prompts import PromptReader
from kft.model.tokenizers import load_tokenizer
from kft.model.trained_prompts import known_prompts
from kft.tasks.responses import ASKED, HIT, LOSS
from kft.train.lengths import show_rewritten
from kft.train.progress import Progress
from tests import decoder

PAIRS = [("red old", '{"a": 1}'), ("a much longer prompt", "no"), ("x", "ja")]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return kft.load_backbone(str(decoder.write_backbone(tmp_path_factory.mktemp("decoder"))), dropout=0.0)


@pytest.fixture(scope="module")
def model(backbone):
    return kft.build_model(backbone, head="language", classes=0)


def reader(backbone, prompt=40, response=20, template="<{prompt}>"):
    return PromptReader(backbone.tokenizer, template, prompt, response)


def batch(backbone, model, pairs):
    source = reader(backbone).source(pairs).source
    names = tuple(tensor.name for tensor in model.inputs)
    return dict(zip(names, source.select(names).batch(np.arange(len(pairs))), strict=True))


def test_what_is_asked_is_the_response_and_its_end_and_nothing_else(backbone):
    read = reader(backbone)
    taken = read.source(PAIRS)
    end = backbone.tokenizer.tokenizer.token_to_id(decoder.END)
    for row, (prompt, response) in enumerate(PAIRS):
        ids, asked = (taken.source.columns[name].row(row) for name in ("token_ids", TARGETS))
        assert read.text(ids) == f"<{prompt}>{response}"
        (places,) = np.nonzero(asked)
        assert read.text(asked[places] - 1) == response and asked[-1] == end + 1
        assert places[0] == len(f"<{prompt}>") - 1  # a token a byte: what follows the prompt's last is the first asked
        np.testing.assert_array_equal(asked[places][:-1] - 1, ids[places[0] + 1 :])


def test_a_prompt_alone_asks_nothing_and_is_read_as_before_a_response(backbone):
    taken = reader(backbone).source(["red old", PAIRS[0]])
    alone, whole = (taken.source.columns["token_ids"].row(row) for row in (0, 1))
    assert not taken.source.columns[TARGETS].row(0).any()
    np.testing.assert_array_equal(alone, whole[: len(alone)])


def test_what_has_no_room_is_cut_and_counted(backbone):
    read = reader(backbone, prompt=8, response=5)
    taken = read.source([("a very long prompt", "much too long"), ("short", "fits")])
    assert taken.prompts_cut.tolist() == [12, 0] and taken.responses_cut.tolist() == [9, 0]
    assert taken.lengths.tolist() == [taken.source.lengths[0] + 21, taken.source.lengths[1]]
    ids, asked = (taken.source.columns[name].row(0) for name in ("token_ids", TARGETS))
    assert read.text(ids) == "<a very>much"  # the template is whole, and the last token is only a target
    assert read.text(asked[asked > 0] - 1) == "much "  # without an end, which it does not have
    with pytest.raises(ModelError, match="leaves no room") as caught:
        reader(backbone, prompt=3, template="{prompt} and more").prompts(["x"])
    assert "9 tokens behind {prompt}" in str(caught.value)


def test_the_loss_is_that_of_the_response_alone_to_the_token(backbone, model):
    arrays = batch(backbone, model, PAIRS)
    found = np.asarray(model(arrays, training=False))
    hidden = backbone.model({name: arrays[name] for name in ("token_ids", "padding_mask")}, training=False)
    logits = np.asarray(next_token_logits(backbone.model, hidden), np.float64)
    targets = arrays[TARGETS]
    asked = targets > 0
    np.testing.assert_array_equal(found[..., ASKED], asked)
    chances = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    expected = -np.take_along_axis(chances, np.maximum(targets - 1, 0)[..., None], axis=-1)[..., 0] * asked
    np.testing.assert_allclose(found[..., LOSS], expected, atol=1e-5)
    np.testing.assert_array_equal(found[..., HIT], (logits.argmax(axis=-1) == targets - 1) & asked)


def test_logits_of_targets_alone_give_the_gradient_of_all_logits(backbone, model):
    arrays = batch(backbone, model, PAIRS)
    variables = backbone.model.trainable_variables
    targets = arrays[TARGETS]

    def gradients(loss):
        with tf.GradientTape() as tape:
            total = loss()
        return [tf.convert_to_tensor(each) for each in tape.gradient(total, [v.value for v in variables])]

    def of_all():
        hidden = backbone.model({name: arrays[name] for name in ("token_ids", "padding_mask")}, training=False)
        logits = next_token_logits(backbone.model, hidden)
        right = tf.maximum(tf.convert_to_tensor(targets) - 1, 0)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=right, logits=logits)
        return tf.reduce_sum(losses * tf.cast(targets > 0, tf.float32))

    few = gradients(lambda: tf.reduce_sum(model(arrays, training=True)[..., LOSS]))  # no dropout; as a step calls it
    for one, other, variable in zip(few, gradients(of_all), variables, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4, rtol=1e-4, err_msg=variable.path)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"config_sentence_transformers.json": {"prompts": {"query": "Q: ", "passage": "P: "}}}, ("Q: ", "P: ")),
        ({"config_sentence_transformers.json": {"prompts": {"query": "", "document": ""}}}, ("", "")),
        ({"config.json": {"_name_or_path": "intfloat/e5-small-v2"}}, ("query: ", "passage: ")),
        ({"config.json": {"_name_or_path": "intfloat/e5-mistral-7b-instruct"}}, ("", "")),
        ({"config.json": []}, ("", "")),
        ({}, ("", "")),
    ],
)
def test_a_folder_says_with_what_it_was_trained(tmp_path, files, expected):
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    found = known_prompts(str(tmp_path))
    assert (found.query, found.document) == expected


def test_what_the_catalog_holds_of_the_e5_family_has_its_prompts():
    assert [name for name in CATALOG.names() if known_prompts(name).query] == ["e5-base", "multilingual-e5-small"]


def test_responses_that_the_vocabulary_cannot_write_are_told(backbone, tmp_path, capsys):
    hostile = [" caf\u00e9 e\u0301\r\n", "\u202eabc\u0000", "<|endoftext|>", "a  b\t", "\U0001f44d\u200d", "{}"]
    assert reader(backbone).rewritten(hostile) == []  # byte by byte, all of them
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "red": 1, "house": 2, decoder.END: 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    of_words = PromptReader(load_tokenizer(tmp_path, "gpt2"), "{prompt}", 8, 8)
    assert of_words.rewritten(["red house", "blue house"]) == [("blue house", "[UNK] house")]
    rows = pd.DataFrame({"prompt": [f"p{n}" for n in range(9)], "response": ["red", "red", "blue"] * 3})
    recipe = {"task": "causal-lm", "data": {"train": "rows"}, "model": {"backbone": "minilm-l6"}}
    _, split = load(recipe, (), {"train": rows, "valid": rows.assign(prompt="v"), "test": rows[:3].assign(prompt="t")})
    show_rewritten(of_words, split.without_test(), Progress(quiet=False))
    assert "6 of 18 responses cannot be written to the letter" in capsys.readouterr().err

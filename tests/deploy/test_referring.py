"""What new rows are held against, of every kind of input and answer: models in NumPy, read and named as they ship."""

import io

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from kft.deploy.referring import Referred, refer
from kft.deploy.runner.model import Model
from kft.deploy.runner.reading import TextReader
from kft.deploy.runner.reading_images import make_image_reader
from kft.deploy.runner.reading_words import WordReader
from kft.deploy.watching import watch
from kft.model.token_rows import TextTokenizer
from kft.monitor.reference import load_reference, save_reference
from kft.monitor.wealth import start
from tests import tiny

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", *tiny.PLAIN, *tiny.GOOD, *tiny.BAD]
TEXT_KINDS = {"surprise", "new_tokens", "unknown_tokens", "tokens", "script", "cut", "garbled", "copy"}


def tokenizer():
    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(["[CLS]", "[SEP]", "[UNK]"])
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return TextTokenizer(made, 2)


def by_token(arrays):
    """How good and bad a text is, and a vector of its words."""
    ids = arrays["token_ids"]
    good, bad = (np.isin(ids, [WORDS.index(word) for word in side]).sum(axis=1) for side in (tiny.GOOD, tiny.BAD))
    vectors = np.stack([(ids == place).sum(axis=1) for place in range(5, 13)], axis=1).astype(np.float32)
    return (good - bad).astype(np.float32), vectors


def one_class(arrays, classes=2):
    score, vectors = by_token(arrays)
    logits = np.stack([-score, score, *[np.full_like(score, -3.0)] * (classes - 2)], axis=1)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    sure, label = probabilities.max(axis=1), probabilities.argmax(axis=1)
    said = {"confidence": sure, "label": label, "abstain": sure < 0.7, "foreign": sure < 0}
    return {"logits": logits, "vectors": vectors, "probabilities": probabilities, **said}


def several(arrays):
    probabilities = 1 / (1 + np.exp(-np.stack([by_token(arrays)[0]] * 3, axis=1)))
    return {"vectors": by_token(arrays)[1], "probabilities": probabilities, "confidence": probabilities.prod(axis=1)}


def number(arrays):
    return {"value": by_token(arrays)[0], "vectors": by_token(arrays)[1]}


def spans(arrays):
    label = np.isin(arrays["token_ids"], [WORDS.index(word) for word in tiny.GOOD]).astype(np.int64)
    return {"label": label, "confidence": np.full(label.shape, 0.9, np.float32)}


def of_images(arrays):
    means = arrays["images"].astype(np.float32).mean(axis=(1, 2)) / 255
    probabilities = np.stack([means[:, 0], 1 - means[:, 0]], axis=1)
    said = {"confidence": probabilities.max(axis=1), "label": probabilities.argmax(axis=1)}
    never = np.zeros(len(means), bool)
    return {"vectors": means, "probabilities": probabilities, **said, "abstain": never, "foreign": never}


def model(kind="text", answers="class", engine=one_class, labels=("bad", "good"), **about):
    reading = {"kind": kind, "max_tokens": 12}
    if kind == "image":
        reader, inputs = make_image_reader({"height": 8, "width": 8, "fit": "crop"}), ("images",)
    else:
        reader, inputs = TextReader(tokenizer(), 12, kind == "text-pair", str.lower), ("token_ids",)
        reader = WordReader(reader, features=False) if answers == "spans" else reader
    return Model({"reader": reading, "answers": answers, "labels": labels, "inputs": inputs, **about}, reader, engine)


def kept(tmp_path, made, inputs, *, rows=60, truth=None):
    """Makes the reference of a model, with inputs of test and then of valid; writes it and reads it back."""
    labels = tuple(made.about["labels"])
    reference = refer(watch(made), ("a task", labels), Referred(inputs[:rows], [], truth), inputs[rows:], 0)
    assert save_reference(tmp_path / "r.safetensors", reference) < 2_000_000
    back = load_reference(tmp_path / "r.safetensors")
    assert back.gauges == reference.gauges and back.n_test == len(inputs[:rows])
    return back


@pytest.fixture(scope="module")
def texts():
    return tiny.texts_and_labels(100)[0]


def test_how_many_rows_are_usually_unusable_is_known(texts):
    made = model(calibration={"threshold": 0.7, "scope": None})
    test = Referred(texts[:60], [], np.arange(60) % 2, usable=900, unusable=100)
    found = refer(watch(made), ("a task", tuple(made.about["labels"])), test, texts[60:], 0)
    assert found.moments["unusable"].mean == 0.1 and found.edges["unusable"].gaps.sum() == 1001
    came = found.edges["unusable"].count(np.repeat([0.0, 1.0], [270, 30]), np.random.default_rng(0))
    assert start(found.edges["unusable"].gaps).after(came).log < 1


def test_one_class_of_two(tmp_path, texts):
    truth = np.arange(60) % 2
    made = model(calibration={"threshold": 0.7, "scope": None})
    found = kept(tmp_path, made, texts, truth=truth)
    assert [each.by for each in found.slices.every] == ["length", "answer", "script"] and found.slices.withholds
    assert all(each.test[:, 0].sum() == 60 for each in found.slices.every)
    assert {*TEXT_KINDS, "class", "confidence", "entropy", "withheld", "distance", "norm"} <= set(found.gauges)
    read = sum(min(10, len(text.split()) + 1) for text in texts[60:])  # of 12 tokens, 2 are the tokenizer's own
    assert found.n_valid == 40 and found.known.counts.sum() == read
    assert found.scores.confusion.sum() == 60 and found.vectors.shape == (60, 8)
    assert "withheld" not in kept(tmp_path, model(), texts).gauges  # nothing is ever withheld by it


def test_a_thousand_classes(tmp_path, texts):
    labels = tuple(f"label {place}" for place in range(1000))
    made = model(engine=lambda arrays: one_class(arrays, 1000), labels=labels)
    found = kept(tmp_path, made, texts * 10, rows=900, truth=np.zeros(900, np.int32))
    assert found.scores.probabilities.shape == (300, 1000) and len(found.scores.truth) == 900
    assert found.scores.confusion.shape == (1000, 1000) and found.scores.confusion[0].sum() == 900


def test_several_labels_numbers_and_pairs(tmp_path, texts):
    found = kept(tmp_path, model(answers="set", engine=several, labels=("a", "b", "c")), texts)
    assert {*TEXT_KINDS, "labels", "class", "entropy", "distance"} <= set(found.gauges) and found.scores is None
    found = kept(tmp_path, model(answers="number", engine=number, labels=()), texts)
    assert {*TEXT_KINDS, "value", "distance"} <= set(found.gauges) and "confidence" not in found.gauges
    pairs = list(zip(texts, reversed(texts), strict=True))
    found = kept(tmp_path, model("text-pair"), pairs)
    assert {*TEXT_KINDS, "first_share", "class"} <= set(found.gauges)


def test_spans(tmp_path, texts):
    made = model(answers="spans", engine=spans, labels=("praise",))
    found = kept(tmp_path, made, texts)
    assert {*TEXT_KINDS, "spans", "tagged", "confidence"} <= set(found.gauges) and found.vectors is None
    answers, seen = watch(made).see(["the great phone", "a phone"])
    assert seen.values["spans"].tolist() == [1, 0] and answers[0]["spans"][0]["text"] == "great"
    assert seen.values["tagged"].tolist() == [5 / 15, 0] and seen.confidence == pytest.approx([0.9, 0.9])
    assert seen.label is seen.probabilities is seen.vectors is None


def test_images(tmp_path):
    rng, files = np.random.default_rng(0), []
    for place in range(80):
        pixels = Image.fromarray(rng.integers(0, 200, (20 + place % 3, 30, 3)).astype(np.uint8))
        if place % 2:
            files.append(tmp_path / f"{place}.png")
            pixels.save(files[-1])
        else:
            content = io.BytesIO()
            pixels.save(content, "PNG")
            files.append(content.getvalue())
    made = model("image", engine=of_images)
    found = kept(tmp_path, made, files, truth=np.zeros(60, np.int32))
    light = {"brightness", "contrast", "sharpness", "saturation", "warmth", "megapixels", "aspect"}
    assert {*light, "class", "distance", "copy"} <= set(found.gauges) and found.known.counts is None
    assert found.n_valid == 20 and found.known.vectors.shape == (20, 3)
    usable = watch(made).see_usable([files[0], b"no image", files[1], files[0], tmp_path / "none.png"])
    assert usable.places.tolist() == [0, 2, 3] and set(usable.unusable) == {1, 4}
    assert usable.unusable[1].startswith("an image cannot be used: not an image")
    assert usable.seen.values["copy"].tolist() == [0, 0, 1]
    assert usable.seen.values["megapixels"].tolist() == [600e-6, 630e-6, 600e-6]


def test_an_empty_valid_split_and_few_rows(tmp_path, texts):
    found = kept(tmp_path, model(), texts[:60])
    assert found.n_valid == 0 and found.known.counts is found.known.vectors is None
    assert {"tokens", "confidence", "norm"} <= set(found.gauges)
    assert not {"surprise", "new_tokens", "distance", "direction_1"} & set(found.gauges)
    one = kept(tmp_path, model(), texts[:2], rows=1, truth=np.zeros(1, np.int32))
    assert one.gauges == () and one.n_valid == 1 and len(one.scores.truth) == 1
    three = kept(tmp_path, model(), texts[:4], rows=3, truth=np.zeros(3, np.int32))
    assert {"tokens", "surprise", "distance"} <= set(three.gauges) and "direction_1" not in three.gauges
    none = kept(tmp_path, model(), texts[:4], rows=0, truth=np.zeros(0, np.int32))
    assert none.gauges == () and none.scores is None and none.n_valid == 4


def test_answers_that_are_there_already_are_not_asked_again(tmp_path, texts):
    asked = []

    def counting(arrays):
        asked.append(len(arrays["token_ids"]))
        return one_class(arrays)

    made = model(engine=counting)
    watcher = watch(made)
    looked = watcher.look(texts[:50])
    asked.clear()
    found = refer(watcher, ("a task", ("bad", "good")), Referred(texts[:60], looked, None), texts[60:], 0)
    assert sum(asked) == 10 + 40 and found.n_test == 60
    whole = refer(watcher, ("a task", ("bad", "good")), Referred(texts[:60], [], None), texts[60:], 0)
    for name, edges in whole.edges.items():
        np.testing.assert_array_equal(edges.values, found.edges[name].values, err_msg=name)

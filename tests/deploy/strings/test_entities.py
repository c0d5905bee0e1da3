"""Entities in a graph: decoded as Python decodes them."""

import random
from html.entities import html5

import pytest

from kft.data.entities import unescaped

HARD = (
    *("", "&", "&&", "&amp;amp;amp;", "&#;", "&#x;", "&#xZ", "&#0;", "x\n&amp;\n\r&#10;", "&#38;lt;", "&#x26;amp;"),
    *("&#00065;&#x0041;&#X41 &#128;&#x80;&#xD800;&#x110000;&#99999999999;&#x1F600;&#1114111;&#64976;", "&#1;&#11;x"),
    *("&notit; &noti; &not", "&CounterClockwiseContourIntegral;x", "&lt&gt", "a & b &copy2020;", "&\x00amp;"),
    *("&\u00e9;&amp\u00e9", "&#65\u00e9&#x41\u00e9", "fish &amp;amp; chips", "&#0000000000000000065;"),
)


def texts():
    rng, found = random.Random(1), list(HARD)
    parts = [*html5, "&", "&#", "#", "x", "X", "0", "00", "65", "1f600", "d800", "128", "ffff", ";", "", " ", "\u00e9"]
    for _ in range(400):
        picked = (rng.choice(["&", ""]) + rng.choice(parts) + rng.choice([";", ""]) for _ in range(rng.randint(1, 6)))
        found.append("".join(picked))
    for _ in range(200):
        number = rng.choice([rng.randrange(0x120000), rng.randrange(300)])
        zeros, end = "0" * rng.randint(0, 3), rng.choice([";", "", "z"])
        found.append(f"&#{zeros}{number}{end}" if rng.random() < 0.5 else f"&#{rng.choice('xX')}{zeros}{number:x}{end}")
    return found


@pytest.fixture(scope="module")
def decode():
    import tensorflow as tf

    from kft.deploy.strings.entities import Entities

    entities = Entities()
    found = tf.function(entities.unescape, input_signature=[tf.TensorSpec([None], tf.string)])
    return lambda texts, alive=entities: found(tf.constant(texts)).numpy().tolist()


def test_texts_are_decoded_as_python_does(decode):
    asked = texts()
    for text, found in zip(asked, decode(asked), strict=True):
        assert found.decode() == unescaped(text), text
    assert decode(["no entity", b"caf\xe9"]) == [b"no entity", b"caf\xe9"]


def test_digits_before_the_first_entity_are_no_number(decode):
    texts = ["#20261128001 is down", "R&D &amp; more", "#x123456789abc R&amp;D"]
    assert decode(texts) == [b"#20261128001 is down", b"R&D & more", b"#x123456789abc R&D"]


@pytest.mark.parametrize("text", ["&amp;" * 50, "&amp" + "amp;" * 50])
def test_what_is_encoded_often_is_decoded_to_the_end(text, decode):
    assert decode([text])[0].decode() == unescaped(text)

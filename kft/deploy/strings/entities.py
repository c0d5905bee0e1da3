"""HTML entities decoded in TensorFlow's own operations, as kft/data/entities.py decodes them with Python's ``html``."""

from __future__ import annotations

from functools import cache
from html import unescape
from html.entities import html5
from typing import Any

import tensorflow as tf

LONGEST = max(map(len, html5))
REPLACED = "\ufffd"
POINTS, FIRST_HALF, PAST_HALVES = 0x110000, 0xD800, 0xE000
NUMBERS = (
    ("&#0+([0-9])", r"&#\1"),
    ("&#([xX])0+([0-9a-fA-F])", r"&#\1\2"),
    ("&#[0-9]{8,};?", REPLACED),
    ("&#[xX][0-9a-fA-F]{7,};?", REPLACED),
)
"""What makes numbers short without changing what they stand for: leading zeros go, as do those of no character."""
DIGITS, HEX_DIGITS, REST = "(?s)^#([0-9]+);?(.*)$", "(?s)^#[xX]([0-9a-fA-F]+);?(.*)$", 2**30


class Entities(tf.Module):
    """Decodes entities until there are none, as a text that was encoded twice wants it."""

    def __init__(self) -> None:
        super().__init__(name="entities")
        named = tf.lookup.KeyValueTensorInitializer(tf.constant(list(html5)), tf.constant(list(html5.values())))
        self.named = tf.lookup.StaticHashTable(named, "")
        odd = _odd()
        numbered = tf.lookup.KeyValueTensorInitializer(
            tf.constant(list(odd), tf.int32), tf.constant(list(odd.values()))
        )
        self.odd, self.numbered = tf.constant(list(odd), tf.int32), tf.lookup.StaticHashTable(numbered, REPLACED)

    def unescape(self, texts: tf.Tensor) -> tf.Tensor:
        """Returns ``string[texts]``, decoded.

        Args:
            texts: ``string[texts]`` in UTF-8.
        """

        def again(texts: Any, _: Any) -> tuple[Any, Any]:
            decoded = self._once(texts)
            return decoded, tf.reduce_any(decoded != texts)

        # Most texts hold no `&`: nothing is done then.
        some = tf.reduce_any(tf.strings.regex_full_match(texts, "(?s).*&.*"))
        shapes = (tf.TensorShape([None]), tf.TensorShape([]))
        return tf.while_loop(lambda _, more: more, again, (texts, some), shape_invariants=shapes)[0]

    def _once(self, texts: tf.Tensor) -> tf.Tensor:
        """Decodes what Python does in one pass: an entity begins at each ``&``, and holds no other one."""
        for pattern, becomes in NUMBERS:
            texts = tf.strings.regex_replace(texts, pattern, becomes)
        parts = tf.strings.split(texts, sep="&")
        flat = parts.flat_values
        firsts = parts.row_starts()
        begins = tf.scatter_nd(firsts[:, None], tf.ones_like(firsts), tf.shape(flat, tf.int64)) > 0
        # What stands before the first `&` was not shortened to digits that a number can hold.
        decimal, hexadecimal = (
            tf.strings.regex_full_match(flat, pattern) & ~begins for pattern in (DIGITS, HEX_DIGITS)
        )
        found = self._with_name(flat)
        found = tf.where(decimal, self._with_number(flat, decimal, DIGITS), found)
        found = tf.where(hexadecimal, self._with_number(flat, hexadecimal, HEX_DIGITS), found)
        return tf.strings.reduce_join(parts.with_flat_values(tf.where(begins, flat, found)), axis=-1)

    def _with_name(self, flat: tf.Tensor) -> tf.Tensor:
        """Returns texts that followed an ``&``, each with the longest name at its beginning decoded."""
        sizes = tf.range(2, LONGEST + 1)
        starts = tf.strings.substr(
            tf.repeat(flat[:, None], LONGEST - 1, 1),
            tf.zeros([tf.size(flat), LONGEST - 1], tf.int32),
            tf.repeat(sizes[None], tf.size(flat), 0),
        )
        known = (self.named.lookup(starts) != "") & (tf.strings.length(starts) == sizes)
        longest = tf.reduce_max(tf.where(known, sizes, 0), axis=1)
        name = tf.strings.substr(flat, tf.zeros_like(longest), longest)
        rest = tf.strings.substr(flat, longest, tf.fill(tf.shape(longest), REST))
        return tf.where(longest > 0, self.named.lookup(name), "&") + rest

    def _with_number(self, flat: tf.Tensor, matches: tf.Tensor, pattern: str) -> tf.Tensor:
        """Returns texts whose beginning is a number of a character, with that; whatever else where none matches."""
        digits = tf.where(matches, tf.strings.regex_replace(flat, pattern, r"\1"), "0")
        if pattern == DIGITS:
            number = tf.strings.to_number(digits, tf.int32)
        else:
            last = tf.fill(tf.shape(flat), 6)
            padded = tf.strings.substr("000000" + tf.strings.upper(digits), -last, last)
            signs = tf.cast(tf.io.decode_raw(padded, tf.uint8, fixed_length=6), tf.int32)
            values = tf.where(signs >= ord("A"), signs - ord("A") + 10, signs - ord("0"))
            number = tf.reduce_sum(values * tf.constant([16**place for place in range(5, -1, -1)]), axis=1)
        none = (number >= POINTS) | ((number >= FIRST_HALF) & (number < PAST_HALVES))
        strange = none | tf.reduce_any(number[:, None] == self.odd, axis=1)
        plain = tf.strings.unicode_encode(tf.where(strange, ord(" "), number)[:, None], "UTF-8")
        return tf.where(strange, self.numbered.lookup(number), plain) + tf.strings.regex_replace(flat, pattern, r"\2")


@cache
def _odd() -> dict[int, str]:
    """Returns the numbers that stand for another character than their own, or for none."""
    found = {point: unescape(f"&#{point};") for point in range(POINTS) if not FIRST_HALF <= point < PAST_HALVES}
    return {point: becomes for point, becomes in found.items() if becomes != chr(point)}

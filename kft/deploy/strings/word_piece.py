"""WordPiece in TensorFlow's own operations: texts to the ids that the `tokenizers` package gives.

Not tensorflow-text's operations: a SavedModel that holds one cannot be loaded, nor asked in any other way, where that
package is not imported.
"""

from __future__ import annotations

import re
from typing import Any

import tensorflow as tf

from kft.deploy.strings.spelling import APART, PAGE, CodePointMap, WordPieces


class WordPiece(tf.Module):
    """Takes texts apart.

    Args:
        spelling: What becomes of each character.
        words: How words become ids.
    """

    def __init__(self, spelling: CodePointMap, words: WordPieces) -> None:
        super().__init__(name="word_piece")
        self.words, self.spelling = words, spelling
        self.page_of, self.pages = tf.constant(spelling.page_of), tf.constant(spelling.pages)
        self.pieces = tf.constant(spelling.pieces or ("",))
        tokens = list(words.vocabulary)
        numbers = tf.constant([words.vocabulary[token] for token in tokens], tf.int32)
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(tf.constant(tokens), numbers), -1)
        # A special token becomes a code point that vanishes, once all that a text has of those is another one.
        named = "".join(map(chr, spelling.stands_for.values()))
        self.specials = [(re.escape(token), chr(point)) for token, point in spelling.stands_for.items()]
        self.reserved, self.vanishing = f"[{named}]", chr(spelling.vanishes)
        points = list(spelling.stands_for.values())
        self.first_special = min(points, default=0x110000)
        spelled = [f" {token} " for token in spelling.stands_for]
        order = [point - self.first_special for point in points]
        self.spelled = tf.constant([text for _, text in sorted(zip(order, spelled, strict=True))] or [""])

    def ids(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Returns ``int32[texts, (tokens)]`` without special tokens around them.

        Args:
            texts: ``string[texts]`` in UTF-8; what is not fails.
        """
        words = tf.strings.split(self.spell(texts))
        unique, at = tf.unique(words.flat_values)
        tokens = tf.gather(self._looked_up(unique), at)
        return tf.RaggedTensor.from_row_splits(tokens, words.row_splits).merge_dims(1, 2)

    def spell(self, texts: tf.Tensor) -> tf.Tensor:
        """Returns ``string[texts]``: words as they are looked up, with spaces between them."""
        if self.specials:
            texts = tf.strings.regex_replace(texts, self.reserved, self.vanishing)
        for pattern, stand_in in self.specials:
            texts = tf.strings.regex_replace(texts, pattern, stand_in)
        characters = tf.strings.unicode_split(texts, "UTF-8", errors="strict")
        flat = characters.flat_values
        points = tf.strings.unicode_decode(flat, "UTF-8").flat_values
        codes = tf.gather_nd(self.pages, tf.stack([tf.gather(self.page_of, points // PAGE), points % PAGE], axis=-1))
        flat = tf.where(codes >= 0, tf.gather(self.pieces, tf.maximum(codes, 0)), flat)
        flat = tf.where(codes == APART, tf.strings.join([" ", flat, " "]), flat)
        last = self.first_special + len(self.specials)
        special = (points >= self.first_special) & (points < last)
        place = tf.clip_by_value(points - self.first_special, 0, max(0, len(self.specials) - 1))
        flat = tf.where(special, tf.gather(self.spelled, place), flat)
        return tf.strings.reduce_join(characters.with_flat_values(flat), axis=-1)

    def _looked_up(self, words: tf.Tensor) -> tf.RaggedTensor:
        """Returns ``int32[words, (tokens)]``: of each word the longest tokens from its beginning on."""
        sizes, count = tf.strings.length(words, unit="UTF8_CHAR"), tf.size(words)
        steps = tf.range(1, self.words.longest + 1)
        none = tf.zeros([0], tf.int32)

        def step(left: Any, at: Any, owners: Any, ids: Any, bad: Any) -> Any:
            mine = tf.gather(words, left)
            rest = tf.gather(sizes, left) - at
            lengths = tf.minimum(steps[None], rest[:, None])
            starts, whole = (
                tf.broadcast_to(at[:, None], tf.shape(lengths)),
                tf.broadcast_to(mine[:, None], tf.shape(lengths)),
            )
            parts = tf.strings.substr(whole, starts, lengths, unit="UTF8_CHAR")
            parts = tf.where(starts > 0, tf.strings.join([self.words.prefix, parts]), parts)
            found = self.table.lookup(parts)
            longest = tf.reduce_max(tf.where(found >= 0, lengths, 0), axis=1)
            number = tf.reduce_max(tf.where((found >= 0) & (lengths == longest[:, None]), found, -1), axis=1)
            known = longest > 0
            bad = tf.concat([bad, tf.boolean_mask(left, ~known)], 0)
            owners = tf.concat([owners, tf.boolean_mask(left, known)], 0)
            ids = tf.concat([ids, tf.boolean_mask(number, known)], 0)
            more = known & (longest < rest)
            return tf.boolean_mask(left, more), tf.boolean_mask(at + longest, more), owners, ids, bad

        fits = sizes <= self.words.most
        everyone = tf.range(count)
        left = tf.boolean_mask(everyone, fits)
        _, _, owners, ids, bad = tf.while_loop(
            lambda left, *_: tf.size(left) > 0,
            step,
            (left, tf.zeros_like(left), none, none, tf.boolean_mask(everyone, ~fits)),
            shape_invariants=(tf.TensorShape([None]),) * 5,
        )
        is_bad = tf.scatter_nd(bad[:, None], tf.ones_like(bad), [count]) > 0
        kept = ~tf.gather(is_bad, owners)
        owners = tf.concat([tf.boolean_mask(owners, kept), bad], 0)
        ids = tf.concat([tf.boolean_mask(ids, kept), tf.fill(tf.shape(bad), self.words.unknown)], 0)
        order = tf.argsort(owners, stable=True)
        whose = tf.cast(tf.gather(owners, order), tf.int64)
        return tf.RaggedTensor.from_value_rowids(tf.gather(ids, order), whose, tf.size(words, tf.int64))

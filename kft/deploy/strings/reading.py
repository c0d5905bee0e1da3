"""What a graph does between raw texts and the arrays of a model: cleaned, taken apart, cut and put in rows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kft.deploy.strings.entities import Entities
from kft.deploy.strings.spelling import Around, NotInGraph, around, read_spelling, read_words
from kft.deploy.strings.word_piece import WordPiece

if TYPE_CHECKING:
    from kft.answer.artifact import Artifact

TEXT, PAIR = ("text",), ("first", "second")
"""What the inputs are called."""
SPACES = "".join(rf"\x{{{point:x}}}" for point in range(sys.maxunicode + 1) if chr(point).isspace())
"""What Python strips, as in a regular expression."""


class StringReader(tf.Module):
    """Reads texts, or pairs of texts, as kft/deploy/runner/reading.py does.

    Args:
        pieces: Takes texts apart.
        template: What stands around them.
        max_tokens: Longer rows are cut, the longer text of a pair first.
        html: Whether entities are decoded.
    """

    def __init__(self, pieces: WordPiece, template: Around, max_tokens: int, *, html: bool) -> None:
        super().__init__(name="reading")
        self.pieces, self.template, self.max_tokens = pieces, template, max_tokens
        self.entities = Entities() if html else None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the inputs."""
        return PAIR if len(self.template.types) == 2 else TEXT

    def __call__(self, sides: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns ``int32[texts, tokens]`` by the names of a model's inputs, zeros behind the shorter ones.

        Args:
            sides: ``string[texts]`` each, one or two. An empty text, and one that is no UTF-8, are errors.
        """
        taken = [self.pieces.ids(self._cleaned(side)) for side in sides]
        cut = [_first(ids, kept) for ids, kept in zip(taken, self._allowed(taken), strict=True)]
        count = cut[0].nrows()
        ids, types = [_repeated([number for number, _ in self.template.runs[0]], count)], []
        types.append(_repeated([kind for _, kind in self.template.runs[0]], count))
        for side, kind, run in zip(cut, self.template.types, self.template.runs[1:], strict=True):
            ids += [side, _repeated([number for number, _ in run], count)]
            types += [tf.zeros_like(side) + kind, _repeated([kind for _, kind in run], count)]
        rows, kinds = tf.concat(ids, axis=1), tf.concat(types, axis=1)
        segments = kinds.to_tensor() if len(sides) == 2 else tf.zeros_like(kinds.to_tensor())
        return {
            "token_ids": rows.to_tensor(),
            "padding_mask": tf.ones_like(rows).to_tensor(),
            "segment_ids": segments,
        }

    def _cleaned(self, texts: tf.Tensor) -> tf.Tensor:
        whole = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="strict")
        texts = whole if self.entities is None else self.entities.unescape(whole)
        empty = tf.reduce_any(tf.strings.regex_full_match(texts, f"[{SPACES}]*"))
        with tf.control_dependencies([tf.debugging.Assert(~empty, ["a text is empty: there is nothing to answer"])]):
            return tf.identity(texts)

    def _allowed(self, taken: Sequence[tf.RaggedTensor]) -> list[tf.Tensor]:
        """Returns how many tokens of each side stay; see ``kft.model.token_rows``."""
        room = max(0, self.max_tokens - sum(map(len, self.template.runs)))
        counts = [tf.cast(ids.row_lengths(), tf.int32) for ids in taken]
        if len(counts) == 1:
            return [tf.minimum(counts[0], room)]
        first, second = counts
        short = tf.minimum(first, second)
        both = 2 * short > room
        short, long = tf.where(both, room // 2, short), tf.where(both, room - room // 2, room - short)
        longer = first > second
        cut = tf.where(longer, long, short), tf.where(longer, short, long)
        fits = first + second <= room
        return [tf.where(fits, whole, some) for whole, some in zip(counts, cut, strict=True)]


def make_reading(artifact: Artifact) -> StringReader:
    """Returns what reads an artifact's texts in a graph.

    Raises:
        NotInGraph: It would read them otherwise, or cannot; the message says why.
    """
    task, data = artifact.reader.task, artifact.spec.data
    if task.reads.files:
        raise NotInGraph(
            "TensorFlow does not turn a photo as its camera was held, decodes neither TIFF nor AVIF, "
            "and its filter gives other pixels"
        )
    if task.reads.apart:
        raise NotInGraph("a score compares two texts, and the graph embeds one")
    if artifact.kind.learning.per_token:
        raise NotInGraph("where a word begins and ends in its text is found outside the graph")
    if artifact.reader.windows is not None or artifact.reader.tail:
        raise NotInGraph(f"long texts are read otherwise than cut (model.long_text: {artifact.spec.model.long_text})")
    if artifact.reader.prompts.query:
        raise NotInGraph("what stands before a query is put there outside the graph (model.prompts)")
    if data.redact:
        raise NotInGraph("personal data are found outside the graph (data.redact)")
    assert artifact.reader.tokenizer is not None
    tokenizer = artifact.reader.tokenizer.tokenizer
    words = read_words(tokenizer)
    pieces = WordPiece(read_spelling(tokenizer), words)
    template = around(tokenizer, pairs=task.reads.pairs)
    return StringReader(pieces, template, artifact.reader.max_tokens, html=data.html == "unescape")


def _first(ids: tf.RaggedTensor, counts: tf.Tensor) -> tf.RaggedTensor:
    """Returns so many tokens of each row."""
    places = tf.ragged.range(tf.cast(ids.row_lengths(), tf.int32))
    return tf.ragged.boolean_mask(ids, places < tf.expand_dims(counts, 1))


def _repeated(numbers: Sequence[int], count: tf.Tensor) -> Any:
    return tf.RaggedTensor.from_tensor(tf.tile(tf.constant([list(numbers)], tf.int32), [count, 1]))

"""Reads texts whose words are tagged: tokens, where each stands in its text, and what is known of each word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.deploy.runner.reading import Read, TextReader, require_texts, spelled
from kft.tasks.word_shapes import WORD_FEATURES, word_features
from kft.tasks.words import mark_words


@dataclass(frozen=True)
class WordReader:
    """Reads texts.

    Attributes:
        texts: How they are tokenized and cut.
        features: Whether the model reads features of words beside tokens.
    """

    texts: TextReader
    features: bool

    def read(self, inputs: Sequence[Any], *, traced: bool = False) -> Read:
        """Tokenizes; see ``TextReader.read``."""
        texts = [text for (text,) in require_texts(inputs, pairs=False)]
        ids, places, lengths = self.texts.tokenizer.encode_with_offsets(texts, self.texts.max_tokens)
        offsets = [mark_words(place, text) for place, text in zip(places, texts, strict=True)]
        rows = self.texts.rows(ids, [np.zeros_like(row) for row in ids])
        if self.features:
            for row, found in zip(rows, word_features(texts, offsets), strict=True):
                row[WORD_FEATURES] = found
        normalised = [spelled(self.texts.tokenizer, [text]) for text in texts] if traced else []
        return Read(texts, normalised, rows, offsets, cut=int((lengths > self.texts.max_tokens).sum()))

"""Texts to integer ids, in parallel, in Rust, and cut as the `tokenizers` package cuts.

NumPy, `tokenizers` and kft's errors alone: what ships carries this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.model.panics import tokenizer_errors
from kft.tasks.windows import Windowed, Windows, in_windows

if TYPE_CHECKING:
    import tokenizers

USED = "the backbone's tokenizer, on these texts"


@dataclass(frozen=True)
class TextTokenizer:
    """A fast tokenizer: texts in, integer ids out, in parallel, in Rust.

    Attributes:
        tokenizer: The `tokenizers` object, without truncation or padding.
        special_tokens: How many ids it adds to each text ([CLS] and [SEP]).
    """

    tokenizer: tokenizers.Tokenizer
    special_tokens: int

    def encode(
        self, texts: Sequence[str], max_tokens: int, *, tail: bool = False
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Returns one int32 array of ids a text, at most ``max_tokens`` long, and the lengths before the cut.

        Args:
            texts: The texts.
            max_tokens: How long a row may be, special tokens counted.
            tail: Whether a text that is cut keeps its beginning and its end, half of each (Sun et al., 2019); else its
                beginning alone.
        """
        with tokenizer_errors(USED):
            encodings = self.tokenizer.encode_batch_fast(list(texts))
        kept = _both_ends if tail else _kept
        rows = [np.array(each.ids, np.int32)[kept(each, max_tokens)] for each in encodings]
        return rows, _lengths(encodings)

    def encode_windows(self, texts: Sequence[str], windows: Windows) -> tuple[list[Windowed], np.ndarray]:
        """Returns each text in windows, and the lengths before the cut.

        Where a window stands in its text is counted in characters, without the space that some tokenizers count to the
        word behind it.
        """
        with tokenizer_errors(USED):
            encodings = self.tokenizer.encode_batch(list(texts))
        found = []
        for text, encoding in zip(texts, encodings, strict=True):
            special = [sequence is None for sequence in encoding.sequence_ids]
            ids, offsets = np.array(encoding.ids, np.int32), np.array(encoding.offsets, np.int32).reshape(-1, 2)
            windowed = in_windows(ids, offsets, special, windows)
            windowed.spans[:] = [_without_space(text, *span) for span in windowed.spans.tolist()]
            found.append(windowed)
        return found, _lengths(encodings)

    def special_sides(self) -> tuple[int, int]:
        """Returns how many special tokens stand before a text, and how many behind it."""
        with tokenizer_errors(USED):
            special = [sequence is None for sequence in self.tokenizer.encode("a").sequence_ids]
        before = special.index(False)
        return before, len(special) - before - special.count(False)

    def encode_pairs(
        self, firsts: Sequence[str], seconds: Sequence[str], max_tokens: int
    ) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Tokenizes pairs of texts as one row each, the longer text of a pair cut first.

        Args:
            firsts: The first texts.
            seconds: As many second texts.
            max_tokens: How long a row may be, special tokens counted.

        Returns:
            One int32 array of ids and one of type ids a pair, and the lengths before the cut.
        """
        pairs = list(zip(firsts, seconds, strict=True))
        with tokenizer_errors(USED):
            encodings = self.tokenizer.encode_batch_fast(pairs)
        keep = [_kept(each, max_tokens) for each in encodings]
        ids = [np.array(each.ids, np.int32)[kept] for each, kept in zip(encodings, keep, strict=True)]
        types = [np.array(each.type_ids, np.int32)[kept] for each, kept in zip(encodings, keep, strict=True)]
        return ids, types, _lengths(encodings)

    def encode_with_offsets(
        self, texts: Sequence[str], max_tokens: int
    ) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Tokenizes, and says where in its text each token stands, for labels that belong to spans.

        Args:
            texts: The texts.
            max_tokens: How long a row may be, special tokens counted.

        Returns:
            One int32 array of ids a text; one ``int32[tokens, 2]`` of character offsets, first and past the last,
            without the space that some tokenizers count to the word behind it, and (0, 0) for special tokens; the
            lengths before the cut.
        """
        with tokenizer_errors(USED):
            encodings = self.tokenizer.encode_batch(list(texts))
        ids, offsets = [], []
        for text, encoding in zip(texts, encodings, strict=True):
            kept = _kept(encoding, max_tokens)
            ids.append(np.array(encoding.ids, np.int32)[kept])
            spans = np.array([_without_space(text, *span) for span in encoding.offsets], np.int32).reshape(-1, 2)
            spans[[sequence is None for sequence in encoding.sequence_ids]] = 0
            offsets.append(spans[kept])
        return ids, offsets, _lengths(encodings)


def _lengths(encodings: Sequence[Any]) -> np.ndarray:
    return np.array([len(encoding) for encoding in encodings], dtype=np.int64)


def _kept(encoding: Any, max_tokens: int) -> Any:
    """Which tokens stay: all special ones, and the first ones of each text, as in the package's longest-first.

    Done here and not by ``enable_truncation``, which changes the tokenizer for whoever else uses it.
    """
    if len(encoding) <= max_tokens:
        return slice(None)
    sequences = np.array([-1 if sequence is None else sequence for sequence in encoding.sequence_ids])
    room = max(0, max_tokens - int((sequences < 0).sum()))
    counts = [int((sequences == number).sum()) for number in (0, 1)]
    short, long = sorted(counts)
    if short + max(short, room - short) > room:  # both must give way
        short, long = room // 2, room - room // 2
    else:
        long = room - short
    allowed = (long, short) if counts[0] > counts[1] else (short, long)
    keep = sequences < 0
    for number in (0, 1):
        keep[np.flatnonzero(sequences == number)[: allowed[number]]] = True
    return keep


def _both_ends(encoding: Any, max_tokens: int) -> Any:
    """Which tokens of one text stay: all special ones, and half of the room for its end."""
    if len(encoding) <= max_tokens:
        return slice(None)
    special = np.array([sequence is None for sequence in encoding.sequence_ids])
    (own,) = np.nonzero(~special)
    room = max(0, max_tokens - int(special.sum()))
    keep = special.copy()
    keep[own[: room - room // 2]] = True
    keep[own[len(own) - room // 2 :]] = True
    return keep


def _without_space(text: str, start: int, stop: int) -> tuple[int, int]:
    while start < stop and text[start].isspace():
        start += 1
    while stop > start and text[stop - 1].isspace():
        stop -= 1
    return start, stop

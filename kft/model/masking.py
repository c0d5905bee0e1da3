"""Texts with some of their tokens hidden, and which those were: what masked language modelling reads.

Of each text's ordinary tokens 15 % are asked for, one at least: 80 % of these become the mask, 10 % another token, and
10 % stay as they are (Devlin et al., 2019). What is drawn for a row follows from the run's seed, the epoch and the row
alone, so that a run which was killed, or is dealt out to replicas, hides what it would have hidden. What is judged is
hidden by the text alone: the same in every epoch and run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kft.errors import DataError, ModelError
from kft.feed.batches import Ragged
from kft.feed.source import Source, text_source
from kft.tasks.responses import TARGETS

if TYPE_CHECKING:
    from kft.model.token_rows import TextTokenizer

ASKED, BECOME_MASK, BECOME_OTHER = 0.15, 0.8, 0.1
"""The share of a text's tokens that is asked for; of these, what becomes the mask, and what another token."""
MASKS = ("[MASK]", "<mask>")
"""What hides a token in the vocabularies of encoders; the first that a vocabulary has."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "<s>", "</s>", "<pad>", "<unk>", "[BOS]", "[EOS]", *MASKS)
"""Tokens that say nothing of a text, whether or not a tokenizer says so."""
TOKENS = "token_ids"
Key = Callable[[int, np.ndarray], Sequence[int]]
"""From a row's number and its token ids to what its draw is seeded by."""


@dataclass(frozen=True, eq=False)
class Masker:
    """Hides tokens of one vocabulary.

    Attributes:
        mask: The token that hides others.
        ordinary: ``bool[vocabulary]``: which tokens can be asked for, and can take another's place.
    """

    mask: int
    ordinary: np.ndarray

    def hide(self, ids: np.ndarray, key: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Returns a text with tokens hidden, and its ``target_ids``: the right token and one where it is asked, else 0.

        Args:
            ids: ``int32[n]``.
            key: What decides the draw.

        Example:
            >>> masker = Masker(4, np.arange(20) > 4)
            >>> given, targets = masker.hide(np.array([2, 7, 8, 9, 3], np.int32), (0, 1))
            >>> int((targets > 0).sum()), targets[[0, 4]].tolist(), given[[0, 4]].tolist()
            (1, [0, 0], [2, 3])
        """
        rng = np.random.Generator(np.random.PCG64([int(each) for each in key]))
        (able,) = np.nonzero(self.ordinary[ids])
        places = rng.permutation(able)[: max(1, round(ASKED * len(able)))]
        fate = rng.random(len(places))
        others = rng.choice(np.flatnonzero(self.ordinary), len(places)).astype(np.int32)
        given, targets = ids.astype(np.int32), np.zeros(len(ids), np.int32)
        targets[places] = ids[places] + 1
        masked = fate < BECOME_MASK
        given[places[masked]] = self.mask
        swapped = ~masked & (fate < BECOME_MASK + BECOME_OTHER)
        given[places[swapped]] = others[swapped]
        return given, targets

    def columns(self, whole: Ragged, key: Key) -> dict[str, Ragged]:
        """Returns the two columns of texts that have been hidden from, row by row."""
        rows = [whole.row(place) for place in range(len(whole))]
        found = [self.hide(ids, key(place, ids)) for place, ids in enumerate(rows)]
        given, targets = (np.concatenate([each[side] for each in found]) for side in (0, 1))
        return {TOKENS: MaskedTokens(given, whole.offsets, whole, self), TARGETS: Ragged(targets, whole.offsets)}

    def source(self, rows: Sequence[np.ndarray], texts: Sequence[str]) -> Source:
        """Returns texts as a masked language model reads them, hidden by each text alone.

        Args:
            rows: The ids of each, special tokens among them.
            texts: For messages.

        Raises:
            DataError: A text has no token that can be asked for.
        """
        empty = [place for place, ids in enumerate(rows) if not self.ordinary[ids].any()]
        if empty:
            raise DataError(
                "texts without a token of the vocabulary: there is nothing in them to hide",
                where="data.texts",
                received=f"{len(empty):,} of {len(rows):,} texts, such as {str(texts[empty[0]])[:40]!r}",
                expected="at least one token beside unknown and special ones in each text",
                next_step="leave these rows out of the data, or name a backbone that knows their letters",
            )
        source = text_source(Ragged.from_rows(list(rows)))
        whole = source.columns[TOKENS]
        assert isinstance(whole, Ragged)
        return source.with_columns({**source.columns, **self.columns(whole, _by_text)})


@dataclass(frozen=True)
class MaskedTokens(Ragged):
    """Token ids of which some are hidden.

    Attributes:
        whole: The ids before.
        masker: What has hidden them.
    """

    whole: Ragged
    masker: Masker


def redrawn(source: Source, seed: int, epoch: int) -> Source:
    """Returns the same texts with what an epoch of a run hides of them.

    Args:
        source: From ``Masker.source``.
        seed: Of the run.
        epoch: Over all phases.
    """
    tokens = source.columns[TOKENS]
    assert isinstance(tokens, MaskedTokens)  # nothing below what trains is stored: each epoch reads other tokens
    drawn = tokens.masker.columns(tokens.whole, lambda row, ids: (seed, epoch, row))
    return source.with_columns({**source.columns, **drawn})


def find_masker(tokenizer: TextTokenizer) -> Masker:
    """Returns what hides tokens of a vocabulary.

    Raises:
        ModelError: It has no mask.
    """
    inner = tokenizer.tokenizer
    masks = (inner.token_to_id(name) for name in MASKS)
    mask = next((each for each in masks if each is not None), None)
    if mask is None:
        raise ModelError(
            "nothing in this vocabulary hides a token",
            where="model.backbone",
            received=f"{inner.get_vocab_size():,} tokens, none of them a mask",
            expected="one of " + ", ".join(MASKS),
            next_step="name an encoder in model.backbone, such as minilm-l6; a decoder learns by task: causal-lm",
        )
    vocabulary = inner.get_vocab(with_added_tokens=True)
    ordinary = np.zeros(max(vocabulary.values()) + 1, bool)
    ordinary[list(vocabulary.values())] = True
    named = (vocabulary[name] for name in SPECIAL if name in vocabulary)
    added = (place for place, token in inner.get_added_tokens_decoder().items() if token.special)
    ordinary[[*named, *added]] = False
    return Masker(int(mask), ordinary)


def _by_text(row: int, ids: np.ndarray) -> Sequence[int]:
    return (int.from_bytes(hashlib.blake2b(ids.astype("<i4").tobytes(), digest_size=16).digest(), "little"),)

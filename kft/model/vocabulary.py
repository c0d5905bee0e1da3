"""Whether a tokenizer's vocabulary is that of the weights it stands beside, and whether texts reach its words.

Weights with the vocabulary of another model load without an error: every id has a vector, the vector of another word.
What pretraining leaves behind tells them apart: a word's vector is like that of its plural, whatever the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.metrics.neighbours import unit_rows
from kft.model.rows import embedding_table

if TYPE_CHECKING:
    from kft.model.backbones import Backbone

WORDS = 1000
"""Words, and pairs of a word and its plural, that are looked at."""
FEWEST = 50
"""With fewer, chance decides; vocabularies without English words have none."""
RELATED = 0.75
"""By chance one half of the words lie nearer to their own plural than to another's; of pretrained models all but all
do (docs/choose.md)."""
REACHED = 0.9
STARTS = ("\u0120", "\u2581")
"""What byte-level BPE and SentencePiece write before a piece that begins a word."""
CONTINUES = "##"


@dataclass(frozen=True)
class VocabularyFit:
    """How a vocabulary and a model go together.

    Attributes:
        related: The share of words whose vector is more like that of their plural than like that of another word's
            plural; one half by chance. None where there are too few such words, or no table of vectors is found.
        reached: The share of words that their own letters give, when they are read as a text; None where there are
            too few.
    """

    related: float | None
    reached: float | None

    @property
    def foreign(self) -> bool:
        """Whether the vocabulary is that of other weights."""
        return self.related is not None and self.related < RELATED

    @property
    def shut(self) -> bool:
        """Whether the tokenizer is set so that no text reaches a good part of the vocabulary."""
        return self.reached is not None and self.reached < REACHED


def fit_of(backbone: Backbone) -> VocabularyFit:
    """Looks whether a text backbone's vocabulary belongs to its weights, and to how its tokenizer is set.

    Example:
        >>> import kft
        >>> fit_of(kft.load_backbone("minilm-l6")).foreign  # doctest: +SKIP
        False
    """
    assert backbone.tokenizer is not None
    tokenizer = backbone.tokenizer.tokenizer
    words = whole_words(tokenizer.get_vocab(with_added_tokens=False))
    return VocabularyFit(related_words(embedding_table(backbone.model), words), reached_words(tokenizer, words))


def whole_words(vocabulary: Mapping[str, int]) -> dict[str, int]:
    """Returns the words that are one token each, without what marks their beginning, in the order of their ids.

    Example:
        >>> whole_words({"card": 2, "##s": 3, "cards": 1, "[UNK]": 0})
        {'cards': 1, 'card': 2}
    """
    marked = {token[1:]: number for token, number in vocabulary.items() if token.startswith(STARTS)}
    if 10 * len(marked) < len(vocabulary):
        marked = {token: number for token, number in vocabulary.items() if not token.startswith(CONTINUES)}
    return {word: number for word, number in sorted(marked.items(), key=lambda item: item[1]) if word.isalpha()}


def related_words(table: Any, words: Mapping[str, int]) -> float | None:
    """Returns ``VocabularyFit.related``.

    Args:
        table: ``[ids, width]``, or None.
        words: From ``whole_words``.
    """
    pairs = [(words[word], words[f"{word}s"]) for word in words if len(word) > 3 and f"{word}s" in words][:WORDS]
    if table is None or len(pairs) < FEWEST:
        return None
    import keras

    rows = np.array(pairs)
    vectors = keras.ops.convert_to_numpy(keras.ops.take(table, rows.ravel(), axis=0)).astype(np.float64)
    vectors -= vectors.mean(axis=0)
    vectors = unit_rows(vectors)
    one, many = vectors[0::2], vectors[1::2]
    own, others = (one * many).sum(axis=1), (one * np.roll(many, 1, axis=0)).sum(axis=1)
    return float((own > others).mean())


def reached_words(tokenizer: Any, words: Mapping[str, int]) -> float | None:
    """Returns ``VocabularyFit.reached``.

    Args:
        tokenizer: Of the `tokenizers` package.
        words: From ``whole_words``.
    """
    known = [word for word in words if len(word) > 1]
    if len(known) < FEWEST:
        return None
    drawn = [known[place] for place in np.random.default_rng(0).permutation(len(known))[:WORDS]]
    given = tokenizer.encode_batch_fast([f" {word}" for word in drawn], add_special_tokens=False)
    return sum(words[word] in each.ids for word, each in zip(drawn, given, strict=True)) / len(drawn)

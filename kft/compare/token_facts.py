"""How a backbone's tokenizer reads a person's texts, and what about it would make a result wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.model.limits import POSITIONS
from kft.model.vocabulary import VocabularyFit, fit_of
from kft.records.choose import TokenFacts

if TYPE_CHECKING:
    from kft.model.backbones import Backbone
    from kft.model.encode import Encoded

WORD = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff]|[^\W_]+|[^\w\s]|_")
"""An ideograph, letters and digits in a row, or a mark."""
LOST, UNKNOWN, PIECES = 0.10, 0.01, 2.0
"""From here on it is said: a tenth of the text behind the cut, a hundredth unknown, two tokens a word."""


def token_facts(backbone: Backbone, inputs: Sequence[Any], encoded: Encoded, window: int) -> TokenFacts:
    """Counts what a text backbone's tokenizer makes of texts, or of pairs of texts.

    Args:
        backbone: A text backbone.
        inputs: The texts.
        encoded: The same, as the backbone takes them.
        window: Tokens that are read of each.
    """
    tokenizer = backbone.tokenizer
    assert tokenizer is not None and encoded.lengths is not None
    pairs = bool(inputs) and isinstance(inputs[0], tuple)
    special = tokenizer.tokenizer.num_special_tokens_to_add(pairs)
    own = np.maximum(encoded.lengths - special, 0)
    lost = np.maximum(encoded.lengths - window, 0)
    texts = [text for given in inputs for text in (given if pairs else (given,))]
    words = sum(sum(1 for _ in WORD.finditer(text)) for text in texts)
    fit = fit_of(backbone)
    return TokenFacts(
        window=window,
        limit=backbone.max_tokens,
        per_text=float(encoded.lengths.mean()),
        lost=float(lost.sum() / max(encoded.lengths.sum(), 1)),
        cut=float((lost > 0).mean()),
        unknown=_unknown(tokenizer.tokenizer, encoded, special * len(inputs)),
        pieces=float(own.sum() / max(words, 1)),
        related=fit.related,
        reached=fit.reached,
    )


def flags_of(facts: TokenFacts) -> Iterator[str]:
    """Says in words what is wrong with how texts are read.

    Example:
        >>> good = TokenFacts(128, 512, 16.0, 0.0, 0.0, 0.0, 1.1, 1.0, 1.0)
        >>> list(flags_of(good))
        []
        >>> [flag] = flags_of(TokenFacts(128, 512, 16.0, 0.0, 0.0, 0.043, 1.4, 1.0, 1.0))
        >>> flag
        '4.3 % of the tokens are unknown to its vocabulary: letters, case or language that it was not made for'
    """
    fit = VocabularyFit(facts.related, facts.reached)
    if fit.foreign:
        yield (
            f"the vocabulary is not that of the weights: only {_percent(facts.related)} of its words have a vector "
            "like that of their plural, and chance alone gives 50 %; fetch both again, from one place"
        )
    if fit.shut:
        yield (
            f"no text reaches {_percent(1 - (facts.reached or 0))} of the words in its vocabulary: case or accents are "
            "taken off that it was trained with, or the other way round; see do_lower_case in tokenizer_config.json"
        )
    if facts.unknown is not None and facts.unknown >= UNKNOWN:
        yield (
            f"{_percent(facts.unknown)} of the tokens are unknown to its vocabulary: letters, case or language that it "
            "was not made for"
        )
    if facts.pieces >= PIECES:
        yield f"words fall into {facts.pieces:.1f} pieces each: it hardly knows the words of these texts"
    if facts.lost >= LOST:
        most = min(facts.limit, POSITIONS)
        more = f"it takes up to {most:,}, by model.max_tokens" if facts.window < most else "it takes no more"
        yield f"{_percent(facts.lost)} of all text lies behind the first {facts.window:,} tokens, never read; {more}"


def misread(facts: TokenFacts | None) -> bool:
    """Whether a backbone's vocabulary or its settings are not those that it was trained with."""
    if facts is None:
        return False
    fit = VocabularyFit(facts.related, facts.reached)
    return fit.foreign or fit.shut


def unknown_ids(tokenizer: Any) -> tuple[int, ...]:
    """Returns the ids that stand for what the vocabulary lacks; none where it can spell everything.

    Args:
        tokenizer: Of the `tokenizers` package.
    """
    model = json.loads(tokenizer.to_str())["model"]
    if isinstance(model.get("unk_id"), int):
        return (model["unk_id"],)
    number = tokenizer.token_to_id(model["unk_token"]) if model.get("unk_token") else None
    return () if number is None else (number,)


def _unknown(tokenizer: Any, encoded: Encoded, special: int) -> float | None:
    ids = unknown_ids(tokenizer)
    if not ids:
        return None
    tokens: Any = encoded.source.texts
    return float(np.isin(tokens.values, ids).sum() / max(len(tokens.values) - special, 1))


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0):.1f} %"

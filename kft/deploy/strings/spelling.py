"""How a WordPiece tokenizer spells each character before it looks words up: a table, asked of the tokenizer itself.

BERT's normalizer and its splitter look at one character at a time, so that one table of all code points is all there is
to know. What is set otherwise is refused by name.
"""

from __future__ import annotations

import json
import string
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tokenizers

KEPT, APART = -1, -2
"""Codes of characters that stay as they are, and of those that become a word of their own."""
PAGE = 256
POINTS, BLOCK = 0x110000, 0x800
MARK = "!"
"""Parts characters that are asked for together: it joins with none, and none becomes it."""


class NotInGraph(Exception):
    """The message says what a graph would do otherwise than the tokenizer."""


@dataclass(frozen=True)
class CodePointMap:
    """What becomes of each code point.

    Attributes:
        page_of: ``int32[4352]``: the page of code points 256 at a time.
        pages: ``int32[pages, 256]``: ``KEPT``, ``APART``, or a place in ``pieces``.
        pieces: What a character becomes: other characters, and spaces where words part; may be empty.
        stands_for: A code point that vanishes, for each special token: it may stand for it in a text.
        vanishes: Another one, that none of them is.
    """

    page_of: np.ndarray
    pages: np.ndarray
    pieces: tuple[str, ...]
    stands_for: Mapping[str, int]
    vanishes: int


@dataclass(frozen=True)
class WordPieces:
    """How words become ids.

    Attributes:
        vocabulary: Ids by token, special ones among them.
        prefix: Of a token that goes on with a word.
        unknown: The id of a word that no tokens make up.
        most: Longer words are unknown.
    """

    vocabulary: Mapping[str, int]
    prefix: str
    unknown: int
    most: int

    @property
    def longest(self) -> int:
        """Characters of the longest token."""
        return max(len(token.removeprefix(self.prefix)) for token in self.vocabulary)


def read_words(tokenizer: tokenizers.Tokenizer) -> WordPieces:
    """Returns how a tokenizer looks words up.

    Raises:
        NotInGraph: It is no WordPiece, or takes whole what is no special token.
    """
    values = json.loads(tokenizer.to_str())
    model = values["model"]
    kinds = [(values.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer")]
    if (model.get("type"), *kinds) != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
        raise NotInGraph(f"its tokenizer is no WordPiece of BERT's but {model.get('type')} behind {kinds[0]}")
    if not values["normalizer"].get("clean_text"):
        raise NotInGraph("its tokenizer keeps control characters")
    for token in values["added_tokens"]:
        odd = next((flag for flag in ("lstrip", "rstrip", "single_word", "normalized") if token[flag]), None)
        # A word without punctuation could also come from a text that holds no such token.
        if odd or not set(token["content"]) & set(string.punctuation):
            raise NotInGraph(f"its tokenizer takes {token['content']!r} whole" + (f", with {odd}" if odd else ""))
    names = [token["content"] for token in values["added_tokens"]]
    if any(one != other and _overlap(one, other) for one in names for other in names):
        raise NotInGraph("its special tokens overlap")
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    return WordPieces(
        vocabulary=vocabulary,
        prefix=model["continuing_subword_prefix"],
        unknown=vocabulary[model["unk_token"]],
        most=model["max_input_chars_per_word"],
    )


@dataclass(frozen=True)
class Around:
    """What stands around the one or two texts of an input.

    Attributes:
        runs: Special tokens before, between and after them, as (id, type) each: one run more than there are texts.
        types: Of the tokens of each text.
    """

    runs: tuple[tuple[tuple[int, int], ...], ...]
    types: tuple[int, ...]


def _overlap(one: str, other: str) -> bool:
    return one in other or any(one.endswith(other[:size]) for size in range(1, min(len(one), len(other))))


def read_spelling(tokenizer: tokenizers.Tokenizer) -> CodePointMap:
    """Returns what a tokenizer makes of each code point; ``read_words`` has admitted it.

    Raises:
        NotInGraph: Characters change with their neighbours, in words that the vocabulary holds.
    """
    blocks = (range(start, start + BLOCK) for start in range(0, POINTS, BLOCK))
    characters = [chr(point) for block in blocks if not _is_plain(tokenizer, block) for point in block]
    characters.remove(MARK)
    normal = tokenizer.normalizer.normalize_str(MARK.join(characters)).split(MARK)
    assert len(normal) == len(characters)
    becomes = {MARK: MARK} | dict(zip(characters, normal, strict=True))
    _refuse_reordered(tokenizer, normal)
    kinds = _kinds(tokenizer, list(dict.fromkeys([*"".join(normal), MARK])))
    codes, pieces = np.full(POINTS, KEPT, np.int32), dict[str, int]()
    for character in dict.fromkeys([*kinds, *(each for each, found in becomes.items() if found != each)]):
        spelled = "".join(kinds.get(each, each) for each in becomes[character])
        apart = spelled.strip() == character and spelled[0] == spelled[-1] == " "
        codes[ord(character)] = APART if apart else pieces.setdefault(spelled, len(pieces))
    # Of no use to anybody: the last code points of the private planes.
    gone = (point for point in range(POINTS - 1, 0xF0000, -1) if codes[point] == pieces.get(""))
    specials = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    stands_for = dict(zip(specials, gone, strict=False))
    vanishes = next(gone, None)
    if vanishes is None or len(stands_for) < len(specials):
        raise NotInGraph("its tokenizer drops no code points that could stand for special tokens")
    pages, page_of = np.unique(codes.reshape(-1, PAGE), axis=0, return_inverse=True)
    return CodePointMap(page_of.reshape(-1).astype(np.int32), pages, tuple(pieces), stands_for, vanishes)


def _is_plain(tokenizer: tokenizers.Tokenizer, block: range) -> bool:
    """Whether all characters of a block stay as they are, and none parts words. Halves of pairs are no characters."""
    if 0xD800 <= block.start < 0xE000:
        return True
    text = "".join(map(chr, block))
    kept = tokenizer.normalizer.normalize_str(text) == text
    return kept and len(tokenizer.pre_tokenizer.pre_tokenize_str(f"a{text}a")) == 1


def _kinds(tokenizer: tokenizers.Tokenizer, characters: Sequence[str]) -> dict[str, str]:
    """Returns what parts words: a space for what is one, and signs with spaces around them; others are left out."""
    text = "a" + "".join(f"{each}a" for each in characters)
    split = [span for _, span in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
    found = {text[start]: f" {text[start]} " for start, end in split if end == start + 1 and start % 2}
    gaps = pairwise(split)
    return found | {text[end]: " " for (_, end), (start, _) in gaps if start == end + 1}


def _refuse_reordered(tokenizer: tokenizers.Tokenizer, normal: Sequence[str]) -> None:
    """Refuses marks that Unicode puts in another order, where a vocabulary holds them: a table cannot do that."""
    if "\u0301" not in tokenizer.normalizer.normalize_str("a\u0301"):  # accents go, once marks are put in order
        marks = {each for each in set("".join(tokenizer.get_vocab())) if unicodedata.combining(each)}
        held = sorted(marks & set("".join(normal))) if marks else []
        if held:
            raise NotInGraph(f"its vocabulary holds {held[0]!r}, whose place hangs on its neighbours")


def around(tokenizer: Any, *, pairs: bool) -> Around:
    """Asks a tokenizer what it puts around texts."""
    found = tokenizer.encode("a", "a") if pairs else tokenizer.encode("a")
    runs: list[list[tuple[int, int]]] = [[]]
    types: list[int] = []
    for number, kind, sequence in zip(found.ids, found.type_ids, found.sequence_ids, strict=True):
        if sequence is None:
            runs[-1].append((number, kind))
        elif sequence == len(types):
            types.append(kind)
            runs.append([])
    return Around(tuple(map(tuple, runs)), tuple(types))

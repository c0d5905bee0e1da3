"""Texts of which a part is a template's and a part a person's, to token ids: no content becomes a token of control.

A text is cut at the tokens of control that stand in the template's own parts, as a tokenizer cuts it. What lies between
is tokenized as one text. A content that spells such a token (``<|im_end|>`` in a user's turn) is tokenized as the
letters that it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kft.errors import ModelError
from kft.model.panics import tokenizer_errors
from kft.model.token_rows import USED, TextTokenizer

_FORM = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")
"""How tokens of control look, where a vocabulary does not say which they are."""


@dataclass(frozen=True)
class TextPiece:
    """A part of a text.

    Attributes:
        text: The part.
        content: Whether a person says it; else the template.
        learned: Whether a model learns to write it, with what follows up to the next token of control.
    """

    text: str
    content: bool = False
    learned: bool = False


@dataclass(frozen=True)
class Spelled:
    """A text in tokens.

    Attributes:
        ids: ``int32[n]``.
        learned: ``bool[n]``: which of them a model learns to write.
    """

    ids: np.ndarray
    learned: np.ndarray

    @classmethod
    def plain(cls, ids: np.ndarray) -> Spelled:
        """Returns tokens of which none is learned."""
        return cls(ids, np.zeros(len(ids), bool))

    def upto(self, room: int) -> Spelled:
        """Returns the first tokens."""
        return Spelled(self.ids[:room], self.learned[:room])

    def joined(self, other: Spelled) -> Spelled:
        """Returns both, one behind the other."""
        return Spelled(np.concatenate([self.ids, other.ids]), np.concatenate([self.learned, other.learned]))


@dataclass(frozen=True)
class _Piece:
    text: str
    learned: bool
    first: bool
    token: int | None = None


@dataclass(frozen=True, eq=False)
class Pieces:
    """Tokenizes texts in parts.

    Attributes:
        tokenizer: Of the backbone.
        around: Texts of the template itself: tokens in them that look like control are such.
    """

    tokenizer: TextTokenizer
    around: str

    @cached_property
    def controls(self) -> dict[str, int]:
        """The tokens of control, and their ids."""
        built = self.tokenizer.tokenizer
        added = built.get_added_tokens_decoder().items()
        known = {str(each.content): (int(number), each.special) for number, each in added}
        named = set(_FORM.findall(self.around))
        return {text: number for text, (number, special) in known.items() if special or text in named}

    @cached_property
    def _any(self) -> re.Pattern[str]:
        longest_first = sorted(self.controls, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def missing(self) -> list[str]:
        """Returns what looks like a token of control in the template, and is none."""
        return sorted({text for text in _FORM.findall(self.around) if text[0] == "<"} - set(self.controls))

    def first_control(self, text: str) -> tuple[str, int | None]:
        """Returns what stands before the first token of control in a text of the template, and that token if any."""
        found = self._any.search(text)
        return (text, None) if found is None else (text[: found.start()], self.controls[found.group()])

    def spelled(self, rows: Sequence[Sequence[TextPiece]]) -> list[Spelled]:
        """Returns each text in tokens, without any that the tokenizer adds by itself.

        Raises:
            ModelError: A content cannot be told from a token of control.
        """
        cut = [list(self._cut(row)) for row in rows]
        flat = [piece for row in cut for piece in row if piece.token is None]
        plain = [piece.text for piece in flat if not self._guards(piece)]
        guarded = [piece.text for piece in flat if self._guards(piece)]
        with tokenizer_errors(USED):
            found = iter(self.tokenizer.tokenizer.encode_batch_fast(plain, add_special_tokens=False))
            kept = iter(self._letters.encode_batch_fast(guarded, add_special_tokens=False) if guarded else ())
        return [self._joined(row, found, kept) for row in cut]

    def _joined(self, row: Sequence[_Piece], found: Iterator[Any], kept: Iterator[Any]) -> Spelled:
        ids: list[int] = []
        learned: list[bool] = []
        for piece in row:
            if piece.token is not None:
                ids.append(piece.token)
                learned.append(piece.learned)
                continue
            more = next(kept if self._guards(piece) else found).ids
            if self._any.search(piece.text) and set(more) & set(self.controls.values()):
                raise ModelError(
                    "a text spells a token of control, and the vocabulary has no other way to write it",
                    where="messages",
                    received=self._any.findall(piece.text)[0],
                    expected="texts without such tokens",
                    next_step="take it out of the text",
                )
            ids += more
            learned += [piece.learned] * len(more)
        return Spelled(np.array(ids, np.int32), np.array(learned, bool))

    def _cut(self, row: Sequence[TextPiece]) -> Iterator[_Piece]:
        text, owing, first = "", False, True
        for part in row:
            if part.content:
                if text and part.learned != owing:
                    yield _Piece(text, owing, first)
                    text, first = "", False
                text, owing = text + part.text, part.learned
                continue
            at = 0
            for match in self._any.finditer(part.text):
                if text := text + part.text[at : match.start()]:
                    yield _Piece(text, owing, first)
                yield _Piece("", owing, first, self.controls[match.group()])
                text, owing, first, at = "", False, False, match.end()
            text += part.text[at:]
        if text:
            yield _Piece(text, owing, first)

    def _guards(self, piece: _Piece) -> bool:
        return bool(self._any.search(piece.text)) or (self._only_first and not piece.first)

    @cached_property
    def _values(self) -> Any:
        return json.loads(self.tokenizer.tokenizer.to_str())

    @cached_property
    def _only_first(self) -> bool:
        """Whether the tokenizer writes a space before the beginning of a text, and not behind a token of control."""
        splitter = self.tokenizer.tokenizer.pre_tokenizer
        return "first" in repr(splitter) and any(each.get("prepend_scheme") == "first" for each in _steps(self._values))

    @cached_property
    def _letters(self) -> Any:
        """The tokenizer without tokens of control, for what does not begin a text."""
        from tokenizers import Tokenizer

        values, model = self._values, self._values["model"]["vocab"]
        inside = set(model) if isinstance(model, dict) else {text for text, _ in model}
        kept = []
        for place, token in enumerate(values["added_tokens"]):
            if token["content"] not in self.controls:
                kept.append(token)
            elif token["content"] not in inside:  # its id stays taken, under a name that nobody writes
                kept.append({**token, "content": f"\ufdd0kft {place}\ufdd1"})
        steps = {id(each): each for each in _steps(values)}
        for step in steps.values():
            step["prepend_scheme"] = "never" if step.get("prepend_scheme") == "first" else step.get("prepend_scheme")
        with tokenizer_errors(USED):
            return Tokenizer.from_str(json.dumps({**values, "added_tokens": kept, "post_processor": None}))


def _steps(values: Any) -> list[dict[str, Any]]:
    splitter = values.get("pre_tokenizer") or {}
    several = splitter.get("pretokenizers", [splitter])
    return [each for each in several if each.get("type") == "Metaspace"]

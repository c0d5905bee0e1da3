"""Reads raw inputs as the model's inputs: texts cleaned, tokenized and cut; images decoded and brought to size."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kft.characters import half_pair
from kft.data.entities import unescaped
from kft.deploy.runner.trace import Row
from kft.errors import DataError
from kft.model.token_rows import TextTokenizer
from kft.tasks.windows import Windowed, Windows


@dataclass(frozen=True)
class Read:
    """Inputs as the model takes them.

    Attributes:
        decoded: As in ``Stages``.
        normalised: Likewise; empty unless it was asked for.
        rows: Likewise.
        offsets: Where each token stands, and whether it begins a word; only where spans are answered.
        windowed: Each text in windows; only where texts are read so.
        firsts: How many of each row's tokens are the first text's; only where those of a pair are read one by one.
        cut: How many texts are longer than what is read of them.
    """

    decoded: list[str]
    normalised: list[str]
    rows: list[Row]
    offsets: list[np.ndarray] | None = None
    windowed: list[Windowed] | None = None
    firsts: list[int] | None = None
    cut: int = 0

    @property
    def tokens(self) -> list[np.ndarray]:
        """The token ids of each text, each once."""
        if self.windowed is not None:
            return [each.document for each in self.windowed]
        return [row["token_ids"] for row in self.rows]


def say_cut(texts: int) -> str:
    """Returns what to say of so many texts that are longer than what is read of them; empty where none is.

    Example:
        >>> say_cut(0), say_cut(1)
        ('', 'warning    1 text is longer than what the model reads (model.max_tokens): a part of it was not read')
    """
    many = ("text is", "it was") if texts == 1 else ("texts are", "each was")
    said = f"warning    {texts:,} {many[0]} longer than what the model reads (model.max_tokens): a part of {many[1]}"
    return f"{said} not read" if texts else ""


def warn_cut(texts: int) -> None:
    """Warns of so many texts, where somebody asks in Python; see ``say_cut``."""
    if said := say_cut(texts):
        warnings.warn(said.removeprefix("warning").lstrip(), stacklevel=3)


class RowError(DataError):
    """An input that cannot be used.

    Args:
        row: Counted from 1, among the inputs that are read together.
        problem: What is wrong.
        name: What the input is called, where it has a name.
        received: What it is.
        expected: What would have been right.
    """

    def __init__(
        self, row: int, problem: str, *, name: str = "", received: str | None = None, expected: str | None = None
    ) -> None:
        super().__init__(
            problem, where=f"row {row:,}" + (f": {name}" if name else ""), received=received, expected=expected
        )
        self.row, self.name = row, name

    def after(self, rows: int) -> RowError:
        """Returns the same of an input before which so many others were read."""
        return RowError(self.row + rows, self.problem, name=self.name, received=self.received, expected=self.expected)


@dataclass(frozen=True)
class TextReader:
    """Reads texts, or pairs of texts.

    Attributes:
        tokenizer: The artifact's.
        max_tokens: Longer texts are cut.
        pairs: Whether an input is two texts.
        clean: What is done to every text first.
        tail: Whether a text that is cut keeps its end as well.
        windows: How texts are read in windows; None where they are not.
        before: What is put before each text.
        after: Likewise before the second text of a pair whose texts are read one by one, both in a row; else None.
    """

    tokenizer: TextTokenizer
    max_tokens: int
    pairs: bool
    clean: Callable[[str], str]
    before: str = ""
    tail: bool = False
    windows: Windows | None = None
    after: str | None = None

    @property
    def reach(self) -> int:
        """Tokens of a text that are read at most."""
        if self.after is not None:
            return 2 * self.max_tokens
        return self.max_tokens if self.windows is None else self.windows.reach(self.tokenizer.special_tokens)

    def read(self, inputs: Sequence[Any], *, traced: bool = False) -> Read:
        """Cleans and tokenizes.

        Args:
            inputs: Texts, or pairs of them.
            traced: Whether ``normalised`` is wanted.

        Raises:
            RowError: An input is no text, or an empty one.
        """
        texts = [[self.clean(side) for side in sides] for sides in require_texts(inputs, pairs=self.pairs)]
        require_words(texts)
        whole = ["\t".join(sides) for sides in texts]
        normalised = [spelled(self.tokenizer, sides) for sides in texts] if traced else []
        if self.windows is not None:
            windowed, lengths = self.tokenizer.encode_windows(whole, self.windows)
            rows = [
                {"token_ids": each.ids, "segment_ids": np.zeros_like(each.ids), "padding_mask": each.real}
                for each in windowed
            ]
            return Read(whole, normalised, rows, windowed=windowed, cut=self._cut(lengths))
        if self.after is not None:
            sides = [
                before + text for pair in texts for before, text in zip((self.before, self.after), pair, strict=True)
            ]
            ids, lengths = self.tokenizer.encode(sides, self.max_tokens, tail=self.tail)
            both = [np.concatenate(pair) for pair in zip(ids[::2], ids[1::2], strict=True)]
            rows = self.rows(both, [np.zeros_like(row) for row in both])
            cut = int((lengths > self.max_tokens).sum())
            return Read(whole, normalised, rows, firsts=[len(row) for row in ids[::2]], cut=cut)
        if self.pairs:
            firsts, seconds = [one for one, _ in texts], [two for _, two in texts]
            ids, kinds, lengths = self.tokenizer.encode_pairs(firsts, seconds, self.max_tokens)
        else:
            texts_with = [self.before + text for text in whole]
            ids, lengths = self.tokenizer.encode(texts_with, self.max_tokens, tail=self.tail)
            kinds = [np.zeros_like(row) for row in ids]
        return Read(whole, normalised, self.rows(ids, kinds), cut=self._cut(lengths))

    def _cut(self, lengths: np.ndarray) -> int:
        return int((lengths > self.reach).sum())

    def rows(self, ids: Sequence[np.ndarray], kinds: Sequence[np.ndarray]) -> list[Row]:
        """Returns what the model is given of token ids and of the text that each belongs to."""
        return [
            {"token_ids": row, "segment_ids": kind, "padding_mask": np.ones_like(row)}
            for row, kind in zip(ids, kinds, strict=True)
        ]


def spelled(tokenizer: TextTokenizer, sides: Sequence[str]) -> str:
    """Returns texts as the tokenizer spells them before it takes them apart."""
    normalizer = tokenizer.tokenizer.normalizer
    return "\t".join(side if normalizer is None else normalizer.normalize_str(side) for side in sides)


def require_texts(inputs: Sequence[Any], *, pairs: bool) -> list[Sequence[str]]:
    """Returns each input as one text, or as two.

    Raises:
        RowError: One is something else, or holds nothing; names its row.
    """
    found: list[Sequence[str]] = []
    for row, given in enumerate(inputs, 1):
        sides = given.split("\t") if pairs and isinstance(given, str) else given
        sides = [sides] if isinstance(sides, str) else sides
        if not isinstance(sides, list | tuple) or len(sides) != 1 + pairs or not all(isinstance(s, str) for s in sides):
            raise RowError(
                row,
                "an input cannot be used",
                received=repr(given)[:80],
                expected="two texts: [first, second], or one line with a tab between them" if pairs else "a text",
            )
        found.append(sides)
    require_words(found)
    return found


def require_words(texts: Sequence[Sequence[str]]) -> None:
    """Refuses empty texts: an answer to nothing would look like any other.

    Raises:
        RowError: One is empty, or holds what is no character; names its row.
    """
    for row, sides in enumerate(texts, 1):
        problem = next((found for side in sides if (found := half_pair(side, "text") or _empty(side))), "")
        if problem:
            raise RowError(row, problem, expected="a text in every row")


def _empty(text: str) -> str:
    return "" if text.strip() else "empty text"


def make_cleaner(html: str, kinds: Sequence[str]) -> Callable[[str], str]:
    """Returns what is done to a text before it is tokenized.

    Args:
        html: ``unescape``, or ``keep``.
        kinds: Personal data that are replaced.
    """

    def clean(text: str) -> str:
        text = unescaped(text) if html == "unescape" else text
        if kinds:
            from kft.data.personal import redact

            text = redact(text, kinds)
        return text

    return clean


def make_text_reader(path: Path, settings: Mapping[str, Any]) -> TextReader:
    """Returns the reader that an artifact's settings describe.

    Args:
        path: The tokenizer's file.
        settings: ``reader`` of its artifact.json.
    """
    import tokenizers

    built = tokenizers.Tokenizer.from_file(str(path))
    built.no_truncation()
    built.no_padding()
    tokenizer = TextTokenizer(built, built.num_special_tokens_to_add(False))
    clean = make_cleaner(settings["html"], settings["redact"])
    most = settings.get("windows", 0)
    windows = Windows(settings["max_tokens"], settings["overlap"], most) if most else None
    pairs, before, tail = settings["kind"] == "text-pair", settings.get("query", ""), settings.get("tail", False)
    after = settings.get("document", "") if settings.get("apart") else None
    return TextReader(tokenizer, settings["max_tokens"], pairs, clean, before, tail, windows, after)


def padded(rows: Sequence[Row], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns rows as one batch, as long as the longest; padding is zeros.

    Example:
        >>> padded([{"x": np.array([1, 2])}, {"x": np.array([3])}], ["x"])["x"].tolist()
        [[1, 2], [3, 0]]
    """
    batch = {}
    for name in names:
        arrays = [row[name] for row in rows]
        shape = np.max([array.shape for array in arrays], axis=0)
        batch[name] = np.zeros((len(rows), *shape), arrays[0].dtype)
        for place, array in enumerate(arrays):
            batch[name][place][tuple(map(slice, array.shape))] = array
    return batch

"""Prompts for a language model: templates as data, labelled examples before the text, label words as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from kft.errors import ModelError, RecipeError
from kft.model.likelihood import Continuations
from kft.model.pieces import Pieces, TextPiece
from kft.model.token_rows import TextTokenizer
from kft.recipe.comparing import LABELS, CompareSpec, TemplateSpec
from kft.recipe.yaml_file import as_plain, read_yaml
from kft.tasks.label_names import describe_label

FREE_OF_CONTENT = ("N/A", "", "[MASK]")
"""Texts that say nothing, as Zhao et al. (2021) have them; beside retrieved examples the first alone."""
PARTED = "\n\n"
"""Between an instruction, the examples and what is asked."""


@cache
def shipped_templates(file: str = "templates.yaml") -> tuple[TemplateSpec, ...]:
    """Returns kft's own templates, in the order in which they are tried."""
    read = as_plain(read_yaml(Path(__file__).with_name(file)))
    return tuple(TemplateSpec.model_validate(each) for each in read["templates"])


def label_words(spec: CompareSpec, labels: Sequence[str]) -> tuple[str, ...]:
    """Returns the words of each label: those that the recipe gives it, else its name as words.

    Raises:
        RecipeError: The recipe gives words to a label that there is not.
    """
    unknown = sorted(set(spec.label_words) - set(labels))
    if unknown:
        raise RecipeError(
            "the data have no such label",
            where="compare.label_words",
            received=", ".join(unknown),
            expected="some of " + ", ".join(labels),
            next_step="name the labels as the data spell them: kft data look",
        )
    return tuple(" ".join(spec.label_words.get(label, describe_label(label)).split()) for label in labels)


@dataclass(frozen=True)
class Shot:
    """A labelled example in a prompt: its text, and which label it has."""

    text: str
    label: int


@dataclass(frozen=True)
class Prompter:
    """Writes prompts by one template.

    Attributes:
        template: How text and label stand in it.
        words: Of each label.
        tokenizer: The language model's.
        most: Tokens that it reads, the label's included.
    """

    template: TemplateSpec
    words: tuple[str, ...]
    tokenizer: TextTokenizer
    most: int

    def text_of(self, text: str, shots: Sequence[Shot]) -> str:
        """Returns a whole prompt, up to where the label's words begin, without the space before them.

        Example:
            >>> prompter = Prompter(shipped_templates()[0], ("good", "bad"), None, 100)
            >>> print(prompter.text_of("Poor screen.", [Shot("Lovely", 0)]))
            Text: Lovely
            Label: good
            <BLANKLINE>
            Text: Poor screen.
            Label:
        """
        before, tail = self.template.head, self.template.tail
        parts = ["\n".join(self.template.instruction).replace(LABELS, ", ".join(self.words))]
        parts += [f"{before}{each.text}{tail} {self.words[each.label]}" for each in shots]
        return PARTED.join([*(part for part in parts if part), before + text + tail])

    def tokens_of(self, texts: Sequence[str], shots: Sequence[Sequence[Shot]]) -> tuple[list[np.ndarray], int]:
        """Returns each prompt as tokens, and how many had to leave examples out, the first ones, to be read whole.

        Args:
            texts: One text a prompt.
            shots: Examples of each prompt.

        Raises:
            ModelError: A prompt is longer than what the model reads even without examples.
        """
        room = self.most - int(self.label_tokens.lengths.max()) + 1
        left = [list(each) for each in shots]
        rows = self._encode([self.text_of(text, given) for text, given in zip(texts, left, strict=True)])
        long = [row for row in range(len(rows)) if len(rows[row]) > room]
        shortened = len(long)
        while long:
            empty = next((row for row in long if not left[row]), None)
            if empty is not None:
                raise ModelError(
                    f"a prompt of {len(rows[empty]):,} tokens is longer than what the language model reads",
                    where=f"compare.templates, {self.template.name}",
                    received=f"{len(rows[empty]):,} tokens without any example",
                    expected=f"at most {room:,}, before the label's words",
                    next_step="--set model.max_tokens=64, or another --language-model",
                )
            for row in long:
                del left[row][0]
            again = self._encode([self.text_of(texts[row], left[row]) for row in long])
            for row, tokens in zip(long, again, strict=True):
                rows[row] = tokens
            long = [row for row in long if len(rows[row]) > room]
        return rows, shortened

    @property
    def label_tokens(self) -> Continuations:
        """The words of labels as they stand behind a prompt.

        Where one label's tokens begin another's, a line's end stands behind all: else the shorter could never be less
        likely than the longer.

        Raises:
            ModelError: The tokenizer joins a label's words with what stands before them.
        """
        found = self._behind("")
        if any(one != other and other[: len(one)] == one for one in found for other in found):
            found = self._behind("\n")
        return Continuations(found)

    def _behind(self, end: str) -> tuple[tuple[int, ...], ...]:
        tail = self.template.tail
        stub, *whole = (row.tolist() for row in self._encode([tail, *(f"{tail} {word}{end}" for word in self.words)]))
        if joined := [word for word, row in zip(self.words, whole, strict=True) if row[: len(stub)] != stub]:
            raise ModelError(
                "the language model's tokens do not part a label from what stands before it",
                where=f"compare.templates, {self.template.name}",
                received=f"{tail.strip()!r} before {joined[0]!r}",
                expected="an example that ends in a sign such as a colon before {label}",
                next_step="name templates of your own in compare.templates",
            )
        return tuple(tuple(row[len(stub) :]) for row in whole)

    def _encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Returns texts as tokens, up to where they go on; what spells a token of control becomes none."""
        before, _ = self.tokenizer.special_sides()
        front = self.tokenizer.tokenizer.encode("").ids[:before]
        spelled = Pieces(self.tokenizer, "").spelled([[TextPiece(text, content=True)] for text in texts])
        return [np.array([*front, *each.ids], np.int32) for each in spelled]


def in_one_line(texts: Sequence[str], tokenizer: TextTokenizer, most: int) -> tuple[list[str], int]:
    """Returns texts as a prompt has them, in one line and of so many tokens at most, and how many were cut."""
    lines = [" ".join(text.split()) for text in texts]
    _, offsets, lengths = tokenizer.encode_with_offsets(lines, most + tokenizer.special_tokens)
    long = np.flatnonzero(lengths > most + tokenizer.special_tokens)
    for row in long:
        lines[row] = lines[row][: int(offsets[row][:, 1].max())]
    return lines, len(long)


def fixed_shots(labels: np.ndarray, classes: int, count: int, seed: int) -> np.ndarray:
    """Returns which rows are examples for all: drawn by a seed, a class by turns.

    Args:
        labels: ``int[n]``: of the rows that are drawn from.
        classes: How many there are.
        count: How many examples.
        seed: Of the draw.

    Example:
        >>> rows = fixed_shots(np.array([0, 0, 0, 0, 1]), 2, 3, 0)
        >>> sorted(np.array([0, 0, 0, 0, 1])[rows].tolist())
        [0, 0, 1]
    """
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(labels == each)) for each in rng.permutation(classes)]
    deepest = max(map(len, drawn))
    turns = [rows[turn] for turn in range(deepest) for rows in drawn if turn < len(rows)]
    return np.array(turns[:count], np.int64)


def nearest_shots(queries: np.ndarray, known: np.ndarray, count: int) -> np.ndarray:
    """Returns ``int[n, count]``: the rows that lie nearest to each query by cosine, the nearest last.

    Args:
        queries: ``float32[n, width]`` of length 1.
        known: ``float32[m, width]`` of length 1.
        count: How many examples.
    """
    likeness = queries @ known.T
    return np.argsort(likeness, axis=1, kind="stable")[:, -count:]

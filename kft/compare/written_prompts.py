"""Prompts for a language model that was not tuned: forms as data, examples before a prompt, where an answer ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kft.compare.prompts import PARTED, shipped_templates
from kft.errors import ModelError
from kft.features.ngrams import ngram_reader
from kft.metrics.language import as_fields
from kft.model.prompts import PLACE, PromptReader
from kft.recipe.schema import CHAT_TEMPLATES, RecipeSpec

KEYS = "{keys}"
WRITING = "writing_templates.yaml"
OWN = "model.template"
"""What the recipe's own template is called among the others."""


@dataclass(frozen=True)
class PromptFormat:
    """How prompt and response stand before a model that was not tuned.

    Attributes:
        name: For people.
        instruction: What stands once, before all; mostly nothing.
        head: What stands before a prompt.
        tail: What stands between it and its response.
    """

    name: str
    instruction: str
    head: str
    tail: str

    def text_of(self, prompt: str, shots: Sequence[tuple[str, str]] = ()) -> str:
        r"""Returns a whole prompt, up to where the response begins.

        Args:
            prompt: What is asked.
            shots: Prompts with their responses, which stand before it.

        Example:
            >>> print(PromptFormat("asked", "", "Q: ", "\nA:").text_of("2 + 2?", [("1 + 1?", "2")]))
            Q: 1 + 1?
            A: 2
            <BLANKLINE>
            Q: 2 + 2?
            A:
        """
        asked = [f"{self.head}{text}{self.tail}{self.gap}{response}" for text, response in shots]
        parts = [part for part in (self.instruction, *asked) if part]
        return PARTED.join([*parts, self.head + prompt + self.tail])

    @property
    def gap(self) -> str:
        """What parts the tail from a response; a model that was not tuned writes it too."""
        return "" if not self.tail or self.tail[-1].isspace() else " "

    def end(self, responses: Sequence[str]) -> str:
        """Returns the text at which an answer ends: what stands between two examples.

        Where a response has an empty line in it, what follows such a line belongs to the end too.
        """
        return PARTED + (self.head if any(PARTED in text for text in responses) else "")


def forms_of(spec: RecipeSpec, responses: Sequence[str]) -> list[PromptFormat]:
    """Returns the forms that are tried.

    Args:
        spec: The recipe: its own template, and those of ``compare.templates`` in place of kft's.
        responses: Those of train, whose keys a form may name.
    """
    fields = [as_fields(text) for text in responses]
    keys = list(dict.fromkeys(key for each in fields for key in (each or ())))
    joined = ", ".join(keys) if keys and all(each is not None for each in fields) else ""
    found = []
    for each in spec.compare.templates or shipped_templates(WRITING):
        instruction = "\n".join(each.instruction)
        if KEYS not in instruction or joined:
            found.append(PromptFormat(each.name, instruction.replace(KEYS, joined), each.head, each.tail))
    if spec.model.template in CHAT_TEMPLATES:  # a chat is no text with places
        return found
    head, tail = spec.model.template.split(PLACE)
    own = PromptFormat(OWN, "", head, tail)
    return found if spec.compare.templates else [own, *found]


@dataclass(frozen=True)
class FittedPrompts:
    """Prompts as texts that fit into a model.

    Attributes:
        texts: Whole prompts.
        tokens: ``int64[n]``: of each.
        shortened: How many left examples out, the first ones, to be read whole.
    """

    texts: list[str]
    tokens: np.ndarray
    shortened: int


def fit_prompts(
    form: PromptFormat,
    prompts: Sequence[str],
    shots: Sequence[Sequence[tuple[str, str]]],
    reader: PromptReader,
) -> FittedPrompts:
    """Returns prompts that a model can read whole.

    Args:
        form: How they are written.
        prompts: What is asked.
        shots: Examples of each, the nearest last.
        reader: Whose template is the prompt alone; ``prompt_tokens`` is how many tokens it may have.

    Raises:
        ModelError: A prompt is too long even without examples.
    """
    texts, left = [""] * len(prompts), [list(each) for each in shots]
    tokens = np.zeros(len(prompts), np.int64)
    long, shortened = list(range(len(prompts))), set[int]()
    while long:
        again = [form.text_of(prompts[row], left[row]) for row in long]
        ids, cut = reader.prompts(again)
        for row, text, read, lost in zip(long, again, ids, cut, strict=True):
            texts[row], tokens[row] = text, len(read) + lost
        long = [row for row in long if tokens[row] > reader.prompt_tokens]
        shortened |= set(long)
        for row in long:
            if not left[row]:
                raise ModelError(
                    f"a prompt of {tokens[row]:,} tokens is longer than what the language model reads",
                    where=f"compare.templates, {form.name}",
                    received=f"{tokens[row]:,} tokens without any example",
                    expected=f"at most {reader.prompt_tokens:,}, before the response",
                    next_step="--set model.max_tokens=N with a smaller N cuts prompts, in training alike",
                )
            del left[row][0]
    return FittedPrompts(texts, tokens, len(shortened))


def nearest_by_words(prompts: Sequence[str], known: Sequence[str], count: int) -> np.ndarray:
    """Returns ``int[n, count]``: the rows whose prompts share most with each by TF-IDF of words, the nearest last.

    Example:
        >>> nearest_by_words(["a red hat"], ["blue shoes", "the red hat", "my red coat"], 1).tolist()
        [[1]]
    """
    read, _ = ngram_reader(list(known))
    likeness = (read(list(prompts)) @ read(list(known)).T).toarray()
    # Of rows that are as near the first in the table is taken.
    order = np.argsort(-likeness, axis=1, kind="stable")[:, :count]
    return np.asarray(order[:, ::-1])

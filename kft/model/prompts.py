"""Prompts and responses as a language model reads them: token ids, and which token is right behind each.

A prompt has the same room in training and in writing, whatever its response: what fits is read alike in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.errors import ModelError
from kft.feed.batches import Ragged
from kft.feed.source import Source, text_source
from kft.model.grounding import PLAIN, Grounding
from kft.model.panics import tokenizer_errors
from kft.model.token_rows import USED, TextTokenizer
from kft.recipe.schema import ModelSpec
from kft.tasks.responses import TARGETS, Grounded

PLACE = "{prompt}"
ENDS = ("<eos>", "</s>", "<|endoftext|>", "<|end_of_text|>", "<|im_end|>")
"""What ends a text in the vocabularies of decoders; the first that a vocabulary has."""


@dataclass(frozen=True)
class PromptReader:
    """Reads prompts and responses for one model.

    Attributes:
        tokenizer: Of the backbone.
        template: Text around ``{prompt}``.
        prompt_tokens: Those of a prompt with its template, at most; a longer prompt loses its end.
        response_tokens: Those of a response, at most, its end counted; a longer one loses its end.
        grounding: How passages stand before a prompt.
    """

    tokenizer: TextTokenizer
    template: str
    prompt_tokens: int
    response_tokens: int
    grounding: Grounding = PLAIN

    @property
    def end(self) -> int:
        """The token behind a response.

        Raises:
            ModelError: The vocabulary has none that kft knows.
        """
        found = (self.tokenizer.tokenizer.token_to_id(name) for name in ENDS)
        for token in (each for each in found if each is not None):
            return int(token)
        raise ModelError(
            "nothing in this vocabulary ends a text, so a response would never be over",
            where="model.backbone",
            expected="one of the tokens " + ", ".join(ENDS),
            next_step="add the token to the folder's tokenizer.json",
        )

    def composed(self, asked: Sequence[str | Grounded]) -> tuple[list[str], list[tuple[int, ...]]]:
        """Returns prompts with their passages before them, as many as there is room for, and which those are."""
        kept = self.grounding.fit(asked, self._lengths, self.prompt_tokens)
        rows = zip(asked, kept, strict=True)
        return [each if isinstance(each, str) else self.grounding.text_of(each, own) for each, own in rows], kept

    def _lengths(self, texts: Sequence[str]) -> np.ndarray:
        ids, cut = self.prompts(texts)
        return np.array([len(each) for each in ids], np.int64) + cut

    def prompts(self, texts: Sequence[str | Grounded]) -> tuple[list[np.ndarray], np.ndarray]:
        """Returns the ids of each prompt in its template, and ``int[n]``: how many of its tokens were cut."""
        before, after = self.template.split(PLACE)
        heads = self._ids([before + text for text in self.composed(texts)[0]], special=True)
        (tail,) = self._ids([after], special=False)
        room = self.prompt_tokens - len(tail)
        if room < 1:
            raise ModelError(
                "the template leaves no room for a prompt",
                where="model.template",
                received=f"{len(tail)} tokens behind {PLACE}",
                expected=f"fewer than the {self.prompt_tokens} tokens of a prompt",
                next_step="a shorter template, or a larger model.max_tokens",
            )
        rows = [np.concatenate([head[:room], tail]) for head in heads]
        return rows, np.array([max(0, len(head) - room) for head in heads], np.int64)

    def responses(self, texts: Sequence[str]) -> tuple[list[np.ndarray], np.ndarray]:
        """Returns the ids of each response with its end, and ``int[n]``: how many were cut, and with them the end."""
        whole = [np.append(ids, np.int32(self.end)) for ids in self._ids(texts, special=False)]
        cut = np.array([max(0, len(ids) - self.response_tokens) for ids in whole], np.int64)
        return [ids[: self.response_tokens] for ids in whole], cut

    def source(self, given: Sequence[Any]) -> Taken:
        """Returns prompts as a model reads them, each with its response where it has one.

        At each position ``target_ids`` is the id of the token behind it and one, where that is the response's; else 0.
        """
        pairs = [each if isinstance(each, tuple) else (each, None) for each in given]
        texts, kept = self.composed([prompt for prompt, _ in pairs])
        prompts, short = self.prompts(texts)
        responses, cut = self.responses([response or "" for _, response in pairs])
        right = [None if said is None else ids for ids, (_, said) in zip(responses, pairs, strict=True)]
        source = as_source(prompts, right)
        left_out = sum(
            len(each.passages) - len(own)
            for (each, _), own in zip(pairs, kept, strict=True)
            if isinstance(each, Grounded)
        )
        return Taken(source, short, cut, source.lengths + short + cut, left_out)

    def text(self, ids: Sequence[int]) -> str:
        """Returns the text of tokens, without special ones."""
        with tokenizer_errors(USED):
            return str(self.tokenizer.tokenizer.decode(list(map(int, ids)), skip_special_tokens=True))

    def _ids(self, texts: Sequence[str], *, special: bool) -> list[np.ndarray]:
        with tokenizer_errors(USED):
            found = self.tokenizer.tokenizer.encode_batch_fast(list(texts), add_special_tokens=special)
        behind = self.tokenizer.special_sides()[1] if special else 0
        return [np.array(each.ids[: len(each.ids) - behind], np.int32) for each in found]


def as_source(prompts: Sequence[np.ndarray], responses: Sequence[np.ndarray | None]) -> Source:
    """Returns tokens of prompts and responses as a model reads them; see ``PromptReader.source``."""
    rows, targets = [], []
    for prompt, response in zip(prompts, responses, strict=True):
        ids = (prompt if response is None else np.concatenate([prompt, response])).astype(np.int32)
        asked = np.append(ids[1:] + 1, np.int32(0))
        asked[: max(len(prompt) - 1, 0)] = 0
        kept = slice(None, None if response is None else -1)  # nothing follows the end of a response
        rows.append(ids[kept])
        targets.append(asked[kept])
    source = text_source(Ragged.from_rows(rows))
    return source.with_columns({**source.columns, TARGETS: Ragged.from_rows(targets)})


@dataclass(frozen=True)
class Taken:
    """Prompts, perhaps with responses, as a model reads them.

    Attributes:
        source: Batches of them.
        prompts_cut: ``int[n]``: how many tokens of each prompt were cut.
        responses_cut: Likewise of each response.
        lengths: ``int[n]``: tokens of both before the cut.
        left_out: Passages that had no room, of all prompts together.
    """

    source: Source
    prompts_cut: np.ndarray
    responses_cut: np.ndarray
    lengths: np.ndarray
    left_out: int = 0


def prompt_reader(tokenizer: TextTokenizer, spec: ModelSpec) -> PromptReader:
    """Returns the reader for a recipe's model."""
    grounding = Grounding(spec.context_template, spec.context_tokens)
    return PromptReader(tokenizer, spec.template, spec.max_tokens - spec.room, spec.room, grounding)

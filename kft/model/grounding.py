"""Passages before a prompt: numbered, whole or not at all, as many as there is room for, in training as in writing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kft.recipe.schema import CONTEXT, PROMPT, ModelSpec
from kft.tasks.responses import Grounded

PARTED = "\n"
"""Between two passages."""


@dataclass(frozen=True)
class Grounding:
    """How passages and prompt stand together.

    Attributes:
        template: Text around ``{context}`` and ``{prompt}``; a prompt without passages stands alone.
        most_tokens: Of the passages of a prompt, what stands around them included; None: all that the prompt leaves.
    """

    template: str
    most_tokens: int | None = None

    def text_of(self, asked: Grounded, kept: Sequence[int]) -> str:
        r"""Returns a prompt with some of its passages before it, numbered from 1.

        Example:
            >>> print(Grounding("{context}\n\n{prompt}").text_of(Grounded("Who?", ("Ann.", "Bob.")), [1]))
            [1] Bob.
            <BLANKLINE>
            Who?
        """
        if not kept:
            return asked.prompt
        numbered = PARTED.join(f"[{number}] {asked.passages[place]}" for number, place in enumerate(kept, 1))
        before, after = self.template.split(CONTEXT)
        parts = (part.replace(PROMPT, asked.prompt) if PROMPT in part else part for part in (before, after))
        return numbered.join(parts)

    def fit(
        self, asked: Sequence[str | Grounded], count: Callable[[Sequence[str]], np.ndarray], room: int
    ) -> list[tuple[int, ...]]:
        """Returns which passages of each prompt have room, in their order; one that has none is left out whole.

        Args:
            asked: The prompts, perhaps with passages.
            count: Texts to ``int[n]``: the tokens of each in the model's own template.
            room: Tokens of a prompt at most.
        """
        rows = [(place, each) for place, each in enumerate(asked) if isinstance(each, Grounded) and each.passages]
        kept: list[list[int]] = [[] for _ in asked]
        if not rows:
            return [() for _ in asked]
        alone = count([each.prompt for _, each in rows])
        most = np.full(len(rows), room) if self.most_tokens is None else np.minimum(room, alone + self.most_tokens)
        for passage in range(max(len(each.passages) for _, each in rows)):
            tried = [number for number, (_, each) in enumerate(rows) if passage < len(each.passages)]
            texts = [self.text_of(rows[number][1], [*kept[rows[number][0]], passage]) for number in tried]
            for number, tokens in zip(tried, count(texts), strict=True):
                if tokens <= most[number]:
                    kept[rows[number][0]].append(passage)
        return [tuple(each) for each in kept]


PLAIN = Grounding(str(ModelSpec.model_fields["context_template"].default))

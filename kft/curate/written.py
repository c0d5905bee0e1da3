"""What is seen of prompts and responses, or of chats, and the recipe that is drafted for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from kft.metrics.language import as_fields
from kft.recipe.training import ADAPTED
from kft.tasks.dialogues import read_turns

CHATS, PROMPTS, RESPONSES = ("messages",), ("prompt", "instruction"), ("response", "completion", "output")
"""Columns that say by their names that a response is to be written: either the first, or one each of the others."""
SIZES = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096)
"""Tokens that a draft gives prompts, and responses: the first that holds nearly all."""
NEARLY_ALL = 0.99
FRAME = 24
"""Tokens that a template takes, at most."""
OF_CHATS = "gemma"
"""The chat template that fits the backbone of a draft."""


def names_responses(names: Sequence[str]) -> bool:
    """Whether columns say by their names that responses are to be written.

    Example:
        >>> names_responses(["id", "prompt", "response"]), names_responses(["text", "label"])
        (True, False)
    """
    known = {name.strip().lower() for name in names}
    return bool(known & set(CHATS)) or (bool(known & set(PROMPTS)) and bool(known & set(RESPONSES)))


def chats_in(frame: pd.DataFrame) -> str | None:
    """Returns the column that holds chats; None where none does."""
    named = [str(name) for name in frame.columns if str(name).strip().lower() in CHATS]
    return next((name for name in named if any(not read_turns(cell)[1] for cell in frame[name][:10])), None)


def room_for(tokens: Sequence[int]) -> int:
    """Returns how many tokens hold nearly all of some texts.

    Example:
        >>> room_for([10, 20, 40]), room_for([100_000])
        (64, 4096)
    """
    wanted = float(np.quantile(tokens, NEARLY_ALL))
    return next((size for size in SIZES if size >= wanted), SIZES[-1])


def about_responses(responses: Sequence[str]) -> str:
    """Says what responses look like, for people: JSON objects with which fields, or texts."""
    fields = [as_fields(text) for text in responses]
    found = [each for each in fields if each is not None]
    if found and len(found) == len(fields):
        names = list(dict.fromkeys(name for each in found for name in each))
        return f"JSON objects of {', '.join(names[:6])}" + (" ..." if len(names) > 6 else "")
    return f"texts, {len(set(responses)):,} of {len(responses):,} different"


def room_of_both(prompts: Sequence[int], responses: Sequence[int]) -> tuple[int, int]:
    """Returns how many tokens a draft gives prompt and response together, and how many of them the response.

    Example:
        >>> room_of_both([40, 60], [20, 25])
        (128, 32)
    """
    said = room_for([each + 1 for each in responses])  # its end is a token too
    return room_for([each + FRAME for each in prompts]) + said, said


def lengths_of_both(prompts: Sequence[int], responses: Sequence[int]) -> str:
    """Says how long nearly all are, for people."""
    asked, said = (float(np.quantile(each, NEARLY_ALL)) for each in (prompts, responses))
    return f"99 % of the prompts up to about {asked:,.0f} tokens, of the responses up to about {said:,.0f}"


def model_lines(prompts: Sequence[int], responses: Sequence[int], *, chats: bool) -> str:
    """Returns the recipe's part on the model, behind its backbone.

    Args:
        prompts: How many tokens each has, about.
        responses: Likewise.
        chats: Whether they are chats.
    """
    whole, said = room_of_both(prompts, responses)
    template = (
        f"  template: {OF_CHATS:<20}  # how turns become a text; own: the template of the backbone's folder\n"
        if chats
        else '  # template: "Text: {prompt}\\nJSON:"   # what the model reads around a prompt; it belongs to the run\n'
    )
    return (
        f"{template}  max_tokens: {whole:<18}  # of both together: {lengths_of_both(prompts, responses)}\n"
        f"  response_tokens: {said:<13}  # of them for the response and its end; a longer one is cut, and said\n"
    )


def train_lines() -> str:
    """Returns the recipe's part on training: what runs without it."""
    (phase,) = ADAPTED
    written = f"name: {phase.name}, unfreeze: {{lora: {{}}}}, epochs: {phase.epochs}, lr: {phase.lr:g}"
    return f"# train:\n#   batch_size: 8\n#   phases:   # left out, these run\n#     - {{{written}}}\n"


def column_lines(chats: str | None, text: str, label: str) -> str:
    """Returns the keys of the recipe's data part that name columns."""
    named: dict[str, Any] = {"text": text, "label": label} if chats is None else {"messages": chats}
    return "".join(f"  {key}: {json.dumps(name, ensure_ascii=False)}\n" for key, name in named.items())

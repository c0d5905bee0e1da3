"""Chats: turns of a system, a user and an assistant, as a table holds them and as a model is asked.

What a model reads of a chat is a text, the JSON of its turns before the answer; the answer is the last turn's content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.characters import half_pair
from kft.errors import DataError

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
ROLES = (SYSTEM, USER, ASSISTANT)
KEYS = {"role", "content"}


@dataclass(frozen=True)
class Turn:
    """What one side of a chat says.

    Attributes:
        role: One of ``ROLES``.
        content: What it says.
    """

    role: str
    content: str


Turns = tuple[Turn, ...]


def read_turns(cell: Any) -> tuple[Turns, str]:
    """Returns the turns of a chat that ends with an answer, and an empty reason; or none, and why it is no such chat.

    Args:
        cell: A list of objects with ``role`` and ``content``, or its JSON.

    Example:
        >>> turns, problem = read_turns([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])
        >>> len(turns), problem
        (2, '')
        >>> read_turns([{"role": "user", "content": "Hi"}])[1]
        'no assistant turn'
    """
    turns, problem = _turns(cell)
    if problem:
        return (), problem
    if all(turn.role != ASSISTANT for turn in turns):
        return (), "no assistant turn"
    if turns[-1].role != ASSISTANT:
        return (), f"the chat does not end with an answer: its last turn is the {turns[-1].role}'s"
    return turns, ""


def read_question(cell: Any) -> tuple[Turns, str]:
    """Returns the turns of a chat that ends with the user's, who waits for an answer; or why it is no such chat."""
    turns, problem = _turns(cell)
    if not problem and turns[-1].role != USER:
        problem = f"the chat does not end with a question: its last turn is the {turns[-1].role}'s"
    return ((), problem) if problem else (turns, "")


def _turns(cell: Any) -> tuple[Turns, str]:
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return (), "messages are not JSON"
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if not isinstance(cell, (list, tuple)):
        return (), f"messages are no list: a {type(cell).__name__}"
    turns: list[Turn] = []
    for number, each in enumerate(cell, 1):
        turn, problem = _turn(each)
        before = turns[-1].role if turns else None
        if turn is None:
            return (), f"{problem}, in turn {number}"
        if turn.role == SYSTEM and before is not None:
            return (), f"turns out of order: a system turn behind others, in turn {number}"
        if turn.role != SYSTEM and turn.role != (ASSISTANT if before == USER else USER):
            return (), f"turns out of order: {turn.role} after {before or 'nothing'}, in turn {number}"
        turns.append(turn)
    if not turns:
        return (), "no turns"
    return tuple(turns), ""


def _turn(each: Any) -> tuple[Turn | None, str]:
    if not isinstance(each, Mapping) or not set(each) >= KEYS:
        return None, f"a turn without role and content: {json.dumps(each, default=str, ensure_ascii=False)[:60]}"
    more = sorted(str(key) for key, value in each.items() if key not in KEYS and value not in (None, "", []))
    role, content = each["role"], each["content"]
    if more:
        return None, f"a turn with more than role and content: {', '.join(more)}"
    if role not in ROLES:
        return None, f"unknown role: {role!r}"
    if not isinstance(content, str):
        return None, f"content is not text: a {type(content).__name__}"
    problem = half_pair(content, "content") or ("" if content.strip() else "empty content")
    return (None, problem) if problem else (Turn(role, content), "")


def as_input(turns: Sequence[Turn]) -> str:
    """Returns the turns before an answer as what a model reads.

    Example:
        >>> as_input((Turn("user", "Hi"),))
        '[{"role": "user", "content": "Hi"}]'
    """
    return json.dumps([{"role": turn.role, "content": turn.content} for turn in turns], ensure_ascii=False)


def turns_of(text: str) -> Turns:
    """Returns the turns of what ``as_input`` made.

    Raises:
        DataError: The text is no chat that waits for an answer.

    Example:
        >>> turns_of('[{"role": "user", "content": "Hi"}]')
        (Turn(role='user', content='Hi'),)
    """
    turns, problem = read_question(text)
    if problem:
        raise DataError(
            "this is no chat",
            where="messages",
            received=problem,
            expected='[{"role": "user", "content": "..."}], the last turn the user\'s',
            next_step='kft generate RUN "your question", or --messages FILE',
        )
    return turns


def as_question(given: Any) -> str:
    """Returns what a person asks, a text or the messages of a chat, as what a model reads of a chat.

    Raises:
        DataError: The messages are no chat that waits for an answer.

    Example:
        >>> as_question("Hi") == as_question([{"role": "user", "content": "Hi"}])
        True
    """
    if isinstance(given, str):
        return as_input((Turn(USER, given),))
    return as_input(turns_of(json.dumps(given, ensure_ascii=False, default=str)))

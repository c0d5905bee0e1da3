"""Tables of chats: a column of messages becomes a prompt, all turns but the last, and its response, the last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from kft.data.columns import require_column
from kft.data.reading import load_text
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.cells import Unreadable, as_objects
from kft.tasks.dialogues import KEYS, as_input, read_question, read_turns

PROMPT, RESPONSE = "prompt", "response"


def open_dialogues(frame: pd.DataFrame, spec: DataSpec, where: str) -> pd.DataFrame:
    """Adds prompts and responses to a table whose ``data.messages`` holds chats, or ``data.texts`` plain texts.

    Any other stays as it is. A plain text is both: what copies are found by, and what is learned.

    A row that is no chat gets cells that say why: it is unusable, as ``data.unusable_rows`` has it.

    Args:
        frame: The table.
        spec: The recipe's data part.
        where: The table, for messages.

    Raises:
        DataError: There is no such column, or columns of prompts or responses besides.
    """
    if spec.messages is None and spec.texts is None:
        return frame
    if spec.texts is not None:
        require_column(frame, spec.texts, "data.texts", where, expected="a column of texts")
        texts = as_objects(list(frame[spec.texts]))
        return frame.assign(**{PROMPT: texts, RESPONSE: texts})
    assert spec.messages is not None
    require_column(frame, spec.messages, "data.messages", where, expected="a column of chats")
    if {PROMPT, RESPONSE} & set(map(str, frame.columns)):
        raise DataError(
            "chats, and prompts or responses beside them",
            where=f"data.messages, {where}",
            received="columns " + ", ".join(map(str, frame.columns)),
            expected=f"no columns {PROMPT!r} and {RESPONSE!r}: they are made of the messages",
            next_step="leave data.messages out, or those columns",
        )
    prompts: list[Any] = []
    responses: list[Any] = []
    for cell in frame[spec.messages]:
        turns, problem = read_turns(cell)
        prompts.append(Unreadable(problem) if problem else as_input(turns[:-1]))
        responses.append("" if problem else turns[-1].content)
    return frame.assign(**{PROMPT: as_objects(prompts), RESPONSE: as_objects(responses)})


def questions_in(frame: pd.DataFrame, spec: DataSpec, where: str) -> list[Any]:
    """Returns what a model reads of each chat of a table: one that ends with an answer is asked for that again.

    Raises:
        DataError: There is no such column.
    """
    assert spec.messages is not None
    require_column(frame, spec.messages, "data.messages", where, expected="a column of chats")
    found: list[Any] = []
    for cell in frame[spec.messages]:
        turns, problem = read_question(cell)
        turns = turns or read_turns(cell)[0][:-1]
        found.append(as_input(turns) if turns else Unreadable(problem))
    return found


def _whole(text: str) -> Any:
    """Returns what a file holds as one JSON value; None where it is none, such as lines of JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_turn(value: Any) -> bool:
    return isinstance(value, dict) and set(value) >= KEYS


def read_questions(path: Path) -> list[Any]:
    """Returns the chats of a file that wait for an answer.

    Args:
        path: A jsonl file with one a line, each a list of messages or an object with ``messages``; or a .json file with
            one list of messages, one such object, or a list of either.

    Raises:
        DataError: The file is no JSON, or holds something else.
    """
    text = load_text(path).text
    whole = _whole(text) if path.suffix.lower() == ".json" else None
    if whole:
        several = whole if isinstance(whole, list) and not _is_turn(whole[0]) else [whole]
        return [each.get("messages") if isinstance(each, dict) else each for each in several]
    chats = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                "the file is not JSON",
                where=f"{path}, line {number}",
                received=str(error)[:80],
                expected='one chat a line: {"messages": [{"role": "user", "content": "..."}]}',
            ) from None
        chats.append(value.get("messages") if isinstance(value, dict) else value)
    if not chats:
        raise DataError("there is nothing to answer", where=str(path), expected="at least one chat")
    return chats

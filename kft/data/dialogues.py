"""Tables of chats: a column of messages becomes a prompt, all turns but the last, and its response, the last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from kft.data.columns import require_column
from kft.data.json_rows import read_json
from kft.data.reading import load_text
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.cells import Unreadable, as_objects
from kft.tasks.dialogues import as_input, read_turns

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


def read_questions(path: Path) -> list[Any]:
    """Returns the chats of a file that wait for an answer.

    Args:
        path: A jsonl file with one a line, each a list of messages or an object with ``messages``; or a .json file with
            one list of messages, or of such objects.

    Raises:
        DataError: The file is no JSON, or holds something else.
    """
    text = load_text(path).text
    if path.suffix.lower() == ".json" and text.lstrip()[:1] == "[":
        found = read_json(text, path).to_dict("records")
        return [found] if set(found[0]) >= {"role", "content"} else [each.get("messages") for each in found]
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

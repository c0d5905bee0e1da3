"""Tables of chats: what is a chat, what is refused and counted, and what a model reads of it."""

import json

import numpy as np
import pandas as pd
import pytest

from kft.api.answering import InputSpec
from kft.api.reading import load
from kft.data.dialogues import PROMPT, RESPONSE, open_dialogues, read_questions
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.cells import Unreadable
from kft.tasks.dialogues import as_question, read_turns
from kft.tasks.registry import TASKS

SPEC = DataSpec(train="a.jsonl", messages="chat")


def said(*pairs):
    return [{"role": role, "content": content} for role, content in pairs]


GOOD = said(("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello!"), ("user", "1 + 1?"), ("assistant", "2"))
BAD = {
    "no assistant turn": said(("user", "Hi")),
    "unknown role: 'tool', in turn 2": said(("user", "Hi"), ("tool", "x"), ("assistant", "y")),
    "empty content, in turn 1": said(("user", " "), ("assistant", "y")),
    "turns out of order: user after user, in turn 2": said(("user", "a"), ("user", "b"), ("assistant", "c")),
    "turns out of order: assistant after nothing, in turn 1": said(("assistant", "c")),
    "turns out of order: a system turn behind others, in turn 3": said(
        ("user", "a"), ("assistant", "b"), ("system", "c")
    ),
    "the chat does not end with an answer: its last turn is the user's": said(
        ("user", "a"), ("assistant", "b"), ("user", "c")
    ),
    "content is not text: a list, in turn 1": said(("user", [{"type": "image"}]), ("assistant", "b")),
    "a turn with more than role and content: tool_calls, in turn 2": [
        *said(("user", "a")),
        {"role": "assistant", "content": "b", "tool_calls": [{"name": "f"}], "name": None},
    ],
    'a turn without role and content: {"from": "human", "value": "a"}, in turn 1': [{"from": "human", "value": "a"}],
    "content holds half a surrogate pair, which is not a character, in turn 1": said(("user", "\ud83d")),
    "messages are no list: a float": float("nan"),
    "messages are not JSON": "Hi",
    "no turns": [],
}


@pytest.mark.parametrize("problem", BAD)
def test_what_is_no_chat_says_why(problem):
    assert read_turns(BAD[problem]) == ((), problem)


def test_a_chat_is_a_prompt_and_its_response_however_it_is_written():
    frame = pd.DataFrame({"chat": [GOOD, json.dumps(GOOD), np.array(GOOD, dtype=object), BAD["no turns"]]})
    opened = open_dialogues(frame, SPEC, "a.jsonl")
    assert opened[RESPONSE].tolist() == ["2", "2", "2", ""]
    assert json.loads(opened[PROMPT][0]) == GOOD[:-1] and len(set(opened[PROMPT][:3])) == 1
    assert opened[PROMPT][3] == Unreadable("no turns")


def test_a_column_that_is_not_there_or_stands_beside_prompts_is_refused():
    with pytest.raises(DataError, match="no column 'chat'; did you mean 'chats'"):
        open_dialogues(pd.DataFrame({"chats": [GOOD]}), SPEC, "a.jsonl")
    with pytest.raises(DataError, match="chats, and prompts or responses beside them"):
        open_dialogues(pd.DataFrame({"chat": [GOOD], "prompt": ["x"]}), SPEC, "a.jsonl")


def test_malformed_rows_stop_or_are_left_out_and_listed(tmp_path):
    bad = [each for problem, each in BAD.items() if "surrogate" not in problem]  # no line of JSON holds one
    rows = [*(said(("user", f"What is {n}?"), ("assistant", f"It is {n}.")) for n in range(40)), *bad]
    lines = [json.dumps({"messages": each if isinstance(each, (list, str)) else None}) for each in rows]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), "utf-8")
    values = {
        "task": "causal-lm",
        "model": {"backbone": "minilm-l6"},
        "data": {"train": str(tmp_path / "a.jsonl"), "messages": "messages"},
    }
    with pytest.raises(DataError) as caught:
        load(values, [], None)
    assert "unknown role (1)" in str(caught.value) and "no assistant turn (1)" in str(caught.value)
    recipe, split = load(values, ["data.unusable_rows=skip"], None)
    assert len(split.rejected) == len(bad)
    assert len(split.train) + len(split.valid) + len(split.test) == 40
    assert recipe.spec.model.template == "own" and recipe.spec.model.turns == "all"


def test_a_table_of_chats_is_asked_for_what_comes_next_or_for_the_answer_it_has(tmp_path):
    reading = InputSpec(TASKS.get("causal-lm"), SPEC, "prompt", None)
    table = tmp_path / "a.jsonl"
    table.write_text("".join(json.dumps({"chat": each, "n": 1}) + "\n" for each in (GOOD, GOOD[:-1], GOOD[:1])))
    given = reading.of_table(table, unusable="keep")
    assert given.inputs[:2] == [as_question(GOOD[:-1])] * 2 and list(given.table.columns) == ["chat", "n"]
    assert isinstance(given.inputs[2], Unreadable) and "does not end with a question" in given.inputs[2].reason
    with pytest.raises(DataError, match="1 of 3 texts cannot be used"):
        reading.of_table(table)
    with pytest.raises(DataError, match="no column 'chat'"):
        reading.of_table(pd.DataFrame({"prompt": ["Hi"]}))


def test_chats_that_wait_for_an_answer_are_read_from_files(tmp_path):
    lines = tmp_path / "a.jsonl"
    lines.write_text(f"{json.dumps({'messages': GOOD[:-1]})}\n\n{json.dumps(GOOD[1:2])}\n")
    one = tmp_path / "a.json"
    one.write_text(json.dumps(GOOD[:-1]))
    assert read_questions(lines) == [GOOD[:-1], GOOD[1:2]] and read_questions(one) == [GOOD[:-1]]
    for value in ({"messages": GOOD[:-1]}, [{"messages": GOOD[:-1]}], [GOOD[:-1]]):
        one.write_text(json.dumps(value, indent=1))
        assert read_questions(one) == [GOOD[:-1]]
    (tmp_path / "b.jsonl").write_text("Hi\n")
    with pytest.raises(DataError, match="the file is not JSON") as caught:
        read_questions(tmp_path / "b.jsonl")
    assert "b.jsonl, line 1" in str(caught.value)
    with pytest.raises(DataError, match="this is no chat") as caught:
        as_question(GOOD)
    assert "its last turn is the assistant's" in str(caught.value)

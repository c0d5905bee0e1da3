"""Input kinds: what a model reads of one example, and all that other rooms ask about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from kft.errors import UsageError
from kft.tasks.cells import as_text

# fmt: off
TEXT_NAMES = (
    "text", "body", "sentence", "content", "review", "question", "message", "comment", "description",
    "utterance", "query", "ticket", "document", "note", "abstract", "tweet", "prompt", "input",
)
FIRST_NAMES = ("text1", "text_a", "sentence1", "question1", "first", "premise")
PAIR_NAMES = ("text_pair", "text2", "text_b", "sentence2", "question2", "second", "hypothesis", "answer", "reply")
IMAGE_NAMES = ("image", "path", "file", "filename", "file_name", "image_path", "photo", "picture")
# fmt: on


@dataclass(frozen=True, eq=False)
class InputKind:
    """What a model reads.

    Attributes:
        name: What it is called in lists.
        medium: Which backbones read it and which changes suit it; also what people call one.
        columns: Keys of the recipe's ``data`` that name its columns: two where an input has two sides.
        usual: What the column of each side is often called, in lower case.
        convert: What a person hands over in Python to an input; raises UsageError.
        in_python: An example of it for ``kft.predict``.
        in_shell: Likewise for ``kft predict``.
        apart: Whether its two sides are read one by one: two rows of a batch, first all first sides, then all second.
        grounded: Whether an input may bring passages that it is answered from.
        files: Whether each input is a file of its own: named by a path, perhaps in a folder of its class, and without
            words to clean, to count or to compare with a label's name.
        no_general: Why kft brings no general examples to measure forgetting on; empty where it does.
        keys: Recipe keys, dotted, that only some input kinds obey, this one among them.
        refuses: Recipe keys that it cannot obey, and why; ``{task}`` stands for the task's name.
    """

    name: str
    medium: Literal["text", "image"]
    columns: tuple[str, ...]
    usual: tuple[tuple[str, ...], ...]
    convert: Callable[[Any], Any]
    in_python: str
    in_shell: str
    apart: bool = False
    grounded: bool = False
    files: bool = False
    no_general: str = ""
    keys: tuple[str, ...] = ()
    refuses: Mapping[str, str] = field(default_factory=dict)

    @property
    def one(self) -> str:
        return f"{'an' if self.medium[0] in 'aeiou' else 'a'} {self.medium}"

    @property
    def pairs(self) -> bool:
        return len(self.columns) == 2


def _as_text(value: Any) -> str:
    if isinstance(value, (tuple, Path)):
        noun = "two texts" if isinstance(value, tuple) else f"the file {value}"
        raise UsageError("this model reads one text at a time", received=noun, next_step='kft predict RUN "your text"')
    return as_text(value)


def _as_pair(value: Any) -> tuple[str, str]:
    parts = value.split("\t") if isinstance(value, str) else list(value)
    if len(parts) != 2:
        raise UsageError(
            "this model reads two texts at a time",
            received=repr(value)[:80],
            expected="a pair: (first, second), or one line with a tab between them",
            next_step='kft predict RUN "first" --pair "second"',
        )
    return as_text(parts[0]), as_text(parts[1])


def _as_path(value: Any) -> Path:
    return value if isinstance(value, Path) else Path(as_text(value)).expanduser()


TEXT = InputKind(
    name="text",
    medium="text",
    columns=("text",),
    usual=(TEXT_NAMES,),
    convert=_as_text,
    in_python='"a text"',
    in_shell='"your text"',
    keys=("data.html", "data.document", "model.long_text", "compare"),
)
PAIR = InputKind(
    name="text-pair",
    medium="text",
    columns=("text", "text_pair"),
    usual=((*FIRST_NAMES, *TEXT_NAMES), PAIR_NAMES),
    convert=_as_pair,
    in_python='[("one text", "another")]',
    in_shell='"one text" --pair "another"',
    keys=("data.html", "data.text_pair"),
)
APART = replace(PAIR, name="two-texts", usual=(PAIR.usual[0], (*PAIR_NAMES, "document", "passage")), apart=True)
QUERY = replace(
    TEXT,
    usual=(("query", "question", "search", *TEXT_NAMES),),
    in_python='"a query"',
    in_shell='"your query"',
    keys=("data.html",),
)
PROMPT = replace(
    TEXT,
    name="prompt",
    usual=(("prompt", "instruction", "question", "input", *TEXT_NAMES),),
    in_python='"a prompt"',
    in_shell='"your prompt"',
    grounded=True,
    keys=(),
)
PLAIN = replace(TEXT, name="plain-text", keys=("data.html",))
IMAGE = InputKind(
    name="image",
    medium="image",
    columns=("image",),
    usual=(IMAGE_NAMES,),
    convert=_as_path,
    in_python='"photo.jpg"',
    in_shell="photo.jpg",
    files=True,
    no_general="no photos ship with kft",
    keys=("data.image", "model.image.size", "train.augment"),
    refuses={
        "data.text": "{task} reads images: data.image names the column of their paths",
        "features.precision": "products of 8 bits are for texts, whose blocks are matrix products; {task} reads images",
        "data.redact": "only texts are searched for personal data; {task} reads images",
    },
)

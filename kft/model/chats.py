"""Chat templates: turns to the text that a model reads, by Jinja in a sandbox; which of that text a person has said.

A template is rendered twice. With marks in the place of contents it says what is its own, and there alone tokens of
control are looked for; with the contents it says whether it leaves them as they are. What it does otherwise, such as
telling a chat's beginning in another way once there is more of it, is refused by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from kft.errors import ModelError
from kft.model.pieces import TextPiece
from kft.model.token_settings import CONFIG, read_settings
from kft.recipe.schema import OWN
from kft.tasks.dialogues import ASSISTANT, Turn

FOLDER = Path(__file__).parent / "chats"
JINJA = "chat_template.jinja"
LARGEST = 200_000
"""Characters of a template, at most."""
_MARK = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True)
class Chat:
    """A chat template.

    Attributes:
        name: As in ``model.template``.
        source: Jinja.
        names: Special tokens by what templates call them, such as ``bos_token``.
    """

    name: str
    source: str
    names: tuple[tuple[str, str], ...] = ()

    @property
    def by_itself(self) -> str:
        """The template as a file that needs nothing from beside it: the special tokens it names are set within it."""
        used = [pair for pair in self.names if re.search(rf"\b{re.escape(pair[0])}\b", self.source)]
        # Each on a line of its own, which leaves nothing: what reads templates trims the line break behind a block.
        return "".join(f"{{% set {name} = {json.dumps(text)} %}}\n" for name, text in used) + self.source

    def parts(self, turns: Sequence[Turn], *, every: bool = False) -> list[TextPiece]:
        """Returns a chat in parts, in order; their texts joined are what the template writes.

        Args:
            turns: The last of which is the assistant's.
            every: Whether all of the assistant's turns are learned; else the last alone.

        Raises:
            ModelError: The template refuses such turns, or changes or repeats what they say.
        """
        roles = tuple(turn.role for turn in turns)
        learned = [place for place, role in enumerate(roles) if role == ASSISTANT]
        learned = learned if every else learned[-1:]
        skeleton = _skeleton(self, roles, tuple(learned))
        said = [turn.content for turn in turns]
        written = self.render(turns)
        for contents in (said, [each.strip() for each in said]):
            parts = [
                TextPiece(contents[each], content=True, learned=each in learned)
                if isinstance(each, int)
                else TextPiece(each)
                for each in skeleton
            ]
            if "".join(part.text for part in parts) == written:
                return parts
        raise self._refused(
            "the chat template changes what a turn says",
            "a chat of " + ", ".join(roles),
            "a template that leaves contents as they are, white space around them apart",
        )

    def render(self, turns: Sequence[Turn], *, generating: bool = False) -> str:
        """Returns what the template writes.

        Args:
            turns: From the first on.
            generating: Whether the beginning of an answer is written behind them.

        Raises:
            ModelError: It cannot be rendered, or refuses such turns.
        """
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        given = {**dict(self.names), "messages": messages, "add_generation_prompt": generating}
        try:
            return str(_compiled(self.source).render(given, tools=None, documents=None))
        except ModelError:
            raise
        except Exception as error:  # whatever a template does
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise self._refused(
                "the chat template refuses these turns",
                f"{reason[:160]}, of a chat of " + ", ".join(turn.role for turn in turns),
                "turns that the template takes",
            ) from None

    def _refused(self, problem: str, received: str, expected: str) -> ModelError:
        return ModelError(
            problem,
            where=f"model.template, {self.name}",
            received=received,
            expected=expected,
            next_step="name another in model.template: gemma, chatml or llama3",
        )


@lru_cache(maxsize=64)
def _compiled(source: str) -> Any:
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = refuse
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    return environment.from_string(source)


@lru_cache(maxsize=4096)
def _skeleton(chat: Chat, roles: tuple[str, ...], learned: tuple[int, ...]) -> tuple[str | int, ...]:
    """Returns what a template writes around contents: its own texts, and the numbers of turns in their places."""
    turns = [Turn(role, f"\ue000{place}\ue001") for place, role in enumerate(roles)]
    written = chat.render(turns)
    pieces = _MARK.split(written)
    found = tuple(int(each) if place % 2 else each for place, each in enumerate(pieces))
    if list(found[1::2]) != list(range(len(roles))):
        raise chat._refused(
            "the chat template leaves turns out, repeats them or brings them into another order",
            "a chat of " + ", ".join(roles),
            "a template that writes each turn once, in order",
        )
    for place in learned:
        before = chat.render(turns[:place], generating=True)
        if not written[: written.index(turns[place].content)].startswith(before):
            raise chat._refused(
                "the chat template writes a chat otherwise once there is more of it",
                f"before turn {place + 1} of a chat of " + ", ".join(roles),
                "a template by which the beginning of a chat is the same text, whatever follows",
            )
    return found


def find_chat(name: str, own: Chat | None) -> Chat:
    """Returns the chat template that a recipe names.

    Args:
        name: One that ships with kft, or ``own``.
        own: That of the backbone's folder.

    Raises:
        ModelError: The folder has none.
    """
    if name != OWN:
        return Chat(name, (FOLDER / f"{name}.jinja").read_text(encoding="utf-8"))
    if own is None:
        raise ModelError(
            "the backbone brings no chat template",
            where="model.template",
            received=OWN,
            expected=f"chat_template in the folder's {CONFIG}, or a file {JINJA}",
            next_step="--set model.template=gemma, or chatml, or llama3: what its special tokens are of",
        )
    return replace(own, name=OWN)


def chat_of(folder: Path) -> Chat | None:
    """Returns the chat template of a Hugging Face folder; None where it has none.

    Raises:
        ModelError: It cannot be read, or is larger than any.
    """
    if not folder.is_dir():
        return None
    source = _source_of(folder)
    if source is None:
        return None
    if len(source) > LARGEST:
        raise _unreadable(folder, f"{len(source):,} characters", f"at most {LARGEST:,}")
    return Chat(OWN, source, tuple(sorted(read_settings(folder).names.items())))


def _source_of(folder: Path) -> str | None:
    try:
        if (folder / JINJA).is_file():
            return (folder / JINJA).read_text(encoding="utf-8")
        if not (folder / CONFIG).is_file():
            return None
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("chat_template")
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        raise _unreadable(folder, str(error)[:80], "a text in Jinja") from None
    if isinstance(found, list):  # several, by name
        named = {each.get("name"): each.get("template") for each in found if isinstance(each, Mapping)}
        found = named.get("default")
    if found is not None and not isinstance(found, str):
        raise _unreadable(folder, f"a {type(found).__name__}", "a text in Jinja")
    return found


def _unreadable(folder: Path, received: str, expected: str) -> ModelError:
    return ModelError(
        "the folder's chat template cannot be read",
        where=str(folder),
        received=received,
        expected=expected,
        next_step="fetch the file again, or name another in model.template: gemma, chatml or llama3",
    )

"""`kft generate --index`: an answer from passages, which says what it was given and what it cites."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kft.answer.prompted import NOT_FOUND
from kft.answer.write import Completion
from kft.api.generating import Generator
from kft.api.grounding import find_passages
from kft.errors import DataError, UsageError
from kft.metrics.language import as_fields
from kft.metrics.support import support
from kft.recipe.schema import ONE_TURN
from kft.search.index import Result, open_index
from kft.tasks.responses import Grounded

NOT_GIVEN = "this run answers from passages, and has none: --index DEST finds some, --context TEXT gives one"
NO_ROOM = "no passage has room"
UNTRAINED = "this run was trained without passages: it has not learned to answer from them"
NO_PROMISE = (
    "this index promises nothing, so its nearest passages are taken, good or not: kft index --update --queries FILE "
    "gives it a threshold"
)
GIVEN = "given"
"""What a passage's document is called where a person gave the text itself."""
_NUMBER = re.compile(r"\[(\d{1,4})\]")


@dataclass(frozen=True)
class CitedPassage:
    """A passage that an answer was written from, or that had no room.

    Attributes:
        number: By which it stands in the prompt, and is cited; None where it had no room.
        document: Its id in the index.
        start: Where it begins in the document's text, in characters.
        stop: Where it ends.
        score: From 0 to 1, by the index; None where a person gave the text.
        text: What stands there.
        cited: Whether the answer names its number.
    """

    number: int | None
    document: str
    start: int
    stop: int
    score: float | None
    text: str
    cited: bool = False


@dataclass(frozen=True)
class CitedAnswer:
    """An answer from passages.

    Attributes:
        text: Without what stopped it; empty where none was written.
        finish: As ``Completion.finish``; ``none`` where no passage is good and nobody said to answer all the same.
        prompt_tokens: What was read, passages included.
        tokens: What was written, the end not counted.
        cut: Whether the prompt lost its end.
        confidence: How sure the model is of it; 0 where none was written.
        abstain: Whether the model declines to answer: nothing was written, or it is not sure enough of what was.
        why: Why it does; empty where it answers.
        sources: The passages in the prompt, by number.
        left_out: Those that had no room, whole.
        unknown: Numbers that the answer names and no passage has.
        unsupported: Words of the answer that neither its passages nor the prompt hold: see ``kft.metrics.support``;
            None where there were no passages.
        notes: What a person should know, one sentence each.
    """

    text: str
    finish: str
    prompt_tokens: int
    tokens: int
    cut: bool
    confidence: float
    abstain: bool
    why: str
    sources: tuple[CitedPassage, ...]
    left_out: tuple[CitedPassage, ...]
    unknown: tuple[int, ...]
    unsupported: tuple[str, ...] | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Ground:
    """What a prompt is answered from, before anything is written.

    Attributes:
        prompt: As the model reads it, passages before it.
        asked: The prompt alone.
        sources: The passages that have room, numbered.
        left_out: The others.
        why: Why nothing should be written; empty where there is what to answer from.
        notes: What a person should know.
    """

    prompt: str
    asked: str
    sources: tuple[CitedPassage, ...] = ()
    left_out: tuple[CitedPassage, ...] = ()
    why: str = ""
    notes: tuple[str, ...] = field(default=())

    def cite(self, written: Completion) -> CitedAnswer:
        """Returns an answer with what it was given and what it cites."""
        # A list of one number in JSON is no citation.
        cites = [] if as_fields(written.text) is not None else _NUMBER.findall(written.text)
        named = sorted(set(map(int, cites)))
        sources = tuple(replace(each, cited=each.number in named) for each in self.sources)
        unknown = tuple(number for number in named if not 1 <= number <= len(sources)) if sources else ()
        held = "\n".join([*(each.text for each in sources), self.asked])
        unsupported = (
            support(_NUMBER.sub(" ", written.text) if cites else written.text, held).unsupported if sources else None
        )
        return CitedAnswer(**vars(written), sources=sources, left_out=self.left_out, unknown=unknown,
                           unsupported=unsupported, notes=self.notes)  # fmt: skip

    def declined(self) -> CitedAnswer:
        """Returns that nothing is written, and why."""
        left_out = (*self.sources, *self.left_out)
        return CitedAnswer("", "none", 0, 0, False, 0.0, True, self.why, (), left_out, (), None, self.notes)


def ground(
    generator: Generator,
    prompt: str,
    *,
    index: str | Path | None = None,
    most: int | None = None,
    context: Sequence[str] = (),
) -> Ground:
    """Returns what a prompt is answered from: what an index finds, or texts that are given.

    Args:
        generator: A run that is loaded.
        prompt: As a person gives it; all of it is the query.
        index: From ``kft index``; default: the one that the run was trained with.
        most: Passages, at most; default: ``data.passages`` of the run's recipe.
        context: Texts in place of an index.

    Raises:
        RunError: There is no index, or it is damaged.
        UsageError: Both an index, or how many of its passages to take, and texts are given.
        DataError: The prompt, or a text, is empty.
    """
    if context and (index is not None or most is not None):
        raise UsageError(
            "passages come from an index or are given, not both",
            where="--context",
            received="--index as well" if index is not None else "--passages, which an index is asked for, as well",
            expected="one of the two",
            next_step="leave one out",
        )
    if any(not text.strip() for text in context):
        raise DataError("a passage is empty", where="--context", received="no text", expected="a text")
    if generator.writer.reader.turns != ONE_TURN:
        raise UsageError(
            "passages go before a prompt, and this run reads chats",
            where="--index" if index is not None else "--context",
            received="a run of data.messages",
            expected="a run of prompts and responses; a chat template may stand around them",
            next_step="write the passages into the user's turn",
        )
    asked = generator.cleaned(prompt)
    index = index if index is not None or context else generator.index
    notes = [] if generator.spec.grounded else [UNTRAINED]
    found = [CitedPassage(None, f"{GIVEN} {place}", 0, len(text), None, text) for place, text in enumerate(context, 1)]
    good = bool(found)
    if index is not None:
        opened = open_index(Path(index).expanduser())
        answer, good = find_passages(opened, asked, most or generator.spec.passages)
        found = [_source(each) for each in answer.results]
        if answer.abstain is None:
            notes.append(NO_PROMISE)
        if answer.unread:
            notes.append(f"the index does not read the last {answer.unread:,} tokens of the prompt")
    if not found and index is None:
        return Ground(asked, asked, why=NOT_GIVEN, notes=tuple(notes))
    if not good:
        return Ground(asked, asked, (), tuple(found), NOT_FOUND, tuple(notes))
    reader = generator.writer.reader
    (text,), (kept,) = reader.composed([Grounded(asked, tuple(each.text for each in found))])
    if len(kept) < len(found):
        room = reader.grounding.most_tokens or reader.prompt_tokens
        notes.append(f"{len(found) - len(kept)} of {len(found)} passages left out: no room in {room:,} tokens")
    sources = tuple(replace(found[place], number=number) for number, place in enumerate(kept, 1))
    left_out = tuple(each for place, each in enumerate(found) if place not in kept)
    return Ground(text, asked, sources, left_out, "" if sources else NO_ROOM, tuple(notes))


def _source(found: Result) -> CitedPassage:
    return CitedPassage(None, found.document, found.start, found.stop, found.score, found.text)

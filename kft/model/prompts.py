"""Prompts and responses as a language model reads them: token ids, and which token is right behind each.

A prompt has the same room in training and in writing, whatever its response: what fits is read alike in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kft.errors import ModelError
from kft.feed.batches import Ragged
from kft.feed.source import Source, text_source
from kft.model.chats import Chat, find_chat
from kft.model.grounding import PLAIN, Grounding
from kft.model.panics import tokenizer_errors
from kft.model.pieces import Pieces, Spelled, TextPiece
from kft.model.token_rows import USED, TextTokenizer
from kft.recipe.schema import CHAT_TEMPLATES, NO_TURN, ONE_TURN, OWN, ModelSpec
from kft.tasks.dialogues import ASSISTANT, SYSTEM, USER, Turn, Turns, turns_of
from kft.tasks.responses import TARGETS, Grounded

PLACE = "{prompt}"
ENDS = ("<eos>", "</s>", "<|endoftext|>", "<|end_of_text|>", "<|im_end|>")
"""What ends a text in the vocabularies of decoders; the first that a vocabulary has."""

ANSWER = "an answer"
"""Stands in the place of an answer that is still to come, where a template is asked what comes before it."""


@dataclass(frozen=True)
class PromptReader:
    """Reads prompts and responses for one model.

    Attributes:
        tokenizer: Of the backbone.
        template: Text around ``{prompt}``; not looked at where there is a chat template.
        prompt_tokens: Those of a prompt with its template, at most; a longer prompt loses its end.
        response_tokens: Those of a response, at most, its end counted; a longer one loses its end.
        grounding: How passages stand before a prompt.
        chat: The chat template, if any.
        choices: All answers that there are; empty: any text is one.
        turns: ``one``: a prompt is a user's one turn; ``text``: there are texts without prompts; else it is a chat, as
            ``kft.tasks.dialogues`` writes it, of which ``all`` or the ``last`` of the assistant's turns are learned.
    """

    tokenizer: TextTokenizer
    template: str
    prompt_tokens: int
    response_tokens: int
    grounding: Grounding = PLAIN
    chat: Chat | None = None
    turns: str = ONE_TURN
    choices: tuple[str, ...] = ()

    @property
    def end(self) -> int:
        """The token behind a response.

        Raises:
            ModelError: The vocabulary has none that kft knows, or the chat template writes none.
        """
        return self._end[1]

    @cached_property
    def ends(self) -> frozenset[int]:
        """The tokens that end an answer: that which is learned, and those that end any text of the vocabulary."""
        found = (self.tokenizer.tokenizer.token_to_id(name) for name in ENDS)
        return frozenset((self.end, *(each for each in found if each is not None)))

    @cached_property
    def _end(self) -> tuple[str, int]:
        """What a chat template writes between an answer and the token that ends it, and that token."""
        if self.chat is not None:
            tail = self.chat.parts((Turn(USER, "a"), Turn(ASSISTANT, "b")))[-1]
            text, token = self._pieces.first_control("" if tail.content else tail.text)
            if token is not None:
                return text, token
            problem, where = "nothing in this chat template ends an answer", f"model.template, {self.chat.name}"
            raise ModelError(
                f"{problem}, so it would never be over",
                where=where,
                received=repr("" if tail.content else tail.text)[:80],
                expected="a special token of the vocabulary behind an answer",
                next_step="name the vocabulary's own template in model.template: gemma, chatml or llama3",
            )
        found = (self.tokenizer.tokenizer.token_to_id(name) for name in ENDS)
        for number in (each for each in found if each is not None):
            return "", int(number)
        raise ModelError(
            "nothing in this vocabulary ends a text, so a response would never be over",
            where="model.backbone",
            expected="one of the tokens " + ", ".join(ENDS),
            next_step="add the token to the folder's tokenizer.json",
        )

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces(self.tokenizer, self.template if self.chat is None else self.chat.source)

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
        spelled, cut = self._prompts([(text, None) for text in self.composed(texts)[0]])
        return [each.ids for each in spelled], cut

    def responses(self, texts: Sequence[str]) -> tuple[list[np.ndarray], np.ndarray]:
        """Returns the ids of each response with its end, and ``int[n]``: how many were cut, and with them the end."""
        tail, end = self._end
        spelled = self._pieces.spelled([[TextPiece(text, content=True), TextPiece(tail)] for text in texts])
        whole = [np.append(each.ids, np.int32(end)) for each in spelled]
        room = self.response_tokens
        if self.turns == NO_TURN:  # no prompt takes any
            room += self.prompt_tokens - len(self._front)
        cut = np.array([max(0, len(ids) - room) for ids in whole], np.int64)
        return [ids[:room] for ids in whole], cut

    def rewritten(self, texts: Sequence[str]) -> list[tuple[str, str]]:
        """Returns the responses that no tokens write to the letter, white space around them apart, and what they do."""
        spelled = self._pieces.spelled([[TextPiece(text, content=True)] for text in texts])
        both = zip(texts, (self.text(each.ids.tolist()) for each in spelled), strict=True)
        return [(text, back) for text, back in both if text.strip() != back.strip()]

    @cached_property
    def _paths(self) -> list[list[int]]:
        """The ids of each choice, its end among them.

        Raises:
            ModelError: A choice is longer than a response may be, or two are the same tokens.
        """
        ids, cut = self.responses(self.choices)
        paths = [each.tolist() for each in ids]
        twice = next((place for place, path in enumerate(paths) if path in paths[:place]), None)
        if cut.any() or twice is not None:
            at = int(cut.argmax()) if cut.any() else int(twice or 0)
            first = self.choices[paths.index(paths[at])]
            raise ModelError(
                "a choice cannot be written so that it is told from the others",
                where="model.choices",
                received=repr(self.choices[at])[:200]
                + (f", {len(ids[at]) + cut[at]} tokens" if cut.any() else f", the same tokens as {first!r}"),
                expected=f"at most {self.response_tokens} tokens, its end counted, other than those of every other",
                next_step="--set model.response_tokens=N gives more room; name choices by words of the vocabulary",
            )
        return paths

    def allowed(self, written: Sequence[int]) -> np.ndarray | None:
        """Returns the ids that may follow what was written of an answer, ``int[n]``; None: any."""
        if not self.choices:
            return None
        begun, size = list(written), len(written)
        return np.unique([path[size] for path in self._paths if len(path) > size and path[:size] == begun])

    def source(self, given: Sequence[Any]) -> TokenizedPrompts:
        """Returns prompts as a model reads them, each with its response where it has one.

        At each position ``target_ids`` is the id of the token behind it and one, where that is the response's or, of a
        chat, that of a turn which is learned; else 0.
        """
        pairs = [each if isinstance(each, tuple) else (each, None) for each in given]
        texts, kept = self.composed([prompt for prompt, _ in pairs])
        prompts, short = self._prompts([(text, said) for text, (_, said) in zip(texts, pairs, strict=True)])
        responses, cut = self.responses([response or "" for _, response in pairs])
        right = [None if said is None else ids for ids, (_, said) in zip(responses, pairs, strict=True)]
        source = as_source([each.ids for each in prompts], right, [each.learned for each in prompts])
        left_out = sum(
            len(each.passages) - len(own)
            for (each, _), own in zip(pairs, kept, strict=True)
            if isinstance(each, Grounded)
        )
        return TokenizedPrompts(source, short, cut, source.lengths + short + cut, left_out)

    def _prompts(self, pairs: Sequence[tuple[str, str | None]]) -> tuple[list[Spelled], np.ndarray]:
        if self.chat is not None:
            return self._chats(self.chat, pairs)
        before, after = ("", "") if self.turns == NO_TURN else self.template.split(PLACE)
        if self.turns == NO_TURN:  # a text to learn has nothing before it; one to go on from is a prompt
            pairs = [("" if said is not None else text, said) for text, said in pairs]
        heads = self._pieces.spelled([[TextPiece(before), TextPiece(text, content=True)] for text, _ in pairs])
        (tail,) = self._pieces.spelled([[TextPiece(after)]])
        front = self._front
        found = [self._fitted(Spelled.plain(np.concatenate([front, head.ids])), tail) for head in heads]
        return [each for each, _ in found], np.array([cut for _, cut in found], np.int64)

    @cached_property
    def _front(self) -> np.ndarray:
        """What the tokenizer puts before any text."""
        before, behind = self.tokenizer.special_sides()
        ids = self.tokenizer.tokenizer.encode("").ids
        return np.array(ids[: len(ids) - behind][:before], np.int32)

    def require_tokens(self) -> None:
        """Refuses a chat template that ships with kft where a token of it is none of the vocabulary's.

        Raises:
            ModelError: Names the tokens.
        """
        if self.chat is not None and (missing := self._pieces.missing()):
            raise ModelError(
                "the chat template is made for another vocabulary",
                where=f"model.template, {self.chat.name}",
                received="a vocabulary without " + ", ".join(missing),
                expected="its tokens as tokens of the vocabulary",
                next_step="--set model.template=own, or another of gemma, chatml and llama3",
            )

    def _fitted(self, head: Spelled, tail: Spelled) -> tuple[Spelled, int]:
        """Returns a prompt that has room, its tail whole, and how many of its tokens were cut."""
        room = self.prompt_tokens - len(tail.ids)
        if room < 1:
            raise ModelError(
                "the template leaves no room for a prompt",
                where="model.template",
                received=f"{len(tail.ids)} tokens behind {PLACE}",
                expected=f"fewer than the {self.prompt_tokens} tokens of a prompt",
                next_step="a shorter template, or a larger model.max_tokens",
            )
        return head.upto(room).joined(tail), max(0, len(head.ids) - room)

    def _chats(self, chat: Chat, pairs: Sequence[tuple[str, str | None]]) -> tuple[list[Spelled], np.ndarray]:
        """Returns chats up to their answers. One that is too long loses its oldest turns, but for the system's."""
        dialogues = [(self._turns(text), ANSWER if said is None else said) for text, said in pairs]
        parts = [self._before_answer(chat, turns, said) for turns, said in dialogues]
        found, cut = self._pieces.spelled(parts), np.zeros(len(parts), np.int64)
        for place, (turns, said) in enumerate(dialogues):
            whole = len(found[place].ids)
            while len(found[place].ids) > self.prompt_tokens and len(turns) > 2:
                first = int(turns[0].role == SYSTEM)
                if len(turns) - first < 3:
                    break
                turns = (*turns[:first], *turns[first + 2 :])
                parts[place] = self._before_answer(chat, turns, said)
                (found[place],) = self._pieces.spelled([parts[place]])
            cut[place] = whole - len(found[place].ids)
            if len(found[place].ids) > self.prompt_tokens:
                at = max(number for number, part in enumerate(parts[place]) if part.content) + 1
                head, tail = self._pieces.spelled([parts[place][:at], parts[place][at:]])
                found[place], more = self._fitted(head, tail)
                cut[place] += more
        return found, cut

    def _turns(self, text: str) -> Turns:
        return (Turn(USER, text),) if self.turns == ONE_TURN else turns_of(text)

    def _before_answer(self, chat: Chat, turns: Turns, said: str) -> list[TextPiece]:
        parts = chat.parts((*turns, Turn(ASSISTANT, said)), every=self.turns == "all")
        return parts[: max(number for number, part in enumerate(parts) if part.content)]

    def text(self, ids: Sequence[int]) -> str:
        """Returns the text of tokens, without special ones."""
        with tokenizer_errors(USED):
            return str(self.tokenizer.tokenizer.decode(list(map(int, ids)), skip_special_tokens=True))


def as_source(
    prompts: Sequence[np.ndarray],
    responses: Sequence[np.ndarray | None],
    learned: Sequence[np.ndarray] | None = None,
) -> Source:
    """Returns tokens of prompts and responses as a model reads them; see ``PromptReader.source``.

    Args:
        prompts: ``int32[n]`` each.
        responses: Likewise; None where there is none, so that nothing is asked.
        learned: ``bool[n]``: which tokens of each prompt are asked as well; default: none.
    """
    rows, targets = [], []
    for place, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        ids = (prompt if response is None else np.concatenate([prompt, response])).astype(np.int32)
        asked = np.append(ids[1:] + 1, np.int32(0))
        wanted = np.zeros(len(prompt), bool) if learned is None or response is None else learned[place]
        asked[: max(len(prompt) - 1, 0)][~wanted[1:]] = 0
        kept = slice(None, None if response is None else -1)  # nothing follows the end of a response
        rows.append(ids[kept])
        targets.append(asked[kept])
    source = text_source(Ragged.from_rows(rows))
    return source.with_columns({**source.columns, TARGETS: Ragged.from_rows(targets)})


@dataclass(frozen=True)
class TokenizedPrompts:
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


def prompt_reader(tokenizer: TextTokenizer, spec: ModelSpec, own: Chat | None = None) -> PromptReader:
    """Returns the reader for a recipe's model.

    Args:
        tokenizer: Of the backbone.
        spec: The recipe's part.
        own: The chat template that the backbone brings.

    Raises:
        ModelError: The chat template that is named is not there, or is made for another vocabulary.
    """
    chat = find_chat(spec.template, own) if spec.template in CHAT_TEMPLATES else None
    grounding = Grounding(spec.context_template, spec.context_tokens)
    room = spec.max_tokens - spec.room
    reader = PromptReader(tokenizer, spec.template, room, spec.room, grounding, chat, spec.turns, spec.choices)
    if chat is not None:
        if chat.name != OWN:
            reader.require_tokens()
        _ = reader.end  # refuses a template that ends no answer
    _ = reader.allowed(())  # refuses choices that cannot be told apart
    return reader

"""Writes answers to prompts, token by token, with a key-value cache and one trace for all requests of an artifact.

Each prompt is read by itself, as long as it is, and each token passes the blocks by itself: so nothing is padded, and
what is written beside it changes nothing. The matrix of the vocabulary is read once for the next tokens of several
answers; where one is over, the next prompt takes its row. keras-hub's ``CausalLM`` runs the layers; which token comes
next is decided here, in NumPy. docs/log.md has what several rows at once cost on a CPU.

How sure a model is of an answer is the geometric mean of what it gave each of its tokens, the end among them: the
likelihood of the whole, normalised by its length (Wu et al., 2016; Malinin and Gales, 2021). The likelihood itself
falls with every token (Murray and Chiang, 2018), so that a threshold on it would withhold long answers first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.errors import UsageError
from kft.model.prompts import PromptReader
from kft.records.fields import rounded
from kft.tasks.decode import UNSURE

if TYPE_CHECKING:
    from kft.answer.artifact import Artifact
    from kft.records.rules import Rule


@dataclass(frozen=True)
class SamplingParams:
    """How answers are written.

    Attributes:
        max_tokens: At most; None: as many as responses had room in training.
        temperature: 0 takes the likeliest token; else logits are divided by it and one is drawn.
        top_p: Only of the likeliest tokens that have this share together (Holtzman et al., 2020).
        seed: Of the draws.
        stop: Texts at which an answer ends, or one; they are not part of it.
    """

    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: str | Sequence[str] = ()

    @property
    def as_judged(self) -> bool:
        """Whether answers are written as those that a run was judged by, and that its promise is about."""
        return self.temperature == 0 and self.max_tokens is None and not self.stop

    def __post_init__(self) -> None:
        object.__setattr__(self, "stop", (self.stop,) if isinstance(self.stop, str) else tuple(self.stop))
        for name, value, fits in (
            ("max_tokens", self.max_tokens, self.max_tokens is None or self.max_tokens >= 1),
            ("temperature", self.temperature, 0 <= self.temperature <= 100),
            ("top_p", self.top_p, 0 < self.top_p <= 1),
            ("seed", self.seed, self.seed >= 0),
            ("stop", self.stop, all(self.stop)),
        ):
            if not fits:
                limits = {
                    "max_tokens": ">= 1",
                    "top_p": "above 0, at most 1",
                    "temperature": "0 to 100",
                    "seed": ">= 0",
                }
                expected = limits.get(name, "texts that are not empty")
                raise UsageError("an answer cannot be written so", where=name, received=str(value), expected=expected)


GREEDY = SamplingParams()


@dataclass(frozen=True)
class Completion:
    """An answer.

    Attributes:
        text: Without what stopped it.
        finish: ``end``: the model ended it; ``stop``: a stop sequence; ``length``: no room was left.
        prompt_tokens: What was read.
        tokens: What was written, the end not counted.
        cut: Whether the prompt lost its end.
        confidence: What the model gave each token of it, and its end, on average (the geometric mean): from 0 to 1.
        abstain: Whether the model declines to answer, and ``text`` is what it would have said.
        why: Why it does; empty where it answers.
    """

    text: str
    finish: str
    prompt_tokens: int
    tokens: int
    cut: bool
    confidence: float = rounded(6, 0.0)
    abstain: bool = False
    why: str = ""


@dataclass(frozen=True, eq=False)
class Writer:
    """Writes with one model; made once, used for every request.

    Attributes:
        reader: Of prompts; ``dataclasses.replace`` gives one for other templates, on the same trace.
        rows: Prompts that are answered at a time, at most.
        rule: Which answers are withheld; None where all are given.
    """

    reader: PromptReader
    rows: int
    _begin: Any = field(repr=False)
    _go_on: Any = field(repr=False)
    _weigh: Any = field(repr=False)
    rule: Rule | None = None

    def write(self, prompts: Sequence[str], asking: SamplingParams = GREEDY, tick: Any = None) -> list[Completion]:
        """Returns one answer a prompt, in their order."""
        return [written for written, _ in self.write_tokens(prompts, asking, tick)]

    def write_tokens(
        self, prompts: Sequence[str], asking: SamplingParams = GREEDY, tick: Any = None
    ) -> list[tuple[Completion, np.ndarray]]:
        """Returns what ``write`` does, each with its tokens: ``int32[tokens]``, without the end."""
        found: list[Any] = [None] * len(prompts)
        ids, cut = self.reader.prompts(prompts)
        # The longest first: what is read late is read beside few others.
        order = sorted(range(len(ids)), key=lambda place: -len(ids[place]))
        states = [_State(ids[place], bool(cut[place] > 0), asking, self.reader, place) for place in order]
        for taken in self._steps(states):
            for state in taken:
                if state.finish:
                    found[state.number] = self._given(state), np.array(state.ids, np.int32)
                    if tick:
                        tick(1)
        return found

    def stream(self, prompt: str, asking: SamplingParams = GREEDY) -> Iterator[str | Completion]:
        """Yields the pieces of an answer, a token each and perhaps empty, as they are written; and then the answer."""
        (ids,), (cut,) = self.reader.prompts([prompt])
        state, shown = _State(ids, bool(cut > 0), asking, self.reader, 0), ""
        for _ in self._steps([state]):
            whole = state.safe()
            new = whole[len(shown) :] if whole.startswith(shown) else ""
            yield new  # empty as well: whoever reads may stop at any token
            shown += new
        found = self._given(state)
        if found.text.startswith(shown) and found.text != shown:
            yield found.text[len(shown) :]
        yield found

    def _given(self, state: _State) -> Completion:
        found = state.written()
        if self.rule is None or not self.rule.withholds(np.array([found.confidence]))[0]:
            return found
        return replace(found, abstain=True, why=UNSURE)

    def _steps(self, states: Sequence[_State]) -> Iterator[list[_State]]:
        """Takes answers one token further at a time, as many as there are rows; yields those that took one."""
        waiting, caches = deque(states), dict[_State, Any]()
        while waiting or caches:
            hidden = []
            for state, cache in caches.items():
                token, place = np.array([[state.ids[-1]]], np.int32), len(state.prompt) + len(state.ids) - 1
                found, caches[state] = self._go_on(token, cache, np.int32(place))
                hidden.append(found)
            while waiting and len(caches) < self.rows:
                state = waiting.popleft()
                found, caches[state] = self._begin(state.prompt[None])
                hidden.append(found)
            taken = list(caches)
            for state, logits in zip(taken, np.asarray(self._weigh(np.concatenate(hidden))), strict=True):
                state.take(logits)
                if state.finish:
                    del caches[state]
            yield taken


class _State:
    """What one answer has come to."""

    def __init__(
        self, prompt: np.ndarray, cut: bool, asking: SamplingParams, reader: PromptReader, number: int
    ) -> None:
        self.prompt, self.cut, self.asking, self.reader, self.number = prompt, cut, asking, reader, number
        self.room = min(asking.max_tokens or reader.response_tokens, reader.response_tokens)
        self.ids: list[int] = []
        self.finish = ""
        self.text = ""
        self.likelihoods: list[float] = []
        self.draw = np.random.default_rng([asking.seed, number])

    def take(self, logits: np.ndarray) -> None:
        """Chooses the next token, and says whether the answer is over."""
        allowed = self.reader.allowed(self.ids)
        if allowed is None:
            token = choose(logits, self.asking, self.draw)
        else:  # how sure the model is stays what it gave the token among all
            token = int(allowed[choose(logits[allowed], self.asking, self.draw)])
        self.likelihoods.append(log_likelihood(logits, token))
        if token in self.reader.ends:
            self.finish = "end"
            return
        self.ids.append(token)
        self.text = self.reader.text(self.ids)
        places = [place for place in (self.text.find(each) for each in self.asking.stop) if place >= 0]
        if places:
            self.text, self.finish = self.text[: min(places)], "stop"
        elif len(self.ids) >= self.room:
            self.finish = "length"

    def safe(self) -> str:
        """The part of the text that later tokens cannot take back: half a character, or the beginning of a stop."""
        if self.finish:
            return self.text
        text = self.text.rstrip("\ufffd")
        for stop in self.asking.stop:
            for size in range(min(len(stop) - 1, len(text)), 0, -1):
                if text.endswith(stop[:size]):
                    text = text[:-size]
                    break
        return text

    def written(self) -> Completion:
        sure = float(np.exp(np.mean(self.likelihoods)))
        return Completion(self.text, self.finish, len(self.prompt), len(self.ids), self.cut, sure)


def choose(logits: np.ndarray, asking: SamplingParams, draw: np.random.Generator) -> int:
    """Returns the next token.

    Args:
        logits: ``float[vocabulary]``.
        asking: How it is chosen.
        draw: Where chance plays a part.

    Example:
        >>> logits = np.log([0.5, 0.3, 0.2])
        >>> choose(logits, SamplingParams(), np.random.default_rng(0))
        0
        >>> asking = SamplingParams(temperature=1, top_p=0.6)
        >>> sorted({choose(logits, asking, np.random.default_rng(n)) for n in range(20)})
        [0, 1]
    """
    if asking.temperature == 0:
        return int(np.argmax(logits))
    order = np.argsort(-logits.astype(np.float64), kind="stable")
    behind = logits[order].astype(np.float64) - float(logits[order[0]])
    with np.errstate(over="ignore"):  # near a temperature of 0 all but the likeliest are infinitely far behind
        chances = np.exp(behind / asking.temperature)
    chances /= chances.sum()
    kept = int((np.cumsum(chances) - chances < asking.top_p).sum())
    chances = chances[:kept] / chances[:kept].sum()
    return int(order[draw.choice(kept, p=chances)])


def log_likelihood(logits: np.ndarray, token: int) -> float:
    """Returns the logarithm of what a model gives a token, whatever chose it.

    Args:
        logits: ``float[vocabulary]``.
        token: Its place.

    Example:
        >>> round(float(np.exp(log_likelihood(np.log([0.5, 0.3, 0.2]), 1))), 6)
        0.3
    """
    behind = logits - logits.max()
    return float(behind[token]) - float(np.log(np.exp(behind).sum(dtype=np.float64)))


def make_writer(artifact: Artifact, rows: int = 1) -> Writer:
    """Traces a language model for so many prompts at a time; of one prompt, use one row.

    Args:
        artifact: Of a run of causal-lm.
        rows: Prompts that are answered at a time, at most.
    """
    reader = artifact.reader.writing
    assert reader is not None and artifact.backbone is not None
    return replace(writer_on(artifact.backbone.model, artifact.weights, reader, rows), rule=artifact.decisions.rule)


def writer_on(backbone: Any, weights: Mapping[str, Any], reader: PromptReader, rows: int = 1) -> Writer:
    """Traces a decoder with other weights laid over its own, for other prompts; see ``make_writer``.

    Args:
        backbone: Its flat graph, of keras-hub's own class.
        weights: Arrays by the paths of weights; the others stay what they are.
        reader: Of prompts.
        rows: Prompts that are answered at a time, at most.
    """
    import keras
    import tensorflow as tf

    from kft.features.overlay import overlay
    from kft.model.language import causal_lm, first_pass, next_token_logits

    model, others = causal_lm(backbone), overlay(backbone, weights)
    length = reader.prompt_tokens + reader.response_tokens

    def with_room(held: Any) -> Any:
        ahead = len(held.shape) - 3  # [rows, (layers, 2,) tokens, heads, width]
        room = length - tf.shape(held)[ahead]
        held = tf.pad(held, [[0, room if axis == ahead else 0] for axis in range(len(held.shape))])
        return tf.ensure_shape(held, [length if axis == ahead else size for axis, size in enumerate(held.shape)])

    def begin(tokens: Any) -> Any:
        with keras.StatelessScope(state_mapping=others):
            hidden, cache = first_pass(model, tokens)
            return hidden[:, -1], tf.nest.map_structure(with_room, cache)

    def go_on(token: Any, cache: Any, place: Any) -> Any:
        with keras.StatelessScope(state_mapping=others):
            _, hidden, cache = model.call_with_cache(token, cache, place)
            return hidden[:, 0], cache

    def weigh(hidden: Any) -> Any:
        with keras.StatelessScope(state_mapping=others):
            return next_token_logits(model.backbone, hidden)

    first = tf.function(begin, input_signature=[tf.TensorSpec((1, None), tf.int32)], autograph=False)
    hidden, cache = tf.nest.map_structure(
        lambda each: tf.TensorSpec(each.shape, each.dtype), first.get_concrete_function().structured_outputs
    )
    given = [tf.TensorSpec((1, 1), tf.int32), cache, tf.TensorSpec((), tf.int32)]
    following = tf.function(go_on, input_signature=given, autograph=False)
    several = tf.TensorSpec((None, hidden.shape[-1]), hidden.dtype)
    return Writer(reader, rows, first, following, tf.function(weigh, input_signature=[several], autograph=False))

"""How likely a decoder finds words after prompts, each shared beginning computed once: its key-value cache is kept.

What all prompts begin with is computed once; what the prompts of one group begin with, once a group; and words that
begin alike, once a prompt. Prompts of one length go together, so that nothing is padded and every number is that of
the whole prompt by itself.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

CACHE_BYTES = 2**28
"""What the key-value caches of one batch may take."""
ROWS = 32
"""Prompts of one length that are computed together, at most."""
POSITIONS, FEWEST = 64, 8
"""Positions whose logits are computed together, and what they are filled up to: a product of two rows took as long as
one of a hundred."""
NOBODY = np.zeros(1, np.int32)
"""The first row of a cache goes on."""
Tick = Callable[[int], None]


@dataclass(frozen=True)
class Continuations:
    """Words whose likelihood is asked for, as tokens.

    Attributes:
        tokens: Of each, one at least.
    """

    tokens: tuple[tuple[int, ...], ...]

    @property
    def lengths(self) -> np.ndarray:
        """``int64[words]``: tokens of each."""
        return np.array([len(each) for each in self.tokens])

    @cached_property
    def levels(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """What is computed after the first, the second ... token: the beginnings that a word goes on from, each once.

        Example:
            >>> Continuations(((1, 2, 3), (1, 2, 4), (1, 5), (6,))).levels
            (((),), ((1,),), ((1, 2),))
        """
        longest = max(map(len, self.tokens))
        return tuple(
            tuple(dict.fromkeys(word[:depth] for word in self.tokens if len(word) > depth)) for depth in range(longest)
        )

    @property
    def positions(self) -> int:
        """Tokens that are computed after each prompt."""
        return sum(map(len, self.levels[1:]))


@dataclass(frozen=True)
class Work:
    """What a pass takes.

    Attributes:
        tokens: That go through all blocks.
        logits: Positions whose next token is weighed against the whole vocabulary.
        longest: Tokens of the longest prompt with its longest word.
    """

    tokens: int
    logits: int
    longest: int

    def __add__(self, other: Work) -> Work:
        return Work(self.tokens + other.tokens, self.logits + other.logits, max(self.longest, other.longest))


def work_of(groups: Sequence[Sequence[np.ndarray]], words: Continuations) -> Work:
    """Returns what ``Likelihood.of`` computes, by sizes alone."""
    shared = _shared(groups)
    tokens, prompts = shared, 0
    for group in groups:
        own = _own(group, shared)
        tokens += own - shared + sum(len(prompt) - own for prompt in group) + len(group) * words.positions
        prompts += len(group)
    longest = max(len(prompt) for group in groups for prompt in group)
    return Work(tokens, prompts * (1 + words.positions), longest + int(words.lengths.max()) - 1)


@dataclass(frozen=True, eq=False)
class Likelihood:
    """A decoder that weighs words.

    Attributes:
        model: keras-hub's backbone; see ``kft.model.language.require_decoder``.
    """

    model: keras.Model

    def of(
        self, groups: Sequence[Sequence[np.ndarray]], words: Continuations, tick: Tick | None = None
    ) -> list[np.ndarray]:
        """Returns the log-likelihood of each word after each prompt, the sum over its tokens.

        Args:
            groups: Prompts as ``int32[tokens]``, one token at least; those of a group begin alike.
            words: The words.
            tick: Told how many prompts are done.

        Returns:
            ``float64[prompts, words]`` of each group.
        """
        shared = _shared(groups)
        cache = self._begin(groups[0][0][None, :shared])[1] if shared else None
        first = np.cumsum([0, *map(len, groups)])
        sums = np.zeros((first[-1], len(words.tokens)))
        alone: dict[int, list[int]] = defaultdict(list)
        prompts = [prompt for group in groups for prompt in group]
        asked = _Asked(self._pick, sums)

        def score(places: Sequence[int], done: int, kept: Any) -> None:
            most = self._rows(len(prompts[places[0]]), words)
            for start in range(0, len(places), most):
                part = np.array(places[start : start + most])
                self._words(np.stack([prompts[place][done:] for place in part]), kept, words, asked, part)
                if tick is not None:
                    tick(len(part))

        for number, group in enumerate(groups):
            places = range(first[number], first[number + 1])
            own = _own(group, shared)
            kept = cache if own == shared else self._step(group[0][None, shared:own], cache, NOBODY)[1]
            by_length: dict[int, list[int]] = alone if own == shared else defaultdict(list)
            for place in places:
                by_length[len(prompts[place])].append(place)
            if own != shared:
                for length in sorted(by_length):
                    score(by_length[length], own, kept)
        for length in sorted(alone):
            score(alone[length], shared, cache)
        asked.settle()
        return [sums[start:stop] for start, stop in itertools.pairwise(first)]

    def _rows(self, tokens: int, words: Continuations) -> int:
        """How many prompts of a length go together."""
        width = max(map(len, words.levels))
        held = (tokens + len(words.levels)) * self._bytes_a_token * width
        return max(1, min(ROWS, CACHE_BYTES // max(1, held)))

    @cached_property
    def _bytes_a_token(self) -> int:
        _, cache = self._begin(np.zeros((1, 1), np.int32))
        return sum(int(np.prod(each.shape)) * each.dtype.size for each in _flat(cache))

    def _words(self, rest: np.ndarray, cache: Any, words: Continuations, asked: _Asked, prompts: np.ndarray) -> None:
        """Asks for each token of each word after what is left of some prompts of one length.

        Args:
            rest: ``int32[rows, tokens]``.
            cache: Of what stands before.
            words: The words.
            asked: Told what to look up after which hidden states.
            prompts: ``int[rows]``: which prompts these are.
        """
        rows = len(rest)
        hidden, cache = self._step(rest, cache, np.zeros(rows, np.int32))
        before: tuple[tuple[int, ...], ...] = ()
        for depth, nodes in enumerate(words.levels):
            if depth:
                place = {node: number for number, node in enumerate(before)}
                parents = np.array([place[node[:-1]] for node in nodes], np.int32)
                last = np.array([node[-1] for node in nodes], np.int32)
                base = np.arange(rows, dtype=np.int32)[:, None] * len(before)
                hidden, cache = self._step(np.tile(last, rows)[:, None], cache, (base + parents).reshape(-1))
            place = {node: number for number, node in enumerate(nodes)}
            going = [index for index, word in enumerate(words.tokens) if len(word) > depth]
            at = np.array([place[words.tokens[index][:depth]] for index in going])
            token = np.array([words.tokens[index][depth] for index in going])
            after = (np.arange(rows)[:, None] * len(nodes) + at).reshape(-1)
            asked.add(hidden, after, np.tile(token, rows), np.repeat(prompts, len(going)), np.tile(going, rows))
            before = nodes

    def _step(self, tokens: np.ndarray, cache: Any, parents: np.ndarray) -> tuple[Any, Any]:
        """Returns ``float[n, width]`` after the last of more tokens, and the cache that holds them too."""
        if cache is None:
            return self._begin(tokens)
        return self._on(tokens, cache, parents)

    @cached_property
    def _lm(self) -> Any:
        from kft.model.language import causal_lm  # with Keras

        return causal_lm(self.model)

    @cached_property
    def _begin(self) -> Any:
        """From ``int32[n, tokens]`` to the hidden states of the last, and a cache of exactly these."""
        import tensorflow as tf

        from kft.model.language import first_pass

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
        def begin(tokens: Any) -> Any:
            hidden, cache = first_pass(self._lm, tokens)
            return hidden[:, -1], cache

        return begin

    @cached_property
    def _on(self) -> Any:
        """From more tokens, a cache and which row of it each goes on from, to what ``_begin`` gives.

        The logits of every position that ``call_with_cache`` gives are in no result, so that the graph leaves them out.
        """
        import tensorflow as tf

        def any_size(held: Any) -> Any:
            free = (0, len(held.shape) - 3)  # [rows, (layers, 2,) tokens, heads, width]
            return tf.TensorSpec([None if axis in free else size for axis, size in enumerate(held.shape)], held.dtype)

        _, one = self._begin(np.zeros((1, 1), np.int32))
        signature = [
            tf.TensorSpec([None, None], tf.int32),
            tf.nest.map_structure(any_size, one),
            tf.TensorSpec([None], tf.int32),
        ]  # one trace for all

        def grown(held: Any, parents: Any, more: Any) -> Any:
            held = tf.gather(held, parents, axis=0)
            ahead = len(held.shape) - 3
            return tf.pad(held, [[0, more if axis == ahead else 0] for axis in range(len(held.shape))])

        @tf.function(input_signature=signature, autograph=False)
        def on(tokens: Any, cache: Any, parents: Any) -> Any:
            first = _flat(cache)[0]
            done = tf.shape(first)[len(first.shape) - 3]
            more = tf.shape(tokens)[1]
            room = tf.nest.map_structure(lambda held: grown(held, parents, more), cache)
            _, hidden, filled = self._lm.call_with_cache(tokens, room, done)
            return hidden[:, -1], filled

        def call(tokens: np.ndarray, cache: Any, parents: np.ndarray) -> Any:
            return on(tf.constant(tokens, tf.int32), cache, tf.constant(parents, tf.int32))

        return call

    @cached_property
    def _pick(self) -> Any:
        import tensorflow as tf

        from kft.model.language import next_token_logits, output_embedding

        width = output_embedding(self.model).output_dim
        signature = [tf.TensorSpec([None, width], self._lm.compute_dtype), tf.TensorSpec([None, 2], tf.int32)]

        @tf.function(input_signature=signature, autograph=False)
        def pick(hidden: Any, pairs: Any) -> Any:
            logits = next_token_logits(self.model, hidden[:, None])[:, 0]
            total = tf.reduce_logsumexp(logits, axis=-1)
            return tf.gather_nd(logits, pairs) - tf.gather(total, pairs[:, 0])

        return pick


class _Asked:
    """Tokens whose log-probability is asked for, until there are hidden states enough for one product.

    A product with the matrix of a large vocabulary takes as long for one hidden state as for dozens.

    Args:
        pick: From hidden states and pairs of place and token to log-probabilities.
        sums: ``float64[prompts, words]``: what is found is added here.
    """

    def __init__(self, pick: Any, sums: np.ndarray) -> None:
        self.pick, self.sums = pick, sums
        self.hidden: list[np.ndarray] = []
        self.pairs: list[np.ndarray] = []
        self.count = 0

    def add(self, hidden: Any, after: np.ndarray, token: np.ndarray, prompt: np.ndarray, word: np.ndarray) -> None:
        """Asks for tokens after hidden states: ``after`` says which, ``prompt`` and ``word`` where the sum stands."""
        self.pairs.append(np.stack([after + self.count, token, prompt, word], axis=1))
        self.hidden.append(np.asarray(hidden))
        self.count += len(self.hidden[-1])
        if self.count >= POSITIONS:
            self.settle()

    def settle(self) -> None:
        """Looks up what is still asked for."""
        if not self.count:
            return
        hidden, pairs = np.concatenate(self.hidden), np.concatenate(self.pairs)
        for start in range(0, len(hidden), POSITIONS):
            part = hidden[start : start + POSITIONS]
            own = pairs[(pairs[:, 0] >= start) & (pairs[:, 0] < start + len(part))]
            part = np.pad(part, [(0, -len(part) % FEWEST), (0, 0)])
            found = self.pick(part, (own[:, :2] - [start, 0]).astype(np.int32)).numpy()
            np.add.at(self.sums, (own[:, 2], own[:, 3]), found)
        self.hidden, self.pairs, self.count = [], [], 0


def _flat(cache: Any) -> list[Any]:
    import tensorflow as tf

    return tf.nest.flatten(cache)


def _shared(groups: Sequence[Sequence[np.ndarray]]) -> int:
    """Returns how many tokens all prompts begin with, less than the shortest has."""
    return common([prompt for group in groups for prompt in group])


def _own(group: Sequence[np.ndarray], shared: int) -> int:
    """Returns how many tokens the prompts of a group begin with; no more than all where it has one prompt."""
    return shared if len(group) == 1 else max(shared, common(group))


def common(prompts: Sequence[np.ndarray]) -> int:
    """Returns how many tokens prompts begin with alike, at least one less than the shortest has.

    Example:
        >>> common([np.array([1, 2, 3]), np.array([1, 2, 4, 5])]), common([np.array([1, 2])])
        (2, 1)
    """
    most = min(len(prompt) for prompt in prompts) - 1
    first = prompts[0][:most]
    for prompt in prompts[1:]:
        differ = np.flatnonzero(first != prompt[: len(first)])
        first = first[: differ[0]] if len(differ) else first
    return len(first)

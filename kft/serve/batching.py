"""Dynamic batching: while a model computes, what comes meanwhile is collected; where it is idle, nothing waits.

All of it runs on the event loop but the model itself, which runs in a thread of its own: so there are no locks. A batch
holds inputs of one version of the model only.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from kft.serve.limits import Limits, Refused, busy, unavailable

Answer = dict[str, Any]
Observe = Callable[[int, float], None]
"""Is told the inputs of a batch and the seconds it took."""

BEGUN_WITHIN, COMPUTED_WITHIN = 1 / 2, 1 / 3
"""Shares of the latency target: how long an input waits at most until its batch begins, and what a batch takes by what
is known; what is left is for those that take longer."""
NEWEST = 32
"""Batches that say how long an input takes."""
CAREFUL = 1.25
"""What is added to that, for batches take longer and shorter."""


class Predicts(Protocol):
    """One version of a model."""

    def predict(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """Returns one answer an input, in order; runs in a thread."""
        ...


class Pace:
    """How long an input takes, from the newest batches together: one that was held up by chance changes little."""

    def __init__(self) -> None:
        self._newest: deque[tuple[int, float]] = deque(maxlen=NEWEST)

    def observe(self, inputs: int, seconds: float) -> None:
        """Learns from one batch."""
        self._newest.append((inputs, seconds))

    def seconds_for(self, inputs: int) -> float:
        """Returns the seconds that so many inputs take, rather too many; 0 where nothing is known yet."""
        counted = sum(count for count, _ in self._newest)
        return CAREFUL * inputs * sum(seconds for _, seconds in self._newest) / counted if counted else 0.0

    def inputs_in(self, seconds: float, most: int) -> int:
        """Returns how many inputs are computed in so many seconds: one at least, ``most`` at most."""
        each = self.seconds_for(1)
        return most if not each else max(1, min(most, int(seconds / each)))


@dataclass(eq=False)
class _Waiting:
    """One request's inputs, and what of them is answered."""

    model: Predicts
    inputs: Sequence[Any]
    done: asyncio.Future[list[Any]]
    until: float
    begin_by: float
    answers: list[Any] = field(default_factory=list)
    taken: int = 0


class Batcher:
    """The queue of one model.

    Args:
        limits: Of the server.
        observe: Is told of each batch.
    """

    def __init__(self, limits: Limits, observe: Observe = lambda inputs, seconds: None) -> None:
        self.limits = limits
        self.pace = Pace()
        self._observe = observe
        self._waiting: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, "kft-model")
        self._work: asyncio.Task[None] | None = None
        self._running: tuple[float, int] = (0.0, 0)  # when the running batch began, and its inputs

    @property
    def queued(self) -> int:
        """Inputs that wait."""
        return sum(len(each.inputs) - each.taken for each in self._waiting)

    @property
    def busy(self) -> bool:
        """Whether something is computed, or waits for it; may be asked in any thread."""
        return self._running[1] > 0 or bool(self._waiting)

    def expected_wait(self) -> float:
        """Returns the seconds until an input that came now would be begun."""
        started, inputs = self._running
        left = self.pace.seconds_for(inputs) - (time.monotonic() - started) if inputs else 0.0
        return max(0.0, left) + self.pace.seconds_for(self.queued)

    async def answer(self, model: Predicts, inputs: Sequence[Any], seconds: float) -> list[Any]:
        """Answers one request.

        Args:
            model: The version that answers all of it.
            inputs: At least one.
            seconds: After which it is refused instead.

        Raises:
            Refused: The queue is full (429), the answer would come later than the latency target (429), or the time is
                up (503).
        """
        queued, wait, now = self.queued, self.expected_wait(), time.monotonic()
        if queued and queued + len(inputs) > self.limits.queue:
            raise busy(f"the model's queue is full: {queued:,} inputs wait", wait)
        if queued and wait > self.limits.target_seconds * BEGUN_WITHIN:
            raise self._late()
        # What takes longer than the target by itself is computed all the same, where nobody waits.
        long = self.pace.seconds_for(len(inputs)) > self.limits.target_seconds * COMPUTED_WITHIN
        begin_by = math.inf if long and not queued else now + self.limits.target_seconds * BEGUN_WITHIN
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(model, inputs, done, now + seconds, begin_by))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._compute())
        try:
            async with asyncio.timeout(seconds):
                return await done
        except TimeoutError:
            raise unavailable(f"no answer within {seconds:.3g} s", self.expected_wait(), kind="time") from None

    def _late(self) -> Refused:
        return busy(f"an answer would take longer than {self.limits.target_seconds:g} s", self.expected_wait())

    async def close(self) -> None:
        """Answers what waits, and ends the thread."""
        if self._work is not None:
            await self._work
        self._thread.shutdown()

    async def _compute(self) -> None:
        while parts := self._next_batch():
            inputs = [each for one, start, stop in parts for each in one.inputs[start:stop]]
            try:
                answers = await self._predict(parts[0][0].model, inputs)
            except Exception as error:
                await self._one_by_one(parts, error)
                continue
            for one, start, stop in parts:
                _deliver(one, answers[: stop - start])
                del answers[: stop - start]

    def _next_batch(self) -> list[tuple[_Waiting, int, int]]:
        """Takes what is computed next: parts of requests, each with where it starts and stops."""
        room = self.pace.inputs_in(self.limits.target_seconds * COMPUTED_WITHIN, self.limits.batch)
        parts: list[tuple[_Waiting, int, int]] = []
        while self._waiting and room:
            one = self._waiting[0]
            if not one.taken and one.begin_by < time.monotonic() and not one.done.done():
                one.done.set_exception(self._late())
            if one.done.done() or one.until < time.monotonic():  # it gave up: nobody waits for the answer
                self._waiting.popleft()
                continue
            if parts and one.model is not parts[0][0].model:  # another version: a batch of its own
                break
            stop = min(len(one.inputs), one.taken + room)
            parts.append((one, one.taken, stop))
            room -= stop - one.taken
            one.taken = stop
            if stop == len(one.inputs):
                self._waiting.popleft()
        return parts

    async def _predict(self, model: Predicts, inputs: list[Any]) -> list[Any]:
        started = time.monotonic()
        self._running = (started, len(inputs))
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, model.predict, inputs)
        finally:
            self._running = (0.0, 0)
        if len(answers) != len(inputs):
            raise RuntimeError(f"the model gave {len(answers)} answers to {len(inputs)} inputs")
        took = time.monotonic() - started
        self.pace.observe(len(inputs), took)
        self._observe(len(inputs), took)
        return list(answers)

    async def _one_by_one(self, parts: list[tuple[_Waiting, int, int]], error: Exception) -> None:
        """Computes each request of a failed batch alone: one that cannot be answered spoils no other."""
        for one, start, stop in parts:
            if len(parts) > 1:
                try:
                    _deliver(one, await self._predict(one.model, list(one.inputs[start:stop])))
                    continue
                except Exception as own:
                    error = own
            self._forget(one)
            if not one.done.done():
                one.done.set_exception(error)

    def _forget(self, one: _Waiting) -> None:
        if one in self._waiting:
            self._waiting.remove(one)


def _deliver(one: _Waiting, answers: list[Any]) -> None:
    one.answers += answers
    if len(one.answers) == len(one.inputs) and not one.done.done():
        one.done.set_result(one.answers)

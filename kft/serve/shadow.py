"""``--shadow``: a challenger answers what the model was asked, beside it and later, and nobody waits for it.

It computes in a thread of its own, a few inputs at a time, and only while the model has nothing to do; on Linux its
threads also come last for a core. What it does not come to is dropped and counted. Nothing that it does reaches an
answer of the model: it is handed them when they are made.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from kft.errors import UsageError
from kft.serve.batching import Answer
from kft.serve.measures import ShadowMeasures
from kft.serve.models import Followed, Following, LoadedVersion

AT_A_TIME = 8
"""Inputs; a request that comes meanwhile waits for none of them, but shares the cores with so many at most."""
LOOK_SECONDS = 0.005
"""Between two looks at whether the model is idle."""
LAST = 19
"""The niceness of whoever comes last for a core."""
T = TypeVar("T")


@dataclass(frozen=True)
class ShadowLimits:
    """How far a challenger may be behind.

    Attributes:
        inputs: That wait for it.
        bytes: Of these.
        seconds: That it may still compute when the server stops.
    """

    inputs: int = 256
    bytes: int = 32 * 2**20
    seconds: float = 2.0


@dataclass(frozen=True)
class ChallengerAnswer:
    """What a challenger said to the inputs of one request.

    Attributes:
        version: That said it.
        answers: One each; None where it failed.
    """

    version: str
    answers: Sequence[Answer] | None


Beside = Future[ChallengerAnswer | None]
"""Comes to hold what was said; None where it was dropped."""


@dataclass(frozen=True, eq=False)
class _Asked:
    """One request's inputs with the answers of the model."""

    inputs: Sequence[Any]
    answers: Sequence[Answer]
    bytes: int
    said: Beside = field(default_factory=Future)


class Shadow:
    """A challenger beside one model.

    Args:
        followed: What was asked for, and the version that answers.
        idle: Whether the model has nothing to do; asked in another thread.
        measures: Where it is counted.
        say: Is told once of each version why it fails.
        limits: How far it may be behind.
    """

    def __init__(
        self,
        followed: Followed,
        idle: Callable[[], bool],
        measures: ShadowMeasures,
        say: Callable[[str], None],
        limits: ShadowLimits | None = None,
    ) -> None:
        self.followed = followed
        self.name = followed.current.name
        self.limits = limits or ShadowLimits()
        self._idle, self._measures, self._say = idle, measures, say
        self._waiting: deque[_Asked] = deque()
        self._changed = threading.Condition()
        self._inputs = self._bytes = 0  # those that wait or are computed
        self._closed = False
        self._now: _Asked | None = None
        self._complained: LoadedVersion | None = None
        measures.loaded(self.name, followed.current.version)
        # A daemon: one that hangs in a challenger's code must not keep the server from ending.
        self._thread = threading.Thread(target=self._run, name="kft-shadow", daemon=True)
        self._thread.start()

    def offer(self, version: LoadedVersion, inputs: Sequence[Any], answers: Sequence[Answer]) -> Beside | None:
        """Has the challenger answer what the model has answered; returns at once.

        Returns:
            What comes to hold its answers; None where it is not asked: it is behind, or it is the same version.
        """
        if version.folder == self.followed.current.folder:  # it has won
            return None
        size = sum(map(_bytes, inputs))
        with self._changed:
            full = self._inputs + len(inputs) > self.limits.inputs or self._bytes + size > self.limits.bytes
            if self._closed or (full and self._inputs):
                self._measures.dropped(self.name, len(inputs))
                return None
            asked = _Asked(inputs, answers, size)
            self._waiting.append(asked)
            self._inputs, self._bytes = self._inputs + len(inputs), self._bytes + size
            self._changed.notify()
        return asked.said

    async def follow(self, following: Following) -> str:
        """Looks where the alias points; returns what happened, in words, empty where nothing did."""

        def load(*arguments: Any) -> LoadedVersion:
            return require_alike(gently(lambda: following.load(*arguments)), self.followed.current)

        found = await self.followed.look(replace(following, load=load))
        if found is None:
            return ""
        result, said = found
        self._measures.reload(self.name, result)
        if result == "done":
            self._measures.loaded(self.name, self.followed.current.version)
        return f"shadow: {said}"

    def close(self) -> None:
        """Ends it: what is computed may be finished, what waits is dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(self.limits.seconds)
        for asked in ([self._now] if self._now else []) + list(self._waiting):  # where it hangs, now is never over
            self._tell(asked, None)

    def _run(self) -> None:
        come_last()
        while asked := self._next():
            self._tell(asked, self._answer(asked))

    def _next(self) -> _Asked | None:
        """Returns what is computed next; None once the server stops."""
        with self._changed:
            while not (self._waiting or self._closed):
                self._changed.wait()
            self._now = None if self._closed else self._waiting.popleft()
            return self._now

    def _tell(self, asked: _Asked, said: ChallengerAnswer | None) -> None:
        with self._changed:
            if asked.said.done():  # it came after the server had stopped
                return
            self._inputs, self._bytes = self._inputs - len(asked.inputs), self._bytes - asked.bytes
            if said is None:
                self._measures.dropped(self.name, len(asked.inputs))
            asked.said.set_result(said)

    def _answer(self, asked: _Asked) -> ChallengerAnswer | None:
        version = self.followed.current
        answers: list[Answer] = []
        try:
            for start in range(0, len(asked.inputs), AT_A_TIME):
                while not self._idle() and not self._closed:
                    time.sleep(LOOK_SECONDS)
                if self._closed:
                    return None
                part = asked.inputs[start : start + AT_A_TIME]
                found = version.predict(part)
                if len(found) != len(part) or not all(map(finite, found)):
                    raise ValueError("not one answer an input, or a number that is not finite")
                answers += found
        except Exception as error:  # whatever it is, the model's answer has been given
            self._measures.failed(self.name, len(asked.inputs))
            if self._complained is not version:
                self._complained = version
                self._say(f"shadow: {self.followed.source}, version {version.version}, fails: {type(error).__name__}")
            return ChallengerAnswer(version.version, None)
        pairs = list(zip(asked.answers, answers, strict=True))
        self._measures.answered(self.name, len(answers), sum(decided(one) != decided(other) for one, other in pairs))
        for one, other in pairs:
            if "value" in one and "value" in other:
                self._measures.differed(self.name, abs(one["value"] - other["value"]))
        return ChallengerAnswer(version.version, answers)


def require_alike(version: LoadedVersion, champion: LoadedVersion) -> LoadedVersion:
    """Returns a version that can answer beside another.

    Raises:
        UsageError: It reads something else, has another task or no label of the other; or both answer vectors.
    """
    if (version.reads, version.task) != (champion.reads, champion.task):
        raise UsageError(
            "a challenger has to read and to answer what the model does",
            where=f"--shadow, {version.folder}",
            received=f"{version.task} on {version.reads}",
            expected=f"{champion.task} on {champion.reads}",
            next_step="kft export a run of the same task",
        )
    if "vector" in champion.example:
        raise UsageError(
            "vectors of two models are not compared: each has a space of its own",
            where=f"--shadow, {version.folder}",
            received=version.task,
            expected="models whose answers are labels, numbers or spans",
            next_step="kft evaluate measures each of them on queries whose documents are known",
        )
    if version.labels and not set(version.labels) & set(champion.labels):
        raise UsageError(
            "the challenger has none of the model's labels: each answer would count as another one",
            where=f"--shadow, {version.folder}",
            received=", ".join(version.labels[:5]),
            expected=", ".join(champion.labels[:5]),
            next_step="kft export a run that learned the same labels",
        )
    return version


def decided(answer: Answer) -> Any:
    """Returns what an answer decides: all withheld ones decide the same, and how sure it is does not matter.

    Example:
        >>> decided({"label": "spam", "confidence": 0.9}) == decided({"label": "spam", "confidence": 0.8})
        True
    """
    if answer.get("abstain"):
        return None
    spans = [(each["start"], each["end"], each["label"]) for each in answer.get("spans", ())]
    return answer.get("label"), sorted(answer.get("labels", ())), spans


def finite(value: Any) -> bool:
    """Whether all numbers of an answer are finite."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(finite, value.values()))
    return all(map(finite, value)) if isinstance(value, (list, tuple)) else True


def come_last() -> None:
    """Has this thread, and those that it starts, come after all others for a core, where the system knows how to."""
    if sys.platform == "linux":  # elsewhere a thread has no niceness of its own
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LAST)


def gently(work: Callable[[], T]) -> T:
    """Does something in a thread that comes last for a core: a model's own threads are made when it is loaded."""
    done: Future[T] = Future()

    def run() -> None:
        come_last()
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    thread = threading.Thread(target=run, name="kft-shadow-load")
    thread.start()
    thread.join()
    return done.result()


def _bytes(given: Any) -> int:
    if isinstance(given, (tuple, list)):
        return sum(map(_bytes, given))
    return len(given) * (1 if isinstance(given, bytes) else 4)

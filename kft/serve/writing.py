"""The queue of a language model: one answer is written at a time, in a thread of its own, as long as somebody reads it.

Models that share a decoder share its queue: so no answer is written with another's adapters.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

from kft.serve.batching import Pace
from kft.serve.limits import Limits, busy, unavailable

LEFT: Any = object()
"""What a reader finds in place of a piece once the client went away."""


class Writes(Protocol):
    """A model that writes."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def version(self) -> str:
        """Of its weights."""

    @property
    def task(self) -> Any:
        """What it was tuned to."""

    @property
    def writer(self) -> Any:
        """Has the reader of its prompts."""

    @property
    def spec(self) -> Any:
        """The recipe it was trained by."""

    def stream(self, prompt: str, asking: Any) -> Iterator[Any]:
        """Yields texts as they are written, and last what is known of the answer; runs in a thread."""

    def count(self, prompt: str) -> tuple[int, int]:
        """Returns how many tokens of a prompt are read, and how many would be cut."""


@dataclass(eq=False)
class GenerationJob:
    """One answer that is waited for.

    Attributes:
        until: When it has to be begun.
        left: Set once nobody reads it any more.
    """

    until: float
    left: threading.Event = field(default_factory=threading.Event)
    pieces: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)

    def leave(self) -> None:
        """Has the answer end where it is; called on the event loop."""
        self.left.set()
        self.pieces.put_nowait(LEFT)


class Desk:
    """Where the answers of one decoder are written, one after the other.

    Args:
        limits: Of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.pace = Pace()
        self.waiting = 0
        self._running = False
        self._thread = ThreadPoolExecutor(1, "kft-write")

    async def write(self, model: Writes, prompt: str, asking: Any, job: GenerationJob) -> AsyncIterator[Any]:
        """Yields the pieces of an answer; nothing more once its job is left.

        Args:
            model: That writes.
            prompt: In words.
            asking: How.
            job: Of this request.

        Raises:
            Refused: Too many wait, or the answer would be begun too late (429); it was not begun in time (503).
        """
        seconds = job.until - time.monotonic()
        expected = self.pace.seconds_for(self.waiting + self._running)
        if self.waiting >= self.limits.queue or (self.waiting and expected > seconds):
            raise busy(f"{self.waiting:,} requests wait for this model", expected)
        loop = asyncio.get_running_loop()
        self.waiting += 1
        begun = threading.Event()
        running = self._thread.submit(self._run, model, prompt, asking, job, begun, loop)
        try:
            while True:
                try:
                    async with asyncio.timeout_at(None if begun.is_set() else loop.time() + max(0.0, seconds)):
                        piece = await job.pieces.get()
                except TimeoutError:
                    if begun.is_set():
                        continue
                    reason = f"the answer was not begun within {self.limits.seconds:.3g} s"
                    raise unavailable(reason, self.pace.seconds_for(1), kind="time") from None
                if piece is LEFT:
                    return
                if isinstance(piece, Exception):
                    raise piece
                yield piece
                if not isinstance(piece, str):
                    return
        finally:
            job.left.set()
            if running.cancel():
                self.waiting -= 1

    def _run(
        self,
        model: Writes,
        prompt: str,
        asking: Any,
        job: GenerationJob,
        begun: threading.Event,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        started = time.monotonic()
        self.waiting -= 1
        if job.left.is_set():
            return
        begun.set()
        self._running = True

        def tell(piece: Any) -> None:
            loop.call_soon_threadsafe(job.pieces.put_nowait, piece)

        try:
            with closing(model.stream(prompt, asking)) as pieces:  # type: ignore[type-var]
                for piece in pieces:
                    if job.left.is_set():
                        return
                    tell(piece)
            self.pace.observe(1, time.monotonic() - started)
        except Exception as error:
            tell(error)
        finally:
            self._running = False

    def close(self) -> None:
        """Ends the thread, once what was let in is written."""
        self._thread.shutdown()


@dataclass(frozen=True)
class Writers:
    """The language models of a server.

    Attributes:
        models: By name.
        desks: Where each writes.
        created: When they were loaded, in seconds since 1970.
    """

    models: Mapping[str, Writes]
    desks: Mapping[str, Desk]
    created: int

    def close(self) -> None:
        """Ends all threads."""
        for desk in {id(each): each for each in self.desks.values()}.values():
            desk.close()


def make_writers(
    groups: Sequence[Sequence[Writes]], limits: Limits, follow: Callable[[str, Callable[[], float]], None]
) -> Writers:
    """Returns language models with their queues.

    Args:
        groups: Models that share a decoder, together.
        limits: Of the server.
        follow: Is told of each model's queue.
    """
    models: dict[str, Writes] = {}
    desks: dict[str, Desk] = {}
    for group in groups:
        desk = Desk(limits)
        for each in group:
            models[each.name], desks[each.name] = each, desk
            follow(each.name, lambda desk=desk: desk.waiting)  # type: ignore[misc]
    return Writers(models, desks, int(time.time()))

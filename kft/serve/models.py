"""The models of a server: which version of each answers, and how another takes its place.

A version is loaded and has answered once before it takes over. Requests that were let in by then are answered by the
version that stood there when they came, so that no answer mixes two.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kft.deploy.proof import Contract
from kft.deploy.watching import Looked, ModelWatcher
from kft.errors import KftError, UsageError
from kft.registry import nearest
from kft.serve.batching import Answer, Batcher, Predicts
from kft.serve.limits import Limits, Refused
from kft.serve.measures import Measures

RETRY_SECONDS = 30.0
"""After which a version that could not be loaded is tried again, where the alias still names it."""
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mOsr69nwAaYGHCAwSkBAC3FAY1cxr/UAAAAAElFTkSuQmCC"
EXAMPLES: Mapping[str, Any] = {
    "text": "one text",
    "text-pair": ("one text", "another"),
    "image": base64.b64decode(_PIXEL),
}
"""What a version answers once before it takes over, by what it reads."""


@dataclass(frozen=True, eq=False)
class Looking:
    """What answers, and keeps beside each answer what the graph gave for it."""

    watcher: ModelWatcher

    def predict(self, inputs: Sequence[Any]) -> list[Looked]:
        """Answers; see ``kft.deploy.watching.ModelWatcher.look``."""
        return self.watcher.look(inputs)


@dataclass(frozen=True, eq=False)
class LoadedVersion:
    """One version of a model, loaded.

    Attributes:
        name: Of the model.
        version: Of the artifact.
        task: Its name.
        reads: ``text``, ``text-pair`` or ``image``.
        labels: What it can answer; empty for numbers.
        folder: Of the artifact.
        shipped: What answers.
        redact: Kinds of personal data that the recipe replaces.
        count_tokens: Returns how many tokens a text has; None where nothing says.
        example: The answer to the example of ``EXAMPLES``.
        looking: The same, asked for what the graph gave as well; None where nobody wants to see it.
        cut: Says how many texts of inputs are longer than what is read of them.
    """

    name: str
    version: str
    task: str
    reads: str
    labels: tuple[str, ...]
    folder: Path
    shipped: Predicts
    redact: tuple[str, ...] = ()
    count_tokens: Callable[[str], int] | None = None
    example: Answer = field(default_factory=dict)
    looking: Looking | None = None
    cut: Callable[[Sequence[Any]], int] = field(default=lambda inputs: 0)

    def predict(self, inputs: Sequence[Any]) -> list[Answer]:
        """Answers, one dict an input."""
        return list(self.shipped.predict(inputs))


Load = Callable[[Path, str], LoadedVersion]
"""Opens the artifact of a folder under a name; answers one example."""
Resolve = Callable[[str], Path]
"""Returns the folder that a name on a shelf stands for now."""


@dataclass(frozen=True)
class Following:
    """How aliases are followed.

    Attributes:
        resolve: Says where one points.
        load: Opens a version.
        seconds: Between two looks.
    """

    resolve: Resolve
    load: Load
    seconds: float = 1.0


class Followed:
    """What was named, and the version that it stands for now.

    Args:
        source: A folder, or a name on a shelf.
        current: The version.
        moves: Whether the source is an alias, which may move to another version.
    """

    def __init__(self, source: str, current: LoadedVersion, *, moves: bool) -> None:
        self.source = source
        self.current = current
        self.moves = moves
        self._failed: tuple[Path, float] | None = None

    async def look(self, following: Following) -> tuple[Literal["done", "failed"], str] | None:
        """Looks where the alias points, and lets another version take over.

        Returns:
            What came of it, and the same in words; None where nothing has moved.
        """
        folder = self.current.folder
        try:
            folder = await asyncio.to_thread(following.resolve, self.source)
            if folder == self.current.folder or self._failed_lately(folder):
                return None
            fresh = await asyncio.to_thread(following.load, folder, self.current.name)
        except Exception as error:  # whatever it is, the version that stands goes on answering
            if self._failed_lately(folder):
                return None
            self._failed = (folder, time.monotonic())
            said = error.problem if isinstance(error, KftError) else f"{type(error).__name__}: {error}"
            return "failed", f"{self.source} is not reloaded, version {self.current.version} goes on: {said}"
        before, self.current, self._failed = self.current, fresh, None
        was, now = (Contract(each.task, each.reads, each.labels) for each in (before, fresh))
        told = [f"{self.source}: version {fresh.version} answers instead of {before.version}"]
        return "done", "; ".join([*told, *(was.broken_by(now) or filter(None, [was.changed_by(now)]))])

    def _failed_lately(self, folder: Path) -> bool:
        return (
            self._failed is not None
            and self._failed[0] == folder
            and time.monotonic() - self._failed[1] < RETRY_SECONDS
        )


class Served:
    """One model of a server.

    Args:
        followed: What was asked for, and the version that answers.
        limits: Of the server.
        measures: Where it is counted.
    """

    def __init__(self, followed: Followed, limits: Limits, measures: Measures) -> None:
        self.followed = followed
        self.name = followed.current.name
        self.batcher = Batcher(limits, lambda inputs, seconds: measures.batch(self.name, inputs, seconds))
        self._measures = measures
        measures.follow_queue(self.name, lambda: self.batcher.queued)
        measures.loaded(self.name, self.current.version)

    @property
    def current(self) -> LoadedVersion:
        """The version that answers."""
        return self.followed.current

    def require_version(self, version: str | None) -> LoadedVersion:
        """Returns the version that answers.

        Raises:
            Refused: Another one was asked for (404).
        """
        if version is None or version == self.current.version:
            return self.current
        raise Refused(404, f"model {self.name} answers with version {self.current.version}", kind="unknown")

    async def follow(self, following: Following) -> str:
        """Looks where the alias points; returns what happened, in words, empty where nothing did."""
        found = await self.followed.look(following)
        if found is None:
            return ""
        result, said = found
        self._measures.reload(self.name, result)
        if result == "done":
            self._measures.loaded(self.name, self.current.version)
        return said


def by_name(served: Sequence[Served]) -> dict[str, Served]:
    """Returns the models by their names.

    Raises:
        UsageError: Two have the same.
    """
    found: dict[str, Served] = {}
    for each in served:
        if each.name in found:
            raise UsageError(
                f"two models are called {each.name}",
                received=f"{found[each.name].followed.source}, {each.followed.source}",
                expected="one name each",
                next_step=f"kft serve {found[each.name].followed.source} OTHER={each.followed.source}",
            )
        found[each.name] = each
    return found


def find(models: Mapping[str, Served], name: str | None) -> Served:
    """Returns a model; without a name the only one.

    Raises:
        Refused: There is none of that name, or none at all (404), or one has to be named (422).
    """
    if not models:
        raise Refused(404, "no model here gives labels; /docs says what can be asked", kind="unknown")
    if name is None:
        if len(models) == 1:
            return next(iter(models.values()))
        raise Refused(422, f"name the model, one of {', '.join(models)}", kind="invalid")
    if name in models:
        return models[name]
    hint = nearest(name, models)
    here = f"did you mean {hint}?" if hint else f"there are {', '.join(models)}"
    raise Refused(404, f"no model of this name; {here}", kind="unknown")

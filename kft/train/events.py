"""What the loop yields beside the events of the history: moments at which something is shown or kept."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from kft.model.freeze import FreezeTable
from kft.recipe.training import PhaseSpec
from kft.records.history import HistoryEvent


@dataclass(frozen=True)
class Resumed:
    """The run goes on from a checkpoint.

    Attributes:
        phase: The phase that it goes on in; None after the last.
        epoch: The epoch of it; None before its first.
        step: Steps of that epoch that are done.
        steps_done: Over all phases.
        forgetful: Callbacks that start anew.
    """

    phase: str | None
    epoch: int | None
    step: int
    steps_done: int
    forgetful: tuple[str, ...]


@dataclass(frozen=True)
class PhaseBegins:
    """What trains in a phase is set; said of a phase that is resumed as well."""

    phase: PhaseSpec
    table: FreezeTable


@dataclass(frozen=True)
class FeaturesPlanned:
    """Whether the phase's features are stored, in words."""

    how: str


@dataclass(frozen=True)
class StepsPlanned:
    """What is unusual in how the phase's updates run on the device, and in their rates, in words; else empty."""

    how: str


@dataclass(frozen=True)
class RowsAlone:
    """Examples that are the only one of their class, where a loss compares those of one class."""

    alone: int
    rows: int


@dataclass(frozen=True)
class PassBegins:
    """A pass over the training examples begins, or goes on after ``done`` of them."""

    label: str
    rows: int
    done: int


@dataclass(frozen=True)
class StepsMade:
    """One call of the device is made.

    Attributes:
        rows: Examples in it.
        loss: Mean of the epoch so far; None where it was not fetched.
    """

    rows: int
    loss: float | None


@dataclass(frozen=True)
class PassEnds:
    """All examples were seen, or the run was told to stop."""


@dataclass(frozen=True)
class BestFound:
    """The run's best weights are others now; the state has them."""


@dataclass(frozen=True)
class StateDue:
    """Everything that the run needs to go on exactly here is worth keeping.

    Attributes:
        variables: The phase's own, beside the model's weights: of its optimizer, above all; None between two phases.
    """

    variables: Sequence[Any] | None = None


@dataclass(frozen=True)
class UpdatesLeftOut:
    """Updates of an epoch that a loss or gradient that was not finite kept from being made."""

    count: float


@dataclass(frozen=True)
class NothingLeft:
    """The phases that are left do not run: by the metric that chooses, the kept weights are perfect.

    Attributes:
        monitor: The metric.
        kept: The phase whose weights are kept.
        left: Names of the phases that do not run.
    """

    monitor: str
    kept: str
    left: tuple[str, ...]


@dataclass(frozen=True)
class NotPreferred:
    """A phase was better on valid, yet not beyond chance: the cheaper weights are kept.

    Attributes:
        phase: Whose weights are not kept.
        kept: The phase whose weights are.
        gain: The difference in the metric that chooses, with its interval, in words.
    """

    phase: str
    kept: str
    gain: str


@dataclass(frozen=True)
class RefitBegins:
    """A phase is trained again on train and valid together.

    Attributes:
        phase: Which.
        rows: Of both.
    """

    phase: str
    rows: int


@dataclass(frozen=True)
class NothingToRefit:
    """The kept weights stay what they are: see ``why``."""

    kept: str
    why: str


@dataclass(frozen=True)
class StoppedEarly:
    """A phase ends because its monitor no longer improves."""

    monitor: str
    epochs: int


@dataclass(frozen=True)
class Interrupted:
    """SIGTERM came; the state after this step was kept, and the process ends once it is on the disk."""

    steps_done: int


Moment = (
    Resumed
    | PhaseBegins
    | FeaturesPlanned
    | StepsPlanned
    | RowsAlone
    | PassBegins
    | StepsMade
    | PassEnds
    | BestFound
    | StateDue
    | UpdatesLeftOut
    | NothingLeft
    | NotPreferred
    | RefitBegins
    | NothingToRefit
    | StoppedEarly
    | Interrupted
)
Event = HistoryEvent | Moment

T = TypeVar("T")
Events = Generator[Event, None, T]
"""A part of the loop: it yields events and returns what it came to."""


class Watcher(Protocol):
    """Who follows work that yields no events: what is computed in one go."""

    def note(self, text: str) -> None:
        """Takes one line."""

    def task(self, label: str, total: int) -> AbstractContextManager[Callable[..., None]]:
        """Follows the body's work on ``total`` items; gives ``tick(count)``."""

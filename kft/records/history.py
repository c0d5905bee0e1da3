"""The history of a run: what training yields and history.jsonl keeps, one event a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from kft.records.document import as_document, parse
from kft.records.fields import absent


@dataclass(frozen=True)
class PhaseStarted:
    """A phase begins.

    Attributes:
        phase: Its name.
        unfreeze: Its freeze rule, in words.
        solver: ``adamw``, ``lbfgs`` or ``blend``.
        objective: What its steps minimise: ``own``, the task's loss, or another, in words.
        start: The phase whose best weights it starts from.
        trainable: Parameters that train.
        parameters: Parameters in all.
        blocks: Block to the parameters of it that train.
    """

    KEYS: ClassVar = ("event", "phase", "unfreeze", "solver", "start", "trainable", "parameters", "blocks", "objective")
    event: ClassVar = "phase"

    phase: str
    unfreeze: str
    solver: str
    start: str | None
    trainable: int
    parameters: int
    blocks: dict[str, int]
    objective: str = absent("own")

    @property
    def moves_backbone(self) -> bool:
        return any(count for block, count in self.blocks.items() if block != "head")


@dataclass(frozen=True)
class ProbeSolved:
    """The head was solved on frozen features.

    Attributes:
        phase: In which phase.
        strength: The inverse penalty C that was chosen.
        tried: Each strength, its validation loss, and the score that chose.
    """

    KEYS: ClassVar = ("event", "phase", "strength", "tried")
    event: ClassVar = "probe"

    phase: str
    strength: float
    tried: tuple[tuple[float, float, float], ...]


BLENDED = "blend"
"""What the loss of all views together is called beside that of each."""


@dataclass(frozen=True)
class BlendFitted:
    """Views of frozen features were weighed and fitted.

    Attributes:
        phase: In which phase.
        weights: Of each view; 0: it does not help.
        losses: The mean loss of each, and of ``blend``, on rows that it had not seen.
        settings: What was chosen for each.
    """

    KEYS: ClassVar = ("event", "phase", "weights", "losses", "settings")
    event: ClassVar = "blend"

    phase: str
    weights: Mapping[str, float]
    losses: Mapping[str, float]
    settings: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class RowsLabelled:
    """Rows without labels were answered by what was kept, for a phase that learns from those it is sure of.

    Attributes:
        phase: Which learns from them.
        by: The phase whose answers were kept until then.
        rows: Rows that are learned from.
        of: Rows without labels.
        confidence: The lowest confidence among what is trusted; None where nothing is.
        wrong: The share of wrong answers that is reckoned with.
        tried: Rows of known labels, none of them learned from, that it was found on.
    """

    KEYS: ClassVar = ("event", "phase", "by", "rows", "of", "confidence", "wrong", "tried")
    event: ClassVar = "labelled"

    phase: str
    by: str
    rows: int
    of: int
    confidence: float | None
    wrong: float
    tried: int


@dataclass(frozen=True)
class EpochDone:
    """An epoch was trained and validated; epoch 0 is a phase's starting point, or a probe's solution.

    Attributes:
        phase: In which phase.
        epoch: Counted within the phase.
        step: Updates made so far, over all phases.
        training: What training measured, such as ``loss``, ``accuracy``, ``lr``, ``seconds``, ``left_out``.
        metrics: What validation measured: names that begin with ``valid_``.
        is_best: Whether it is the best so far, over all phases.
    """

    event: ClassVar = "epoch"

    phase: str
    epoch: int
    step: int
    metrics: dict[str, float]
    is_best: bool
    training: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PhaseEnded:
    """A phase is over.

    Attributes:
        phase: Its name.
        best_epoch: The epoch that was kept of it.
        stopped: Why it ended.
        metrics: What that epoch scored: names that begin with ``valid_``.
    """

    event: ClassVar = "phase_end"

    phase: str
    best_epoch: int
    stopped: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class RefitEpochDone:
    """An epoch on train and valid together: nothing was validated, no row is left for that.

    Attributes:
        phase: Which phase is repeated.
        epoch: Counted within the phase.
        step: Updates made so far, over all phases and the refit.
        training: What training measured, as of ``EpochDone``.
    """

    event: ClassVar = "refit_epoch"

    phase: str
    epoch: int
    step: int
    training: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Refitted:
    """What was chosen has been trained again on train and valid, and its weights are the run's.

    Attributes:
        phase: Which phase was kept.
        epochs: Each phase that its weights went through, and how many epochs of it; 0 where it is solved.
        train: Rows of train.
        valid: Rows of valid that were learned from too.
    """

    KEYS: ClassVar = ("event", "phase", "epochs", "train", "valid")
    event: ClassVar = "refit"

    phase: str
    epochs: Mapping[str, int]
    train: int
    valid: int

    @property
    def how(self) -> str:
        """What was done, as one clause."""
        done = ", then ".join(f"{name} ({count} epochs)" if count else name for name, count in self.epochs.items())
        rows = f"{self.train + self.valid:,} rows, {self.valid:,} of them of valid"
        return f"{done}, trained again on {rows}; what valid says is from before that"


HistoryEvent = (
    PhaseStarted | ProbeSolved | BlendFitted | RowsLabelled | EpochDone | PhaseEnded | RefitEpochDone | Refitted
)
KINDS: dict[str, type[Any]] = {each.event: each for each in HistoryEvent.__args__}


def refit_of(history: Sequence[HistoryEvent]) -> Refitted | None:
    """Returns what the history says of a refit that came to its end; None without one."""
    return next((event for event in reversed(history) if isinstance(event, Refitted)), None)


def as_line(event: HistoryEvent) -> dict[str, Any]:
    """Returns an event as history.jsonl has it, with each metric under its own key.

    Example:
        >>> as_line(EpochDone("top", 1, 9, {"valid_loss": 0.4}, True, {"loss": 0.5}))  # doctest: +NORMALIZE_WHITESPACE
        {'event': 'epoch', 'phase': 'top', 'epoch': 1, 'step': 9, 'loss': 0.5, 'valid_loss': 0.4, 'is_best': True}
    """
    if isinstance(event, EpochDone):
        begin = {"event": event.event, "phase": event.phase, "epoch": event.epoch, "step": event.step}
        return {**begin, **event.training, **event.metrics, "is_best": event.is_best}
    if isinstance(event, RefitEpochDone):
        begin = {"event": event.event, "phase": event.phase, "epoch": event.epoch, "step": event.step}
        return {**begin, **event.training}
    if isinstance(event, PhaseEnded):
        ended = {"event": event.event, "phase": event.phase, "best_epoch": event.best_epoch, "stopped": event.stopped}
        return {**ended, **event.metrics}
    return as_document(event)


def read_history(path: Path) -> tuple[HistoryEvent, ...]:
    """Reads a run's history.jsonl; none where there is no such file.

    A last line that is cut short, by a process that was killed, is no event.

    Raises:
        RunError: A line is damaged; the message names it and the key.
    """
    if not path.is_file():
        return ()
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if lines:
        with suppress(ValueError):
            json.loads(lines[-1])
            lines.append("")
        lines.pop()
    return tuple(parse_line(line, path, f"line {number}") for number, line in enumerate(lines, 1))


def parse_line(line: str, path: Path, place: str) -> HistoryEvent:
    """Returns the event of a line; see ``read_history``."""
    try:
        values = json.loads(line)
    except ValueError:
        values = None
    known = isinstance(values, Mapping) and values.get("event") in KINDS
    kind = KINDS[values["event"]] if known else PhaseStarted  # which a line without a kind does not fit
    if known and kind in (EpochDone, PhaseEnded, RefitEpochDone):
        own = {"event", "phase", "epoch", "step", "is_best", "best_epoch", "stopped"}
        metrics = {name: value for name, value in values.items() if name.startswith("valid_")}
        training = {name: value for name, value in values.items() if name not in own | metrics.keys()}
        line = json.dumps({**values, "metrics": metrics, "training": training})
    found: HistoryEvent = parse(kind, line, path, place)
    return found

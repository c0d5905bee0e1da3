"""What the loop is given, what changes while it runs, and the keeping of the best and the last weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np

from kft.feed.batches import Ragged
from kft.feed.source import Column, DenseColumn, Source
from kft.recipe.durations import parse_interval
from kft.recipe.schema import FeaturesSpec, PhaseSpec, TrainSpec
from kft.tasks.task import AnswerKind, AnswerSpace
from kft.train.callbacks import CallbackDriver, Patience
from kft.train.checkpoint import Arrays, Checkpoint, CheckpointWriter, snapshot
from kft.train.optimizer import ScheduledAdamW
from kft.train.preemption import StopRequest
from kft.train.progress import Progress

OPTIMIZER, BEST_OF = "optimizer/", "best/"


@dataclass(frozen=True)
class Labelled:
    """One split as training takes it.

    Attributes:
        source: Batches of the model's inputs.
        targets: What the loss compares with: ``[n, ...]``, or one array a text of its tokens.
        truth: What the metrics compare with.
        offsets: Of each text's tokens; only for tagging.
    """

    source: Source
    targets: Any
    truth: Any
    offsets: list[np.ndarray] | None = None

    @property
    def column(self) -> Column:
        """The targets, served batch by batch."""
        return DenseColumn(self.targets) if isinstance(self.targets, np.ndarray) else Ragged.from_rows(self.targets)


@dataclass(frozen=True)
class TrainData:
    """The two splits that selection may see.

    Attributes:
        train: What is learned from.
        valid: What choices look at.
        kind: What is answered.
        space: Everything that an answer can be.
        weights: ``float32[train examples]``: how much each counts in the loss.
    """

    train: Labelled
    valid: Labelled
    kind: AnswerKind
    space: AnswerSpace
    weights: np.ndarray


@dataclass(frozen=True)
class PhaseResult:
    """What a phase reached on the validation split; epoch 0 is its starting point."""

    name: str
    unfreeze: str
    trainable: int
    parameters: int
    best_epoch: int
    epochs: int
    metrics: dict[str, float]
    seconds: float
    stopped: str


@dataclass
class FitState:
    """Where training with AdamW stands within its phase.

    Attributes:
        epoch: Epochs done.
        step: Steps done of the next one.
        sums: Of that epoch's steps so far: see ``StepSums``.
        rate: The rate that epoch began with.
        best_epoch: 0 is the phase's starting point.
        patience: Early stopping's count.
        stopped: Why the phase is over; empty while it runs.
    """

    patience: Patience
    epoch: int = 0
    step: int = 0
    sums: tuple[float, ...] = ()
    rate: float = 0.0
    best_epoch: int = 0
    stopped: str = ""


@dataclass
class LoopState:
    """What changes while the phases run: all that a checkpoint keeps, so that a run can go on.

    Attributes:
        moving: The weights that any phase moves, and checkpoints hold.
        phase: Phases done.
        fit: The phase under way; None before it has scored its starting point.
        results: One for each phase done.
        epochs_done: Over all phases.
        steps_done: Over all phases.
        best: The score of the run's best epoch; higher is better.
        best_facts: Phase, epoch, step and metrics of it.
        phase_weights: Each phase's best.
        phase_metrics: And what it scored.
        history: Every event so far.
        resumed: What the run goes on from, until its phase has taken the weights up.
        saved_at: When the last checkpoint was made, on the monotonic clock, and after which step.
    """

    moving: list[keras.Variable] = field(default_factory=list)
    phase: int = 0
    fit: FitState | None = None
    results: list[PhaseResult] = field(default_factory=list)
    epochs_done: int = 0
    steps_done: int = 0
    best: tuple[float, ...] | None = None
    best_facts: dict[str, Any] = field(default_factory=dict)
    phase_weights: dict[str, Arrays] = field(default_factory=dict)
    phase_metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    resumed: Checkpoint | None = None
    saved_at: tuple[float, int] = (0.0, 0)

    @property
    def best_phase(self) -> str:
        """The phase whose best epoch is the run's."""
        return self.best_facts["phase"]


KEPT = ("phase", "epochs_done", "steps_done", "best", "best_facts", "phase_metrics", "history")


@dataclass(frozen=True)
class Job:
    """Everything the loop needs; nothing in it changes but ``state``.

    Attributes:
        writer: Writes ``best`` and ``probe`` into the run folder; None keeps them in memory only.
        last_writer: Writes ``last``, perhaps to another place; None writes none.
        identity: The hashes that tell one run from another.
    """

    model: keras.Model
    data: TrainData
    phases: tuple[PhaseSpec, ...]
    spec: TrainSpec
    seed: int
    callbacks: CallbackDriver
    progress: Progress
    record: Callable[[dict[str, Any]], None]
    model_name: str = "model"
    features: FeaturesSpec = field(default_factory=FeaturesSpec)
    writer: CheckpointWriter | None = None
    last_writer: CheckpointWriter | None = None
    identity: dict[str, str] = field(default_factory=dict)
    stop: StopRequest = field(default_factory=StopRequest)
    state: LoopState = field(default_factory=LoopState)


def note_event(job: Job, event: dict[str, Any]) -> None:
    """Adds an event to the history."""
    job.state.history.append(event)
    job.record(event)


def _score(job: Job, metrics: dict[str, float]) -> tuple[float, ...]:
    """Orders results by the chosen metric; ties go to the lower validation loss."""
    assert job.spec.best is not None  # loading a recipe fills it in
    best = job.spec.best
    return job.data.kind.judging.sign(best) * metrics[best], -metrics["valid_loss"]


def keep_if_best(job: Job, phase: PhaseSpec, epoch: int, metrics: dict[str, float]) -> bool:
    """Keeps the weights when they are the phase's best, and writes them when they are the run's."""
    state = job.state
    known = state.phase_metrics.get(phase.name)
    if known is not None and _score(job, metrics) <= _score(job, known):
        return False
    state.phase_metrics[phase.name] = metrics
    state.phase_weights[phase.name] = snapshot(job.state.moving)
    # Epoch 0 of training that starts from another phase has that phase's weights, so nothing is better.
    starts_from_another = epoch == 0 and phase.start is not None and phase.solver != "lbfgs"
    if state.best is None or (_score(job, metrics) > state.best and not starts_from_another):
        state.best = _score(job, metrics)
        state.best_facts = {"phase": phase.name, "epoch": epoch, "step": state.steps_done, "metrics": metrics}
        write_best(job)
    return True


def write_best(job: Job) -> None:
    """Writes the run's best weights."""
    if job.writer and job.state.best_facts:
        weights = job.state.phase_weights[job.state.best_phase]
        job.writer.save("best", Checkpoint(weights, job.state.best_facts))


def record_epoch(job: Job, phase: PhaseSpec, epoch: int, metrics: dict[str, float], **training: float) -> None:
    """Adds one validated epoch to the history and shows it."""
    best = job.state.best_facts
    is_best = (best["phase"], best["epoch"]) == (phase.name, epoch)  # of the run, over all phases
    event = {"event": "epoch", "phase": phase.name, "epoch": epoch, "step": job.state.steps_done}
    note_event(job, {**event, **training, **metrics, "is_best": is_best})
    names = [f"valid_{name}" for name in job.data.kind.judging.metrics]
    shown = job.spec.best if job.spec.best in names else names[0]
    job.progress.epoch(phase, epoch, {**training, **metrics}, is_best, shown)


def random_states(model: keras.Model) -> list[keras.Variable]:
    """Returns the variables that are no weights: the states of the random seeds."""
    weights = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def restore_random_states(job: Job) -> None:
    """Puts the seeds back to where they were; by their order, because Keras counts their names on in a process."""
    assert job.state.resumed is not None
    for place, variable in enumerate(random_states(job.model)):
        variable.assign(job.state.resumed.more["seeds"][str(place)])


def is_due(job: Job) -> bool:
    """Whether ``checkpoints.every`` has passed since the last one."""
    amount, unit = parse_interval(job.spec.checkpoints.every)
    seconds, steps = job.state.saved_at
    if unit == "step":
        return job.state.steps_done - steps >= amount
    return time.monotonic() - seconds >= 60 * amount


def save_last(job: Job, optimizer: ScheduledAdamW | None = None) -> None:
    """Snapshots all that the run needs to go on exactly here; a thread writes it."""
    state = job.state
    is_first = state.saved_at == (0.0, 0)
    state.saved_at = time.monotonic(), state.steps_done
    if not job.last_writer:
        return
    more = {BEST_OF + name: weights for name, weights in state.phase_weights.items()}
    if optimizer is not None:
        more["training"] = snapshot(optimizer.variables, OPTIMIZER)
    more["seeds"] = {str(place): seed.numpy() for place, seed in enumerate(random_states(job.model))}
    facts = {name: getattr(state, name) for name in KEPT}
    facts["history"] = list(state.history)  # the loop goes on while the thread writes
    facts["phase_metrics"] = dict(state.phase_metrics)
    facts["fit"] = None if state.fit is None else asdict(state.fit) | {"patience": _patience_facts(state.fit.patience)}
    facts["results"] = [asdict(result) for result in state.results]
    facts |= {"callbacks": job.callbacks.state, "identity": job.identity}
    job.last_writer.save("last", Checkpoint(snapshot(state.moving), facts, more), job.spec.checkpoints.keep)
    if is_first:  # a folder that cannot be written is told now; and a run that has trained always has a checkpoint
        job.last_writer.wait()


def load_state(job: Job, found: Checkpoint) -> None:
    """Takes up the state of a checkpoint; its phase takes the weights up when it begins."""
    state, facts = job.state, found.state
    for name in KEPT:
        setattr(state, name, facts[name])
    state.best = None if state.best is None else tuple(state.best)
    state.results = [PhaseResult(**result) for result in facts["results"]]
    state.phase_weights = {
        group.removeprefix(BEST_OF): arrays for group, arrays in found.more.items() if group.startswith(BEST_OF)
    }
    if facts["fit"] is not None:
        patience = new_patience(job, **facts["fit"]["patience"])
        state.fit = FitState(**{**facts["fit"], "patience": patience, "sums": tuple(facts["fit"]["sums"])})
    state.resumed = found


def new_patience(job: Job, **facts: Any) -> Patience:
    """Returns what stops a phase early, as the recipe asks, with what it has counted."""
    spec = job.spec.early_stopping
    return Patience(spec, 1 if spec is None else job.data.kind.judging.sign(spec.monitor), **facts)


def _patience_facts(patience: Patience) -> dict[str, Any]:
    return {"best": patience.best, "waited": patience.waited}

"""What the loop is given, and what changes while it runs: all that a checkpoint has to keep."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np

from kft.feed.batches import Ragged
from kft.feed.source import Column, DenseColumn, Source
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import EarlyStoppingSpec, PhaseSpec, TrainSpec
from kft.tasks.task import AnswerKind, AnswerSpace
from kft.train.callbacks import CallbackDriver
from kft.train.checkpoint import Arrays, Checkpoint
from kft.train.events import Watcher
from kft.train.paired_rows import PairedRows
from kft.train.preemption import StopRequest
from kft.train.weights import weigh

OPTIMIZER, BEST_OF, ANSWERS_OF = "optimizer/", "best/", "answers/"
"""What a checkpoint's arrays of the optimizer, and its groups of each phase's best weights and answers, begin with."""
REFITTED = "refitted"
"""A checkpoint's group of the weights that a refit has ended with."""


@dataclass(frozen=True)
class Labelled:
    """One split as training takes it.

    Attributes:
        source: Batches of the model's inputs.
        targets: The labels as numbers: ``[n, ...]``, or one array a text of its tokens.
        truth: What the metrics compare with.
        offsets: Of each text's tokens; only for tagging.
        groups: ``str[n]``; None where each example stands alone.
        shares: ``float32[n, classes]``, rows that sum to 1: soft labels; None where labels are not soft.
    """

    source: Source
    targets: Any
    truth: Any
    offsets: list[np.ndarray] | None = None
    groups: np.ndarray | None = None
    shares: np.ndarray | None = None

    @property
    def learned(self) -> Any:
        """What the loss compares with: the shares where labels are soft, else the targets."""
        return self.targets if self.shares is None else self.shares

    @property
    def column(self) -> Column:
        """The same, as batches are taken of it."""
        return DenseColumn(self.learned) if isinstance(self.learned, np.ndarray) else Ragged.from_rows(self.learned)


@dataclass(frozen=True)
class TrainData:
    """The two splits that selection may see.

    Attributes:
        train: What is learned from.
        valid: What choices look at.
        kind: What is answered.
        space: Everything that an answer can be.
        weights: ``float32[train examples]``: how much each counts in the loss.
        class_weights: ``float64[classes]``: what those follow from, and the shares of train have been tilted by; None
            where all classes count the same.
        names: The labels' names as examples; None where they say nothing, or nobody asks.
        together: ``int64[train and valid examples]``: rows that no fold may part, groups and copies; None where each
            stands alone, or nobody asks.
        unlabelled: Rows without labels; None where there are none, or nobody asks.
        pairs: Which rows are queries and which documents; None where rows are labelled.
    """

    train: Labelled
    valid: Labelled
    kind: AnswerKind
    space: AnswerSpace
    weights: np.ndarray
    class_weights: np.ndarray | None = None
    names: Source | None = None
    together: np.ndarray | None = None
    unlabelled: Source | None = None
    pairs: PairedRows | None = None


def learned_of_both(data: TrainData) -> tuple[Any, np.ndarray]:
    """Returns what train's and then valid's rows are learned by, and how much each counts: as its class does in train.

    Example:
        >>> part = lambda targets: Labelled(None, np.array(targets), None)  # source and truth play no part
        >>> data = TrainData(part([0, 0, 1]), part([1]), None, None, np.array([0.75, 0.75, 1.5]), np.array([0.75, 1.5]))
        >>> [each.tolist() for each in learned_of_both(data)]
        [[0, 0, 1, 1], [0.75, 0.75, 1.5, 1.5]]
    """
    first = data.train.learned
    second, weights = weigh(data.valid.learned, data.class_weights)
    rows = np.concatenate([first, second]) if isinstance(first, np.ndarray) else [*first, *second]
    return rows, np.concatenate([data.weights, weights])


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
    start: str | None = None


@dataclass
class Patience:
    """Early stopping within one phase: counts the epochs since the monitor's best.

    The phase's starting point does not count: right after a probe the first epoch often falls below it and
    recovers as the rate decays.

    Attributes:
        spec: What the recipe asks for; None never stops.
        sign: 1 where more of the monitor is better, else -1.
    """

    spec: EarlyStoppingSpec | None
    sign: int
    best: float | None = None
    waited: int = 0

    def should_stop(self, metrics: dict[str, float]) -> bool:
        """Takes one epoch's validation metrics and says whether the phase is over."""
        if self.spec is None:
            return False
        score = self.sign * metrics[self.spec.monitor]
        if self.best is None or score > self.best:
            self.best, self.waited = score, 0
        else:
            self.waited += 1
        return self.waited >= self.spec.patience


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
        labelled_by: Each phase that learns from rows without labels, to the phase that was kept when it began.
        phase_answers: And its outputs for valid, as arrays; of a blend those out of fold, with some of train's.
        chosen: What a solved phase has chosen by valid or out of fold: a strength; a blend's weights and settings.
        refit_phases: Phases that the refit has done.
        refitted: The weights that the refit has ended with; empty before that.
        resumed: What the run goes on from, until its phase has taken the weights up.
        saved_at: When the last checkpoint was due, on the monotonic clock, and after which step.
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
    labelled_by: dict[str, str] = field(default_factory=dict)
    phase_answers: dict[str, Arrays] = field(default_factory=dict)
    chosen: dict[str, dict[str, Any]] = field(default_factory=dict)
    refit_phases: int = 0
    refitted: Arrays = field(default_factory=dict)
    resumed: Checkpoint | None = None
    saved_at: tuple[float, int] = (0.0, 0)

    @property
    def best_phase(self) -> str:
        return self.best_facts["phase"]

    @property
    def best_weights(self) -> Arrays:
        """What the run answers with: the refit's weights, else the best phase's."""
        return self.refitted or self.phase_weights[self.best_phase]


KEPT = (
    "phase",
    "epochs_done",
    "steps_done",
    "best",
    "best_facts",
    "phase_metrics",
    "labelled_by",
    "chosen",
    "refit_phases",
)


@dataclass(frozen=True)
class Job:
    """Everything the loop is given; nothing in it changes but the model's weights.

    Attributes:
        model: What is trained.
        name: Of its backbone, for whoever lists stored features.
        data: What it learns from, and what chooses.
        phases: With all defaults filled in.
        spec: The recipe.
        callbacks: Keras's, which may look at the model, change the rate, and stop the run.
        watch: Who follows what is computed in one go.
        warm: Weights by path that the first phases which move the backbone begin with; empty without a warm start.
        stop: Whether the process was asked to end.
    """

    model: keras.Model
    name: str
    data: TrainData
    phases: tuple[PhaseSpec, ...]
    spec: RecipeSpec
    callbacks: CallbackDriver
    watch: Watcher
    warm: Arrays = field(default_factory=dict)
    stop: StopRequest = field(default_factory=StopRequest)

    @property
    def train(self) -> TrainSpec:
        return self.spec.train


def random_states(model: keras.Model) -> list[keras.Variable]:
    """Returns the variables that are no weights: the states of the random seeds."""
    weights = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def restore_random_states(model: keras.Model, found: Checkpoint) -> None:
    """Puts the seeds back to where they were; by their order, because Keras counts their names on in a process."""
    for place, variable in enumerate(random_states(model)):
        variable.assign(found.more["seeds"][str(place)])


def facts_of(state: LoopState) -> dict[str, Any]:
    """Returns what a checkpoint keeps of the state beside arrays, as JSON holds it."""
    facts = {name: getattr(state, name) for name in KEPT}
    for name in ("phase_metrics", "labelled_by", "chosen"):
        facts[name] = dict(facts[name])  # the loop goes on while a thread writes
    facts["fit"] = None if state.fit is None else asdict(state.fit) | {"patience": _patience_facts(state.fit.patience)}
    facts["results"] = [asdict(result) for result in state.results]
    return facts


def state_from(found: Checkpoint, job: Job) -> LoopState:
    """Returns the state of a checkpoint; the job's phase takes the weights up when it begins."""
    facts = found.state
    state = LoopState(**{name: facts[name] for name in KEPT if name in facts}, resumed=found)
    state.best = None if state.best is None else tuple(state.best)
    state.results = [PhaseResult(**result) for result in facts["results"]]
    state.phase_weights = {
        group.removeprefix(BEST_OF): arrays for group, arrays in found.more.items() if group.startswith(BEST_OF)
    }
    state.phase_answers = {
        group.removeprefix(ANSWERS_OF): arrays for group, arrays in found.more.items() if group.startswith(ANSWERS_OF)
    }
    state.refitted = dict(found.more.get(REFITTED, {}))
    if facts["fit"] is not None:
        patience = new_patience(job, **facts["fit"]["patience"])
        state.fit = FitState(**{**facts["fit"], "patience": patience, "sums": tuple(facts["fit"]["sums"])})
    return state


def new_patience(job: Job, **facts: Any) -> Patience:
    """Returns what stops a phase early, as the recipe asks, with what it has counted."""
    spec = job.train.early_stopping
    return Patience(spec, 1 if spec is None else job.data.kind.judging.sign(spec.monitor), **facts)


def _patience_facts(patience: Patience) -> dict[str, Any]:
    return {"best": patience.best, "waited": patience.waited}

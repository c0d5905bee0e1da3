"""What a task is: what a model reads, and the kind of answer it gives.

A kind of answer has three parts: what labels are, what is minimised, and how answers are judged. Each is a few
functions in a frozen dataclass, so that a new kind is an old one with some of them replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np

from kft.errors import UsageError
from kft.metrics.metric import Metric
from kft.metrics.proportions import Groups
from kft.recipe.schema import DataSpec
from kft.records.metrics import ClassRow
from kft.records.rules import IntervalRule, LabelThresholds
from kft.tasks.inputs import InputKind

Offsets = Sequence[np.ndarray] | None
"""Where each text's tokens stand, from ``mark_words``; None where nothing is answered for tokens."""
OTHERS = "only for {tasks}; the task is {task}"
"""Why a task refuses a key of the recipe that other tasks obey, unless there is more to say."""
NO_RECALL = "recall, F1 and average precision are not defined, and 0 stands for them"


@dataclass(frozen=True)
class AnswerSpace:
    """Everything that an answer can be, learned from the training split's labels alone.

    Attributes:
        labels: Names, sorted; a target is a position in it. Empty for numbers.
        mean: Of numbers; 0 elsewhere.
        std: Of numbers; 1 elsewhere.
        thresholds: From which probability on each of several labels is said; empty: one half.
        interval: How far from a number the right one may lie; None where nobody asked, or nothing can be promised.
    """

    labels: tuple[str, ...]
    mean: float = 0.0
    std: float = 1.0
    thresholds: tuple[float, ...] = ()
    interval: IntervalRule | None = None

    def cut_by(self, thresholds: LabelThresholds | None, interval: IntervalRule | None = None) -> AnswerSpace:
        """Returns the space in which labels are said by thresholds of their own, and numbers with an interval."""
        said = () if thresholds is None else thresholds.values
        return replace(self, thresholds=said, interval=interval if interval and interval.reaches else None)


@dataclass(frozen=True)
class Objective:
    """What training minimises, as TensorFlow computes it on the device.

    Attributes:
        losses: (targets ``[batch, ...]``, outputs ``[batch, ...]``) to ``float32[batch]``.
        hits: Likewise to what the training log averages beside the loss.
        target_shape: Of one example's target; None is the token axis.
        target_dtype: Of a target.
    """

    losses: Callable[[Any, Any], Any]
    hits: Callable[[Any, Any], Any]
    target_shape: tuple[int | None, ...] = ()
    target_dtype: str = "int32"

    def sums(self, targets: Any, outputs: Any, mask: Any, weights: Any) -> tuple[Any, Any, Any]:
        """Returns loss, hits and count of a replica's rows, summed; padding has mask and weight 0."""
        import tensorflow as tf

        loss = tf.reduce_sum(self.losses(targets, outputs) * weights)
        return loss, tf.reduce_sum(self.hits(targets, outputs) * mask), tf.reduce_sum(mask)


class Answer(Protocol):
    """One prediction: a frozen dataclass, which ``kft predict`` prints as records are written (``as_document``)."""

    @property
    def abstain(self) -> bool:
        """Whether the model declines to answer."""

    @property
    def why(self) -> str:
        """Why it declines, in words; empty where it answers."""


@dataclass(frozen=True, eq=False)
class LabelColumn:
    """All labels of a source, for what only the whole column can tell.

    Attributes:
        cells: As they stand in the data.
        texts: What each is the label of.
        where: The source, for messages.
    """

    cells: Sequence[object]
    texts: Sequence[object]
    where: str


@dataclass(frozen=True, eq=False)
class Labelling:
    """What labels are: what stands in a person's data.

    Attributes:
        form: One name, a tuple of names, a float, a tuple of ``Span``, a tuple of documents' ids, or a text: what is to
            be written, or the text itself, of which tokens are hidden.
        parse: (cell, text, the recipe's data part) to the label and an empty reason, or a reason why there is none.
        space: The training split's labels to all that can be answered.
        lack: Why such labels are too few to learn from; empty when they are not.
        strata: Labels to ``str[n]``: what a split keeps the shares of.
        names: The names in a label, which have to be known.
        written: A label as text: for hashes and tables.
        settle: (the whole column, the recipe's data part) to that part with what only the whole column can tell.
        notes: Likewise to what was guessed so, one sentence each.
        moved: (a label, by how many characters the text moves) to the label of the moved text; None where a label holds
            no places of a text.
        renamed: (a label, old names to new ones) to the label with the new names; None where it cannot be written so.
        noun: What people call the names.
        usual: What the column of labels is called, beside the names that any has.
    """

    form: Literal["class", "set", "number", "spans", "documents", "response", "masked"]
    parse: Callable[[object, object, DataSpec], tuple[Any, str]]
    space: Callable[[Sequence[Any]], AnswerSpace]
    lack: Callable[[AnswerSpace], str]
    strata: Callable[[Sequence[Any]], np.ndarray]
    names: Callable[[Any], tuple[str, ...]] = lambda label: ()
    written: Callable[[Any], str] = str
    settle: Callable[[LabelColumn, DataSpec], DataSpec] = lambda column, spec: spec
    notes: Callable[[LabelColumn, DataSpec], tuple[str, ...]] = lambda column, spec: ()
    moved: Callable[[Any, int], Any] | None = None
    renamed: Callable[[Any, Mapping[str, str]], Any] | None = None
    noun: str = "labels"
    usual: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Learning:
    """What is minimised. Targets are the labels' numbers; outputs are what the model computes.

    Attributes:
        head: Of ``kft.model.heads``.
        solver: The loss that the linear probe is solved for: softmax, sigmoid or squared.
        hits_name: What ``Objective.hits`` is called in the training log.
        units: How wide the model's last layer is; 0 stands for as wide as what it reads.
        targets: Labels to an array ``[n, ...]``, or to one array a text of its tokens.
        objective: (space, label smoothing) to what training minimises.
        loss: (targets, outputs, space) to the mean loss in double precision, without label smoothing. Targets may be
            shares where there is a ``soft``.
        soft: As ``objective``, where targets are shares of each class, ``float32[n, units]``, that sum to 1; None where
            an answer is not one class of many.
        per_token: Whether each token has an output of its own.
        lost: (labels, space, offsets) to the parts of labels, by the number of their text, that no answer can match.
        look: What sees the loss example by example, where no metric of the task does; None elsewhere.
        joined: What the model computed of the first texts, and then of the second ones, to the outputs of their pairs;
            None where an example is one row of a batch.
    """

    head: str
    solver: str
    hits_name: str
    units: Callable[[AnswerSpace], int]
    targets: Callable[[Sequence[Any], AnswerSpace, Offsets], Any]
    objective: Callable[[AnswerSpace, float], Objective]
    loss: Callable[[Any, Any, AnswerSpace], float]
    soft: Callable[[AnswerSpace, float], Objective] | None = None
    per_token: bool = False
    lost: Callable[[Sequence[Any], AnswerSpace, Offsets], list[tuple[int, Any]]] = lambda labels, space, offsets: []
    look: FinerMetric | None = None
    joined: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True)
class FinerMetric:
    """A second look at the outputs for examples with targets, where a task's own metrics see little in few rows.

    Attributes:
        metric: By which two models are told apart.
        truth: Targets to what it compares with.
        answers: (targets, outputs) to what it compares.
    """

    metric: Metric
    truth: Callable[[Any], Any]
    answers: Callable[[Any, Any], Any]


ByLabel = Callable[[Any, Any, "AnswerSpace", Groups | None], list[ClassRow]]


@dataclass(frozen=True, eq=False)
class Judging:
    """How answers are judged. Answers are probabilities, numbers or spans; truth is what they are compared with.

    Attributes:
        metrics: By name; a run is chosen by the first, unless ``train.best`` says otherwise.
        baseline_name: What answers without looking, or where nothing can, without having learned from train.
        answers: (outputs, space, offsets) to answers.
        truth: Labels to what the metrics compare answers with.
        constant: (shares, space, n) to the baseline's answers to n examples; None where nothing can be said unseen.
        prediction: (answer, space, text) to one answer as a person reads it.
        given: An answer's document to the answer: what a shipped model says.
        row: (truth, answer, space) to target, prediction and confidence for predictions.csv.
        beside: Answers to more columns of predictions.csv, by their names.
        shares: What the baseline knows of the training split's labels.
        by_label: (truth, answers, space, groups) to precision, recall and F1 of each label.
        confusion: (truth, answers, space) to ``int[classes, classes]``; None where an example has not one class.
        gates: What a gate can ask for beside the metrics: where it stands in metrics.json.
        soft: Metrics by name that compare answers with soft labels; none where labels cannot be soft.
        of_slices: Metrics that parts of the examples are shown with; they are judged by the first. Default: the task's
            first metric alone.
        as_label: A prediction to what it says, as a label of the data; of queries, what they found. None where edge
            cases are not judged.
        confidence: Answers to ``float[n]``: how sure they are, where parts are cut by that; None where nobody knows.
        weighed: Answers to what rules weigh, ``[n, ...]``; default: they are that.
        written: Metrics by name of answers that are written out; training does not look at them.
        of_texts: (truth, answers) to those of them that these have.
        undefined: Truth to which metrics say nothing of it, in words; empty where each says something.
    """

    metrics: Mapping[str, Metric]
    baseline_name: str
    answers: Callable[[Any, AnswerSpace, Offsets], Any]
    truth: Callable[[Sequence[Any], AnswerSpace], Any]
    constant: Callable[[Sequence[float], AnswerSpace, int], Any] | None
    prediction: Callable[[Any, AnswerSpace, str], Answer]
    given: Callable[[Mapping[str, Any]], Answer]
    row: Callable[[Any, Any, AnswerSpace], tuple[str, str, str]]
    beside: Callable[[Any], Mapping[str, Sequence[str]]] = lambda answers: {}
    shares: Callable[[Sequence[Any], AnswerSpace], list[float]] = lambda labels, space: []
    by_label: ByLabel = lambda truth, answers, space, groups: []
    confusion: Callable[[Any, Any, AnswerSpace], np.ndarray | None] = lambda truth, answers, space: None
    gates: tuple[str, ...] = ()
    soft: Mapping[str, Metric] = field(default_factory=dict)
    of_slices: tuple[str, ...] = ()
    confidence: Callable[[Any], np.ndarray | None] | None = None
    weighed: Callable[[Any], Any] = lambda answers: answers
    as_label: Callable[[Any], Any] | None = None
    written: Mapping[str, Metric] = field(default_factory=dict)
    of_texts: Callable[[Any, Any], Mapping[str, Metric]] = lambda truth, answers: {}
    undefined: Callable[[Any], str] = lambda truth: ""

    @property
    def slice_metrics(self) -> dict[str, Metric]:
        """The metrics that parts of the examples are shown with."""
        return {name: self.metrics[name] for name in self.of_slices or (self.main.name,)}

    @property
    def all_metrics(self) -> dict[str, Metric]:
        """The metrics, those of soft labels and of what is written too."""
        return {**self.metrics, **self.soft, **self.written}

    def by_loss(self, truth: Any, shares: np.ndarray | None) -> tuple[Metric, Any] | None:
        """Returns the metric that is the loss, and what it compares with; None where answers are no probabilities."""
        if shares is not None:
            return self.soft["soft_log_loss"], shares
        return (self.metrics["log_loss"], truth) if "log_loss" in self.metrics else None

    @property
    def main(self) -> Metric:
        """The metric that a run is chosen by and summed up in."""
        return next(iter(self.metrics.values()))

    @property
    def monitors(self) -> tuple[str, ...]:
        return ("valid_loss", *(f"valid_{name}" for name in self.metrics))

    def sign(self, monitor: str) -> int:
        """Returns 1 where more of a monitor is better, -1 where less is."""
        name = monitor.removeprefix("valid_")
        return 1 if name != "loss" and self.metrics[name].higher_is_better else -1


@dataclass(frozen=True, eq=False)
class AnswerKind:
    """A kind of answer.

    Attributes:
        labels: What labels are.
        learning: What is minimised.
        judging: How answers are judged.
        objectives: What the steps of a phase can minimise, by the name that ``train.phases`` gives it.
        solvers: Which solvers its head has.
        learns: What ``own`` stands for, of ``kft.train.objectives``.
        keys: Recipe keys, dotted, that only some kinds of answer obey, this one among them.
        refuses: Recipe keys that it cannot obey, and why; see ``Task.refusal``.
        lacks: Commands that can do nothing for it, by name, and why; see ``require_command``.
    """

    labels: Labelling
    learning: Learning
    judging: Judging
    objectives: tuple[str, ...] = ("own",)
    solvers: tuple[str, ...] = ("adamw", "lbfgs", "blend")
    learns: str = "own"
    keys: tuple[str, ...] = ()
    refuses: Mapping[str, str] = field(default_factory=dict)
    lacks: Mapping[str, str] = field(default_factory=dict)

    @property
    def one_class(self) -> bool:
        """Whether each answer is probabilities of one class of many: what calibration, abstention and suites need."""
        return self.labels.form == "class"

    @property
    def searches(self) -> bool:
        """Whether labels name documents, and answers are vectors that are compared with those of documents."""
        return self.labels.form == "documents"

    @property
    def embeds(self) -> bool:
        """Whether a vector of each text is what is learned, by comparing texts with each other."""
        return self.learning.head == "embedding"

    @property
    def writes(self) -> bool:
        """Whether answers are texts, written token by token: what is right then belongs to what a model reads."""
        return self.labels.form == "response"

    @property
    def masks(self) -> bool:
        """Whether tokens of a text are hidden, and found again: its label is the text itself."""
        return self.labels.form == "masked"

    @property
    def numeric(self) -> bool:
        """Whether answers are numbers, so that one is more or less wrong than another."""
        return self.labels.form == "number"


@dataclass(frozen=True, eq=False)
class Task:
    """A task.

    Attributes:
        name: As in ``task:`` of a recipe.
        reads: What the model reads.
        kind: What it answers.
        about: For people.
    """

    name: str
    reads: InputKind
    kind: AnswerKind
    about: str

    @property
    def verb(self) -> Literal["predict", "generate"]:
        """The command, and the function, that answers."""
        return "generate" if self.kind.writes else "predict"

    @property
    def keys(self) -> tuple[str, ...]:
        """Recipe keys that it obeys and some other tasks do not."""
        return (*self.reads.keys, *self.kind.keys)

    @property
    def refuses(self) -> dict[str, str]:
        return {**self.reads.refuses, **self.kind.refuses}


def require_command(task: Task, command: str) -> None:
    """Refuses a command that can do nothing for a task.

    Args:
        task: The task.
        command: As in ``kft COMMAND``.

    Raises:
        UsageError: It cannot; says why, and what can be done.
    """
    if why := task.kind.lacks.get(command):
        reason, _, instead = why.partition("; ")
        raise UsageError(
            f"kft {command} does nothing for {task.name}",
            received=reason,
            expected="a task whose answers have a label",
            next_step=instead,
        )

"""The recipe: every key, its type, its limits and its default. No default stands anywhere else.

A ``*Spec`` is what a person asks for. All of them are frozen and refuse unknown keys; the loader
(load.py) turns pydantic's errors into one message that lists everything wrong at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_serializer,
    model_validator,
)

from kft.recipe.sources import DATAFRAME as DATAFRAME
from kft.recipe.values import (
    Duration,
    Encoding,
    Gate,
    GateName,
    Interval,
    Monitor,
    Name,
    PersonalKind,
    ScheduleName,
    SharesOrSources,
    Size,
    Sources,
    TaskName,
)


class Spec(BaseModel):
    """Base of every part of a recipe: frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class BinsSpec(Spec):
    """Numeric ratings to classes: ``labels[i]`` holds ``edges[i-1] <= rating < edges[i]``."""

    edges: tuple[float, ...] = Field(min_length=1, description="rising limits between the classes")
    labels: tuple[str, ...] = Field(min_length=2, description="one name more than there are edges")

    @model_validator(mode="after")
    def _fits(self) -> BinsSpec:
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges that rise")
        if len(self.labels) != len(self.edges) + 1 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"{len(self.edges) + 1} different labels for {len(self.edges)} edges")
        return self


class GroupSpec(Spec):
    """Rows that must stay on one side of a split: a column, or what a pattern finds in a column."""

    column: str
    pattern: str | None = Field(None, description="regular expression; its first group names the group")

    @model_validator(mode="after")
    def _compiles(self) -> GroupSpec:
        if self.pattern is not None:
            try:
                groups = re.compile(self.pattern).groups
            except re.error as error:
                raise ValueError(f"a regular expression ({error})") from None
            if groups != 1:
                raise ValueError("a regular expression with exactly one group, such as '^(\\d+)_'")
        return self


def _column_alone(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


Group = Annotated[GroupSpec, BeforeValidator(_column_alone)]


class DataSpec(Spec):
    """Where the labelled examples are and how they are split."""

    train: Sources = Field(
        description="csv, tsv, jsonl or parquet file, folder of images by class, package:NAME, "
        "tfds:NAME[/CONFIG][:VERSION]?split=SPLIT, gs://BUCKET/FILE; or a glob, or a list of these"
    )
    valid: SharesOrSources = Field("15%", description="a share of train, or as train; selection looks at it")
    test: SharesOrSources = Field("15%", description="a share of train, or as train; sealed until evaluation")
    encoding: Encoding | None = Field(
        None, description="of csv, tsv, txt and jsonl files that are not UTF-8, such as windows-1252"
    )
    html: Literal["keep", "unescape"] = Field(
        "keep", description="unescape: `&amp;` in a text becomes `&`, in training and in every later use alike"
    )
    columns: tuple[str, ...] | None = Field(None, description="column names of a file without a header")
    text: str | None = Field(None, description="text column; guessed and shown when left out")
    text_pair: str | None = Field(None, description="column of the second text; only for text-pairs")
    image: str | None = Field(None, description="column of image paths in a table; guessed and shown when left out")
    label: str | None = Field(None, description="label column; guessed and shown when left out")
    label_separator: str | None = Field(
        None, min_length=1, description="between the labels of one cell; only for multi-label; guessed when left out"
    )
    id: str | None = Field(None, description="column with a unique id; default: file and row number")
    group: Group | None = Field(
        None, description="rows of one group never cross a split; a column, or column and pattern"
    )
    keep_together: Literal["nothing", "copies", "similar"] = Field(
        "copies",
        description="what never crosses a split, beside groups: copies and near-copies; or all that looks alike to the "
        "frozen backbone, such as photos of one shelf",
    )
    time: str | None = Field(None, description="column of dates or numbers: the oldest rows are train, the newest test")
    slices: tuple[str, ...] = Field((), description="columns whose values are looked at one by one, such as region")
    sensitive: tuple[str, ...] = Field(
        (), description="columns of groups that must not be served worse, such as gender; never read by the model"
    )
    redact: tuple[PersonalKind, ...] = Field(
        (), description="personal data replaced by a placeholder such as [EMAIL], in training and in answering"
    )
    bins: BinsSpec | None = Field(None, description="turns numeric ratings into classes")
    unusable_rows: Literal["error", "skip"] = Field(
        "error", description="empty texts, missing labels: stop, or list them and leave them out"
    )
    split_seed: int = Field(0, ge=0, description="apart from `seed`, so that runs share one test split")


class ImageSpec(Spec):
    """How a photo becomes the square that a backbone takes."""

    size: int | None = Field(None, ge=16, le=2048, description="pixels a side; default: the backbone's own")
    fit: Literal["crop", "stretch", "pad"] = Field("crop", description="crop: the middle; pad: nothing is lost")


class AugmentSpec(Spec):
    """Random changes to training images, drawn anew each time one is seen; features cannot be stored meanwhile."""

    flip: Literal["none", "horizontal", "horizontal_and_vertical"] = "horizontal"
    crop: float = Field(1.0, gt=0, le=1, description="smallest share of the area that a random crop keeps")
    color: float = Field(0.0, ge=0, le=1, description="strength of changes to brightness, contrast, saturation, hue")
    rand_augment: float | None = Field(
        None, gt=0, le=10, description="magnitude of two random operations an image (Cubuk et al., 2020)"
    )


class ModelSpec(Spec):
    """Which pretrained backbone, and what is attached to it."""

    backbone: str = Field("minilm-l6", description="a name from `kft models`, or a Hugging Face BERT folder")
    weights: Literal["pretrained", "random"] = Field(
        "pretrained", description="random: from scratch, to measure what pretraining is worth"
    )
    max_tokens: int = Field(128, ge=4, le=8192, description="longer texts are cut; the share is printed")
    image: ImageSpec = Field(default_factory=ImageSpec)
    pooling: Literal["auto", "mean", "cls", "max", "attention", "last"] = Field(
        "auto", description="one vector from many: auto is what suits the backbone, mean for most"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="in the head and in the blocks that train")


class LoraSpec(Spec):
    """Low-rank adapters (Hu et al., 2022): ``W + alpha / rank * A B``, of which only A and B train."""

    rank: int = Field(8, ge=1, le=1024)
    alpha: float | None = Field(None, gt=0, description="default: twice the rank")
    targets: tuple[str, ...] = Field(
        ("*query*", "*value*"), min_length=1, description="globs on BLOCK/LAYER, such as block_05/*"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="on what enters the adapters")


class FreezeRule(Spec):
    """What trains beside the head: a name such as ``top-2``, or exactly one of the keys."""

    name: str | None = Field(None, description="none, all, top-N, bias-only or norms-only")
    start: str | None = Field(None, alias="from", description="this block and all above it")
    only: tuple[str, ...] | None = Field(
        None, min_length=1, description="globs on BLOCK and on BLOCK/VARIABLE; each must match something"
    )
    lora: LoraSpec | None = None

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="after")
    def _one(self) -> FreezeRule:
        if sum(value is not None for value in (self.name, self.start, self.only, self.lora)) != 1:
            raise ValueError(RULES)
        return self

    @property
    def moves_backbone(self) -> bool:
        return self.name != "none"

    @model_serializer
    def _as_written(self) -> Any:
        if self.name is not None:
            return self.name
        if self.start is not None:
            return {"from": self.start}
        return {"only": list(self.only)} if self.only is not None else {"lora": self.lora.model_dump(mode="json")}  # type: ignore[union-attr]

    def __str__(self) -> str:
        if self.lora is not None:
            return f"lora rank {self.lora.rank} on {', '.join(self.lora.targets)}"
        return self.name or (f"from {self.start}" if self.start is not None else "only " + ", ".join(self.only or ()))


RULES = "none, all, top-N such as top-2, bias-only, norms-only, {from: block_04}, {only: [GLOBS]} or {lora: {rank: 8}}"


def _rule(value: Any) -> Any:
    """A name alone stands for ``{name: ...}``, and is refused here, where the message names the recipe's own key."""
    if isinstance(value, str):
        if not re.fullmatch(r"none|all|bias-only|norms-only|top-[1-9]\d*", value):
            raise ValueError(RULES)
        return {"name": value}
    if not isinstance(value, (Mapping, FreezeRule)):
        raise ValueError(RULES)
    return value


Unfreeze = Annotated[FreezeRule, BeforeValidator(_rule, json_schema_input_type=str | FreezeRule)]


class PhaseSpec(Spec):
    """One stretch of training with one set of trainable blocks."""

    name: Name
    unfreeze: Unfreeze = Field(description=f"what trains beside the head: {RULES}")
    norm: Literal["frozen", "adapt"] = Field("frozen", description="BatchNorm in what trains: frozen, or it adapts")
    solver: Literal["adamw", "lbfgs"] = "adamw"
    epochs: int | None = Field(None, ge=1, le=1000)
    lr: float | None = Field(None, gt=0, le=1, description="peak rate; default: the backbone's own advice")
    layer_decay: float = Field(1.0, gt=0, le=1, description="the rate shrinks by this, block by block, downwards")
    start: str | None = Field(None, description="phase whose best weights it starts from; default: the one before")

    @model_validator(mode="after")
    def _fits(self) -> PhaseSpec:
        if self.solver == "lbfgs" and (self.moves_backbone or self.epochs or self.lr):
            raise ValueError("solver lbfgs with `unfreeze: none` and no epochs or lr (it runs to convergence)")
        if self.solver == "adamw" and self.epochs is None:
            raise ValueError("epochs, such as `epochs: 4`")
        return self

    @property
    def moves_backbone(self) -> bool:
        return self.unfreeze.moves_backbone


SCRATCH = PhaseSpec.model_validate({"name": "scratch", "unfreeze": "all", "norm": "adapt", "epochs": 30, "lr": 1e-3})
"""What a recipe without phases does where nothing is pretrained: there is nothing to keep."""


def default_phases(*, rows_per_class: float, blocks: int) -> tuple[PhaseSpec, ...]:
    """Returns the phases of a recipe that names none: linear probing, then fine-tuning (Kumar et al., 2022).

    With many rows a class, all blocks (the embeddings stay frozen) train; with few, the top two; in between
    both, each from the probe, and the validation split chooses. docs/log.md has the figures.

    Args:
        rows_per_class: Training examples per class, on average.
        blocks: Numbered blocks of the backbone.
    """
    probe = PhaseSpec(name="probe", unfreeze="none", solver="lbfgs")
    top = PhaseSpec(name="top", unfreeze=f"top-{min(2, blocks)}", epochs=4, lr=1e-4, start="probe")
    deep = PhaseSpec(name="deep", unfreeze=f"top-{blocks}", epochs=4, lr=1e-4, start="probe")
    if rows_per_class >= MANY_ROWS_PER_CLASS:
        return probe, deep
    if rows_per_class < FEW_ROWS_PER_CLASS:
        return probe, top
    return probe, top, deep


MANY_ROWS_PER_CLASS = 300
FEW_ROWS_PER_CLASS = 50


class EarlyStoppingSpec(Spec):
    """Stops a phase when the monitor has not improved on that phase's own best for ``patience`` epochs."""

    monitor: Monitor = "valid_loss"
    patience: int = Field(3, ge=1)


class CallbackSpec(Spec):
    """A Keras callback by its registry name, with its own arguments."""

    name: str
    args: dict[str, str | int | float | bool] = Field(default_factory=dict)


class OptimizerSpec(Spec):
    """What makes the updates, with arguments of its own; rate, decay and clipping are keys of ``train``."""

    name: str
    args: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @model_serializer
    def _as_written(self) -> Any:
        return {"name": self.name, **self.args} if self.args else self.name


def _optimizer(value: Any) -> Any:
    """A name alone, or a name with the arguments beside it."""
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping) and "args" not in value:
        return {"name": value.get("name"), "args": {key: each for key, each in value.items() if key != "name"}}
    return value


Optimizer = Annotated[OptimizerSpec, BeforeValidator(_optimizer, json_schema_input_type=str | dict[str, Any])]


class CheckpointSpec(Spec):
    """When the state of a run is written, so that a run that was killed goes on from there."""

    every: Interval = Field("10 minutes", description="within an epoch; the end of each epoch is always kept")
    keep: int = Field(2, ge=1, le=100, description="the last so many; an older one serves where the last is damaged")
    folder: str | None = Field(
        None, description="another folder, or gs://BUCKET/FOLDER, for machines whose disk goes with them"
    )


class TrainSpec(Spec):
    """How the phases are trained. Left out, ``phases`` are chosen from the data (see ``default_phases``)."""

    phases: tuple[PhaseSpec, ...] | None = Field(None, min_length=1)
    batch_size: int = Field(32, ge=1, le=65536, description="global batch, whatever the hardware")
    best: Monitor | None = Field(
        None, description="which epoch is kept, over all phases; default: the task's first metric"
    )
    early_stopping: EarlyStoppingSpec | None = Field(default_factory=EarlyStoppingSpec)
    weight_decay: float = Field(0.01, ge=0, lt=1, description="decoupled; none on biases and norms")
    warmup: Duration = "10%"
    optimizer: Optimizer = Field(
        default_factory=lambda: OptimizerSpec(name="adamw"),
        description="adamw, sgd, lion or any of Keras's by name; with its arguments: {name: sgd, momentum: 0.9}",
    )
    schedule: ScheduleName = "linear"
    clip_norm: float | None = Field(1.0, gt=0, description="global norm of the gradient")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="of the backbone's activations and matrix products; weights, updates, head and loss are float32",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weight: Literal["none", "balanced"] = "none"
    gradient_accumulation: int = Field(
        1, ge=1, le=1024, description="parts a batch is worked through in, to save memory; the result stays the same"
    )
    steps_per_call: int = Field(1, ge=1, le=1000, description="updates in one call of the device; callbacks see one")
    non_finite: Literal["stop", "skip"] = Field(
        "stop", description="on a loss or gradient that is NaN or infinite: stop, or leave that update out"
    )
    checkpoints: CheckpointSpec = Field(default_factory=CheckpointSpec)
    callbacks: tuple[CallbackSpec, ...] = ()
    augment: AugmentSpec | None = Field(None, description="random changes to training images; none by default")

    @model_validator(mode="after")
    def _phases_fit(self) -> TrainSpec:
        seen: list[str] = []
        for phase in self.phases or ():
            if phase.name in seen:
                raise ValueError(f"phase names that differ; {phase.name!r} stands twice")
            if phase.start is not None and phase.start not in seen:
                raise ValueError(f"`start` of {phase.name!r} to name an earlier phase; {phase.start!r} is none")
            seen.append(phase.name)
        if self.gradient_accumulation > self.batch_size:
            raise ValueError(f"gradient_accumulation of at most batch_size, {self.batch_size}")
        return self


class FeaturesSpec(Spec):
    """What the frozen blocks compute is kept on disk, where it pays, and reused by every epoch, phase and run."""

    store: Literal["auto", "off"] = Field("auto", description="auto: where a whole block is frozen and it fits")
    dtype: Literal["own", "float16"] = Field("own", description="float16 takes half the room, and is not exact")
    cache_limit: Size = Field("20 GB", description="of all stores; the one used longest ago makes room")


class AuditSpec(Spec):
    """What `kft check` looks for."""

    skip: tuple[str, ...] = Field((), description="checks to leave out; `kft check --list` names them")


class AbstainSpec(Spec):
    """A promise: among the answered, at most so large a share is wrong; the other answers are withheld."""

    error: float = Field(gt=0, lt=1, description="largest share of wrong answers among the answered, such as 0.05")
    confidence: float = Field(0.95, ge=0.5, lt=1, description="how sure the promise is, over calibration examples")


class RetainSpec(Spec):
    """Examples of what the pretrained model could do before, other than the task's own; a text alone is ``data``."""

    data: str = Field("auto", description="auto: a small general set, for texts in English; none; or as data.train")
    text: str | None = Field(None, description="column of texts, or of image paths, where it has no usual name")
    label: str | None = Field(None, description="what they are about; left out, only neighbourhoods are compared")

    @property
    def named(self) -> bool:
        return self.data not in ("auto", "none")


def _retain(value: Any) -> Any:
    return {"data": value} if isinstance(value, str) else value


Retain = Annotated[RetainSpec, BeforeValidator(_retain, json_schema_input_type=str | RetainSpec)]


class CostsSpec(Spec):
    """What an example costs, in any unit; a right answer costs nothing."""

    wrong: float = Field(gt=0, description="a wrong answer, such as 10")
    abstain: float = Field(ge=0, description="declining to answer, such as 1")

    @model_validator(mode="after")
    def _worth_it(self) -> CostsSpec:
        if self.abstain >= self.wrong:
            raise ValueError("abstain to cost less than wrong: else every answer is worth giving")
        return self


class ThresholdSpec(Spec):
    """Withholds answers that a person's own figures make too risky: by costs, or by a precision for one label."""

    costs: CostsSpec | None = Field(None, description="such as {wrong: 10, abstain: 1} (Chow, 1970)")
    precision: float | None = Field(None, gt=0, le=1, description="share of right ones among the answers `label`")
    label: str | None = Field(None, description="whose answers have to be that precise; others are given as they are")

    @model_validator(mode="after")
    def _one(self) -> ThresholdSpec:
        if (self.costs is None) == (self.precision is None) or (self.precision is None) != (self.label is None):
            raise ValueError("{costs: {wrong: 10, abstain: 1}} or {precision: 0.95, label: spam}")
        return self


class ScopeSpec(Spec):
    """Withholds the answers to inputs that look foreign, by their place among the training examples."""

    keep: float = Field(0.95, ge=0.5, lt=1, description="share of in-scope valid examples that is not flagged")


class EvaluateSpec(Spec):
    """How answers are judged, how sure they have to be, and what must be reached on the sealed test split."""

    calibrate: Literal["temperature", "none"] = Field(
        "temperature", description="probabilities of one class of many: one number fitted on valid (Guo et al., 2017)"
    )
    abstain_at: AbstainSpec | None = Field(
        None, description="such as {error: 0.05}: half of valid is kept from every choice to calibrate it"
    )
    suite: str | None = Field(None, description="a YAML file of edge cases, which `kft train` then runs")
    retain: Retain = Field(default_factory=RetainSpec, description="auto, none, or what tuning must not unlearn")
    threshold: ThresholdSpec | None = Field(
        None, description="in place of abstain_at: {costs: {wrong: 10, abstain: 1}} or {precision: 0.95, label: spam}"
    )
    out_of_scope: ScopeSpec | None = Field(
        None, description="such as {keep: 0.95}: answers to what looks more foreign than 95 % of valid are withheld"
    )
    slice_rows: int = Field(20, ge=2, description="a slice with fewer rows of the test split is not judged")
    gates: dict[GateName, Gate] = Field(
        default_factory=dict, description='such as {accuracy: ">= 0.85", slices.worst.accuracy: ">= 0.70"}'
    )

    @model_validator(mode="after")
    def _one_threshold(self) -> EvaluateSpec:
        if self.abstain_at is not None and self.threshold is not None:
            raise ValueError("abstain_at or threshold, not both: one rule says when to abstain")
        return self


class RecipeSpec(Spec):
    """A whole recipe."""

    task: TaskName
    name: Name | None = Field(None, description="default: the file's name")
    seed: int = Field(0, ge=0, le=2**32 - 1)
    data: DataSpec
    model: ModelSpec = Field(default_factory=ModelSpec)
    train: TrainSpec = Field(default_factory=TrainSpec)
    features: FeaturesSpec = Field(default_factory=FeaturesSpec)
    audit: AuditSpec = Field(default_factory=AuditSpec)
    evaluate: EvaluateSpec = Field(default_factory=EvaluateSpec)

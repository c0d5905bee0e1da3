"""What a recipe asks of training: what trains in which phase, how, and what is kept of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    model_serializer,
    model_validator,
)

from kft.recipe.objectives import Objective, ObjectiveSpec
from kft.recipe.pairs import GradedSpec, PairsSpec
from kft.recipe.spec import Spec
from kft.recipe.teaching import FromUnlabelled, Teacher, UnlabelledSpec
from kft.recipe.values import (
    Duration,
    Interval,
    Monitor,
    Name,
    ScheduleName,
)


class AugmentSpec(Spec):
    """Random changes to training images, drawn anew each time one is seen; features cannot be stored meanwhile."""

    flip: Literal["none", "horizontal", "horizontal_and_vertical"] = "horizontal"
    crop: float = Field(1.0, gt=0, le=1, description="smallest share of the area that a random crop keeps")
    color: float = Field(0.0, ge=0, le=1, description="strength of changes to brightness, contrast, saturation, hue")
    rand_augment: float | None = Field(
        None, gt=0, le=10, description="magnitude of two random operations an image (Cubuk et al., 2020)"
    )


class LoraSpec(Spec):
    """Low-rank adapters (Hu et al., 2022): ``W + alpha / rank * A B``, of which only A and B train."""

    rank: int = Field(8, ge=1, le=1024)
    alpha: float | None = Field(None, gt=0, le=1e6, description="default: twice the rank")
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

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

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
        if not re.fullmatch(r"none|all|bias-only|norms-only|top-[1-9][0-9]{0,3}", value):
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
    solver: Literal["adamw", "lbfgs", "blend"] = Field(
        "adamw", description="lbfgs: the head, to convergence; blend: several cheap models on frozen features, weighed"
    )
    objective: Objective = Field(
        default_factory=ObjectiveSpec, description="what the steps minimise: own (the task's loss) or contrastive"
    )
    epochs: int | None = Field(None, ge=1, le=1000)
    lr: float | None = Field(None, gt=0, le=1, description="peak rate; default: the backbone's own advice")
    layer_decay: float = Field(1.0, gt=0, le=1, description="the rate shrinks by this, block by block, downwards")
    start: str | None = Field(None, description="phase whose best weights it starts from; default: the one before")
    unlabelled: FromUnlabelled | None = Field(
        None, description="confident: learns from data.unlabelled as well, by the run's own answers to it"
    )

    @model_validator(mode="after")
    def _fits(self) -> PhaseSpec:
        if self.solved and (self.moves_backbone or self.epochs or self.lr):
            raise ValueError(f"solver {self.solver} with `unfreeze: none` and no epochs or lr (it runs to convergence)")
        if self.solver == "adamw" and self.epochs is None:
            raise ValueError("epochs, such as `epochs: 4`")
        return self

    @model_validator(mode="after")
    def _learns_vectors(self) -> PhaseSpec:
        if not self.trains_head and (self.solver != "adamw" or not self.moves_backbone):
            raise ValueError("objective contrastive with solver adamw and `unfreeze: top-2`, or more: it moves vectors")
        return self

    @property
    def moves_backbone(self) -> bool:
        return self.unfreeze.moves_backbone

    @property
    def trains_head(self) -> bool:
        """Whether the head's last layer has a part in the loss; else it is solved on the vectors of each epoch."""
        return self.objective.name == "own"

    @property
    def solved(self) -> bool:
        """Whether it is solved to convergence on frozen features, without epochs."""
        return self.solver != "adamw"


SCRATCH = PhaseSpec.model_validate({"name": "scratch", "unfreeze": "all", "norm": "adapt", "epochs": 30, "lr": 1e-3})
"""What a recipe without phases does where nothing is pretrained: there is nothing to keep."""


PAIRED = (
    PhaseSpec.model_validate({"name": "head", "unfreeze": "none", "solver": "lbfgs"}),
    PhaseSpec.model_validate({"name": "full", "unfreeze": "all", "epochs": 3, "lr": 5e-5}),
)
"""What a recipe without phases does for pairs of query and document: a map of stored vectors, then all weights."""


ADAPTED = (PhaseSpec.model_validate({"name": "lora", "unfreeze": {"lora": {}}, "epochs": 2, "lr": 2e-4}),)
"""What a recipe without phases does for a language model: adapters, which fit into little memory."""


MASKED = (
    PhaseSpec.model_validate({"name": "head", "unfreeze": "none", "epochs": 1, "lr": 1e-3}),
    PhaseSpec.model_validate({"name": "full", "unfreeze": "all", "epochs": 2, "lr": 1e-4}),
)
"""What a recipe without phases does for hidden tokens: first a head, which may be new, then all weights."""


def default_phases(
    *, rows_per_class: float, blocks: int, blends: bool = False, unlabelled: bool = False
) -> tuple[PhaseSpec, ...]:
    """Returns the phases of a recipe that names none: linear probing, then fine-tuning (Kumar et al., 2022).

    With many rows a class, all blocks (the embeddings stay frozen) train; with few, the top two; in between
    both, each from the probe, and the validation split chooses. docs/log.md has the figures.

    Args:
        rows_per_class: Training examples per class, on average.
        blocks: Numbered blocks of the backbone.
        blends: Whether cheap models on frozen features are blended, beside the probe and on what was tuned.
        unlabelled: Whether a last phase tunes as those before it, on rows without labels as well.
    """
    probe = PhaseSpec(name="probe", unfreeze="none", solver="lbfgs")
    top = PhaseSpec(name="top", unfreeze=f"top-{min(2, blocks)}", epochs=4, lr=1e-4, start="probe")
    deep = PhaseSpec(name="deep", unfreeze=f"top-{blocks}", epochs=4, lr=1e-4, start="probe")
    # Of a backbone of one or two blocks the top is all of it.
    tuned = (deep,) if rows_per_class >= MANY_ROWS_PER_CLASS or blocks <= 2 else (top, deep)
    if rows_per_class < FEW_ROWS_PER_CLASS:
        tuned = (top,)
    own = tuned[-1].model_copy(update={"name": "self", "unlabelled": UnlabelledSpec()})
    rest = (own,) if unlabelled else ()
    if not blends:
        return probe, *tuned, *rest
    blend = PhaseSpec(name="blend", unfreeze="none", solver="blend", start="probe")
    last = tuned[-1].name
    return probe, blend, *tuned, PhaseSpec(name=f"{last}-blend", unfreeze="none", solver="blend", start=last), *rest


MANY_ROWS_PER_CLASS = 300


FEW_ROWS_PER_CLASS = 50


class EarlyStoppingSpec(Spec):
    """Stops a phase when the monitor has not improved on that phase's own best for ``patience`` epochs."""

    monitor: Monitor = "valid_loss"
    patience: int = Field(3, ge=1, le=1_000_000)


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
    keep: int = Field(
        2, ge=1, le=100, description="how many of the last; an older one serves where the last is damaged"
    )
    folder: str | None = Field(
        None, description="another folder, or gs://BUCKET/FOLDER, for machines whose disk goes with them"
    )


class TrainSpec(Spec):
    """How the phases are trained. Left out, ``phases`` are chosen from the data (see ``default_phases``)."""

    phases: tuple[PhaseSpec, ...] | None = Field(None, min_length=1, max_length=100)
    batch_size: int = Field(32, ge=1, le=65536, description="global batch, whatever the hardware")
    pairs: PairsSpec = Field(
        default_factory=PairsSpec, description="how queries and documents are drawn together; only for text-embedding"
    )
    graded: GradedSpec = Field(
        default_factory=GradedSpec, description="how vectors learn the scores of pairs; only for text-similarity"
    )
    teacher: Teacher | None = Field(
        None, description="a finished run whose probabilities are learned from, of all rows of train and unlabelled"
    )
    warm_start: str | None = Field(
        None,
        min_length=1,
        description="a finished run of the same backbone: the first phases that move the backbone begin with its best "
        "weights, as kft retrain --start warm has it",
    )
    best: Monitor | None = Field(
        None, description="which epoch is kept, over all phases; default: the task's first metric"
    )
    prefer: Literal["cheaper", "best"] | None = Field(
        None,
        description="cheaper: a dearer phase is kept only where its gain on valid is beyond chance; best: whichever is "
        "highest by `best`. Default: best where `best` is named, else cheaper",
    )
    refit: bool = Field(
        False,
        description="once a phase and its epoch are chosen: train again on train and valid, as many epochs; keep that",
    )
    early_stopping: EarlyStoppingSpec | None = Field(default_factory=EarlyStoppingSpec)
    weight_decay: float = Field(0.01, ge=0, lt=1, description="decoupled; none on biases and norms")
    warmup: Duration = "10%"
    optimizer: Optimizer = Field(
        default_factory=lambda: OptimizerSpec(name="adamw"),
        description="adamw, sgd, lion or any of Keras's by name; with its arguments: {name: sgd, momentum: 0.9}",
    )
    schedule: ScheduleName = "linear"
    clip_norm: float | None = Field(1.0, gt=0, le=1e30, description="global norm of the gradient")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="of the backbone's activations and matrix products; weights, updates, head and loss are float32",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weight: Literal["none", "balanced"] = "none"
    gradient_accumulation: int = Field(
        1,
        ge=1,
        le=1024,
        description="parts a batch is worked through in, to save memory; the result stays the same, but where "
        "BatchNorms adapt to each part",
    )
    steps_per_call: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = Field(
        "auto",
        description="updates in one call of the device, of which callbacks see the last; the result stays the same. "
        "auto: up to 8 on a GPU or TPU, else 1, also where a callback looks at each update",
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="whether XLA compiles updates and validation, for each of a few padded lengths by itself. auto: on "
        "a TPU, and on a GPU where a phase makes 1,000 updates a length or more",
    )
    non_finite: Literal["stop", "skip"] = Field(
        "stop", description="on a loss or gradient that is NaN or infinite: stop, or leave that update out"
    )
    checkpoints: CheckpointSpec = Field(default_factory=CheckpointSpec)
    callbacks: tuple[CallbackSpec, ...] = Field((), max_length=100)
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

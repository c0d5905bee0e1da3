"""From prepared data and a model to a fine-tuned one: sets up the job, runs the phases, finds the probe's head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from kft.model.backbones import Backbone
from kft.model.blocks import Block, find_blocks
from kft.recipe.schema import PhaseSpec, RecipeSpec
from kft.split.data_split import DataSplit
from kft.train.callbacks import CallbackDriver, make_callbacks
from kft.train.checkpoint import Arrays, Checkpoint, CheckpointWriter
from kft.train.job import Job, PhaseResult, load_state
from kft.train.loop import train_phases
from kft.train.phases import describe
from kft.train.prepare import read_data
from kft.train.progress import Progress


@dataclass(frozen=True)
class FitResult:
    """A trained model.

    Attributes:
        model: Holds the best weights of the run.
        phases: What each phase reached on the validation split.
        best_phase: Whose best epoch was kept.
        probe: The head's arrays after the probe; None without one.
        backbone_kept: Whether no phase moved a weight of the backbone: it is still the pretrained one.
    """

    model: keras.Model
    phases: tuple[PhaseResult, ...]
    best_phase: str
    probe: Arrays | None
    backbone_kept: bool


@dataclass(frozen=True)
class Files:
    """Where a run is kept.

    Attributes:
        folder: The run folder; None keeps everything in memory.
        last: Where the ``last`` checkpoints go: the run folder's own, or what the recipe names.
        writes: Whether this process writes them; of several that train together, one does.
        identity: The hashes that tell one run from another; a checkpoint of another run is refused.
        record: Takes each event of the history.
        rewrite: Takes the events up to the checkpoint that a run goes on from.
    """

    folder: Path | None = None
    last: str | Path | None = None
    writes: bool = True
    identity: Mapping[str, str] = field(default_factory=dict)
    record: Callable[[dict[str, Any]], None] = lambda event: None
    rewrite: Callable[[list[dict[str, Any]]], None] = lambda events: None

    @property
    def checkpoints(self) -> Path | None:
        """The run folder's own."""
        return self.folder / "checkpoints" if self.folder else None


def fit(
    spec: RecipeSpec,
    split: DataSplit,
    backbone: Backbone,
    model: keras.Model,
    phases: tuple[PhaseSpec, ...],
    *,
    files: Files,
    callbacks: Sequence[keras.callbacks.Callback],
    progress: Progress,
    resume: Checkpoint | None = None,
) -> FitResult:
    """Trains; sees the train and valid splits only. Call it in the strategy's scope.

    Args:
        spec: The recipe.
        split: The data; its test split is not touched.
        backbone: Whose weights the model has.
        model: From ``build_for``; it is trained.
        phases: From ``plan_phases``.
        files: What is kept, and where.
        callbacks: Keras callbacks beside those of the recipe.
        progress: Shows what goes on.
        resume: A ``last`` checkpoint of the same run, which goes on exactly there.
    """
    data = read_data(spec, split, backbone, progress)
    progress.note(f"phases     {describe(phases)}")
    driver = CallbackDriver(
        model, [*make_callbacks(spec.train.callbacks, files.folder), *callbacks], writes=files.writes
    )
    with ExitStack() as stack:
        own = last = None
        if files.writes and files.checkpoints:
            own = last = stack.enter_context(CheckpointWriter(files.checkpoints))
            if files.last and str(files.last) != str(files.checkpoints):
                last = stack.enter_context(CheckpointWriter(files.last))
        job = Job(
            model=model,
            data=data,
            phases=phases,
            spec=spec.train,
            seed=spec.seed,
            callbacks=driver,
            progress=progress,
            record=files.record,
            model_name=backbone.name,
            features=spec.features,
            writer=own,
            last_writer=last,
            identity=dict(files.identity),
        )
        if resume is not None:
            load_state(job, resume)
            files.rewrite(job.state.history)
            progress.note(_where_it_goes_on(job))
            if driver.forgetful:
                progress.note(
                    f"callbacks  {', '.join(driver.forgetful)} cannot give their state and start anew: from here the "
                    f"run may differ from one that was never stopped (get_state and set_state would mend it)"
                )
        results = train_phases(job)
        probe = _probe_head(job)
        if probe is not None and own is not None:
            own.save("probe", Checkpoint(probe, {}))
    in_head = {id(variable) for variable in _head(model).variables}
    kept = all(id(variable) in in_head for variable in job.state.moving)
    return FitResult(model, results, job.state.best_phase, probe, kept)


def _where_it_goes_on(job: Job) -> str:
    state = job.state
    if state.phase == len(job.phases):
        return f"resumed    after the last phase, {state.steps_done:,} steps"
    where = f"resumed    in phase {job.phases[state.phase].name}"
    if state.fit is not None:
        where += f", epoch {state.fit.epoch + (not state.fit.stopped)}, after {state.fit.step:,} of its steps"
    return f"{where}; {state.steps_done:,} steps done in all"


def _starts(phases: Mapping[str, PhaseSpec], name: str) -> Iterator[str]:
    """Yields the phases that a phase's weights went through before it."""
    start = phases[name].start
    while start is not None:
        yield start
        start = phases[start].start


def _probe_head(job: Job) -> Arrays | None:
    by_name = {phase.name: phase for phase in job.phases}
    solved = [name for name, phase in by_name.items() if phase.solver == "lbfgs" and name in job.state.phase_weights]
    # A probe is a head on the pretrained weights: one that was solved on tuned blocks is none.
    solved = [name for name in solved if not any(by_name[start].moves_backbone for start in _starts(by_name, name))]
    if not solved:
        return None
    weights = job.state.phase_weights[solved[0]]
    return {variable.path: weights[variable.path] for variable in _head(job.model).variables}


def _head(model: keras.Model) -> Block:
    (head,) = (block for block in find_blocks(model) if block.name == "head")
    return head

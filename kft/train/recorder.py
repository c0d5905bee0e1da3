"""From the loop's events to what is kept and shown: history, TensorBoard, checkpoints, lines and bars for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, get_args

import numpy as np

from kft.records.history import (
    BLENDED,
    BlendFitted,
    EpochDone,
    HistoryEvent,
    RefitEpochDone,
    Refitted,
    RowsLabelled,
    as_line,
)
from kft.records.run_folder import RunFolder
from kft.train import events
from kft.train.checkpoint import OUT_OF_FOLD, Arrays, Checkpoint, CheckpointWriter, snapshot
from kft.train.job import ANSWERS_OF, BEST_OF, OPTIMIZER, REFITTED, Job, LoopState, facts_of, random_states
from kft.train.progress import Progress
from kft.train.scalars import ScalarLog


@dataclass(frozen=True)
class Files:
    """Where a run is kept.

    Attributes:
        folder: The run folder; None keeps everything in memory.
        last: Where the ``last`` checkpoints go: the run folder's own, or what the recipe names.
        writes: Whether this process writes them; of several that train together, one does.
        identity: The hashes that tell one run from another; a checkpoint of another run is refused.
    """

    folder: Path | None = None
    last: str | Path | None = None
    writes: bool = True
    identity: Mapping[str, str] = field(default_factory=dict)


class Recorder:
    """Keeps a run: hand it every event that the loop yields, in order.

    Args:
        job: What the loop was given.
        state: What it changes; looked at when a checkpoint is due.
        files: Where the run is kept.
        progress: Shows it to people.
        history: The events before the checkpoint that the run goes on from; the files are written anew with them.

    Raises:
        StorageError: A file could not be written.
    """

    def __init__(
        self, job: Job, state: LoopState, files: Files, progress: Progress, history: list[dict[str, Any]]
    ) -> None:
        self.job, self.state, self.files, self.progress, self.history = job, state, files, progress, history
        self._run = RunFolder(files.folder) if files.folder and files.writes else None
        self._scalars = ScalarLog(self._run.tensorboard) if self._run else None
        self._own: CheckpointWriter | None = None
        self._last: CheckpointWriter | None = None
        self._has_saved = False
        self._open, self._bar = ExitStack(), ExitStack()
        self._tick: Callable[..., None] = lambda count, loss=None: None

    def __enter__(self) -> Recorder:
        if self._run and self._scalars:
            self._run.rewrite_history(self.history)  # what a run wrote after its last checkpoint comes again
            self._scalars.rewrite(self.history)
            self._own = self._last = self._open.enter_context(CheckpointWriter(self._run.checkpoints))
            if self.files.last and str(self.files.last) != str(self._run.checkpoints):
                self._last = self._open.enter_context(CheckpointWriter(self.files.last))
        self._open.enter_context(self._bar)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.__exit__(kind, error, at)

    def take(self, event: events.Event) -> None:
        """Keeps and shows one event; returns once the loop may go on."""
        if isinstance(event, get_args(HistoryEvent)):
            self._note_event(as_line(event))
        match event:
            case EpochDone():
                self._show_epoch(event)
            case events.BestFound():
                self._save_best()
            case events.StateDue(variables):
                self._save_last(variables)
            case events.PassBegins(label, rows, done):
                self._tick = self._bar.enter_context(self.progress.task(label, rows))
                self._tick(done)
            case events.StepsMade(rows, loss):
                self._tick(rows, loss)
            case events.PassEnds():
                self._bar.close()
            case events.PhaseBegins(phase, table):
                self.progress.phase(phase, table)
            case events.Interrupted():
                if self._last:
                    self._last.wait()
                self.progress.note(said_of(event))
            case _:
                for line in filter(None, said_of(event).splitlines()):
                    self.progress.note(line)

    def keep_probe(self, head: Arrays) -> None:
        """Writes the head that a probe solved on the pretrained weights."""
        if self._own:
            self._own.save("probe", Checkpoint(head, {}))

    def _note_event(self, line: dict[str, Any]) -> None:
        self.history.append(line)
        if self._run and self._scalars:
            self._run.append_history(line)
            self._scalars.append(line)

    def _show_epoch(self, event: EpochDone) -> None:
        names = [f"valid_{name}" for name in self.job.data.kind.judging.metrics]
        best = self.job.train.best
        (phase,) = (phase for phase in self.job.phases if phase.name == event.phase)
        shown = best if best in names else names[0]
        self.progress.epoch(phase, event.epoch, {**event.training, **event.metrics}, event.is_best, shown)

    def _save_best(self) -> None:
        if self._own and self.state.best_facts:
            name = self.state.best_phase
            (phase,) = (phase for phase in self.job.phases if phase.name == name)
            # What a model says of valid is no honest answer once it has learned from it: those before that are kept.
            learned = phase.solver == "blend" or self.state.refitted
            more = {OUT_OF_FOLD: self.state.phase_answers[name]} if learned else {}
            self._own.save("best", Checkpoint(self.state.best_weights, dict(self.state.best_facts), more))

    def _save_last(self, variables: Sequence[Any] | None) -> None:
        """Snapshots all that the run needs to go on exactly here; a thread writes it."""
        if not self._last:
            return
        state, is_first, self._has_saved = self.state, not self._has_saved, True
        more = {BEST_OF + name: weights for name, weights in state.phase_weights.items()}
        more |= {ANSWERS_OF + name: answers for name, answers in state.phase_answers.items()}
        if state.refitted:
            more[REFITTED] = state.refitted
        if variables is not None:
            more["training"] = snapshot(variables, OPTIMIZER)
        more["seeds"] = {str(at): np.asarray(seed.numpy()) for at, seed in enumerate(random_states(self.job.model))}
        facts = facts_of(state) | {"history": list(self.history), "callbacks": self.job.callbacks.state}
        facts["identity"] = dict(self.files.identity)
        self._last.save("last", Checkpoint(snapshot(state.moving), facts, more), self.job.train.checkpoints.keep)
        if is_first:  # a folder that cannot be written is told now; and a run that has trained always has a checkpoint
            self._last.wait()


def said_of(event: events.Event) -> str:
    """Returns what a person is told of an event; nothing of most."""
    match event:
        case events.Resumed(phase, epoch, step, steps_done, forgetful):
            if phase is None:
                text = f"resumed    after the last phase, {steps_done:,} steps"
            else:
                where = "" if epoch is None else f", epoch {epoch}, after {step:,} of its steps"
                text = f"resumed    in phase {phase}{where}; {steps_done:,} steps done in all"
            if forgetful:
                text += (
                    f"\ncallbacks  {', '.join(forgetful)} cannot give their state and start anew: from here the "
                    f"run may differ from one that was never stopped (get_state and set_state would mend it)"
                )
            return text
        case BlendFitted(_, weights, losses, _):
            parts = ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items())
            single = {name: loss for name, loss in losses.items() if name != BLENDED}
            best = min(single, key=lambda name: single[name])
            return (
                f"views      {parts}: weights by what each says of rows it has not seen; "
                f"loss {losses[BLENDED]:.3f}, {best} alone {single[best]:.3f}"
            )
        case RowsLabelled(_, by, rows, of, confidence, wrong, tried):
            if confidence is None:
                return (
                    f"labelled   none of {of:,} rows: {by} is not sure enough of any, as rows of known labels show; "
                    "the phase learns from labels alone"
                )
            return (
                f"labelled   {rows:,} of {of:,} rows, by {by} at a confidence of {confidence:.2f} or more: "
                f"{wrong:.1%} are reckoned wrong, by {tried:,} rows it had not learned from"
            )
        case events.FeaturesPlanned(how):
            return f"features   {how}"
        case events.StepsPlanned(how) if how:
            return f"steps      {how}"
        case events.RowsAlone(alone, rows):
            return (
                f"alone      {alone:,} of {rows:,} examples are the only one of their class: they have no loss of "
                "their own, others are told apart from them"
            )
        case events.UpdatesLeftOut(count):
            return f"left out   {count:.0f} updates whose loss or gradient was not finite"
        case events.NothingLeft(monitor, kept, left):
            return (
                f"done       {', '.join(left)} not run: {monitor} of {kept} is perfect, nothing is left to gain "
                "(train.early_stopping: null runs all phases)"
            )
        case events.NotPreferred(phase, kept, gain):
            return (
                f"kept       {kept}: what {phase} gains on valid, {gain}, may be chance "
                "(train.prefer: best keeps whatever is highest)"
            )
        case events.RefitBegins(phase, rows):
            return f"refit      {phase}, on the {rows:,} rows of train and valid: nothing is validated from here on"
        case events.NothingToRefit(kept, why):
            return f"refit      none: {kept} {why}"
        case RefitEpochDone(_, epoch, _, training):
            return "  ".join([f"epoch {epoch}", *(f"{name} {value:.4g}" for name, value in training.items())])
        case Refitted():
            return f"refit      {event.how}"
        case events.StoppedEarly(monitor, epochs):
            return f"stopped    {monitor} has not improved for {epochs} epochs"
        case events.Interrupted(steps_done):
            return f"stopped    on SIGTERM, after step {steps_done:,}; the state is written"
    return ""

"""Everything that a run folder holds, read once: what page and card are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from kft.errors import RunError
from kft.evaluate.mistakes import read_predictions
from kft.forgetting.retention import trains_backbone
from kft.recipe.load import Recipe
from kft.recipe.training import PhaseSpec
from kft.records.csv_file import damaged, read_rows, read_table
from kft.records.document import read_document, read_if_there
from kft.records.edge_cases import EdgeCaseResult
from kft.records.estimate import Estimate
from kft.records.exported import Exported, read_exports
from kft.records.findings import AUDITS, FINDINGS, Finding, Findings
from kft.records.forgetting import ForgettingResult
from kft.records.history import BlendFitted, EpochDone, HistoryEvent, Refitted, read_history, refit_of
from kft.records.metrics import EvaluateResult
from kft.records.mistakes import Mistakes
from kft.records.monitored import MonitorResult
from kft.records.receipt import Receipt
from kft.records.retrained import Retraining
from kft.records.run_folder import RunFolder
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS
from kft.tasks.task import Task
from kft.train.phases import is_tuned


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes, of which one was taken for the other.

    Attributes:
        target: What was right.
        prediction: What was said.
        count: How often.
        n: Test examples of the first.
    """

    target: str
    prediction: str
    count: int
    n: int


@dataclass(frozen=True)
class Audited:
    """What ``kft check`` found in the rows of a run.

    Attributes:
        folder: Of the audit.
        found: findings.json there.
    """

    folder: Path
    found: Findings


@dataclass(frozen=True)
class RunRecord:
    """An evaluated run.

    Attributes:
        run: Its folder.
        recipe: Resolved.
        receipt: receipt.json.
        metrics: metrics.json.
        quick: What the quick checks found; None where there is no findings.json.
        history: The events of history.jsonl.
        predictions: The rows of predictions.csv.
        classes: The rows of per_class.csv.
        labels: Names of the confusion matrix.
        confusion: ``int[classes, classes]``, targets down; None where an example has not exactly one class.
        edge_cases: edge_cases.json; None without one.
        forgetting: forgetting.json; None without one.
        mistakes: mistakes.json; None without one.
        exports: Where it was exported to, the latest last.
        ships: The artifact that a card goes along with; None where the run itself is told of.
        challenged: retrain.json, where this run was a challenger; else None.
        challengers: Those that were retrained from this run, as far as they lie beside it.
        monitored: What a monitor of an artifact of this run said last; None where that is not known.
        audited: The latest audit of the same rows by all checks, of those that lie where audits go by default.
    """

    run: RunFolder
    recipe: Recipe
    receipt: Receipt
    metrics: EvaluateResult
    quick: tuple[Finding, ...] | None
    history: tuple[HistoryEvent, ...]
    predictions: tuple[Mapping[str, str], ...]
    classes: tuple[Mapping[str, str], ...]
    labels: tuple[str, ...]
    confusion: np.ndarray | None
    edge_cases: EdgeCaseResult | None
    forgetting: ForgettingResult | None
    mistakes: Mistakes | None
    exports: tuple[Exported, ...] = ()
    ships: Exported | None = None
    challenged: Retraining | None = None
    challengers: tuple[Retraining, ...] = ()
    monitored: MonitorResult | None = None
    audited: Audited | None = None

    @property
    def findings(self) -> tuple[Finding, ...] | None:
        """Of all checks where they ran, else of the quick ones."""
        return self.quick if self.audited is None else self.audited.found.findings

    @property
    def task(self) -> Task:
        return TASKS.get(self.recipe.spec.task)

    @property
    def n(self) -> int:
        return self.metrics.n

    @property
    def values(self) -> Mapping[str, Estimate]:
        return self.metrics.metrics

    @property
    def baselines(self) -> Mapping[str, Mapping[str, Estimate]]:
        """The same for what answers without looking and, where there was one, the probe."""
        return self.metrics.baselines

    @property
    def main(self) -> str:
        return self.metrics.main

    @property
    def tuned(self) -> bool:
        return trains_backbone(self.receipt)

    @property
    def part_of_backbone(self) -> str:
        """What is said behind the backbone's name where the model has but its first blocks."""
        blocks = self.recipe.spec.model.blocks
        return "" if blocks is None else f" (its first {blocks} block{'s' * (blocks > 1)} alone)"

    @property
    def teacher(self) -> str:
        """The run whose answers were learned from, by the name of its folder; empty where none was."""
        named = self.recipe.spec.train.teacher
        return "" if named is None else Path(named.run).name

    @property
    def kept_phase(self) -> str:
        """The phase whose weights answer."""
        return next((e.phase for e in reversed(self.history) if isinstance(e, EpochDone) and e.is_best), "")

    @property
    def blend(self) -> BlendFitted | None:
        """The views that answer together; None where the model answers alone."""
        fitted = [e for e in self.history if isinstance(e, BlendFitted) and e.phase == self.kept_phase]
        return fitted[-1] if fitted else None

    @property
    def refit(self) -> Refitted | None:
        """What the weights have learned from since valid judged them; None without a refit."""
        return refit_of(self.history)

    @property
    def answers_tuned(self) -> bool:
        """Whether what answers stands on a backbone that training moved."""
        phases = [PhaseSpec.model_validate(phase) for phase in self.receipt.phases]
        return any(phase.name == self.kept_phase for phase in phases) and is_tuned(phases, self.kept_phase)

    @property
    def sign(self) -> int:
        """1 where more of the main metric is better, -1 where less is."""
        return 1 if self.task.kind.judging.metrics[self.main].higher_is_better else -1

    @cached_property
    def confused(self) -> list[ConfusedPair]:
        if self.confusion is None:
            return []
        totals = self.confusion.sum(axis=1)
        pairs = [
            ConfusedPair(self.labels[a], self.labels[b], int(self.confusion[a, b]), int(totals[a]))
            for a, b in zip(*np.nonzero(self.confusion), strict=True)
            if a != b
        ]
        return sorted(pairs, key=lambda pair: (-pair.count, -pair.count / pair.n, pair.target, pair.prediction))


def read_record(run: RunFolder) -> RunRecord:
    """Reads a run folder.

    Raises:
        RunError: The run has not been evaluated, or a file is damaged.
        RecipeError: Its recipe is not valid any more.
    """
    labels, confusion = _confusion(run)
    found, receipt = read_if_there(Findings, run.findings), read_document(Receipt, run.receipt)
    return RunRecord(
        run=run,
        recipe=load_recipe(run.recipe),
        receipt=receipt,
        metrics=read_document(EvaluateResult, run.metrics),
        quick=None if found is None else found.findings,
        history=read_history(run.history),
        predictions=tuple(read_predictions(run)),
        classes=tuple(_rows(run.per_class)),
        labels=labels,
        confusion=confusion,
        edge_cases=read_if_there(EdgeCaseResult, run.edge_cases),
        forgetting=read_if_there(ForgettingResult, run.forgetting),
        mistakes=read_if_there(Mistakes, run.mistakes),
        exports=read_exports(run),
        challenged=read_if_there(Retraining, run.retrained),
        challengers=_challengers(run),
        audited=_audited(run, receipt),
    )


def _audited(run: RunFolder, receipt: Receipt) -> Audited | None:
    places = {place.resolve(): place for place in (run.path.resolve().parent.parent / AUDITS, AUDITS)}.values()
    files = (path for place in places for path in place.glob(f"*/{FINDINGS}"))
    for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True):
        with suppress(RunError):  # what is damaged there says nothing of this run
            found = read_document(Findings, path)
            if found.features and (found.split_hash, found.data_hash) == (receipt.split_hash, receipt.data_hash):
                return Audited(path.parent, found)
    return None


def _challengers(run: RunFolder) -> tuple[Retraining, ...]:
    """Returns what was retrained from a run, in folders beside it; of one that was trained again, nothing."""
    best = run.checkpoints / "best.json"
    own = sha256(best.read_bytes()).hexdigest() if best.is_file() else ""
    place = run.path.resolve().parent
    if run.retrained.is_file():  # a challenger lies in the folder of its retraining
        place = place.parent
    beside = sorted(place.glob(f"*/*/{run.retrained.name}"), key=lambda path: path.stat().st_mtime)
    found = []
    for path in beside:
        with suppress(RunError):  # what is damaged there says nothing of this run
            found.append(read_document(Retraining, path))
    return tuple(each for each in found if each.champion_checkpoint == own)


def _rows(path: Path) -> list[dict[str, str]]:
    return read_table(path) if path.is_file() else []


def _confusion(run: RunFolder) -> tuple[tuple[str, ...], np.ndarray | None]:
    if not run.confusion.is_file():
        return (), None
    header, *rows = read_rows(run.confusion)
    try:
        return tuple(header[1:]), np.array([list(map(int, row[1:])) for row in rows])
    except ValueError as error:
        raise damaged(run.confusion, str(error)) from None


def listed(names: Sequence[str], most: int = 3) -> str:
    """Returns names as a list in words, the rest counted.

    Example:
        >>> listed(["a", "b", "c", "d"])
        'a, b, c and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

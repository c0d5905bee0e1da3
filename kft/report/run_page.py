"""The page of `kft report`: the verdict, the four questions with their evidence, and all that the run folder shows."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from kft import runtime
from kft.characters import several
from kft.compare.table import ApproachRow as ComparisonRow
from kft.compare.table import header, rows_of
from kft.data.personal import conceal
from kft.evaluate.evaluate import YARDSTICK
from kft.recipe.sources import DATAFRAME
from kft.records.compare import Comparison
from kft.records.edge_cases import EdgeCaseResult, Outcome
from kft.records.estimate import Estimate, metric_title
from kft.records.files import utc_now
from kft.records.forgetting import ForgettingResult
from kft.records.history import BLENDED, EpochDone, as_line
from kft.records.metrics import EvaluateResult
from kft.records.mistakes import DecidingPassage, NearExample
from kft.records.mistakes import Mistake as WrittenMistake
from kft.report import run_plots
from kft.report.details import Grid, make_grid
from kft.report.examples import ShownExample
from kft.report.html import Thumbnails, render, shorten
from kft.report.questions import check_tone, four_questions, headline
from kft.report.record import RunRecord

AT_ONCE = 6
"""Mistakes that are seen at once; the others are behind a click."""
WRITTEN = 600
"""Characters of a written answer that are shown."""
WEAKEST = 15
"""Classes that are listed, and pairs of classes."""

Drawing = tuple[str, Markup]
"""A plot with its title."""


@dataclass(frozen=True)
class Neighbour:
    """A training example beside a mistake, and the cosine of the two."""

    example: ShownExample
    similarity: float


@dataclass(frozen=True)
class ShownMistake:
    """A wrong answer as the page shows it; its example carries what is right as its label."""

    example: ShownExample
    prediction: str
    confidence: float | None
    neighbours: tuple[Neighbour, ...]
    passages: tuple[DecidingPassage, ...] = ()
    given: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    withheld: bool = False


def render_run(record: RunRecord, *, comparison: Comparison | None = None, missing: str = "") -> str:
    """Returns the whole page as HTML.

    Args:
        record: The run.
        comparison: Of approaches on the same split, where one was made.
        missing: Why the mistakes cannot be shown; empty where they can.
    """
    questions = four_questions(record, comparison)
    mistakes, edge_cases = _mistakes(record), _edge_cases(record)
    return render(
        "run.html.j2",
        {
            "title": f"Report on {record.recipe.name}",
            "name": record.recipe.name,
            "task": record.task.about,
            "verdict": headline(record),
            "questions": questions,
            "facts": _facts(record),
            "metrics": _metrics(record),
            "calibrated": any(record.task.kind.judging.all_metrics[name].by_chance for name in record.values),
            "columns": ("this model", *record.baselines),
            "gates": record.metrics.gates,
            "training": _training(record),
            "epochs": _epochs(record),
            "views": _views(record),
            "overfitting": record.metrics.overfitting.told if record.metrics.overfitting else (),
            "answers": _answers(record),
            "pairs": [pair for pair in record.confused[:WEAKEST] if pair.count > 1] or record.confused[:5],
            "by_class": _by_class(record),
            "sure": _sure(record.metrics),
            "calibration": _calibration(record.metrics),
            "abstention": _abstention(record.metrics),
            "slices": record.metrics.slices or (),
            "title_of": metric_title,
            "edge_cases": edge_cases,
            "tones": [check_tone(check) for check in edge_cases.checks] if edge_cases else (),
            "forgetting": _forgetting(record),
            "mistakes": mistakes[:AT_ONCE],
            "more_mistakes": mistakes[AT_ONCE:],
            "numbers": record.task.kind.numeric,
            "wrong": _wrong(record),
            "written": record.task.kind.writes,
            "rightness": record.metrics.selective.rightness if record.metrics.selective else "",
            "general": record.metrics.general_text,
            "images": record.task.reads.files,
            "missing": missing,
            "findings": record.findings or (),
            "audit": "" if record.audited is None else str(record.audited.folder),
            "comparison": comparison,
            "compared": _compared(comparison),
            "compared_columns": header(comparison.metric) if comparison else (),
            "run": str(record.run.path),
            "provenance": _provenance(record),
            "commands": _commands(record),
        },
    )


def _facts(record: RunRecord) -> dict[str, Any]:
    n, labels = record.receipt.n, record.receipt.labels
    facts: dict[str, Any] = {"trained on": n.train, "validated on": n.valid}
    if record.refit is not None:
        facts["trained again on both"] = record.refit.train + record.refit.valid
    facts["tested on"] = record.n
    if record.receipt.unlabelled:
        facts["rows without labels"] = record.receipt.unlabelled
    if record.teacher:
        facts["teacher"] = record.teacher
    if labels:
        facts["classes" if record.task.kind.one_class else "labels"] = len(labels)
    return facts | {"backbone": record.receipt.backbone + record.part_of_backbone}


def _metrics(record: RunRecord) -> list[tuple[str, list[Estimate | None], float]]:
    """Returns each metric with its estimates, this model's and those of the baselines, and the best of them."""
    known = record.task.kind.judging.all_metrics
    found = []
    for name, value in record.values.items():
        values = [value, *(baseline.get(name) for baseline in record.baselines.values())]
        choose = max if known[name].higher_is_better else min
        rivals = zip(("", *record.baselines), values, strict=True)
        # What always answers alike is calibrated by itself: no merit where only that is measured.
        aside = {YARDSTICK} if known[name].by_chance is None else {YARDSTICK, record.task.kind.judging.baseline_name}
        best = choose(each.value for who, each in rivals if each is not None and who not in aside)
        found.append((metric_title(name), values, math.nan if known[name].neutral else best))
    return found


def _training(record: RunRecord) -> list[Drawing]:
    best = record.recipe.spec.train.best
    assert best is not None  # loading a recipe fills it in
    curves = run_plots.curves_of(record.history, best)
    when = ", before the refit" if record.refit is not None else ""
    return [(f"{curve.title} along training{when}", run_plots.training_plot(curve)) for curve in curves]


def _epochs(record: RunRecord) -> Grid | None:
    epochs = [event for event in record.history if isinstance(event, EpochDone)]
    if len(epochs) < 2:
        return None
    lines = [as_line(epoch) for epoch in epochs]
    names = list(dict.fromkeys(name for line in lines for name in line if name not in ("event", "is_best")))
    kept = max((place for place, epoch in enumerate(epochs) if epoch.is_best), default=-1)
    rows = [(*map(line.get, names), "kept" if place == kept else "") for place, line in enumerate(lines)]
    title = "every epoch" if record.refit is None else "every epoch, before the refit"
    return make_grid(title, (*(name.replace("_", " ") for name in names), ""), rows)


def _views(record: RunRecord) -> Grid | None:
    """Returns what the kept blend is made of: each view's weight, and its loss on rows that it had not seen."""
    blend = record.blend
    if blend is None:
        return None
    rows = [
        (
            name,
            f"{weight:.2f}" if weight else "0",
            f"{blend.losses[name]:.3f}",
            ", ".join(f"{key} {value:g}" for key, value in blend.settings.get(name, {}).items()),
        )
        for name, weight in blend.weights.items()
    ]
    rows.append(("all together", "", f"{blend.losses[BLENDED]:.3f}", ""))
    return make_grid("what answers together", ("view", "weight", "loss out of fold", "chosen"), rows)


def _answers(record: RunRecord) -> Drawing | None:
    """Returns what is answered against what is right, where that can be drawn."""
    if record.confusion is not None and len(record.labels) <= run_plots.MOST_CLASSES:
        labels = [shorten(label, 60) for label in record.labels]
        return "Right answers (rows), given answers (columns)", run_plots.confusion_plot(labels, record.confusion)
    if record.task.kind.numeric and record.predictions:
        both = [[float(row[key]) for row in record.predictions] for key in ("target", "prediction")]
        return "Right answers and given answers", run_plots.scatter_plot(*both)
    return None


def _rate(row: Mapping[str, str], key: str) -> str | float:
    """Returns a share with its interval, where the run is not older than these."""
    if f"{key}_low" not in row:
        return float(row[key])
    return str(Estimate(float(row[key]), float(row[f"{key}_low"]), float(row[f"{key}_high"])))


def _by_class(record: RunRecord) -> Grid | None:
    if not record.classes:
        return None
    ordered = sorted(record.classes, key=lambda row: float(row["f1"]))
    rows = [
        (shorten(row["label"], 80), int(row["n"]), *(_rate(row, key) for key in ("precision", "recall", "f1")))
        for row in ordered
    ]
    return make_grid(
        f"all {len(rows):,} of them, the weakest first", ("", "test rows", "precision", "recall", "F1"), rows
    )


def _sure(metrics: EvaluateResult) -> list[Drawing]:
    found, selective = metrics.calibration, metrics.selective
    if selective is None:
        return []
    point = (selective.coverage.value, selective.error.value) if selective.threshold else None
    promised = selective.promise.error if selective.promise else None
    withheld = (
        "What it brings to withhold the least sure answers",
        run_plots.risk_coverage_plot(selective.risk_coverage, point, promised),
    )
    if found is None:
        return [withheld]
    before = found.reliability_before if found.n else ()
    right = ("How often answers are right, by confidence", run_plots.reliability_plot(found.reliability, before))
    return [right, withheld]


def _calibration(metrics: EvaluateResult) -> list[tuple[str, Estimate]]:
    found = metrics.calibration
    if found is None:
        return []
    soft = "soft " if metrics.soft else ""
    before = [(f"{soft}ECE before calibration", found.ece_before)] if found.n else []
    return [*before, (f"{soft}ECE, as answered", metrics.own_ece), (f"{soft}Brier score", found.brier)]


def _abstention(metrics: EvaluateResult) -> list[tuple[str, Estimate]]:
    found = metrics.selective
    if found is None:
        return []
    declines = found.threshold or metrics.out_of_scope
    answered = [("share answered", found.coverage), ("wrong among these", found.error)] if declines else []
    return [*answered, ("wrong, averaged over coverages (AURC)", found.aurc)]


def _edge_cases(record: RunRecord) -> EdgeCaseResult | None:
    """Returns the suite's results, with inputs without personal data."""
    found = record.edge_cases
    if found is None:
        return None
    checks = (
        replace(check, failures=tuple(_shown(failure) for failure in check.failures or ())) for check in found.checks
    )
    return replace(found, checks=tuple(checks))


def _shown(failure: Outcome) -> Outcome:
    return replace(failure, input=_text(failure.input), changed=_text(failure.changed))


def _text(given: str | None, most: int = 280) -> str:
    return "" if given is None else shorten(conceal(given), most)


def _forgetting(record: RunRecord) -> ForgettingResult | None:
    found = record.forgetting
    return None if found is None else replace(found, metric=metric_title(found.metric))


def _mistakes(record: RunRecord) -> list[ShownMistake]:
    thumbnails = Thumbnails()
    images, most = record.task.reads.files, WRITTEN if record.task.kind.writes else 60

    def shown(each: WrittenMistake | NearExample, label: str, split: str) -> ShownExample:
        given = (each.input,) if isinstance(each.input, str) else each.input
        texts = () if images else tuple(_text(text, max(280, most)) for text in given)
        image = thumbnails.of(Path(given[0])) if images else None
        return ShownExample(each.id, split, texts, image, shorten(label, most))

    return [
        ShownMistake(
            example=shown(each, each.target, "test"),
            prediction=shorten(each.prediction, most),
            confidence=each.confidence,
            neighbours=tuple(Neighbour(shown(near, near.label, "train"), near.similarity) for near in each.neighbours),
            passages=tuple(replace(part, text=_text(part.text), said=shorten(part.said, 60)) for part in each.passages),
            given=tuple(map(_text, each.given)),
            unsupported=each.unsupported,
            withheld=each.withheld,
        )
        for each in (record.mistakes.mistakes if record.mistakes else ())
    ]


def _wrong(record: RunRecord) -> str:
    """Returns how many answers are wrong, in words; empty where none is, or nobody looked."""
    n = record.mistakes.n if record.mistakes else 0
    return f"{several(n, 'answer')} to the test examples {'is' if n == 1 else 'are'} wrong" if n else ""


def _compared(comparison: Comparison | None) -> Sequence[ComparisonRow]:
    if comparison is None:
        return ()
    return rows_of(comparison.approaches, comparison.verdict, comparison.metric)


def _provenance(record: RunRecord) -> Mapping[str, str]:
    receipt, data = record.receipt, record.recipe.spec.data
    sources = (data.train,) if isinstance(data.train, str) else data.train
    return {
        "recipe": record.recipe.name,
        "data": ", ".join(sources),
        "backbone": receipt.backbone + record.part_of_backbone,
        "split hash": receipt.split_hash,
        "data hash": receipt.data_hash,
        "weights hash": receipt.weights_hash,
        "recipe hash": receipt.recipe_hash,
        "seed": str(receipt.seed),
        "devices": f"{', '.join(receipt.devices)}; {receipt.strategy}",
        "trained": f"{receipt.created}, with {_versions(receipt.versions)}",
        "reported": f"{utc_now()}, with {_versions(runtime.versions())}",
    }


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _commands(record: RunRecord) -> list[tuple[str, str]]:
    """Returns what was called, and what gives the same again."""
    run = str(record.run.path)
    again = f"{shlex.join(['kft', 'train', str(record.run.recipe)])} --run NEW"
    if record.recipe.spec.data.train == DATAFRAME:
        again = f'kft.train("{record.run.recipe}", data=THE_SAME_DATAFRAMES)'
    return [
        ("was trained by", shlex.join(record.receipt.command)),
        ("trains it again", again),
        ("scores it again", shlex.join(["kft", "evaluate", run])),
        ("writes this page again", shlex.join(["kft", "report", run])),
    ]

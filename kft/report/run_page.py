"""The page of `kft report`: the verdict, the four questions with their evidence, and all that the run folder shows."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from kft import runtime
from kft.compare.table import Row as ComparisonRow
from kft.compare.table import header, rows_of
from kft.data.personal import conceal
from kft.recipe.schema import DATAFRAME
from kft.records.compare import Comparison
from kft.records.estimate import Estimate, metric_title
from kft.records.forgetting import ForgettingResult
from kft.report import run_plots
from kft.report.details import Grid, make_grid
from kft.report.examples import ShownExample
from kft.report.html import Thumbnails, render, shorten
from kft.report.questions import check_tone, four_questions, headline
from kft.report.record import Row, RunRecord, estimates

AT_ONCE = 6
"""Mistakes that are seen at once; the others are behind a click."""
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
class Mistake:
    """A wrong answer as the page shows it; its example carries what is right as its label."""

    example: ShownExample
    prediction: str
    confidence: float | None
    neighbours: tuple[Neighbour, ...]


def render_run(record: RunRecord, *, comparison: Comparison | None = None, missing: str = "") -> str:
    """Returns the whole page as HTML.

    Args:
        record: The run.
        comparison: Of approaches on the same split, where one was made.
        missing: Why the mistakes cannot be shown; empty where they can.
    """
    questions = four_questions(record, comparison)
    mistakes = _mistakes(record)
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
            "columns": ("this model", *record.baselines),
            "gates": record.metrics["gates"],
            "training": _training(record),
            "epochs": _epochs(record),
            "overfitting": record.metrics.get("overfitting", {}).get("warnings", ()),
            "answers": _answers(record),
            "pairs": [pair for pair in record.confused[:WEAKEST] if pair.count > 1] or record.confused[:5],
            "by_class": _by_class(record),
            "sure": _sure(record),
            "calibration": _calibration(record),
            "abstention": _abstention(record),
            "slices": [_slice(part) for part in record.metrics.get("slices", ())],
            "edge_cases": _edge_cases(record),
            "forgetting": _forgetting(record),
            "mistakes": mistakes[:AT_ONCE],
            "more_mistakes": mistakes[AT_ONCE:],
            "numbers": record.task.kind.name == "number",
            "wrong": record.mistakes["n"] if record.mistakes else None,
            "images": record.task.modality == "image",
            "missing": missing,
            "findings": record.findings or (),
            "comparison": comparison,
            "compared": _compared(comparison),
            "compared_columns": header(comparison.metric) if comparison else (),
            "run": str(record.run.path),
            "provenance": _provenance(record),
            "commands": _commands(record),
        },
    )


def _facts(record: RunRecord) -> dict[str, Any]:
    n = record.receipt["n"]
    facts: dict[str, Any] = {"trained on": n["train"], "chosen by": n["valid"], "tested on": record.n}
    labels = record.receipt["labels"]
    if labels:
        facts["classes" if record.task.kind.name == "classes" else "labels"] = len(labels)
    return facts | {"backbone": record.receipt["backbone"]}


def _metrics(record: RunRecord) -> list[tuple[str, list[Estimate]]]:
    """Returns each metric with its estimates: this model's, and those of the baselines."""
    return [
        (metric_title(name), [value, *(found[name] for found in record.baselines.values())])
        for name, value in record.values.items()
    ]


def _training(record: RunRecord) -> list[Drawing]:
    best = record.recipe.spec.train.best
    assert best is not None  # loading a recipe fills it in
    curves = run_plots.curves_of(record.history, best)
    return [(f"{curve.title} along training", run_plots.training_plot(curve)) for curve in curves]


def _epochs(record: RunRecord) -> Grid | None:
    events = [event for event in record.history if event.get("event") == "epoch"]
    if len(events) < 2:
        return None
    names = list(dict.fromkeys(name for event in events for name in event if name not in ("event", "is_best")))
    kept = max((place for place, event in enumerate(events) if event["is_best"]), default=-1)
    rows = [
        (*(event.get(name) for name in names), "kept" if place == kept else "") for place, event in enumerate(events)
    ]
    return make_grid("every epoch", (*(name.replace("_", " ") for name in names), ""), rows)


def _answers(record: RunRecord) -> Drawing | None:
    """Returns what is answered against what is right, where that can be drawn."""
    if record.confusion is not None and len(record.labels) <= run_plots.MOST_CLASSES:
        labels = [shorten(label, 60) for label in record.labels]
        return "What is right (rows), what was answered (columns)", run_plots.confusion_plot(labels, record.confusion)
    if record.task.kind.name == "number" and record.predictions:
        both = [[float(row[key]) for row in record.predictions] for key in ("target", "prediction")]
        return "What is right, and what was answered", run_plots.scatter_plot(*both)
    return None


def _by_class(record: RunRecord) -> Grid | None:
    if not record.classes:
        return None
    ordered = sorted(record.classes, key=lambda row: float(row["f1"]))
    rows = [
        (shorten(row["label"], 80), int(row["n"]), *(float(row[key]) for key in ("precision", "recall", "f1")))
        for row in ordered
    ]
    return make_grid(
        f"all {len(rows):,} of them, the weakest first", ("", "test rows", "precision", "recall", "F1"), rows
    )


def _sure(record: RunRecord) -> list[Drawing]:
    if "calibration" not in record.metrics:
        return []
    found, selective = record.metrics["calibration"], record.metrics["selective"]
    before = found.get("reliability_before", ()) if found["n"] else ()
    point = None
    if selective["threshold"]:
        point = (selective["coverage"]["value"], selective["error"]["value"])
    promised = selective["promise"]["error"] if selective["promise"] else None
    return [
        ("How often answers of a confidence are right", run_plots.reliability_plot(found["reliability"], before)),
        (
            "What declining the least sure answers brings",
            run_plots.risk_coverage_plot(selective["risk_coverage"], point, promised),
        ),
    ]


def _calibration(record: RunRecord) -> list[tuple[str, Estimate]]:
    if "calibration" not in record.metrics:
        return []
    found = record.metrics["calibration"]
    before = [("ECE before calibration", Estimate(**found["ece_before"]))] if found["n"] else []
    return [*before, ("ECE, as answered", record.values["ece"]), ("Brier score", Estimate(**found["brier"]))]


def _abstention(record: RunRecord) -> list[tuple[str, Estimate]]:
    found = record.metrics.get("selective")
    if found is None:
        return []
    declines = found["threshold"] or "out_of_scope" in record.metrics
    answered = [("share answered", "coverage"), ("wrong among these", "error")] if declines else []
    return [
        (title, Estimate(**found[key])) for title, key in (*answered, ("wrong, averaged over coverages (AURC)", "aurc"))
    ]


def _slice(part: Row) -> dict[str, Any]:
    return {**part, "metrics": estimates(part["metrics"])}


def _edge_cases(record: RunRecord) -> Row | None:
    """Returns the suite's results with intervals that can be shown, and inputs without personal data."""
    found = record.edge_cases
    if found is None:
        return None
    checks = [
        {
            **check,
            "tone": check_tone(check),
            "pass_rate": Estimate(**check["pass_rate"]),
            "failures": [
                {**failure, **{key: _text(failure[key]) for key in ("input", "changed")}}
                for failure in check["failures"]
            ],
        }
        for check in found["checks"]
    ]
    return {**found, "pass_rate": Estimate(**found["pass_rate"]), "checks": checks}


def _text(given: str | None) -> str:
    return "" if given is None else shorten(conceal(given))


def _forgetting(record: RunRecord) -> Row | None:
    found = record.forgetting
    if found is None:
        return None
    read = ForgettingResult.from_dict(found)
    return {**vars(read), "metric": metric_title(read.metric), "warnings": read.warnings}


def _mistakes(record: RunRecord) -> list[Mistake]:
    thumbnails = Thumbnails()
    images = record.task.modality == "image"

    def shown(each: Row, label: str, split: str) -> ShownExample:
        given = each["input"]
        texts = () if images else tuple(_text(text) for text in ([given] if isinstance(given, str) else given))
        image = thumbnails.of(Path(given)) if images else None
        return ShownExample(each["id"], split, texts, image, shorten(label, 60))

    return [
        Mistake(
            example=shown(each, each["target"], "test"),
            prediction=shorten(each["prediction"], 60),
            confidence=each["confidence"],
            neighbours=tuple(
                Neighbour(shown(near, near["label"], "train"), near["similarity"]) for near in each["neighbours"]
            ),
        )
        for each in (record.mistakes or {"mistakes": ()})["mistakes"]
    ]


def _compared(comparison: Comparison | None) -> Sequence[ComparisonRow]:
    if comparison is None:
        return ()
    return rows_of(comparison.outcomes, comparison.verdict, comparison.metric)


def _provenance(record: RunRecord) -> Mapping[str, str]:
    receipt, data = record.receipt, record.recipe.spec.data
    sources = (data.train,) if isinstance(data.train, str) else data.train
    return {
        "recipe": record.recipe.name,
        "data": ", ".join(sources),
        "backbone": receipt["backbone"],
        "split hash": receipt["split_hash"],
        "data hash": receipt["data_hash"],
        "weights hash": receipt["weights_hash"],
        "recipe hash": receipt["recipe_hash"],
        "seed": str(receipt["seed"]),
        "devices": f"{', '.join(receipt['devices'])}; {receipt['strategy']}",
        "trained": f"{receipt['created']}, with {_versions(receipt['versions'])}",
        "reported": f"{datetime.now(UTC).isoformat(timespec='seconds')}, with {_versions(runtime.versions())}",
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
        ("was trained by", shlex.join(record.receipt["command"])),
        ("trains it again", again),
        ("scores it again", shlex.join(["kft", "evaluate", run])),
        ("writes this page again", shlex.join(["kft", "report", run])),
    ]

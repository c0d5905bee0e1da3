"""The plots of a run: training curves, confusion, reliability, risk against coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from kft.records.estimate import metric_title
from kft.records.history import EpochDone, HistoryEvent
from kft.records.metrics import ReliabilityBin, RiskPoint
from kft.report.plots import ACCENT, BAR, GRID, INK, PAPER, TEXT, as_svg, axes_of, cut

MOST_CLASSES = 30
"""With more, a matrix is a texture: the pairs most confused say more."""
MOST_COUNTED = 12
"""With more classes, their cells are too small for figures."""
MOST_NAMED = 16
"""With more classes, columns have numbers, those of the rows."""
CHARACTERS = 62
"""Of the small type, so many fit above a plot."""
DARK = 0.55
"""Cells of a larger share carry light figures."""


@dataclass(frozen=True)
class EpochCurve:
    """What is drawn along the epochs of a run.

    Attributes:
        events: The epochs, in order; the first of a phase may be its start, which has no training figure.
        train: Key of the training figure; some events lack it.
        valid: Key of the validation figure.
        title: What is measured.
    """

    events: Sequence[EpochDone]
    train: str
    valid: str
    title: str


def curves_of(history: Sequence[HistoryEvent], best: str) -> list[EpochCurve]:
    """Returns the curves of a run: the loss, and what its epochs were chosen by, where that is something else.

    Args:
        history: The events of history.jsonl.
        best: ``train.best`` of the recipe.

    Returns:
        None where fewer than two epochs were measured: a solved probe has no curve.
    """
    events = [event for event in history if isinstance(event, EpochDone)]
    if len(events) < 2:
        return []
    keys = dict.fromkeys(["valid_loss", best])
    return [
        EpochCurve(events, key.removeprefix("valid_"), key, metric_title(key.removeprefix("valid_")))
        for key in keys
        if all(key in event.metrics for event in events)
    ]


def training_plot(curve: EpochCurve) -> Markup:
    """Draws training and validation along the epochs of all phases; the epoch that was kept is marked."""
    events = curve.events
    places = np.arange(len(events))
    valid = np.array([event.metrics[curve.valid] for event in events], float)
    train = np.array([event.training.get(curve.train, np.nan) for event in events], float)
    kept = max((place for place, event in enumerate(events) if event.is_best), default=len(events) - 1)
    with axes_of(2.5) as (figure, axes):
        if not np.isnan(train).all():
            axes.plot(places, train, "o--", color=BAR, linewidth=1.5, markersize=3, label="training")
        axes.plot(places, valid, "o-", color=ACCENT, linewidth=1.6, markersize=3.5, label="validation")
        axes.plot(kept, valid[kept], "o", color="none", markeredgecolor=ACCENT, markersize=9, label="kept")
        _phases(axes, events)
        axes.set_xticks(places, [str(event.epoch) for event in events])
        axes.set(xlabel="epoch", ylabel=curve.title, xlim=(-0.35, len(events) - 0.65))
        axes.margins(y=0.18)
        if len(events) > 16:
            axes.set_xticks(places[:: -(-len(events) // 12)])
        axes.legend(frameon=False, fontsize=8, loc="best", labelcolor=INK)
        return as_svg(
            figure,
            f"{curve.title} along training",
            f"{curve.title} along training: validation from {valid[0]:.3g} to {valid[-1]:.3g}, {valid[kept]:.3g} "
            f"where it was kept, phase {events[kept].phase}, epoch {events[kept].epoch}",
        )


def _phases(axes: Any, events: Sequence[EpochDone]) -> None:
    """Draws where each phase begins, with its name."""
    starts = [place for place, event in enumerate(events) if not place or event.phase != events[place - 1].phase]
    free: list[float] = []  # where each line above the axes is free again, in characters
    for place in starts:
        if place:
            axes.axvline(place - 0.5, color=GRID, linewidth=1.0)
        name = cut(events[place].phase, 12)
        begins = place / len(events) * CHARACTERS
        line = next((number for number, end in enumerate(free) if begins >= end), len(free))
        free[line : line + 1] = [begins + len(name) + 1]
        axes.annotate(
            name,
            (place - (0.45 if place else 0.3), 1.0),
            (2, 1 + 9 * line),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            size=8,
            va="bottom",
            annotation_clip=False,
        )


def reliability_plot(after: Sequence[ReliabilityBin], before: Sequence[ReliabilityBin]) -> Markup:
    """Draws how often answers of a confidence are right, beside what the confidence says.

    Args:
        after: The bins as they are after calibration.
        before: The same before it; none where they are not known or nothing was fitted.
    """
    with axes_of(3.1) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=GRID, linewidth=1.2)
        for bins, color, style, label in (
            (before, BAR, "o--", "before calibration"),
            (after, ACCENT, "o-", "after calibration" if before else "as answered"),
        ):
            if bins:
                sure, right = [each.confidence for each in bins], [each.accuracy for each in bins]
                axes.plot(sure, right, style, color=color, linewidth=1.5, markersize=3.5, label=label)
        axes.set(xlabel="confidence", ylabel="share of right answers", xlim=(0, 1.02), ylim=(0, 1.02))
        axes.legend(frameon=False, fontsize=8, loc="upper left", labelcolor=INK)
        said = "; ".join(f"{each.confidence:.2f} sure, {each.accuracy:.2f} right" for each in after)
        return as_svg(figure, "Reliability", f"Reliability: {said}")


def risk_coverage_plot(curve: Sequence[RiskPoint], point: tuple[float, float] | None, promised: float | None) -> Markup:
    """Draws the share of wrong answers among those that are answered, from the surest few to all.

    Args:
        curve: From the surest few to all.
        point: Coverage and error at the run's threshold; None where it answers everything.
        promised: The error that is promised; None without a promise.
    """
    coverage, error = [each.coverage for each in curve], [each.error for each in curve]
    with axes_of(2.5) as (figure, axes):
        axes.plot(coverage, error, color=ACCENT, linewidth=1.6)
        top = max([*error, promised or 0.0, 0.01]) * 1.18
        if promised is not None:
            axes.axhline(promised, color=BAR, linestyle="--", linewidth=1.2)
            axes.annotate(
                f"promised: {promised:g} at most", (0.01, promised), (0, 3), textcoords="offset points", size=8
            )
        if point is not None:
            axes.plot(*point, "o", color=ACCENT, markersize=6)
            axes.annotate("threshold", point, (-5, 5), textcoords="offset points", ha="right", size=8, color=ACCENT)
        axes.set(xlabel="share answered, the surest first", ylabel="wrong among these", xlim=(0, 1.02), ylim=(0, top))
        said = f"{error[-1]:.3g} wrong where all are answered, {error[len(error) // 2]:.3g} among the surest half"
        return as_svg(figure, "Risk against coverage", f"Risk against coverage: {said}")


def confusion_plot(labels: Sequence[str], confusion: np.ndarray) -> Markup:
    """Draws the confusion matrix: each row is a class, and its cells the share of its examples by what was answered.

    Args:
        labels: At most 30.
        confusion: ``int[classes, classes]``, targets down.
    """
    n = len(labels)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    with axes_of(0.7 + min(0.32, 3.2 / n) * n) as (figure, axes):
        for row, column in zip(*np.nonzero(confusion), strict=True):
            part = float(shares[row, column])
            axes.add_patch(_cell(column, row, 0.12 + 0.88 * part))
            if n <= MOST_COUNTED:
                color = PAPER if part > DARK else TEXT
                axes.text(column, row, f"{confusion[row, column]:,}", ha="center", va="center", size=8, color=color)
        if n <= MOST_NAMED:
            short = [cut(name, 22) for name in labels]
            flat = max(map(len, short)) * n < CHARACTERS * 0.6
            axes.set_xticks(range(n), short, rotation=0 if flat else 90)
            axes.set_yticks(range(n), short)
        else:
            counted = [place for place in range(1, n + 1) if place == 1 or place % 5 == 0]
            axes.set_xticks([place - 1 for place in counted], counted)
            axes.set_yticks(range(n), [f"{cut(name, 22)} {place}" for place, name in enumerate(labels, 1)])
        axes.tick_params(length=0, labelsize=8 if n <= 20 else 6.5, pad=2)
        axes.set(xlabel="answered", xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5))
        axes.grid(False)
        axes.spines[["top", "right"]].set_visible(True)
        right = int(np.trace(confusion))
        return as_svg(figure, "Confusion matrix", f"Confusion matrix: {right:,} of {confusion.sum():,} on its diagonal")


def _cell(column: int, row: int, strength: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=ACCENT, alpha=round(strength, 2), linewidth=0)


MOST_POINTS = 250
"""Of more examples than that, so many are drawn, evenly spread over all."""


def scatter_plot(targets: Sequence[float], answers: Sequence[float]) -> Markup:
    """Draws numbers that were answered against those that are right.

    Args:
        targets: What is right.
        answers: One each.
    """
    step = -(-len(targets) // MOST_POINTS)
    x, y = np.asarray(targets, float)[::step], np.asarray(answers, float)[::step]
    ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
    with axes_of(3.1) as (figure, axes):
        axes.plot(ends, ends, color=GRID, linewidth=1.2)
        axes.plot(x, y, "o", color=ACCENT, markersize=3, alpha=0.45, markeredgewidth=0)
        axes.set(xlabel="right", ylabel="answered")
        said = f"{len(x):,} of {len(targets):,} examples; right answers lie on the diagonal"
        return as_svg(figure, "Given answers against right ones", f"Given answers against right ones: {said}")

"""The plots of a monitor: evidence over the windows, and shares of classes with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from kft.records.estimated import ClassShare
from kft.records.monitored import GaugeSeen, WindowSeen, times
from kft.report.plots import ACCENT, BAND, BAR, GRID, INK, TEXT, as_svg, axes_of, cut

MOST_POINTS = 120
"""Of a curve; of more windows, each point is the largest of several."""
MOST_CELLS = 60
"""Columns of the overview; likewise."""
HIGHEST = 2.5
"""A curve is cut where it is so many times as high as what raises an alarm: how it came there is what matters."""
SLIGHT = 0.05
"""Less of what raises an alarm is not drawn."""


def evidence_of(gauge: GaugeSeen, windows: Sequence[WindowSeen]) -> np.ndarray:
    """Returns the evidence after each window, ``float64[windows]``; NaN before the gauge was there."""
    return np.array([window.evidence.get(gauge.name, math.nan) for window in windows], np.float64)


def thin(values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns at most so many values, each the largest of those that it stands for, and the place of its last.

    Example:
        >>> [part.tolist() for part in thin(np.array([1.0, 5.0, 2.0, 3.0]), 2)]
        [[5.0, 3.0], [1, 3]]
    """
    step = -(-len(values) // most)
    starts = np.arange(0, len(values), step)
    ends = np.minimum(starts + step, len(values)) - 1
    return np.fmax.reduceat(values, starts), ends


def evidence_plot(gauge: GaugeSeen, windows: Sequence[WindowSeen]) -> Markup:
    """Draws the evidence of one gauge over the windows, and what raises an alarm.

    Args:
        gauge: With a threshold or without.
        windows: At least one, oldest first.
    """
    values, places = thin(evidence_of(gauge, windows), MOST_POINTS)
    top = max(np.nanmax(values, initial=0.0), 1.0) * 1.15
    if gauge.threshold:
        top = min(max(top, gauge.threshold * 1.25), gauge.threshold * HIGHEST)
    low = min(float(np.nanmin(values, initial=0.0)), 0.0) - 0.08 * top
    with axes_of(1.9) as (figure, axes):
        shown = np.minimum(values, top)
        axes.fill_between(places, 0, shown, color=BAND, linewidth=0)
        axes.plot(places, shown, "o-" if len(places) < 40 else "-", color=ACCENT, linewidth=1.6, markersize=3)
        if gauge.threshold:
            axes.axhline(gauge.threshold, color=TEXT, linewidth=0.9, linestyle="--")
            axes.annotate(
                f"alarm at {times(gauge.threshold)}",
                (0.0, gauge.threshold),
                (3, 2.5),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                size=8,
                color=TEXT,
            )
        names = [window.name for window in windows]
        _mark_alarm(axes, gauge, names, top)
        _name_windows(axes, names)
        axes.set(ylabel="evidence (log scale)", ylim=(low, top), xlim=(-0.4, max(len(windows) - 0.6, 0.4)))
        axes.yaxis.set_major_formatter(lambda value, _: times(value))
        last = values[~np.isnan(values)]
        end = times(last[-1]) if len(last) else "none"
        if len(last) and last[-1] > top:
            axes.annotate(
                f"{end} by now", (1.0, 0.97), (-3, 0), xycoords="axes fraction", textcoords="offset points",
                ha="right", va="top", size=8, color=TEXT,
            )  # fmt: skip
        title = f"Evidence that {gauge.name} has moved"
        at = "it raises no alarm" if gauge.threshold is None else f"an alarm is raised at {times(gauge.threshold)}"
        return as_svg(figure, title, f"{title}, over {len(windows):,} windows: {end} after the last; {at}")


def _mark_alarm(axes: object, gauge: GaugeSeen, names: Sequence[str], top: float) -> None:
    """Draws in which window the first alarm was raised, where that window is still remembered."""
    if gauge.alarm not in names:
        return
    place = names.index(gauge.alarm)
    left = place > len(names) / 2
    axes.axvline(place, color=ACCENT, linewidth=0.9, linestyle=":")  # type: ignore[attr-defined]
    axes.annotate(  # type: ignore[attr-defined]
        "first alarm",
        (place, 0.02),
        (-3 if left else 3, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="right" if left else "left",
        size=8,
        color=ACCENT,
    )


def _name_windows(axes: object, names: Sequence[str], most: int = 4) -> None:
    """Writes the names of a few windows below an axis, those at the ends among them."""
    places = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    axes.set_xticks(places, [cut(names[place], 14) for place in places], size=8)  # type: ignore[attr-defined]
    labels = axes.get_xticklabels()  # type: ignore[attr-defined]
    if len(labels) > 1:
        labels[0].set_horizontalalignment("left")
        labels[-1].set_horizontalalignment("right")


def overview_plot(gauges: Sequence[GaugeSeen], windows: Sequence[WindowSeen]) -> Markup:
    """Draws all gauges over all windows: the darker, the nearer to an alarm; a dot where the first was raised.

    Args:
        gauges: At least one, in the order of the rows; those without a threshold are left out.
        windows: At least one, oldest first.
    """
    rows = [gauge for gauge in gauges if gauge.threshold]
    names = [window.name for window in windows]
    step = -(-len(windows) // MOST_CELLS)
    with axes_of(0.55 + 0.2 * len(rows)) as (figure, axes):
        for row, gauge in enumerate(rows):
            values, _ = thin(evidence_of(gauge, windows), MOST_CELLS)
            axes.barh(row, len(windows), height=0.78, color=GRID, alpha=0.35)
            for column, value in enumerate(values):
                near = min(value / (gauge.threshold or 1.0), 1.0)
                if near > SLIGHT:  # NaN is not
                    width = min(step, len(windows) - column * step)
                    axes.barh(row, width, left=column * step, height=0.78, color=ACCENT, alpha=round(float(near), 2))
            if gauge.alarm in names:
                axes.plot(names.index(gauge.alarm) + 0.5, row, "o", color=TEXT, markersize=3.5)
        axes.set_yticks(range(len(rows)), [cut(gauge.name, 20) for gauge in rows])
        _name_windows(axes, names)
        axes.tick_params(length=0)
        axes.grid(False)
        axes.spines[["bottom", "left"]].set_visible(False)
        axes.set(xlim=(0, len(windows)), ylim=(len(rows) - 0.4, -0.6))
        raised = [f"{gauge.name} in {gauge.alarm}" for gauge in rows if gauge.alarm]
        said = f"first alarms: {'; '.join(raised)}" if raised else "none has raised an alarm"
        title = "How near each gauge is to an alarm"
        return as_svg(figure, title, f"{title}, over {len(windows):,} windows: {said}")


def shares_plot(shares: Sequence[ClassShare]) -> Markup:
    """Draws the estimated share of each class with its interval, beside its share of the test rows.

    Args:
        shares: At least one.
    """
    rows = np.arange(len(shares))
    with axes_of(0.75 + 0.24 * len(shares)) as (figure, axes):
        for row, each in zip(rows, shares, strict=True):
            axes.plot([each.low, each.high], [row, row], color=ACCENT, linewidth=2.2, solid_capstyle="butt")
        now, before = [each.value for each in shares], [each.reference for each in shares]
        axes.plot(before, rows, "D", color="none", markeredgecolor=INK, markersize=5, label="test rows")
        axes.plot(now, rows, "o", color=ACCENT, markersize=5, label="now, with its interval")
        axes.set_yticks(rows, [cut(each.name, 20) for each in shares])
        axes.tick_params(length=0)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        axes.set(xlim=(0, min(1.0, max(each.high for each in shares) * 1.15)), ylim=(len(rows) - 0.4, -0.6))
        axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, labelcolor=INK)
        listed = "; ".join(f"{each}" for each in shares[:6])
        return as_svg(figure, "Shares of the classes", f"Shares of the classes: {listed}")


def answers_plot(label: str, shares: Sequence[float], windows: Sequence[WindowSeen]) -> Markup:
    """Draws which share of the answers named one class, window by window.

    Args:
        label: The class.
        shares: One a window; NaN where nothing was answered.
        windows: Oldest first.
    """
    values, places = thin(np.asarray(shares, np.float64), MOST_POINTS)
    with axes_of(1.6) as (figure, axes):
        axes.plot(places, values, "o-" if len(places) < 40 else "-", color=BAR, linewidth=1.6, markersize=3)
        _name_windows(axes, [window.name for window in windows])
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        axes.set(ylim=(0, max(float(np.nanmax(values, initial=0.0)) * 1.2, 0.02)))
        known = values[~np.isnan(values)]
        said = f"from {known[0]:.1%} to {known[-1]:.1%}" if len(known) else "none"
        return as_svg(figure, f"Answers {label}", f"Share of answers that are {label}, by window: {said}")

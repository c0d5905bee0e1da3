"""Plots as SVG for a page: small, in the colours of the page's theme, described in words.

Colours are CSS variables, so one drawing suits light and dark pages; text stays text, in the page's font. Each plot
is about as wide as a telephone, so that its text is nowhere scaled down to be unreadable. A table with the figures
belongs beside each.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from markupsafe import Markup

INK, GRID, BAR, ACCENT, BAND, TEXT, PAPER = (f"#00000{digit}" for digit in range(1, 8))
VARIABLES = {
    INK: "var(--muted)",
    GRID: "var(--line)",
    BAR: "var(--bar)",
    ACCENT: "var(--accent)",
    BAND: "var(--band)",
    TEXT: "var(--ink)",
    PAPER: "var(--paper)",
}
"""Matplotlib knows no CSS: what it draws in these colours is replaced by the page's own."""
WIDTH = 4.6
"""In inches: 442 pixels."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "kft",  # else names within the file are drawn at random
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.parse_math": False,  # a class may be called $5-$10
}


def bar_plot(names: Sequence[str], values: Sequence[float], *, title: str) -> Markup:
    """Draws one horizontal bar a name, from top to bottom, with its count of rows.

    Args:
        names: At most some 30; longer ones are cut.
        values: Not negative, one each.
        title: What is shown, for those who cannot see it.

    Example:
        >>> "<svg" in bar_plot(["spam", "ham"], [3, 7], title="Rows of each class")
        True
    """
    with axes_of(0.5 + 0.21 * len(names)) as (figure, axes):
        places = np.arange(len(names))[::-1]
        axes.barh(places, values, color=BAR, height=0.62)
        for place, value in zip(places, values, strict=True):
            axes.annotate(f"{value:,}", (value, place), (3, -0.5), textcoords="offset points", va="center", size=8)
        axes.set_yticks(places, [cut(name) for name in names])
        axes.tick_params(length=0)
        axes.grid(False)
        axes.xaxis.set_visible(False)
        axes.spines[["bottom", "left"]].set_visible(False)
        axes.set_xlim(0, max([*values, 1]) * 1.12)
        axes.set_ylim(-0.7, len(names) - 0.3)
        listed = "; ".join(f"{name} {value:,}" for name, value in list(zip(names, values, strict=True))[:10])
        return as_svg(figure, title, f"{title}, in rows: {listed}{' ...' if len(names) > 10 else ''}")


def rank_plot(values: Sequence[float], *, title: str, x: str, y: str) -> Markup:
    """Draws many values from the largest to the smallest, where there are too many for a bar with a name each.

    Args:
        values: Not negative.
        title: What is shown.
        x: What is ranked.
        y: What is counted.
    """
    ranked = np.sort(np.asarray(values, dtype=float))[::-1]
    with axes_of(2.2) as (figure, axes):
        axes.stairs(ranked, fill=True, color=BAR)
        axes.set(xlabel=x, ylabel=y, xlim=(0, len(ranked)), ylim=(0, ranked[0] * 1.08))
        axes.grid(axis="x", visible=False)
        axes.xaxis.get_major_locator().set_params(integer=True)
        return as_svg(figure, title, f"{title}: from {ranked[0]:,.0f} down to {ranked[-1]:,.0f}")


def histogram(
    values: np.ndarray, *, title: str, x: str, mark: float | None = None, mark_name: str = "", bins: int = 30
) -> Markup:
    """Draws how often values occur; the largest half percent is added to the last bar.

    Args:
        values: ``[n]``, at least one.
        title: What is shown.
        x: What is measured, with its unit.
        mark: A limit to draw as a line.
        mark_name: What the line stands for.
        bins: How many bars at most.
    """
    values = np.asarray(values, dtype=float)
    low, high = float(values.min()), float(np.quantile(values, 0.995))
    whole = bool(np.all(values == np.round(values)))
    step = max((high - low) / bins, 1e-9)
    step = max(1.0, np.ceil(step)) if whole else step
    edges = low - (0.5 if whole else 0.0) + step * np.arange(int((high - low) / step) + 2)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1] - step / 2), edges)
    with axes_of(2.2) as (figure, axes):
        axes.stairs(counts, edges, fill=True, color=BAR)
        axes.set(xlabel=x, ylabel="rows")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.grid(axis="x", visible=False)
        if mark is not None and mark < edges[-1] * 1.5:
            axes.axvline(mark, color=ACCENT, linewidth=1.2)
            left = mark > (edges[0] + edges[-1]) / 2
            axes.annotate(
                mark_name,
                (mark, 0.97),
                (-4 if left else 4, 0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="right" if left else "left",
                va="top",
                size=8,
                color=ACCENT,
            )
        middle = np.median(values)
        return as_svg(figure, title, f"{title}: median {middle:,.4g}, from {values.min():,.4g} to {values.max():,.4g}")


@dataclass(frozen=True)
class Point:
    """A point of a curve: an amount, a value with its interval where that is known, and whether it is a forecast."""

    n: float
    value: float
    low: float | None = None
    high: float | None = None
    forecast: bool = False


def curve_plot(points: Sequence[Point], *, title: str, x: str, y: str) -> Markup:
    """Draws a quantity over the amount of data, with its interval; what is forecast is dashed.

    Args:
        points: In the order of their amounts; what was measured comes first.
        title: What is shown.
        x: What the amounts count.
        y: What is measured.
    """
    from matplotlib.ticker import MaxNLocator

    n, values = [each.n for each in points], [each.value for each in points]
    bounds = [(each.low, each.high) for each in points if each.low is not None and each.high is not None]
    known = sum(not each.forecast for each in points)
    with axes_of(2.5) as (figure, axes):
        if len(bounds) == len(points):
            axes.fill_between(n, *zip(*bounds, strict=True), color=BAND, linewidth=0)
        axes.plot(n[:known], values[:known], "o-", color=ACCENT, linewidth=1.6, markersize=3.5)
        if known < len(n):
            start = max(known - 1, 0)
            axes.plot(n[start:], values[start:], "--", color=ACCENT, linewidth=1.4)
        axes.set(xlabel=x, ylabel=y)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        return as_svg(figure, title, f"{title}: {values[0]:.3g} at {n[0]:,.0f}, {values[-1]:.3g} at {n[-1]:,.0f}")


NOISE = (
    (r"<metadata>.*?</metadata>|<!--.*?-->", ""),
    (r"<style.*?</style>", ""),  # it would hold for the whole page
    (r"\s+", " "),
    (r"> <", "><"),
)
NOISE_IN_TAGS = (
    (r' (xmlns(:xlink)?="[^"]*"|version="[^"]*"|id="[A-Za-z0-9.]+_\d+")', ""),
    (r"font-family: [^;]*; ", ""),
    (r"(\d\.\d{2})\d+", r"\1"),  # a hundredth of a point is finer than any screen
    *VARIABLES.items(),
)
"""What matplotlib writes and a page has no use for: patterns and replacements, applied in this order."""


@contextmanager
def axes_of(height: float) -> Iterator[tuple[Any, Any]]:
    """Yields a figure of the pages' width and its axes, in their style.

    Args:
        height: In inches.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        yield figure, figure.add_subplot()


def cut(name: str, most: int = 24) -> str:
    """Returns a name that fits beside an axis."""
    return name if len(name) <= most else name[: most - 1] + "…"


def as_svg(figure: Any, title: str, description: str) -> Markup:
    """Returns a figure as markup that stands in a page: nothing fetched, nothing random, the theme's colours."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = _replaced(text, NOISE)
    text = re.sub(r"<[^>]*>", lambda tag: _replaced(tag[0], NOISE_IN_TAGS), text)
    text = re.sub(r"<(g|defs)( ?/>|></\1>)", "", text)
    head = f'<svg role="img" aria-label="{escape(description)}"'
    text = text.replace("<svg", head, 1)
    return Markup(re.sub(r">", f"><title>{escape(title)}</title>", text, count=1))


def _replaced(text: str, rules: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    return text

"""The page of `kft monitor`: whether anything has moved, what, since when, what it does to the answers, what to do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from kft import runtime
from kft.characters import several
from kft.records.estimate import figure, metric_title
from kft.records.estimated import AccuracyEstimate, ClassShares
from kft.records.files import utc_now
from kft.records.monitored import GaugeSeen, Moments, MonitorResult, WindowSeen, times
from kft.report import monitor_plots as plots
from kft.report.details import Grid, make_grid
from kft.report.html import number, render, shorten
from kft.report.monitor_slices import example_rows, slice_rows
from kft.report.record import listed

KINDS = {
    "input": "what comes in",
    "vocabulary": "its words",
    "scores": "how sure it is",
    "classes": "what it answers",
    "foreign": "how foreign it is",
    "broken": "what is broken",
}
"""What a kind of gauge tells."""
AT_ONCE = 5
"""Gauges that moved and are seen at once; the others are behind a click."""
NEAR = 0.25
"""Of what raises an alarm: gauges that came so far are drawn, too."""
DRAWN = 6
"""Gauges without an alarm that are drawn at most."""
CLASSES_DRAWN = 8
"""Classes whose answers are drawn over the windows at most: those that moved most."""
SHARES_DRAWN = 24
"""With more classes, those that moved and the largest are drawn; the table has all."""


@dataclass(frozen=True)
class AlarmedGauge:
    """A gauge that raised an alarm, as the page shows it.

    Attributes:
        gauge: As it was seen.
        facts: Figures with their names.
        drawing: Its evidence over the windows.
    """

    gauge: GaugeSeen
    facts: dict[str, str]
    drawing: Markup


def render_monitor(result: MonitorResult, labels: Sequence[str] = ()) -> str:
    """Returns the whole page as HTML.

    Args:
        result: Of a monitor, over all its calls.
        labels: Of the classes, in the order of the artifact; empty where answers are none.
    """
    windows = result.windows
    alarmed = [gauge for gauge in result.gauges if gauge.alarm]
    near = [gauge for gauge in result.gauges if not gauge.alarm and gauge.strength >= NEAR][:DRAWN]
    moved = [AlarmedGauge(gauge, _gauge_facts(gauge), plots.evidence_plot(gauge, windows)) for gauge in alarmed]
    return render(
        "monitor.html.j2",
        {
            "title": f"Monitor of {result.name}",
            "result": result,
            "steps": [_step(step) for step in result.next_steps],
            "verdict": verdict(result),
            "kinds": _kinds(result.gauges),
            "facts": _facts(result),
            "moved": moved[:AT_ONCE],
            "more_moved": moved[AT_ONCE:],
            "overview": plots.overview_plot(result.gauges, windows) if windows and _watched(result) else None,
            "near": [(f"{each.name}: {each.about}", plots.evidence_plot(each, windows)) for each in near],
            "gauges": _gauges(result.gauges),
            "quality": None if result.accuracy is None else _quality(result.accuracy),
            "shares": result.shares,
            "shares_plot": _shares_plot(result.shares),
            "shares_grid": _shares_grid(result.shares),
            "answers": _answers(result, labels),
            "slices": slice_rows(result.slices),
            "examples": example_rows(result.examples),
            "windows": _windows(windows),
            "provenance": _provenance(result),
        },
    )


def verdict(result: MonitorResult) -> str:
    """Returns the page's first sentence."""
    rows = f"{several(result.rows, 'row')} over {several(len(result.windows), 'window')}"
    if not result.rows:
        return "No row has come yet."
    if not result.alarms:
        return f"Nothing speaks for a change: {rows}."
    return f"It has changed: {listed(result.alarms)} moved, in {rows}."


def _step(text: str) -> tuple[str, str]:
    """Returns what to do in words, and the command for it; either may be empty.

    Example:
        >>> _step("label what is new: kft queue a b -n 9")
        ('label what is new: ', 'kft queue a b -n 9')
    """
    words, command, rest = text.partition("kft ")
    return words, command + rest


def _watched(result: MonitorResult) -> bool:
    return any(gauge.threshold for gauge in result.gauges)


def _facts(result: MonitorResult) -> dict[str, Any]:
    return {
        "rows": result.rows,
        "windows": len(result.windows),
        "calls": result.calls,
        "alarms": len(result.alarms),
        "gauges": len(result.gauges),
    }


def _kinds(gauges: Sequence[GaugeSeen]) -> list[tuple[str, str, str]]:
    """Returns what each kind of gauge tells, the tone of its worst, and the same in words."""
    found = []
    for kind, about in KINDS.items():
        mine = [gauge for gauge in gauges if gauge.kind == kind]
        if not mine:
            continue
        alarmed = [gauge.name for gauge in mine if gauge.alarm]
        near = [gauge.name for gauge in mine if not gauge.alarm and gauge.strength >= NEAR]
        if alarmed:
            found.append((about, "error", f"has moved: {listed(alarmed)}"))
        elif not any(gauge.threshold for gauge in mine):
            found.append((about, "missing", "is shown, and raises no alarm"))
        elif near:
            found.append((about, "warning", f"may be moving: {listed(near)}"))
        else:
            found.append((about, "good", f"as it was: {several(len(mine), 'gauge')}"))
    return found


def _gauge_facts(gauge: GaugeSeen) -> dict[str, str]:
    facts = {"first alarm": gauge.alarm, "otherwise since": gauge.since}
    if gauge.threshold is not None:
        facts["evidence"] = f"{times(gauge.evidence)}, alarm at {times(gauge.threshold)}"
    if gauge.before is not None and gauge.now is not None and gauge.unit != "code":
        facts["mean"] = f"{number(gauge.now.mean)}, was {number(gauge.before.mean)} ({gauge.unit})"
    if gauge.change is not None:
        low, high = number(gauge.change.low), number(gauge.change.high)
        facts["change"] = f"{number(gauge.change.value)} [{low}, {high}]"
    return {name: value for name, value in facts.items() if value}


def _gauges(gauges: Sequence[GaugeSeen]) -> list[tuple[GaugeSeen, dict[str, str]]]:
    """Returns each gauge with its figures by their titles."""
    return [(each, {title: _mean(each, moments) for title, moments in _parts(each)} | _level(each)) for each in gauges]


def _parts(gauge: GaugeSeen) -> tuple[tuple[str, Moments | None], ...]:
    return ("test rows", gauge.before), ("since then", gauge.now)


def _mean(gauge: GaugeSeen, found: Moments | None) -> str:
    return "-" if found is None or gauge.unit == "code" else number(found.mean)


def _level(gauge: GaugeSeen) -> dict[str, str]:
    level = "-" if gauge.threshold is None else times(gauge.threshold)
    return {"evidence": times(gauge.evidence), "alarm at": level, "first alarm": gauge.alarm or "-"}


def _quality(found: AccuracyEstimate) -> dict[str, Any]:
    """Returns an estimate as the page shows it."""
    was = found.reference
    rows = [(way.name, figure(way.value)) for way in found.ways]
    if found.labels_alone is not None:
        rows.append((f"{several(found.labels, 'label')} alone", str(found.labels_alone)))
    return {
        "title": metric_title(found.metric).capitalize(),
        "found": found,
        "low": was is not None and found.high is not None and found.high < was.low and found.metric != "mae",
        "ways": make_grid("what each way says", ("way", "value"), rows) if rows else None,
    }


def _shares_plot(found: ClassShares | None) -> Markup | None:
    if found is None or not found.shares:
        return None
    shares = sorted(found.shares, key=lambda each: (not each.moved, -abs(each.value - each.reference), each.name))
    return plots.shares_plot(shares[:SHARES_DRAWN])


def _shares_grid(found: ClassShares | None) -> Grid | None:
    if found is None or len(found.shares) <= SHARES_DRAWN:
        return None
    rows = [(shorten(each.name, 80), each.reference, each.value, each.low, each.high) for each in found.shares]
    return make_grid("every class", ("", "test rows", "now", "from", "to"), rows)


def _answers(result: MonitorResult, labels: Sequence[str]) -> list[tuple[str, Markup]]:
    """Returns the answers of those classes that moved most, window by window."""
    totals = [sum(window.labels.values()) for window in result.windows]
    if sum(map(bool, totals)) < 2:
        return []
    shares = {
        label: [
            window.labels.get(str(place), 0) / total if total else math.nan
            for window, total in zip(result.windows, totals, strict=True)
        ]
        for place, label in enumerate(labels)
    }

    def spread(name: str) -> float:
        known = [value for value in shares[name] if not math.isnan(value)]
        return max(known) - min(known)

    most = sorted(shares, key=lambda name: (-spread(name), name))[:CLASSES_DRAWN]
    return [(shorten(name, 60), plots.answers_plot(shorten(name, 40), shares[name], result.windows)) for name in most]


def _windows(windows: Sequence[WindowSeen]) -> Grid:
    rows = [
        (each.name + (" (open)" if each.open else ""), each.rows, each.start, each.end, strongest(each))
        for each in reversed(windows)
    ]
    return make_grid("every window, the newest first", ("window", "rows", "from", "to", "most evidence"), rows)


def strongest(window: WindowSeen) -> str:
    """Returns the gauge with the most evidence after a window, and how much; empty where there is none."""
    if not window.evidence:
        return ""
    name = max(window.evidence, key=lambda name: window.evidence[name])
    return f"{name} {times(window.evidence[name])}"


def _provenance(result: MonitorResult) -> dict[str, str]:
    versions = ", ".join(f"{name} {version}" for name, version in runtime.versions().items())
    return {
        "model": f"{result.name}, version {result.version}",
        "looked at last": result.data,
        "written": f"{utc_now()}, with {versions}",
    }

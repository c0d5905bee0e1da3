"""The page of `kft check`: the verdict, the data at a glance, each finding with examples, and where it comes from."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from kft import runtime
from kft.audit.check import CHECKS
from kft.audit.summary import count_severities, verdict
from kft.audit.view import AuditView
from kft.data.images import FORMATS
from kft.recipe.load import Recipe
from kft.records.findings import SEVERITIES, Finding
from kft.report import plots
from kft.report.details import METRIC, Grid, figures_of, grids_of, make_grid, points_of, rows_of
from kft.report.examples import ExampleIndex, ShownExample
from kft.report.html import Thumbnails, render, shorten
from kft.split.assign import SPLITS
from kft.split.data_split import labels_of

ROWS_SHOWN, IMAGES_SHOWN, ROWS_FOLDED = 6, 12, 30
"""Rows of a finding that are seen at once, or images, and those behind a click; findings.json has all."""
BARS = 24
"""With more classes than this, their sizes are drawn without their names; the table has these."""
SIZED_IMAGES = 2000
"""Of more images than this, so many are measured."""
MEANING = {
    "error": "the measured result is wrong, or training impossible",
    "warning": "the result suffers",
    "note": "good to know",
}


Drawing = tuple[str, Markup]
"""A plot with its title."""


@dataclass(frozen=True)
class FindingRow:
    """One line of a finding's table: one example or two, and what the check says of them."""

    examples: tuple[ShownExample, ...]
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Section:
    """A finding as the page shows it.

    Attributes:
        finding: The finding.
        anchor: Where links lead.
        columns: Titles of what the check says of each row.
        shown: The worst rows.
        folded: The next ones.
        left_out: How many more findings.json has.
        grids: Tables of figures.
        figures: Single ones.
        plot: A curve, where there is one.
    """

    finding: Finding
    anchor: str
    columns: tuple[str, ...]
    shown: tuple[FindingRow, ...]
    folded: tuple[FindingRow, ...]
    left_out: int
    grids: tuple[Grid, ...]
    figures: dict[str, Any]
    plot: Markup | None


def render_audit(recipe: Recipe, view: AuditView, findings: Sequence[Finding], checks: Sequence[str]) -> str:
    """Returns the whole page as HTML.

    Args:
        recipe: Whose data were looked at.
        view: The data.
        findings: The worst first.
        checks: Names of the checks that ran.
    """
    index = ExampleIndex(view, findings, Thumbnails())
    counts = count_severities(findings)
    return render(
        "audit.html.j2",
        {
            "title": f"Audit of {recipe.name}",
            "name": recipe.name,
            "verdict": verdict(findings),
            "meaning": MEANING,
            "counts": {name: counts[name] for name in SEVERITIES},
            "sizes": {name: len(view.split.part(name)) for name in SPLITS},
            "facts": _facts(view, checks),
            "figures_drawn": _plots(view),
            "by_class": _by_class(view),
            "sections": [_section(finding, number, index) for number, finding in enumerate(findings, 1)],
            "images": view.task.reads.files,
            "checks": [(name, CHECKS.get(name).about, _found(findings, name)) for name in checks],
            "provenance": _provenance(recipe, view),
        },
    )


def _found(findings: Sequence[Finding], check: str) -> int:
    return sum(finding.check == check for finding in findings)


def _section(finding: Finding, number: int, index: ExampleIndex) -> Section:
    table = rows_of(finding, index)
    single_images = index.view.task.reads.files and all(len(ids) == 1 for ids in table.ids)
    at_once = IMAGES_SHOWN if single_images else ROWS_SHOWN
    rows = tuple(
        FindingRow(tuple(index.show(each) for each in ids), tuple(values[place] for values in table.columns.values()))
        for place, ids in enumerate(table.ids[: at_once + ROWS_FOLDED])
    )
    return Section(
        finding=finding,
        anchor=f"finding-{number}",
        columns=tuple(table.columns),
        shown=rows[:at_once],
        folded=rows[at_once:],
        left_out=len(table.ids) - len(rows),
        grids=tuple(grids_of(finding, index)),
        figures=figures_of(finding),
        plot=_curve(finding),
    )


def _curve(finding: Finding) -> Markup | None:
    points = points_of(finding)
    if not points:
        return None
    y = str(finding.details.get(METRIC, "value"))
    return plots.curve_plot(points, title="Learning curve", x="labelled rows", y=y)


def _facts(view: AuditView, checks: Sequence[str]) -> dict[str, Any]:
    facts: dict[str, Any] = {name: len(view.split.part(name)) for name in SPLITS}
    if view.split.labels:
        facts[view.task.kind.labels.noun] = len(view.split.labels)
    if view.split.rejected:
        facts["cannot be used"] = len(view.split.rejected)
    return facts | {"checks": len(checks)}


def _names(view: AuditView, split: str) -> Counter[str]:
    """Returns how often each class or label occurs in a split."""
    names = view.task.kind.labels.names
    return Counter(name for label in labels_of(view.split.part(split)) for name in names(label))


def _by_class(view: AuditView) -> Grid | None:
    if not view.split.labels:
        return None
    counts = [_names(view, name) for name in SPLITS]
    ordered = [label for label, _ in counts[0].most_common()]
    rows = [(shorten(label, 80), *(count[label] for count in counts)) for label in ordered]
    return make_grid(f"all {len(rows):,} classes", ("class", *SPLITS), rows)


def _plots(view: AuditView) -> list[Drawing]:
    found = [_answers(view)]
    if view.task.reads.files:
        found.append(_histogram("Size of images", _image_sizes(view), "pixels, the shorter side"))
    else:
        found.append(_lengths(view))
    return [each for each in found if each is not None]


def _histogram(title: str, values: np.ndarray, x: str, **mark: Any) -> Drawing | None:
    """Draws values, unless all are the same: there is nothing to see then."""
    if values.min() == values.max():
        return None
    return title, plots.histogram(values, title=title, x=x, **mark)


def _answers(view: AuditView) -> Drawing | None:
    if view.split.corpus is not None:
        lengths = np.array([len(text) for text in view.split.corpus.texts])
        return _histogram("Length of documents", lengths, "characters")
    if view.task.kind.writes or view.task.kind.masks:
        lengths = np.array([len(text) for text in labels_of(view.known)])
        return _histogram(f"Length of {view.task.kind.labels.noun}", lengths, "characters")
    if not view.split.labels:
        numbers = np.array([float(value) for value in labels_of(view.known)])
        return _histogram("The numbers to be answered", numbers, "number")
    ordered = _names(view, "train").most_common()
    names, values = [shorten(label, 60) for label, _ in ordered], [count for _, count in ordered]
    title = "Rows of each class, train"
    if len(ordered) <= BARS:
        return title, plots.bar_plot(names, values, title=title)
    return title, plots.rank_plot(values, title=title, x="class, from the largest to the smallest", y="rows")


def _lengths(view: AuditView) -> Drawing | None:
    if view.tokens:
        values = np.concatenate([view.tokens[name] for name in SPLITS])
        limit = view.spec.model.max_tokens
        return _histogram("Length of texts", values, "tokens", mark=limit, mark_name=f"cut at {limit}")
    texts = (given if isinstance(given, str) else " ".join(given) for given in view.all.inputs)
    return _histogram("Length of texts", np.array([len(text.split()) for text in texts]), "words")


def _image_sizes(view: AuditView) -> np.ndarray:
    """Returns the shorter side of images, of at most so many, spread over all."""
    from PIL import Image

    sides = []
    for path in view.all.inputs[:: -(-len(view.all) // SIZED_IMAGES)]:
        with Image.open(path, formats=FORMATS) as image:  # the header alone is read
            sides.append(min(image.size))
    return np.array(sides)


def _provenance(recipe: Recipe, view: AuditView) -> dict[str, str]:
    versions = runtime.versions()
    return {
        "recipe": str(recipe.path or recipe.name),
        "data": f"{recipe.spec.data.train}; {view.split.how}",
        "backbone": recipe.spec.model.backbone if view.features is not None else "none: without features",
        "split hash": view.split.split_hash,
        "data hash": view.split.data_hash,
        "seed": str(recipe.spec.seed),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }

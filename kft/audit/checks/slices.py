"""Slices (``data.slices``, ``data.sensitive``) that are too thin to tell anything, or differ in their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from kft.audit.check import Check
from kft.audit.several_looks import difference_of_shares, holm, two_sided_p
from kft.audit.texts import counted, listed
from kft.audit.view import AuditView
from kft.records.findings import Finding

FEW_TO_LEARN, FEW_TO_MEASURE = 10, 30
"""Rows of a slice in train, and in test: with 30 rows an accuracy's 95 % interval is some 0.3 wide."""
FEWEST_EXPECTED = 5.0
"""Rows of a class that chance alone would put into a slice, below which their share is not tested (Cochran, 1954)."""
STRONG = 0.2
"""Difference of a class's share inside a slice and outside."""


def check_slices(view: AuditView) -> Iterable[Finding]:
    """Looks at every value of the columns that the recipe names."""
    named = view.spec.data
    for column in dict.fromkeys((*named.slices, *named.sensitive)):
        parts = {name: view.split.part(name).columns[column] for name in ("train", "test")}
        yield from judge_thin(column, parts["train"], parts["test"], sensitive=column in named.sensitive)
    if view.classes is not None and view.known.columns:
        yield from judge_labels(view.known.columns, view.classes, view.known.groups)


def judge_thin(column: str, train: np.ndarray, test: np.ndarray, *, sensitive: bool = False) -> Iterable[Finding]:
    """Judges whether each value of a column has rows enough.

    Example:
        >>> train, test = np.array(["a"] * 80 + ["b"] * 40), np.array(["a"] * 30 + ["b"] * 12)
        >>> [finding.message for finding in judge_thin("region", train, test)]
        ["1 of 2 values of 'region' (50 %) has fewer than 10 rows in train or 30 in test: b (40 and 12)."]
    """
    rows = {"train": Counter(map(str, train)), "test": Counter(map(str, test))}
    values = sorted(rows["train"] | rows["test"])
    thin = [v for v in values if rows["train"][v] < FEW_TO_LEARN or rows["test"][v] < FEW_TO_MEASURE]
    if not thin:
        return
    thin.sort(key=lambda value: (rows["test"][value], rows["train"][value]))
    each = listed([f"{value or '(empty)'} ({rows['train'][value]:,} and {rows['test'][value]:,})" for value in thin])
    yield Finding(
        "slices",
        "warning" if sensitive else "note",
        f"{counted(len(thin), len(values), f'values of {column!r}', 'have fewer')} than {FEW_TO_LEARN} rows in train "
        f"or {FEW_TO_MEASURE} in test: {each}.",
        "Add labelled rows of them, or join values: figures for so few are mostly chance.",
        len(thin) / len(values),
        details={"column": column, "values": {v: {key: rows[key][v] for key in rows} for v in thin}},
    )


def judge_labels(
    columns: Mapping[str, np.ndarray], classes: np.ndarray, groups: np.ndarray | None
) -> Iterable[Finding]:
    """Judges whether a class is far more or less frequent within a slice; corrected for all the looks together.

    Args:
        columns: Name to ``str[n]``.
        classes: ``str[n]``.
        groups: ``str[n]`` of rows that hang together, or None.
    """
    looks: list[tuple[str, str, str, float, float]] = []
    for column, cells in columns.items():
        cells = cells.astype(str)
        for value in np.unique(cells):
            inside = cells == value
            if inside.all() or inside.sum() < 2 * FEWEST_EXPECTED:
                continue
            for name in np.unique(classes):
                of_class = classes == name
                expected = inside.sum() * of_class.mean()
                if min(expected, inside.sum() - expected) < FEWEST_EXPECTED:
                    continue
                gap, error = difference_of_shares(of_class, inside, groups)
                looks.append((column, str(value), str(name), gap, two_sided_p(gap / error)))
    sure = [
        (*look, p) for look, p in zip(looks, holm([look[4] for look in looks]), strict=True)
        if p < 0.05 and abs(look[3]) >= STRONG
    ]  # fmt: skip
    for column in columns:
        found = sorted((look for look in sure if look[0] == column), key=lambda look: -abs(look[3]))
        if found:
            each = listed(
                [f"{name} {gap * 100:+.0f} points where {column} is {value}" for _, value, name, gap, *_ in found], 3
            )
            yield Finding(
                "slices",
                "warning",
                f"Labels depend on {column!r}: {each}.",
                f"Find out why; if it is how the rows were collected, balance {column} within each class, "
                "or the model learns the slice instead.",
                min(1.0, abs(found[0][3])),
                details={
                    "column": column,
                    "gaps": [
                        {"value": value, "class": name, "difference": round(gap, 4), "p": p}
                        for _, value, name, gap, _, p in found
                    ],
                },
            )


CHECK = Check("slices", "thin slices, and slices with other labels", check_slices, rank=140)

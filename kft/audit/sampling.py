"""Looking at a sample where all rows would take too long, and saying so wherever it was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from kft.audit.view import AuditView
from kft.records.findings import Finding
from kft.split.assign import SPLITS
from kft.split.near import Copies

NAME = "sample"
SAMPLE_ROWS = 100_000
"""Rows beyond which the checks that take long for each row look at so many, drawn at random."""
SEED = 20_251
LOOKED_AT = "looked_at"
"""The key of a finding's details that says how many rows it rests on, where not on all."""


def draw(view: AuditView, most: int) -> AuditView:
    """Returns a view of so many rows, drawn at random, of each split its share; the view itself where it has no more.

    The same data give the same rows, whatever the recipe's seed.
    """
    sizes = {name: len(view.split.part(name)) for name in SPLITS}
    total = sum(sizes.values())
    if total <= most:
        return view
    rng = np.random.Generator(np.random.PCG64(SEED))
    rows = {
        name: np.sort(rng.choice(size, -(-most * size // total), replace=False, shuffle=False))
        for name, size in sizes.items()
    }
    train, valid, test = (view.split.part(name).take(rows[name]) for name in SPLITS)
    known = np.concatenate([rows["train"], sizes["train"] + rows["valid"]])
    return replace(
        view,
        split=replace(view.split, train=train, valid=valid, test=test, copies=None, known_copies=None),
        tokens={name: tokens[rows[name]] for name, tokens in view.tokens.items()},
        offsets={name: [places[row] for row in rows[name]] for name, places in view.offsets.items()},
        features=None if view.features is None else {name: each[rows[name]] for name, each in view.features.items()},
        out_of_fold=None if view.out_of_fold is None else view.out_of_fold[known],
    )


def marked(finding: Finding, looked_at: int, rows: int) -> Finding:
    """Returns a finding that says how many rows it rests on; as it is where these are all.

    Args:
        finding: Its details may name fewer rows than the check was given.
        looked_at: The rows that the check was given.
        rows: All rows.

    Example:
        >>> marked(Finding("language", "note", "Two.", "Look.", 0.1), 100, 400).message
        'Two. Looked at 100 of 400 rows, drawn at random.'
    """
    looked_at = finding.details.get(LOOKED_AT, looked_at)
    if looked_at >= rows:
        return finding
    return replace(
        finding,
        message=f"{finding.message} Looked at {looked_at:,} of {rows:,} rows, drawn at random.",
        details={**finding.details, LOOKED_AT: looked_at, "of": rows},
    )


def with_reach(finding: Finding, copies: Copies) -> Finding:
    """Returns a finding on copies that says among how many texts near ones were looked for; as it is where among all.

    Example:
        >>> from kft.split.near import as_pairs
        >>> copies = Copies(as_pairs([]), np.arange(9), searched=4, neighbours=8)
        >>> with_reach(Finding("leakage", "note", "Two.", "Look.", 0.1), copies).message
        'Two. Near ones were looked for among 4 of 9 different texts.'
    """
    if copies.searched == copies.different:
        return finding
    said = f"Near ones were looked for among {copies.searched:,} of {copies.different:,} different texts."
    return replace(finding, message=f"{finding.message} {said}")


def tell_samples(looks: Mapping[str, int], rows: int) -> list[Finding]:
    """Returns what says which checks looked at a sample, whether they found something or not.

    Args:
        looks: Check, or a part of one, to the rows it looked at.
        rows: All rows.

    Example:
        >>> tell_samples({"language": 100, "lengths": 400}, 400)[0].message
        'A sample of the 400 rows was looked at, drawn at random: 100 for language.'
    """
    fewer = {name: looked for name, looked in looks.items() if looked < rows}
    if not fewer:
        return []
    names: dict[int, list[str]] = {}
    for name, looked in fewer.items():
        names.setdefault(looked, []).append(name)
    said = "; ".join(f"{looked:,} for {', '.join(found)}" for looked, found in names.items())
    return [
        Finding(
            NAME,
            "note",
            f"A sample of the {rows:,} rows was looked at, drawn at random: {said}.",
            "What is rare may be missed, and not every row is listed; kft check of a part of the table sees all of it.",
            1 - min(fewer.values()) / rows,
            details={"kind": "rows", LOOKED_AT: fewer, "of": rows},
        )
    ]


def tell_reach(copies: Copies) -> list[Finding]:
    """Returns what says that near-copies were not looked for everywhere; copies to the letter always are."""
    if not copies.reach:
        return []
    share = copies.searched / copies.different
    found = len(copies.pairs.first) - (len(copies.first) - copies.different)
    stand = "" if share == 1 else f"; the {found:,} pairs found stand for about {found / share**2:,.0f}"
    return [
        Finding(
            NAME,
            "note",
            f"Near-copies: {copies.reach}{stand}. The same texts are found, and kept on one side, among all rows.",
            "Where near-copies matter, name what belongs together (data.group), or take near-copies out beforehand.",
            1 - share,
            details={
                "kind": "near-copies",
                "searched": copies.searched,
                "of": copies.different,
                "neighbours": copies.neighbours,
                "compared": copies.compared,
                "found": found,
            },
        )
    ]

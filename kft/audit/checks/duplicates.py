"""Copies and near-copies within one split: they count several times, and say how many rows there really are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kft.audit.check import Check
from kft.audit.texts import counted, kinds_of_copies
from kft.audit.view import AuditView
from kft.records.findings import Finding, Severity
from kft.split.assign import SPLITS
from kft.split.near import Pairs, groups_of

SHARE_WARNED = 0.05
"""Of a split's rows that could go without a text or photo being lost."""
MOST_LISTED = 100_000
"""Pairs; of more, each row is listed once, with the one that it resembles most."""


def check_duplicates(view: AuditView) -> Iterable[Finding]:
    """Looks for copies within train, within valid and within test."""
    yield from find_duplicates(view.all.ids, view.split_of, view.copies.pairs)


def find_duplicates(ids: np.ndarray, split_of: np.ndarray, copies: Pairs) -> Iterable[Finding]:
    """Finds rows that are copies or near-copies of another row of their own split.

    Args:
        ids: ``str[n]``.
        split_of: ``str[n]``: ``train``, ``valid`` or ``test``.
        copies: Its pairs, from ``find_copies``.

    Example:
        >>> from kft.split.near_text import near_texts
        >>> copies = near_texts(["Where is my card?", "Hello", "where is my card"])
        >>> (found,) = find_duplicates(np.array(["a", "b", "c"]), np.array(["train"] * 3), copies)
        >>> found.message
        '1 of 3 rows of train (33.3 %) is an exact copy of another row.'
    """
    rows = np.arange(len(ids))
    for name in SPLITS:
        own = split_of == name
        inside = own[copies.first] & own[copies.second]
        pairs = Pairs(*(column[inside] for column in copies))
        group = groups_of(pairs, len(ids))
        same = groups_of(Pairs(*(column[pairs.similarity == 1] for column in pairs)), len(ids))
        spare, exact = int((group != rows).sum()), int((same != rows).sum())
        if not spare:
            continue
        share = spare / int(own.sum())
        severity: Severity = "warning" if share >= SHARE_WARNED else "note"
        shown = np.lexsort((pairs.second, -pairs.similarity))
        if len(shown) > MOST_LISTED:
            shown = shown[np.sort(np.unique(pairs.second[shown], return_index=True)[1])]
        yield Finding(
            "duplicates",
            severity,
            counted(
                spare, int(own.sum()), f"rows of {name}", f"are {kinds_of_copies(exact, spare - exact)} of another row."
            ),
            f"Keep one of each, unless they are meant to count several times: {name} has fewer different examples "
            "than rows.",
            share,
            tuple(str(ids[row]) for row in pairs.second[shown]),
            {
                "split": name,
                "copy_of": [str(ids[row]) for row in pairs.first[shown]],
                "similarity": pairs.similarity[shown].round(3).tolist(),
            },
        )


CHECK = Check(
    "duplicates", "copies and near-copies within a split", check_duplicates, quick=False, rank=50, reads_copies=True
)

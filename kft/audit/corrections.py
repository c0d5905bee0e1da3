"""From findings to a table of corrections: what could be done with each suspect row, for a person to decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kft.audit.finding import Finding
from kft.data.corrections import Action, Correction

SURE_ODDS = 20.0
"""How many times more probable than the given label a suggested one is, from which on it is proposed; below, the row is
listed as undecided."""

Proposal = tuple[Action, str]
"""An action and a label."""


def _label_noise(finding: Finding, place: int) -> Proposal:
    odds = finding.details.get("odds")
    sure = odds is not None and odds[place] >= SURE_ODDS
    return ("relabel" if sure else "keep"), str(finding.details["suggested"][place])


def _duplicate(finding: Finding, place: int) -> Proposal:
    return ("drop" if finding.details["similarity"][place] == 1 else "keep"), ""


def _conflict(finding: Finding, place: int) -> Proposal:
    return "keep", str(finding.details["other_label"][place])


def _by_kind(*dropped: str) -> Callable[[Finding, int], Proposal | None]:
    def propose_one(finding: Finding, place: int) -> Proposal | None:
        return ("drop", "") if finding.details.get("kind") in dropped else None

    return propose_one


def _always(action: Action) -> Callable[[Finding, int], Proposal]:
    return lambda finding, place: (action, "")


PROPOSALS: dict[str, Callable[[Finding, int], Proposal | None]] = {
    "label-noise": _label_noise,
    "duplicates": _duplicate,
    "leakage": _always("drop"),
    "conflicting-labels": _conflict,
    "unusable-rows": _always("drop"),
    "outliers": _always("keep"),
    "language": _always("keep"),
    "lengths": _by_kind("empty"),
    "image-quality": _by_kind("flat"),
}
"""Check to what it proposes for a row; None, and checks that are not named, propose nothing: what they find is not
mended row by row."""


def propose(findings: Iterable[Finding]) -> list[Correction]:
    """Returns one proposal for each suspect row, in the order of the findings.

    Where two checks name a row, dropping it goes before another label, and that before leaving it alone; the reasons
    are joined.

    Example:
        >>> details = {"similarity": [1.0, 0.93]}
        >>> found = Finding("duplicates", "warning", "2 copies.", "Keep one.", 0.1, ("a:4", "a:9"), details)
        >>> [(row.id, row.action) for row in propose([found])]
        [('a:4', 'drop'), ('a:9', 'keep')]
    """
    rows: dict[str, Correction] = {}
    for finding in findings:
        proposed = PROPOSALS.get(finding.check)
        for place, identifier in enumerate(finding.rows if proposed else ()):
            proposal = proposed(finding, place) if proposed else None
            if proposal is not None:
                new = Correction(identifier, *proposal, reason=finding.message, check=finding.check)
                rows[identifier] = _joined(rows[identifier], new) if identifier in rows else new
    return list(rows.values())


def _joined(one: Correction, other: Correction) -> Correction:
    strength = ("keep", "relabel", "drop")
    first, second = (one, other) if strength.index(one.action) >= strength.index(other.action) else (other, one)
    return Correction(
        first.id,
        first.action,
        first.label if first.action != "keep" else first.label or second.label,
        " ".join(dict.fromkeys((first.reason, second.reason))),
        ", ".join(dict.fromkeys((*first.check.split(", "), *second.check.split(", ")))),
    )

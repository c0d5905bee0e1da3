"""From findings to a table of corrections: what could be done with each suspect row, for a person to decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from kft.curate.corrections import SPELLING, Action, Correction
from kft.records.findings import Finding

Proposal = tuple[Action, str, str]
"""An action, a label and the reason."""


def _label_noise(finding: Finding, place: int) -> Proposal:
    suggested, odds = str(finding.details["suggested"][place]), finding.details["odds"][place]
    # Only a person can tell: a row that looks wrong is not relabelled because nobody looked at it.
    return "keep", suggested, f"{suggested!r} is {odds:,.0f} times as probable"


def _spelling(finding: Finding, place: int) -> Proposal | None:
    if not finding.details.get("suggested"):
        return None  # spans are mended in the data
    suggested = str(finding.details["suggested"][place])
    return "relabel", suggested, f"most rows spell it {suggested!r}"


def _duplicate(finding: Finding, place: int) -> Proposal:
    alike = finding.details["similarity"][place]
    return ("drop" if alike == 1 else "keep"), "", f"copy of {finding.details['copy_of'][place]}, similarity {alike}"


def _conflict(finding: Finding, place: int) -> Proposal:
    other = str(finding.details["other_label"][place])
    return "keep", other, f"its copy {finding.details['other'][place]} says {other!r}"


def _by_kind(*dropped: str) -> Callable[[Finding, int], Proposal | None]:
    def propose_one(finding: Finding, place: int) -> Proposal | None:
        return ("drop", "", finding.message) if finding.details.get("kind") in dropped else None

    return propose_one


def _leak(finding: Finding, place: int) -> Proposal:
    return "drop", "", f"copy of {finding.details['copy_of'][place]}, in another split"


def _unusable(finding: Finding, place: int) -> Proposal:
    return "drop", "", str(finding.details["reasons"][place])


def _undecided(finding: Finding, place: int) -> Proposal:
    return "keep", "", finding.message


PROPOSALS: dict[str, Callable[[Finding, int], Proposal | None]] = {
    "label-noise": _label_noise,
    SPELLING: _spelling,
    "duplicates": _duplicate,
    "leakage": _leak,
    "conflicting-labels": _conflict,
    "unusable-rows": _unusable,
    "outliers": _undecided,
    "language": _undecided,
    "lengths": _by_kind("empty"),
    "image-quality": _by_kind("flat"),
}
"""Check to what it proposes for a row; None, and checks that are not named, propose nothing: what they find is not
mended row by row."""


def propose(findings: Iterable[Finding]) -> list[Correction]:
    """Returns one proposal for each suspect row, in the order of the findings.

    Where two checks name a row, dropping it goes before another label, and that before leaving it alone; the reasons
    are joined. Copies with different labels are all undecided: to drop one would be to choose a label. One spelling
    of a label is proposed all the same.

    Example:
        >>> details = {"similarity": [1.0, 0.93], "copy_of": ["a:1", "a:2"]}
        >>> found = Finding("duplicates", "warning", "2 copies.", "Keep one.", 0.1, ("a:4", "a:9"), details)
        >>> [(row.id, row.action, row.reason) for row in propose([found])]
        [('a:4', 'drop', 'copy of a:1, similarity 1.0'), ('a:9', 'keep', 'copy of a:2, similarity 0.93')]
    """
    rows: dict[str, Correction] = {}
    spellings: dict[str, Correction] = {}
    disputed: set[str] = set()
    for finding in findings:
        proposed = PROPOSALS.get(finding.check)
        for place, identifier in enumerate(finding.rows if proposed else ()):
            proposal = proposed(finding, place) if proposed else None
            if proposal is not None:
                new = Correction(identifier, *proposal, check=finding.check)
                if finding.check == SPELLING:
                    spellings[identifier] = new
                rows[identifier] = _joined(rows[identifier], new) if identifier in rows else new
        if finding.check == "conflicting-labels":
            disputed |= {*finding.rows, *finding.details["other"]}
            for identifier, other in zip(finding.details["other"], finding.rows, strict=True):
                reason = f"its copy {other} says otherwise"
                rows.setdefault(identifier, Correction(identifier, "keep", reason=reason, check=finding.check))
    return [_undisputed(row, spellings.get(row.id)) if row.id in disputed else row for row in rows.values()]


def _undisputed(row: Correction, spelling: Correction | None) -> Correction:
    """A row whose copy has another label: not dropped, but spelled as others are."""
    if row.action != "drop":
        return row
    return replace(row, action="keep") if spelling is None else replace(row, action="relabel", label=spelling.label)


def _joined(one: Correction, other: Correction) -> Correction:
    strength = ("keep", "relabel", "drop")
    first, second = (one, other) if strength.index(one.action) >= strength.index(other.action) else (other, one)
    return Correction(
        first.id,
        first.action,
        first.label if first.action != "keep" else first.label or second.label,
        "; ".join(dict.fromkeys((first.reason, second.reason))),
        ", ".join(dict.fromkeys((*first.check.split(", "), *second.check.split(", ")))),
    )

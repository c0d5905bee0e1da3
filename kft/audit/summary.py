"""All findings together: how many of each severity, what they come to in words."""

from __future__ import annotations

from collections.abc import Sequence

from kft.records.findings import SEVERITIES, Finding, Findings
from kft.records.receipt import Counts
from kft.split.assign import SPLITS
from kft.split.data_split import DataSplit


def count_severities(findings: Sequence[Finding]) -> dict[str, int]:
    """Returns how many findings there are of each severity.

    Example:
        >>> count_severities([Finding("size", "note", "Small.", "add rows", 0.1)])
        {'error': 0, 'warning': 0, 'note': 1}
    """
    return {name: sum(finding.severity == name for finding in findings) for name in SEVERITIES}


def in_numbers(findings: Sequence[Finding]) -> str:
    """Returns the counts as people write them.

    Example:
        >>> in_numbers([Finding("size", "note", "Small.", "add rows", 0.1)])
        'no errors, no warnings, 1 note'
    """
    counts = count_severities(findings).items()
    return ", ".join(f"{count or 'no'} {name}{'' if count == 1 else 's'}" for name, count in counts)


def verdict(findings: Sequence[Finding]) -> str:
    """Returns one sentence that says what the findings mean for the result.

    Example:
        >>> verdict([Finding("size", "warning", "Small.", "add rows", 0.1)])
        'Nothing makes the measured result wrong; 1 warning may lower it.'
    """
    errors, warnings, _ = count_severities(findings).values()
    if not errors and not warnings:
        return "Nothing was found that would spoil the result."
    lower = f"{warnings} {'warning' if warnings == 1 else 'warnings'} may lower it"
    if not errors:
        return f"Nothing makes the measured result wrong; {lower}."
    wrong = f"{errors} {'error makes' if errors == 1 else 'errors make'} the measured result wrong"
    return f"{wrong}, {lower}." if warnings else f"{wrong}."


def all_findings(split: DataSplit, findings: Sequence[Finding], *, features: bool = False) -> Findings:
    """Returns the content of findings.json; see ``Findings``."""
    return Findings(
        split_hash=split.split_hash,
        data_hash=split.data_hash,
        n=Counts(*(len(split.part(name)) for name in SPLITS)),
        counts=count_severities(findings),
        findings=tuple(findings),
        features=features,
    )

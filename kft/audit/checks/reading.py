"""What was guessed in reading the data: spellings of paths, forms of labels, what the files do not say themselves."""

from __future__ import annotations

from collections.abc import Iterable

from kft.audit.check import Check
from kft.audit.view import AuditView
from kft.records.findings import Finding


def check_reading(view: AuditView) -> Iterable[Finding]:
    """Names each guess: what is guessed wrong makes other data, and nothing else would tell."""
    for note in view.split.notes:
        advice = "Check that this is what is meant; what the data say themselves need not be guessed."
        yield Finding("reading", "note", f"{note[0].upper()}{note[1:]}.", advice, 0.0)


CHECK = Check("reading", "what was guessed in reading the data", check_reading, rank=35)

"""edge_cases.json: how a suite of edge cases went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kft.notebook import Line, Piece, ShownTable, shows
from kft.records.estimate import Estimate
from kft.records.fields import absent, rounded, unwritten
from kft.records.paired import PairedResult


@dataclass(frozen=True)
class Outcome:
    """One case and how it went.

    Attributes:
        case: Its id.
        input: The input, as a table shows it.
        changed: The changed text, or what was done to an image; None where nothing was changed.
        expected: In words.
        received: In words.
        confidence: Of the answer that is judged; None where such an answer has none.
        passed: Whether the answer is as expected; the file lists those that are not.
    """

    case: str
    input: str
    changed: str | None
    expected: str
    received: str
    confidence: float | None = rounded(4)
    passed: bool = unwritten(False)


@dataclass(frozen=True)
class EdgeCheckResult:
    """How one check went.

    Attributes:
        name: The check's.
        kind: ``must_pass``, ``invariance`` or ``directional``.
        about: What it tests.
        n: Its cases.
        passed: How many of them pass.
        pass_rate: The share; in the interval, cases of one input count as one.
        at_least: What was needed; None where the file does not say.
        holds: Whether enough cases pass; likewise.
        left_out: How often a change found nothing to change.
        failures: The surest wrong answers, 20 at most.
        agreement: Of invariance, where an answer is not one class of many: the task's first metric of the answers after
            the change, with those before it as what is right; of queries, with the documents that the suite names.
        agreement_metric: Which metric that is.
        agreement_with: What those answers are held against, in words.
    """

    name: str
    kind: str
    about: str
    n: int
    passed: int
    pass_rate: Estimate
    at_least: float | None = None
    holds: bool | None = None
    left_out: int = 0
    failures: tuple[Outcome, ...] | None = absent()
    agreement: Estimate | None = absent()
    agreement_metric: str = absent("")
    agreement_with: str = absent("")


@shows
@dataclass(frozen=True)
class EdgeCaseResult:
    """How a whole suite went.

    Attributes:
        suite: The file.
        suite_hash: sha256 over what decides whether a case passes.
        n: All cases.
        passed: How many of them pass.
        pass_rate: Of all cases; in the interval, cases of one input count as one.
        checks: In the order of the suite.
        cases: Whether each passes, by its id.
        checkpoint: Hash of the weights that answered.
        against: The same cases by another run, where one was asked for.
        outcomes: Every case by its id, where the suite has just been run.
    """

    suite: str
    suite_hash: str
    n: int
    passed: int
    pass_rate: Estimate
    checks: tuple[EdgeCheckResult, ...]
    cases: Mapping[str, bool] | None = absent()
    checkpoint: str | None = absent()
    against: PairedResult | None = absent()
    outcomes: Mapping[str, Outcome] | None = unwritten()

    @property
    def failed(self) -> tuple[EdgeCheckResult, ...]:
        return tuple(check for check in self.checks if not check.holds)

    def gate_values(self) -> dict[str, float]:
        """Returns what a gate can ask for: the pass rate of all cases, and of each check."""
        rates = {f"edge_cases.{check.name}": check.pass_rate.value for check in self.checks}
        return {"edge_cases.pass_rate": self.pass_rate.value, **rates}

    def shown(self) -> Iterator[Piece]:
        rows = [
            (
                check.name,
                f"{check.passed} of {check.n}",
                check.pass_rate,
                f"{check.at_least or 0:g}",
                "holds" if check.holds else "short",
            )
            for check in self.checks
        ]
        yield Line(f"{self.suite}, {self.pass_rate} of the cases pass")
        yield ShownTable(("check", "passed", "pass rate", "at least", ""), rows)

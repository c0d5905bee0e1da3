"""Runs a suite of edge cases on a model: which cases pass, check by check, and what has changed since another run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft import notebook
from kft.data.examples import Columns, Input
from kft.evaluate.paired import PairedResult, compare_answers
from kft.metrics.intervals import Estimate, share_interval
from kft.suites.cases import Case, expand, shown
from kft.suites.suite import CheckSpec, Suite
from kft.suites.suite_fit import require_fit
from kft.tasks.classes import Prediction

if TYPE_CHECKING:
    from kft.answer.artifact import Artifact

ABSTAINS = "(abstains)"
MOST_FAILURES = 20


@dataclass(frozen=True)
class Outcome:
    """One case and how it went.

    Attributes:
        case: Its id.
        passed: Whether the answer is as expected.
        input: The input, as a table shows it.
        changed: The changed text, or what was done to an image; None where nothing was changed.
        expected: In words.
        received: In words.
        confidence: Of the answer that is judged.
    """

    case: str
    passed: bool
    input: str
    changed: str | None
    expected: str
    received: str
    confidence: float

    def as_dict(self) -> dict[str, Any]:
        """Returns the form of a failure in edge_cases.json."""
        return {
            "case": self.case,
            "input": self.input,
            "changed": self.changed,
            "expected": self.expected,
            "received": self.received,
            "confidence": round(self.confidence, 4),
        }


@dataclass(frozen=True)
class EdgeCheckResult:
    """How one check went.

    Attributes:
        name: The check's.
        kind: ``must_pass``, ``invariance`` or ``directional``.
        about: What it tests.
        pass_rate: Share of its cases that pass; in the interval, cases of one input count as one.
        at_least: What was needed.
        outcomes: One a case.
        left_out: How often a change found nothing to change.
    """

    name: str
    kind: str
    about: str
    pass_rate: Estimate
    at_least: float
    outcomes: tuple[Outcome, ...]
    left_out: int = 0

    @property
    def passed(self) -> int:
        """How many cases pass."""
        return sum(outcome.passed for outcome in self.outcomes)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The cases that do not pass, the surest wrong answers first."""
        failed = (outcome for outcome in self.outcomes if not outcome.passed)
        return tuple(sorted(failed, key=lambda outcome: -outcome.confidence))

    @property
    def holds(self) -> bool:
        """Whether enough cases pass."""
        return self.pass_rate.value >= self.at_least

    def summary(self) -> dict[str, Any]:
        """Returns its part of metrics.json."""
        return {
            "name": self.name,
            "kind": self.kind,
            "about": self.about,
            "n": len(self.outcomes),
            "passed": self.passed,
            "pass_rate": self.pass_rate.as_dict(),
            "at_least": self.at_least,
            "holds": self.holds,
            "left_out": self.left_out,
        }


@dataclass(frozen=True)
class EdgeCaseResult:
    """How a whole suite went.

    Attributes:
        suite: The file.
        suite_hash: sha256 over what decides whether a case passes.
        pass_rate: Of all cases; in the interval, cases of one input count as one.
        checks: In the order of the suite.
        checkpoint: Hash of the weights that answered.
        against: The same cases by another run, where one was asked for.
    """

    suite: str
    suite_hash: str
    pass_rate: Estimate
    checks: tuple[EdgeCheckResult, ...]
    checkpoint: str = ""
    against: PairedResult | None = None

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Every case by its id."""
        return {outcome.case: outcome for check in self.checks for outcome in check.outcomes}

    @property
    def failed(self) -> tuple[EdgeCheckResult, ...]:
        """The checks that say no."""
        return tuple(check for check in self.checks if not check.holds)

    def gate_values(self) -> dict[str, float]:
        """Returns what a gate can ask for: the pass rate of all cases, and of each check."""
        rates = {f"edge_cases.{check.name}": check.pass_rate.value for check in self.checks}
        return {"edge_cases.pass_rate": self.pass_rate.value, **rates}

    def summary(self) -> dict[str, Any]:
        """Returns the part ``edge_cases`` of metrics.json: without single cases."""
        return {
            "suite": self.suite,
            "suite_hash": self.suite_hash,
            "n": len(self.outcomes),
            "passed": sum(outcome.passed for outcome in self.outcomes.values()),
            "pass_rate": self.pass_rate.as_dict(),
            "checks": [check.summary() for check in self.checks],
        }

    def as_dict(self) -> dict[str, Any]:
        """Returns the content of edge_cases.json; and ``against``, where another run was compared with."""
        checks = [
            {**check.summary(), "failures": [outcome.as_dict() for outcome in check.failures[:MOST_FAILURES]]}
            for check in self.checks
        ]
        cases = {name: outcome.passed for name, outcome in self.outcomes.items()}
        values = {**self.summary(), "checks": checks, "cases": cases, "checkpoint": self.checkpoint}
        return values | ({"against": self.against.as_dict()} if self.against else {})

    def _repr_html_(self) -> str:
        rows = [
            (
                check.name,
                f"{check.passed} of {len(check.outcomes)}",
                check.pass_rate,
                f"{check.at_least:g}",
                "holds" if check.holds else "short",
            )
            for check in self.checks
        ]
        return notebook.paragraph(f"{self.suite}, {self.pass_rate} of the cases pass") + notebook.table(
            ("check", "passed", "pass rate", "at least", ""), rows
        )


def run_suite(suite: Suite, artifact: Artifact, columns: Columns) -> EdgeCaseResult:
    """Answers every case of a suite and judges the answers.

    Where several processes share the work, all of them call it together.

    Args:
        suite: The suite.
        artifact: Is judged; its recipe cleans inputs as those that the model learned from.
        columns: Those the model was trained on.

    Raises:
        SuiteError: It does not fit the model, or a check tests nothing.
        DataError: A table of the suite cannot be read.
    """
    task = artifact.reader.task
    require_fit(suite, task, artifact.space.labels)
    with tempfile.TemporaryDirectory(prefix="kft-edge-cases-") as folder:
        found = expand(suite, task, artifact.spec.data, columns, Path(folder))
        given = [one for case in found.cases for one in (case.given, case.changed) if one is not None]
        inputs: list[Input] = list(dict.fromkeys(given))
        answers = dict(zip(inputs, artifact.predict(inputs), strict=True))
    base = suite.path.parent
    outcomes = {case.id: judge(case, answers, base) for case in found.cases}
    checks = []
    for check in suite.spec.checks:
        cases = [case for case in found.cases if case.check is check]
        of_check = tuple(outcomes[case.id] for case in cases)
        checks.append(
            EdgeCheckResult(
                name=check.name,
                kind=check.kind,
                about=check.about,
                pass_rate=_pass_rate(cases, of_check),
                at_least=check.needed,
                outcomes=of_check,
                left_out=found.left_out[check.name],
            )
        )
    return EdgeCaseResult(
        suite=str(suite.path),
        suite_hash=found.suite_hash,
        pass_rate=_pass_rate(found.cases, list(outcomes.values())),
        checks=tuple(checks),
        checkpoint=artifact.checkpoint,
    )


def _pass_rate(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Estimate:
    share = sum(outcome.passed for outcome in outcomes) / len(outcomes)
    return share_interval(share, len({case.given for case in cases}))


def judge(case: Case, answers: Mapping[Input, Any], base: Path) -> Outcome:
    """Compares the answers to a case with what is expected.

    Args:
        case: The case.
        answers: A ``Prediction`` for its input, and for the changed one.
        base: The suite's folder.
    """
    before: Prediction = answers[case.given]
    after: Prediction = before if case.changed is None else answers[case.changed]
    if case.check.kind == "must_pass":
        passed, expected, received = _judge_answer(case, after)
    elif case.check.kind == "invariance" or case.check.expect == "label_changes":
        same = before.label == after.label
        wanted = case.check.kind == "invariance"
        expected = before.label if wanted else f"not {before.label}"
        passed, received = same == wanted, after.label
    else:
        passed, expected, received = _judge_probability(case.check, case.labels[0], before, after)
    changed = (
        None if case.changed is None else case.change if isinstance(case.changed, Path) else shown(case.changed, base)
    )
    return Outcome(case.id, passed, shown(case.given, base), changed, expected, received, after.confidence)


def _judge_answer(case: Case, answer: Prediction) -> tuple[bool, str, str]:
    spec = case.spec
    passed = [
        answer.label in case.labels and not answer.abstain,
        spec.abstain and answer.abstain,
        spec.confidence_at_most is not None and answer.confidence <= spec.confidence_at_most,
    ]
    wanted = [
        *case.labels,
        *(["to abstain"] if spec.abstain else []),
        *([f"a confidence of at most {spec.confidence_at_most:g}"] if spec.confidence_at_most is not None else []),
    ]
    return any(passed), " or ".join(wanted), f"{answer.label} {ABSTAINS}" if answer.abstain else answer.label


def _judge_probability(check: CheckSpec, label: str, before: Prediction, after: Prediction) -> tuple[bool, str, str]:
    was, now = before.probabilities[label], after.probabilities[label]
    passed = {
        "rises": now > was,
        "falls": now < was,
        "does_not_rise": now <= was + check.tolerance,
        "does_not_fall": now >= was - check.tolerance,
    }
    assert check.expect in passed
    direction = check.expect.replace("_", " ")
    return passed[check.expect], f"{label} {direction} from {was:.3f}", f"{label} {now:.3f}"


def compare_edge_cases(result: EdgeCaseResult, passed: Mapping[str, bool], other: str) -> EdgeCaseResult:
    """Adds what was fixed and what was broken since another run, case by case.

    Args:
        result: Of this run.
        passed: Case id to whether it passes in the other run, on the same suite.
        other: What the other run is called.
    """
    ids = list(result.outcomes)
    ours = np.array([outcome.passed for outcome in result.outcomes.values()])
    theirs = np.array([passed[name] for name in ids])
    inputs = [outcome.input for outcome in result.outcomes.values()]
    return replace(result, against=compare_answers(ids, ours, theirs, groups=inputs, other=other, metric="pass_rate"))

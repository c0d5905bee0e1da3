"""Runs a suite of edge cases on a model: which cases pass, check by check, and what has changed since another run."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.data.examples import Columns, Input
from kft.evaluate.paired import compare_answers
from kft.metrics.intervals import estimate
from kft.metrics.language import decided_by, of_texts, spoken
from kft.metrics.proportions import share_interval
from kft.recipe.evaluation import SAME
from kft.records.edge_cases import EdgeCaseResult, EdgeCheckResult, Outcome
from kft.records.estimate import Estimate
from kft.suites.cases import Case, expand, shown
from kft.suites.searched import Searched
from kft.suites.suite import CheckSpec, Suite
from kft.suites.suite_fit import require_fit
from kft.suites.written import ABSTAINS, judge_written, write_answers
from kft.tasks.classes import Prediction
from kft.tasks.task import AnswerKind, AnswerSpace
from kft.tasks.vectors import Ranking

if TYPE_CHECKING:
    from kft.answer.artifact import Artifact

MOST_FAILURES = 20


def run_suite(suite: Suite, artifact: Artifact, columns: Columns, searched: Searched | None = None) -> EdgeCaseResult:
    """Answers every case of a suite and judges the answers.

    Where several processes share the work, all of them call it together.

    Args:
        suite: The suite.
        artifact: Is judged; its recipe cleans inputs as those that the model learned from.
        columns: Those the model was trained on.
        searched: The documents that queries are answered with; None where answers are no vectors.

    Raises:
        SuiteError: It does not fit the model, or a check tests nothing.
        DataError: A table of the suite cannot be read.
    """
    task = artifact.reader.task
    require_fit(suite, task, artifact.space.labels if searched is None else searched.corpus.places)
    with tempfile.TemporaryDirectory(prefix="kft-edge-cases-") as folder:
        found = expand(suite, task, artifact.spec.data, columns, Path(folder))
        given = [one for case in found.cases for one in (case.given, case.changed) if one is not None]
        inputs: list[Input] = list(dict.fromkeys(given))
        said: Sequence[Any]
        if searched is not None:
            said = searched.ranked(artifact.answers(inputs))
        else:
            said = write_answers(artifact, inputs) if task.kind.writes else artifact.predict(inputs)
        answers = dict(zip(inputs, said, strict=True))
    base = suite.path.parent
    promised = artifact.spec.evaluate.abstain_at if task.kind.writes else None
    right = SAME if promised is None else promised.right
    outcomes = {case.id: judge(task.kind, case, answers, base, right) for case in found.cases}
    checks = []
    for check in suite.spec.checks:
        cases = [case for case in found.cases if case.check is check]
        result = _check_result(check, cases, outcomes, found.left_out[check.name])
        if check.kind == "invariance" and not task.kind.one_class:
            metric, agreement = measure_agreement(task.kind, artifact.space, cases, answers)
            beside = "the right documents" if task.kind.searches else "the answers before"
            result = replace(result, agreement=agreement, agreement_metric=metric, agreement_with=beside)
        checks.append(result)
    return EdgeCaseResult(
        suite=str(suite.path),
        suite_hash=_among(found.suite_hash, right if searched is None else searched.digest),
        n=len(outcomes),
        passed=sum(outcome.passed for outcome in outcomes.values()),
        pass_rate=_pass_rate(found.cases, list(outcomes.values())),
        checks=tuple(checks),
        checkpoint=artifact.checkpoint,
        cases={name: outcome.passed for name, outcome in outcomes.items()},
        outcomes=outcomes,
    )


def _among(suite_hash: str, more: str) -> str:
    """Returns what decides whether cases pass: of queries the documents do too, of written answers which are right."""
    return suite_hash if more == SAME else hashlib.sha256(f"{suite_hash}\n{more}".encode()).hexdigest()


def _check_result(
    check: CheckSpec, cases: Sequence[Case], outcomes: Mapping[str, Outcome], left_out: int
) -> EdgeCheckResult:
    of_check = [outcomes[case.id] for case in cases]
    rate = _pass_rate(cases, of_check)
    failed = sorted((outcome for outcome in of_check if not outcome.passed), key=lambda each: -(each.confidence or 0.0))
    return EdgeCheckResult(
        name=check.name,
        kind=check.kind,
        about=check.about,
        n=len(of_check),
        passed=len(of_check) - len(failed),
        pass_rate=rate,
        at_least=check.needed,
        holds=rate.value >= check.needed,
        left_out=left_out,
        failures=tuple(failed[:MOST_FAILURES]),
    )


def _pass_rate(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Estimate:
    share = sum(outcome.passed for outcome in outcomes) / len(outcomes)
    return share_interval(share, len({case.given for case in cases}))


def measure_agreement(
    kind: AnswerKind, space: AnswerSpace, cases: Sequence[Case], answers: Mapping[Input, Any]
) -> tuple[str, Estimate]:
    """Returns a metric of the answers after a change, with those before it as what is right: the task's first.

    Of written answers it is that of fields, or of words. Of queries right are the documents that a case names, and
    where it names none the one that came first before.

    Args:
        kind: What is answered.
        space: Everything that an answer can be.
        cases: Each with a change; cases of one input are resampled together.
        answers: By input.
    """
    metric = kind.judging.main
    truth: Any
    said: Any
    if kind.searches:
        truth, said = _ranks(cases, answers)
    else:
        both = [_both(kind, case, answers) for case in cases]
        truth, said = ([pair[side] for pair in both] for side in (0, 1))
        if kind.writes:
            said = spoken(said)
            metric = decided_by(of_texts(truth, said))
        else:
            truth, said = (kind.judging.truth(each, space) for each in (truth, said))
    places: dict[Input, int] = {}
    codes = np.array([places.setdefault(case.given, len(places)) for case in cases])
    return metric.name, estimate(metric, truth, said, groups=codes)


def _ranks(cases: Sequence[Case], answers: Mapping[Input, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many documents are right for each changed query, and at which ranks they come."""
    right = [_right(case, answers) for case in cases]
    found = [answers[case.changed].documents for case in cases if case.changed is not None]
    ranks = [[name in names for name in documents] for names, documents in zip(right, found, strict=True)]
    return np.array([len(names) for names in right]), np.array(ranks)


def _right(case: Case, answers: Mapping[Input, Any]) -> tuple[str, ...]:
    """Returns the documents that a query has to find: the suite's, or the first one before the change."""
    before: Ranking = answers[case.given]
    return case.labels or before.documents[:1]


def _both(kind: AnswerKind, case: Case, answers: Mapping[Input, Any]) -> tuple[Any, Any]:
    """Returns the answers before and after a change as labels of the data, the first one moved as the text was."""
    assert kind.judging.as_label is not None and case.changed is not None
    before, after = (kind.judging.as_label(answers[given]) for given in (case.given, case.changed))
    if kind.labels.moved is not None and case.shift is not None:
        before = kind.labels.moved(before, case.shift)
    return before, after


def judge(kind: AnswerKind, case: Case, answers: Mapping[Input, Any], base: Path, right: str = SAME) -> Outcome:
    """Compares the answers to a case with what is expected.

    Args:
        kind: What is answered.
        case: The case.
        answers: A prediction for its input, and for the changed one.
        base: The suite's folder.
        right: Which written answers are right: see ``kft.metrics.language.right_answers``.
    """
    before = answers[case.given]
    after = before if case.changed is None else answers[case.changed]
    if kind.searches:
        passed, expected, received = _judge_ranking(case, _right(case, answers), after)
    elif kind.writes:
        passed, expected, received = judge_written(case, before, after, right)
    elif case.check.kind == "must_pass":
        passed, expected, received = _judge_answer(case, after)
    elif case.check.kind == "invariance" or case.check.expect == "label_changes":
        passed, expected, received = _judge_change(kind, case, answers)
    else:
        passed, expected, received = _judge_probability(case.check, case.labels[0], before, after)
    changed = (
        None if case.changed is None else case.change if isinstance(case.changed, Path) else shown(case.changed, base)
    )
    return Outcome(
        case.id, shown(case.given, base), changed, expected, received, getattr(after, "confidence", None), passed
    )


def _judge_change(kind: AnswerKind, case: Case, answers: Mapping[Input, Any]) -> tuple[bool, str, str]:
    (was, now), within = _both(kind, case, answers), case.check.within
    expected, received = map(kind.labels.written, (was, now))
    if case.check.kind != "invariance":
        return was != now, f"not {expected}", received
    if within is not None:
        return abs(was - now) <= within, f"{was:.4g}, give or take {within:g}", f"{now:.4g}"
    return was == now, expected, received


def _judge_ranking(case: Case, right: tuple[str, ...], found: Ranking) -> tuple[bool, str, str]:
    most = case.check.among_first or 1
    rank = next((rank for rank, name in enumerate(found.documents, 1) if name in right), None)
    where = f"at rank {rank}" if rank else f"behind rank {len(found.documents)}"
    received = f"{found.documents[0]}" + ("" if rank == 1 else f", and what is right {where}")
    return (
        rank is not None and rank <= most,
        " or ".join(right) + (f" among the first {most}" if most > 1 else ""),
        received,
    )


def _judge_answer(case: Case, answer: Prediction) -> tuple[bool, str, str]:
    passed, wanted = case.judge(answer.label in case.labels, answer.abstain, answer.confidence)
    return passed, wanted, f"{answer.label} {ABSTAINS}" if answer.abstain else answer.label


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
    outcomes = result.outcomes or {}
    ids = list(outcomes)
    ours = np.array([outcome.passed for outcome in outcomes.values()])
    theirs = np.array([passed[name] for name in ids])
    inputs = [outcome.input for outcome in outcomes.values()]
    return replace(result, against=compare_answers(ids, ours, theirs, groups=inputs, other=other, metric="pass_rate"))

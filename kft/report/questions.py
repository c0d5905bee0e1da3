"""The four questions that a model's owner is asked, each answered from the evidence in the run folder.

Nothing is asserted here that no file shows: what was not looked at is said to be missing, with the command for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from kft.audit.summary import in_numbers
from kft.characters import several
from kft.compare.verdict import TUNED
from kft.recipe.sources import DATAFRAME
from kft.records.compare import Comparison
from kft.records.edge_cases import EdgeCheckResult
from kft.records.estimate import figure, metric_title, percent
from kft.records.metrics import EvaluateResult, SelectiveResult
from kft.report.evidence import ERROR, GOOD, MISSING, WARNING, Evidence, Question
from kft.report.maintenance import maintainable
from kft.report.record import RunRecord, listed
from kft.search.verdict import WITH_WORDS

ALIKE = {"nothing": "", "copies": "copies", "similar": "rows that look alike"}
"""What ``data.keep_together`` keeps on one side of a split."""
SURE_ECE = 0.05
"""A calibration error surely above it: the probabilities mislead."""


def four_questions(record: RunRecord, comparison: Comparison | None = None) -> tuple[Question, ...]:
    """Returns the questions with their evidence.

    Args:
        record: The run.
        comparison: Of approaches on the same split, where one was made.
    """
    return (
        Question(
            "measurable", "Is it measurable?", tuple(_measurable(record, comparison)), "It is, and it falls short"
        ),
        Question("trustworthy", "Is the data trustworthy?", tuple(_trustworthy(record))),
        Question("verifiable", "Can the output be verified?", tuple(_verifiable(record))),
        Question("maintainable", "Can it be maintained?", tuple(maintainable(record))),
    )


def headline(record: RunRecord) -> str:
    """Returns the verdict in one sentence."""
    found, n = record.values[record.main], f"{record.n:,} unseen examples"
    reached = (
        f"{percent(found.value)} of {n} are answered correctly"
        if record.main == "accuracy"
        else f"{metric_title(record.main)} {figure(found.value)} on {n}"
    )
    reached = reached[0].upper() + reached[1:]
    apart = record.metrics.valid
    if apart is not None and apart.apart:
        when = " before the refit" if apart.before_refit else ""
        reached += f", where valid said {figure(apart.value)}{when}: by more than chance"
    failed = record.metrics.failed_gates
    if not beats_baseline(record):
        unlike = "answering without looking" if record.task.kind.judging.constant is not None else "an untuned model"
        return f"{reached}: no better than {unlike}."
    if failed:
        return f"{reached}; {len(failed)} of {several(len(record.metrics.gates), 'gate')} {_fail(len(failed))}."
    if record.metrics.gates:
        return f"{reached}, and every gate holds."
    return f"{reached}."


def beats_baseline(record: RunRecord) -> bool:
    """Whether the main metric is surely better than the value of answering without looking."""
    found, constant = record.values[record.main], record.baselines[record.task.kind.judging.baseline_name][record.main]
    return found.low > constant.value if record.sign > 0 else found.high < constant.value


def _fail(count: int) -> str:
    return "fails" if count == 1 else "fail"


def _measurable(record: RunRecord, comparison: Comparison | None) -> Iterator[Evidence]:
    main, kind = metric_title(record.main), record.task.kind
    found, constant = record.values[record.main], record.baselines[kind.judging.baseline_name][record.main]
    unseeing = "answers without looking" if kind.judging.constant is not None else "has learned nothing from train"
    yield Evidence(
        f"{main} {found} (95 % interval) on {record.n:,} test examples that no choice has seen; "
        f"{kind.judging.baseline_name}, which {unseeing}: {constant}",
        GOOD if beats_baseline(record) else ERROR,
        "metrics",
    )
    yield from _apart(record)
    yield from _gain(record)
    yield from _over_linear(record)
    wins = record.metrics.constant_wins
    yield from (Evidence(said, WARNING, "metrics") for said in wins)
    if record.metrics.gain_over_constant and not wins:
        yield Evidence("it beats the best single response of train, written for every prompt", GOOD, "metrics")
    gates, failed = record.metrics.gates, record.metrics.failed_gates
    for name, gate in failed.items():
        yield Evidence(f"gate {name} {gate.rule} fails: {gate.reached}", ERROR, "gates")
    if gates and not failed:
        yield Evidence(f"{several(len(gates), 'gate')} of the recipe: all hold", GOOD, "gates")
    elif not gates:
        yield Evidence("gates that say what is good enough: evaluate.gates in the recipe", MISSING)
    if comparison is not None:
        fits = record.answers_tuned == (comparison.verdict.approach.removesuffix(WITH_WORDS) in TUNED)
        yield Evidence(
            f"kft compare recommends {comparison.verdict.approach}; this run "
            + ("answers with a tuned backbone" if record.answers_tuned else "answers on the frozen backbone"),
            GOOD if fits else WARNING,
            "comparison",
        )
    elif kind.one_class:
        yield Evidence(
            f"a comparison with linear models, prompting and others: {_command(record, 'compare')}",
            MISSING,
        )


def _command(record: RunRecord, name: str) -> str:
    """Returns the command that does something with the run's recipe."""
    if record.recipe.spec.data.train == DATAFRAME:
        return f'kft.{name}("{record.run.recipe}", data=...)'
    return f"kft {name} {quote(str(record.run.recipe))}"


def _apart(record: RunRecord) -> Iterator[Evidence]:
    found = record.metrics.valid
    if found is None:
        return
    text = found.said
    if found.causes:
        text += f"; perhaps {'; or '.join(found.causes)}. Try {'; '.join(found.next_steps)}"
    yield Evidence(text, ERROR if found.apart else GOOD, "metrics")


def _over_linear(record: RunRecord) -> Iterator[Evidence]:
    gain, wins = record.metrics.gain_over_linear, record.metrics.linear_wins
    if gain is None:
        return
    figures = f"{metric_title(record.main)} {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}], paired"
    low = min(record.sign * gain.low, record.sign * gain.high)
    says = "is better than" if low > 0 else "is not clearly better than"
    text = wins or f"this model {says} a linear model on words, which needs no backbone"
    yield Evidence(f"{text}: {figures}", WARNING if low <= 0 else GOOD, "metrics")


def _gain(record: RunRecord) -> Iterator[Evidence]:
    gain = record.metrics.gain_over_probe
    if gain is None:
        return
    if gain.low == gain.high == 0:
        yield Evidence("it gives the same answers as its probe, a head on the frozen backbone", GOOD, "metrics")
        return
    low, high = sorted((record.sign * gain.low, record.sign * gain.high))
    says = "is better than" if low > 0 else "is worse than" if high < 0 else "shows no clear gain over"
    what = "fine-tuning" if record.answers_tuned else "the blend of frozen features" if record.blend else "this model"
    yield Evidence(
        f"{what} {says} the probe it began from: {metric_title(record.main)} {gain.value:+.3f} "
        f"[{gain.low:+.3f}, {gain.high:+.3f}], paired",
        GOOD if low > 0 else WARNING,
        "metrics",
    )


def _trustworthy(record: RunRecord) -> Iterator[Evidence]:
    data, n = record.recipe.spec.data, record.receipt.n
    kept = " and ".join(
        filter(None, [f"rows of one group ({data.group.column})" if data.group else "", ALIKE[data.keep_together]])
    )
    yield Evidence(
        f"{n.train:,} rows for training, {n.valid:,} for validation, {n.test:,} sealed for the test; "
        + ("split by time; " if data.time else "")
        + (f"{kept} stay on one side; " if kept else "")
        + f"split hash {record.receipt.split_hash[:12]}",
        GOOD if kept or data.time else WARNING,
        "provenance",
    )
    if record.findings is None:
        yield Evidence(f"an audit of the data: {_command(record, 'check')}", MISSING)
        return
    for severity in (ERROR, WARNING):
        for finding in (each for each in record.findings if each.severity == severity):
            yield Evidence(finding.message.removesuffix("."), severity, "findings")
    if record.audited is not None:
        numbers = in_numbers(record.audited.found.findings)
        yield Evidence(f"an audit of these rows by all checks, {record.audited.folder}: {numbers}", GOOD)
        return
    if not any(finding.severity in (ERROR, WARNING) for finding in record.findings):
        yield Evidence(f"the quick checks of the data: {in_numbers(record.findings)}", GOOD)
    yield Evidence(
        f"the slower checks (copies, leaks, wrong labels, shortcuts by features): {_command(record, 'check')}", MISSING
    )


def _verifiable(record: RunRecord) -> Iterator[Evidence]:
    yield Evidence(
        f"predictions.csv has every answer to the {record.n:,} test examples, beside the right one", GOOD, "provenance"
    )
    if record.task.kind.one_class:
        yield from _probabilities(record.metrics)
    elif record.metrics.selective is not None:
        yield _abstention(record.metrics.selective)
    else:
        yield Evidence("calibration and abstention by confidence, which only one class of many has", MISSING)
    yield from _scope(record.metrics)
    interval = record.metrics.interval
    if interval is not None:
        holds = interval.covered.high >= interval.rule.coverage
        yield Evidence(f"an interval around each number: {interval.said}", GOOD if holds else WARNING, "abstention")
    thresholds = record.metrics.label_thresholds
    if thresholds is not None:
        why = f"; {thresholds.why}" if thresholds.why else ""
        yield Evidence(
            f"labels are said from thresholds chosen on valid alone, {thresholds.described}{why}",
            WARNING if thresholds.why else GOOD,
        )
    yield from _slices(record.metrics)
    yield from _edge_cases(record)
    if record.mistakes and record.mistakes.mistakes:
        count = "" if record.task.kind.numeric else f"{several(record.mistakes.n, 'wrong answer')}; "
        beside = "the training examples nearest to them"
        if record.task.kind.writes:
            beside = "what was asked and what is right"
        yield Evidence(f"{count}the worst are shown beside {beside}", GOOD, "mistakes")
    for warning in record.metrics.overfitting.warnings if record.metrics.overfitting else ():
        yield Evidence(f"overfitting: {warning}", WARNING, "training")


def _probabilities(metrics: EvaluateResult) -> Iterator[Evidence]:
    found, ece = metrics.calibration, metrics.own_ece
    if found is not None:
        before = f", {found.ece_before.value:.3f} before calibration" if found.n else ", not calibrated"
        yield Evidence(
            f"probabilities are off by {ece} on average ({'soft ' if metrics.soft else ''}ECE){before}",
            WARNING if ece.low > SURE_ECE else GOOD,
            "calibration",
        )
    if metrics.selective is not None:
        yield _abstention(metrics.selective)


def _scope(metrics: EvaluateResult) -> Iterator[Evidence]:
    scope = metrics.out_of_scope
    if scope is None:
        return
    text = f"{percent(scope.flagged.value)} of the test examples look out of scope to it and are not answered"
    if scope.right is not None:
        text += f"; {percent(scope.right.value)} of these would have been right"
    others = "".join(f"; {metric_title(name)} of the others {found}" for name, found in (scope.answered or {}).items())
    yield Evidence(text + others, GOOD, "abstention")


def _abstention(found: SelectiveResult) -> Evidence:
    answers = f"it answers {percent(found.coverage.value)}, of which {percent(found.error.value)} wrong"
    promise, costs, precision = found.promise, found.costs, found.precision
    if promise is not None and promise.threshold is None:
        return Evidence(f"abstention is off: {promise.why}", WARNING, "abstention")
    if precision is not None and precision.threshold is None:
        why = "no threshold on valid reaches the precision that was asked for"
        return Evidence(f"abstention is off: {why}", WARNING, "abstention")
    if promise is not None:
        text, holds = f"at most {percent(promise.error)} was promised", found.error.low <= promise.error
    elif costs is not None and costs.per_example and costs.answering_everything and costs.saved:
        each, all_ = costs.per_example.value, costs.answering_everything.value
        text, holds = f"an example costs {each:.3g}, or {all_:.3g} if all were answered", costs.saved.high >= 0
    elif precision is not None and precision.reached:
        reached, asked = precision.reached, precision.asked
        text = f"{percent(reached.value)} of the answers {precision.label} are right, {percent(asked)} was asked for"
        holds = reached.high >= asked
    else:
        return Evidence("when to decline an answer: evaluate.abstain_at in the recipe", MISSING, "abstention")
    return Evidence(f"{answers}; {text}", GOOD if holds else WARNING, "abstention")


def _slices(metrics: EvaluateResult) -> Iterator[Evidence]:
    judged = [part for part in metrics.slices or () if part.p_value is not None]
    for part in metrics.weak_slices:
        yield Evidence(
            f"weak slice {part.by} {part.value}: {part.said} of {several(part.n, 'example')}",
            WARNING,
            "slices",
        )
    if judged and not metrics.weak_slices:
        yield Evidence(f"none of {several(len(judged), 'slice')} is weaker than the rest beyond chance", GOOD, "slices")


def _edge_cases(record: RunRecord) -> Iterator[Evidence]:
    found = record.edge_cases
    if found is None:
        kind = record.task.kind
        if kind.one_class or kind.searches or kind.writes:
            yield Evidence(
                f"edge cases: kft evaluate {quote(str(record.run.path))} --suite checks.yaml", MISSING, "edge-cases"
            )
        return
    tones = {check.name: check_tone(check) for check in found.checks}
    short = [name for name, tone in tones.items() if tone == ERROR]
    yield Evidence(
        f"{found.passed:,} of {several(found.n, 'edge case')} pass"
        + (f"; too few pass of {listed(short)}" if short else ""),
        ERROR if short else WARNING if WARNING in tones.values() else GOOD,
        "edge-cases",
    )


def check_tone(check: EdgeCheckResult) -> str:
    """Returns what a check of edge_cases.json says: ``error`` where too few cases pass, ``warning`` where not all do.

    Too few is what the suite says; where it says nothing, all of what must pass has to.

    Example:
        >>> from kft.records.estimate import Estimate
        >>> rate = Estimate(0.9, 0.5, 1.0)
        >>> [check_tone(EdgeCheckResult("a", kind, "", 9, 8, rate)) for kind in ("invariance", "must_pass")]
        ['warning', 'error']
    """
    if check.passed == check.n:
        return GOOD
    holds = check.kind != "must_pass" if check.holds is None else check.holds
    return WARNING if holds else ERROR

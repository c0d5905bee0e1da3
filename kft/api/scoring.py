"""Scores a run: its best checkpoint, and the probe beside it, on examples that nothing was chosen by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kft import replicas
from kft.answer.artifact import Artifact
from kft.answer.decide import Decisions
from kft.answer.fitted import FITS, CalibrationData, FittedDecisions, asks, is_fitted, write_fitted
from kft.answer.load import Answering, Run, load_artifact
from kft.api.ranking import RankingInput, rank_queries, untuned_rivals
from kft.api.responding import answer, respond
from kft.data.corpus import Corpus
from kft.data.examples import Columns, Examples
from kft.evaluate.apart import SelectionResult, chosen_by
from kft.evaluate.evaluate import (
    ClassReport,
    FurtherResults,
    Scored,
    calibrated,
    interval_of,
    report_classes,
    scope_of,
    score,
    selection_of,
    slices_of,
)
from kft.evaluate.files import write_evaluation
from kft.evaluate.linear import fit_linear, why_no_linear
from kft.evaluate.overfitting import judge_overfitting
from kft.evaluate.rounding import measure_rounding, read_rounding, write_rounding
from kft.forgetting.general_text import general_texts
from kft.forgetting.retention import gate_value, measure_run, read_forgetting, write_forgetting
from kft.metrics.constant_response import constant_responses
from kft.recipe.evaluation import SAME
from kft.records.edge_cases import EdgeCaseResult
from kft.records.estimate import percent
from kft.records.history import read_history
from kft.records.manifest import FIGURES, TRAINED, seal, sealing
from kft.records.metrics import EvaluateResult
from kft.records.receipt import Receipt
from kft.records.rounding import RoundingResult
from kft.records.rules import CostRule, PrecisionRule, Rule
from kft.split.data_split import DataSplit, labels_of
from kft.split.holdout import set_aside
from kft.split.labels import learned_targets, outside
from kft.suites.edge_cases import run_suite
from kft.suites.searched import Searched
from kft.suites.suite import Suite, suite_of
from kft.train.answers import OUTPUTS, TRAIN, TRAIN_ROWS

if TYPE_CHECKING:
    from kft.train.progress import Progress


def score_test(answering: Answering, split: DataSplit, progress: Progress, *, writes: bool = True) -> EvaluateResult:
    """Fits what is fitted on valid, then opens the sealed test split: once, after every choice was made.

    What was fitted before for the same checkpoint is taken as it is.

    Args:
        answering: What the run answers with.
        split: Its data.
        progress: Told what goes on.
        writes: Whether this process, of several, writes what was found.
    """
    run, checkpoint = answering.run, answering.best.checkpoint
    if writes:
        seal(run, TRAINED)
    if is_fitted(answering.best.kind.labels.form, answering.spec.evaluate):
        # All processes or none: what the model computes, it computes on all of them together.
        if replicas.any_process(answering.fitted is None):
            fitted = _fit_on_valid(answering, split, progress)
            if writes:
                with sealing(run, ("calibration.json", "scope.safetensors")):
                    write_fitted(run, fitted, checkpoint)
            answering = answering.with_fitted(fitted)
        if described := _described(answering.best.decisions):
            progress.note(described)
    forgetting = read_forgetting(run, checkpoint)
    if replicas.any_process(forgetting is None):
        forgetting = measure_run(answering, progress)
        if writes and forgetting is not None:
            with sealing(run, ("forgetting.json",)):
                write_forgetting(run, forgetting, checkpoint)
    rounding = _rounding(answering, split, progress, writes)
    linear = None
    if why_no_linear(answering.spec):
        progress.note(f"linear     none: {why_no_linear(answering.spec)}")
    else:
        linear = fit_linear(answering.spec, split.without_test(), progress)
    chosen = _chosen(answering, split)
    beside = FurtherResults(forgetting=forgetting, rounding=rounding, chosen=chosen, data=answering.spec.data)
    constant = constant_responses([str(each) for each in labels_of(split.train)]) if _writes(answering) else None
    general = general_texts(answering.spec) if answering.best.kind.writes else None
    asked = RankingInput(split.test, "test", split.corpus, constant, general)
    result, given = _score(answering, asked, beside, progress, linear)
    if writes:
        with sealing(run, FIGURES):
            write_evaluation(run, result, given, answering.best.decisions)
    return result


def _rounding(answering: Answering, split: DataSplit, progress: Progress, writes: bool) -> RoundingResult | None:
    """Returns what int8 costs: as it was measured for these weights before, or measured now."""
    run, checkpoint = answering.run, answering.best.checkpoint
    found = read_rounding(run, checkpoint)
    if replicas.any_process(found is None):
        found = measure_rounding(answering, split, progress.note)
        if writes and found is not None:
            with sealing(run, ("rounding.json",)):
                write_rounding(run, found, checkpoint)
    return found


def _chosen(answering: Answering, split: DataSplit) -> SelectionResult | None:
    """Returns what valid said of the weights that answer: of its rows that choices were made by.

    None where valid's queries were answered with fewer documents than test's, so that the figures are of two kinds.
    """
    if answering.best.kind.searches:
        return None
    kept = ~set_aside(answering.spec, split)
    groups = None if split.valid.groups is None else split.valid.groups[kept]
    history = read_history(answering.run.history)
    return chosen_by(history, answering.best.kind.judging.main.name, int(kept.sum()), groups)


def score_run(
    answering: Answering, examples: Examples, name: str, progress: Progress, corpus: Corpus | None = None
) -> EvaluateResult:
    """Scores the best checkpoint and, for the paired gain, the probe, on other examples than the run's own.

    Args:
        answering: What the run answers with.
        examples: With labels.
        name: What they are called.
        progress: Told what goes on.
        corpus: What queries are answered with; None where labels name no documents.
    """
    run = answering.run
    if is_fitted(answering.best.kind.labels.form, answering.spec.evaluate) and answering.fitted is None:
        progress.note(
            f"\nnote       not calibrated: training was cut short; kft evaluate {run.path} calibrates on valid"
        )
    if not why_no_linear(answering.spec):
        progress.note("linear     none: it is fitted on the run's own rows, not for other data")
    if _writes(answering):
        progress.note("constant   none: it is the best response of the run's own rows, which other data do not hold")
    checkpoint = answering.best.checkpoint
    beside = FurtherResults(forgetting=read_forgetting(run, checkpoint), rounding=read_rounding(run, checkpoint))
    return _score(answering, RankingInput(examples, name, corpus), beside, progress)[0]


def _writes(answering: Answering) -> bool:
    return answering.best.kind.writes and answering.spec.evaluate.write


def score_suite(run: Run, suite: Suite, progress: Progress, corpus: Corpus | None = None) -> EdgeCaseResult:
    """Answers a suite of edge cases with the best checkpoint; no rows of the run are read.

    Args:
        run: Whose model answers.
        suite: The suite.
        progress: Told what goes on.
        corpus: What queries are answered with; None where labels name no documents.
    """
    artifact = load_artifact(run)
    searched = None if corpus is None else Searched.by(artifact, corpus)
    return _run_suite(artifact, run.receipt, suite, progress, searched)


def _run_suite(
    artifact: Artifact, receipt: Receipt, suite: Suite, progress: Progress, searched: Searched | None
) -> EdgeCaseResult:
    progress.note(f"\nedge cases {suite.path}")
    columns = Columns(receipt.text_column, receipt.label_column, pair=receipt.pair_column)
    return run_suite(suite, artifact, columns, searched)


def _fit_on_valid(answering: Answering, split: DataSplit, progress: Progress) -> FittedDecisions:
    spec, asked = answering.spec, answering.spec.evaluate
    if asked.calibrate == "none" and not asks(asked):
        return FittedDecisions()
    progress.note(f"\nfitting    on {len(split.valid):,} examples of valid")
    writes = answering.best.kind.writes
    scored = answer(answering.best, split.valid, progress) if writes else _answer(answering, split.valid)
    known = None
    if asked.out_of_scope is not None:
        progress.note(f"scope      where {len(split.train):,} examples of train lie")
        known = _answer(answering, split.train).vectors
    held = set_aside(spec, split)
    answers, more = _unseen(answering, split, scored, held)
    valid = CalibrationData(
        targets=scored.truth,
        answers=answers,
        probe=scored.probe,
        held=held,
        groups=split.valid.groups,
        vectors=scored.vectors,
        known=known,
        more=more,
        shares=scored.shares,
        declined=scored.declined,
    )
    return FITS[answering.best.kind.labels.form](asked, valid, answering.best.space.labels, spec.data.split_seed)


def _unseen(
    answering: Answering, split: DataSplit, scored: Scored, held: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
    """Returns the answers to valid that saw none of its labels, and with their targets such answers to train.

    A blend has learned from valid, and so has a refit, but for what was set aside. Of the others a blend's answers out
    of fold count, and what the model said of them before the refit.
    """
    found, judging, space = answering.out_of_fold, answering.best.kind.judging, answering.best.space
    # Nothing is fitted by what was said of tokens, and what was written is what the kept weights write.
    if not found or answering.best.kind.learning.per_token or answering.best.kind.writes:
        return scored.answers, None
    answers = np.array(scored.answers)
    answers[~held] = judging.answers(found[OUTPUTS], space, None)
    if TRAIN not in found:
        return answers, None
    learned = learned_targets(split.train.take(found[TRAIN_ROWS]), answering.best.kind, space)
    return answers, (learned, judging.answers(found[TRAIN], space, None))


def _described(decisions: Decisions) -> str:
    lines = [f"temperature {decisions.temperature.value:.3g}"] if decisions.temperature.n else []
    if decisions.labels is not None:
        lines.append(f"thresholds {decisions.labels.described}")
    if decisions.scope is not None:
        lines.append(f"scope      flags what looks less familiar than {percent(decisions.scope.keep)} of valid")
    if decisions.interval is not None:
        lines.append(f"interval   {decisions.interval.described}")
    if decisions.rule is not None:
        lines.append(_when(decisions.rule))
    return "\n".join(lines)


def _when(rule: Rule) -> str:
    if rule.threshold is None:
        return f"abstention off: {rule.why}"
    when = f"below a confidence of {rule.threshold:.3f}" if rule.threshold else "never"
    if isinstance(rule, CostRule):
        return f"abstention {when}: a wrong answer costs {rule.wrong:g}, abstaining {rule.abstain:g}"
    if isinstance(rule, PrecisionRule):
        return f"abstention from {rule.label!r} {when}: {rule.right:,} of {rule.answered:,} on valid are right"
    return f"abstention {when}: {rule.errors:,} of {rule.answered:,} answers wrong, on {rule.n:,} examples set aside"


def _answer(answering: Answering, examples: Examples) -> Scored:
    """Answers with the best checkpoint and with the probe; once where they are the same weights."""
    best, probe = answering.best, answering.probe
    wanted = answering.spec.evaluate.out_of_scope is not None
    same = answering.kept_the_probe
    of_probe = None if probe is None else probe.head_answers(examples.inputs, vectors=wanted and same)
    if of_probe is not None and same:
        answers, vectors = of_probe
    elif answering.on_pretrained:
        answers, vectors = best.head_answers(examples.inputs, vectors=wanted)
    else:
        answers, vectors = best.answers_and_vectors(examples.inputs, keep=True, vectors=wanted)
    assert examples.labels is not None  # only labelled examples are scored
    return Scored(
        kind=best.kind,
        space=best.space,
        ids=list(examples.ids),
        truth=best.kind.judging.truth(list(examples.labels), best.space),
        answers=answers,
        probe=None if of_probe is None else of_probe[0],
        groups=examples.groups,
        inputs=examples.inputs,
        columns=examples.columns,
        vectors=vectors,
        shares=None if examples.shares is None else examples.shares.of(best.space.labels),
    )


def _score(
    answering: Answering,
    asked: RankingInput,
    beside: FurtherResults,
    progress: Progress,
    linear: Callable[[Sequence[Any]], np.ndarray] | None = None,
) -> tuple[EvaluateResult, Scored]:
    examples, name = asked.examples, asked.name
    progress.note(f"\nscoring    {len(examples):,} examples of {name}")
    best, receipt, spec = answering.best, answering.receipt, answering.spec
    if never := outside(examples, spec.model.choices):
        note = f"{len(never):,} right responses are none of model.choices, so they count as wrong: {never[0]!r:.60}"
        progress.note(f"           {note}")
    suite = suite_of(answering.recipe) if spec.evaluate.suite else None
    searched: Searched | None = None
    if best.kind.searches:
        raw, searched = rank_queries(answering, asked)
    elif best.kind.writes or best.kind.masks:
        raw = respond(answering, asked, progress)
    else:
        raw = replace(_answer(answering, examples), rivals=untuned_rivals(answering, examples))
    given = calibrated(raw, best.decisions, None if answering.probe is None else answering.probe.decisions)
    if said := best.kind.judging.undefined(given.truth):
        progress.note(f"warning    {said}")
    if linear is not None:
        given = replace(given, linear=linear(examples.inputs))
    report = selective = None
    if best.kind.one_class:
        report = _report(answering, raw, given)
    elif best.kind.writes:
        asked_for = spec.evaluate.abstain_at
        selective = selection_of(given, best.decisions, SAME if asked_for is None else asked_for.right)
    result = score(
        given,
        split=name,
        shares=receipt.shares,
        gates=spec.evaluate.gates,
        beside=replace(
            beside,
            report=report,
            selective=selective,
            out_of_scope=scope_of(given, best.decisions),
            interval=interval_of(given, best.decisions),
            label_thresholds=best.decisions.labels,
            slices=slices_of(given, spec.evaluate.slice_rows),
            edge_cases=None if suite is None else _run_suite(best, receipt, suite, progress, searched),
            values={"forgetting.retained": gate_value(answering, beside.forgetting)},
        ),
    )
    return result, given


def _report(answering: Answering, raw: Scored, given: Scored) -> ClassReport:
    run, receipt = answering.run, answering.receipt
    overfitting = judge_overfitting(read_history(run.history), receipt.n.valid - receipt.set_aside)
    return report_classes(raw, given, answering.best.decisions, overfitting)
